package bench

import (
	"strconv"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

const (
	longestLatency = int64(2 * time.Minute) // longer ones count as this long
	latencyDigits  = 3
)

// latencies are how long operations took, in nanoseconds: those of many processes add up.
type latencies struct{ *hdrhistogram.Histogram }

func newLatencies() latencies { return latencies{hdrhistogram.New(1, longestLatency, latencyDigits)} }

func (l latencies) record(ns, count int64) {
	_ = l.RecordValues(min(max(ns, 1), longestLatency), count) // it is within the bounds
}

// figures adds the percentiles to the further figures of a sample, of which there may be none.
func (l latencies) figures(extra map[string]string) map[string]string {
	if extra == nil {
		extra = make(map[string]string)
	}
	if l.TotalCount() > 0 {
		for name, p := range map[string]float64{P50: 50, P99: 99, P999: 99.9, MaxLatency: 100} {
			extra[name] = strconv.FormatInt(l.ValueAtPercentile(p), 10)
		}
	}
	return extra
}
