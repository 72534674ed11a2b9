package stats

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/fb2d3dbd/multiproc/bench"
)

func TestJudge(t *testing.T) {
	far := []bench.Regime{bench.Far}
	half := []bench.Regime{bench.Near, bench.Near, bench.Near, bench.Near, bench.Far, bench.Far}
	fair := samplesOf("lock", "multiproc", near, 10, 10, 10)
	for i := range fair {
		fair[i].Extra = map[string]string{bench.Fairness: []string{"0.7", "0.9", "0.8"}[i]}
	}
	samples := slices.Concat(fair,
		samplesOf("lock", "pthread", near, 20, 20, 20),
		samplesOf("ring", "multiproc", half, 10, 20, 30, 40, 90, 90), samplesOf("ring", "cring", half, 20, 40, 60, 80, 30, 30),
		samplesOf("other", "cpython", near, 500, 500, 500, 500), samplesOf("lone", "multiproc", far, 5e6),
		samplesOf("job/2", "multiproc", half, 100, 100, 100, 100, 100, 100), samplesOf("job/2", "goroutine", half, 50, 50, 50, 50, 50, 150))
	for _, c := range []struct {
		name     string
		target   bench.Target
		standing Standing
		got      string
		in       bench.Regime
		note     string
	}{
		{"ratio met", bench.Target{Scenario: "ring", Impl: "multiproc", Bound: bench.Ratio, Limit: 0.6, Peer: "cring"}, Met, "0.50×", bench.Near, "too few samples for an interval"},
		{"ratio missed", bench.Target{Scenario: "ring", Impl: "multiproc", Bound: bench.Ratio, Limit: 0.4, Peer: "cring"}, Missed, "0.50×", bench.Near, "too few samples for an interval"},
		{"ratio of the other regime", bench.Target{Scenario: "ring", Impl: "multiproc", Bound: bench.Ratio, Limit: 1, Peer: "cring", Regime: bench.Far}, Missed, "3.00×", bench.Far, "too few samples for an interval"},
		{"faster", bench.Target{Scenario: "ring", Impl: "multiproc", Bound: bench.Faster, Limit: 20, Peer: "cpython", PeerOf: "other"}, Met, "20.8× faster", bench.Near, "the range of so few samples holds the limit"},
		{"within", bench.Target{Scenario: "lone", Impl: "multiproc", Bound: bench.Within, Limit: 1e6}, Missed, "5.00 ms", bench.Far, "too few samples for an interval"},
		{"at least", bench.Target{Scenario: "lock", Impl: "multiproc", Bound: bench.AtLeast, Limit: 0.8, Metric: bench.Fairness}, Met, "0.80", bench.Near, "the range of so few samples holds the limit"},
		{"at most", bench.Target{Scenario: "lock", Impl: "multiproc", Bound: bench.AtMost, Limit: 0.5, Metric: bench.Fairness}, Missed, "0.80", bench.Near, "too few samples for an interval"},
		{"job", bench.Target{Scenario: "job/2", Impl: "multiproc", Bound: bench.Ratio, Limit: 2, Peer: "goroutine"}, Met, "2.00×", bench.Pooled, ""},
		{"no such figure", bench.Target{Scenario: "lock", Impl: "multiproc", Bound: bench.AtMost, Limit: 1, Metric: bench.Threads}, NotMeasured, "–", "", "no samples"},
		{"no scenario", bench.Target{Scenario: "x", Impl: "multiproc", Bound: bench.Within, Limit: 1}, NotMeasured, "–", "", "no sample of x multiproc"},
		{"no peer", bench.Target{Scenario: "ring", Impl: "multiproc", Bound: bench.Ratio, Limit: 1, Peer: "pipe"}, NotMeasured, "–", "", "no sample of ring pipe"},
		{"no such regime", bench.Target{Scenario: "lock", Impl: "multiproc", Bound: bench.Ratio, Limit: 1, Peer: "pthread", Regime: bench.Far}, NotMeasured, "–", "", "CPUs far"},
	} {
		o := Judge([]bench.Target{c.target}, samples)[0]
		if o.Standing != c.standing || o.Got() != c.got || o.In != c.in || !strings.Contains(o.Note(), c.note) || c.note == "" && o.Note() != "" {
			t.Errorf("%s: %s, got %s in %q, note %q; want %s, %s in %q, %q", c.name, o.Standing, o.Got(), o.In, o.Note(), c.standing, c.got, c.in, c.note)
		}
	}
}

func TestWriteTargets(t *testing.T) {
	samples := slices.Concat(samplesOf("lock", "multiproc", near, 10, 11, 12, 10, 11, 12), samplesOf("lock", "pthread", near, 20, 20, 20, 20, 20, 20))
	outcomes := Judge([]bench.Target{
		{What: "lock, against pthread", Scenario: "lock", Impl: "multiproc", Bound: bench.Ratio, Limit: 0.8, Peer: "pthread"},
		{What: "lock, quick", Scenario: "lock", Impl: "multiproc", Bound: bench.Within, Limit: 5},
		{What: "lock, near", Scenario: "lock", Impl: "multiproc", Bound: bench.Within, Limit: 11.5},
		{What: "manager", Scenario: "manager", Impl: "multiproc", Bound: bench.Faster, Limit: 30, Peer: "cpython", PeerOf: "elsewhere"},
	}, samples)
	var b bytes.Buffer
	if err := WriteTargets(&b, outcomes, TextStyle{}); err != nil {
		t.Fatal(err)
	}
	var lines []string
	for l := range strings.Lines(b.String()) {
		lines = append(lines, strings.Join(strings.Fields(l), " "))
	}
	want := []string{
		"target measured n regime what",
		"met ≤ 0.80× 0.55× 0.50–0.60 6 near lock, against pthread lock : pthread",
		"missed ≤ 5.00 ns 11.0 ns 10.0–12.0 6 near lock, quick lock",
		"met, close ≤ 11.5 ns 11.0 ns 10.0–12.0 6 near lock, near lock by the median; the interval holds the limit",
		"not measured ≥ 30.0× faster – manager manager : elsewhere cpython no sample of manager multiproc",
		"", "A target is met or missed by the median of n samples, each of a ratio of the same round. It is close where the 95 % interval holds",
		"the limit: another run may find otherwise. In brackets: fewer than six samples, and the range instead of an interval.",
		"", "4 targets: 2 met, 1 missed, 1 not measured; 1 verdict is close",
	}
	if !slices.Equal(lines, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(lines, "\n"), strings.Join(want, "\n"))
	}
}
