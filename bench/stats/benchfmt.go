package stats

import (
	"fmt"
	"io"

	"golang.org/x/perf/benchfmt"

	"github.com/fb2d3dbd/multiproc/bench"
)

// A BenchWriter writes samples as lines of the Go benchmark format, as benchstat reads them:
//
//	regime: near
//	BenchmarkScenarios/queue/spsc/64B/impl=multiproc-2 3500000 17.2 ns/op 145 control-ns
type BenchWriter struct{ w *benchfmt.Writer }

// NewBenchWriter returns a BenchWriter to w.
func NewBenchWriter(w io.Writer) *BenchWriter { return &BenchWriter{benchfmt.NewWriter(w)} }

// Write writes one sample, with what describes its machine where that has changed.
func (b *BenchWriter) Write(s bench.Sample) error {
	res := &benchfmt.Result{
		Iters:  s.Ops,
		Values: []benchfmt.Value{{Value: s.Value, Unit: s.Unit}, {Value: s.ControlNs, Unit: "control-ns"}},
	}
	for _, f := range figureNames {
		if v, ok := s.Metric(f.name); ok {
			res.Values = append(res.Values, benchfmt.Value{Value: v, Unit: f.name})
		}
	}
	config := func(key, value string) {
		if value != "" {
			res.Config = append(res.Config, benchfmt.Config{Key: key, Value: []byte(value), File: true})
		}
	}
	procs := 1
	if m := s.Machine; m != nil {
		config("goos", m.OS)
		config("goarch", m.Arch)
		config("cpu", m.CPU)
		procs = m.MaxProcs
	}
	config("pkg", "github.com/fb2d3dbd/multiproc/bench")
	config("regime", string(s.Regime))
	res.Name = benchfmt.Name(BenchName(s, procs))
	return b.w.Write(res)
}

// WriteBenchmarks writes samples in the Go benchmark format.
func WriteBenchmarks(w io.Writer, samples []bench.Sample) error {
	b := NewBenchWriter(w)
	for _, s := range samples {
		if err := b.Write(s); err != nil {
			return err
		}
	}
	return nil
}

// BenchName returns a sample's name in the Go benchmark format, without the word Benchmark. It is the name that go test
// gives the same measurement.
func BenchName(s bench.Sample, procs int) string {
	name := fmt.Sprintf("Scenarios/%s/impl=%s", s.Scenario, s.Impl)
	if procs > 1 {
		name += fmt.Sprintf("-%d", procs)
	}
	return name
}
