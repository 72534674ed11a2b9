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

	GCCycles    = "gc-cycles" // runs of the garbage collector, all processes together
	GCPauses    = "gc-pauses" // how often it stopped everything in a process
	GCPauseTime = "gc-pause-total-ns"
	GCPauseMax  = "gc-pause-max-ns"
	GCTime      = "gc-cpu-ns" // what it took of the processors, beside the program and in pauses

	Resident     = "rss-bytes" // resident memory of all processes, a page that several share once for each
	Proportional = "pss-bytes" // the same, a page that several share once in all
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
