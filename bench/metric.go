package bench

import (
	"strconv"
	"strings"
)

// Names of the further figures of a sample, keys of [Result.Extra], that tables, figures and targets know. A name ends in
// its unit: "-ns" is a time, "-bytes" memory; one without is a plain number. Values are decimal numbers.
const (
	Fairness = "fairness" // the least share of the operations that one of several had, as a part of the greatest, from 0 to 1

	P50        = "p50-ns" // latencies of single operations: their median, and so on
	P99        = "p99-ns"
	P999       = "p99.9-ns"
	MaxLatency = "max-ns"

	GCPauses     = "gc-pauses"       // stops of the world by the garbage collector, all processes together
	GCPauseP99   = "gc-pause-p99-ns" // how long they took
	GCPauseMax   = "gc-pause-max-ns"
	ResidentPeak = "rss-bytes" // resident memory of all processes together, shared pages once
	Threads      = "threads"   // of the process that waits
)

// Metric returns a further figure of the sample by its name; ok is false where the sample has none of that name, or one
// that is no number.
func (s Sample) Metric(name string) (value float64, ok bool) {
	value, err := strconv.ParseFloat(s.Extra[name], 64)
	return value, err == nil
}

// curvePrefix begins the names of the scenarios of contention curves.
const curvePrefix = "curve/"

// Curve splits the name of a scenario that is a point of a contention curve, such as "curve/lock/8", into what contends
// and the number of workers. Its ok is false for every other name.
func Curve(scenario string) (what string, workers int, ok bool) {
	rest, found := strings.CutPrefix(scenario, curvePrefix)
	if !found {
		return "", 0, false
	}
	return Family(rest)
}
