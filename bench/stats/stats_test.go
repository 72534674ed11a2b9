package stats

import (
	"math"
	"slices"
	"testing"

	"github.com/fb2d3dbd/multiproc/bench"
)

func TestSummarize(t *testing.T) {
	values := []float64{9, 1, 5, 3, 7, 2, 8, 4, 6, 10}
	s := Summarize(values)
	if s.N != 10 || s.Median != 5.5 || s.Min != 1 || s.Max != 10 || !s.Interval || s.Lo != 2 || s.Hi != 9 {
		t.Errorf("summary of 1..10 = %+v, want median 5.5 and the interval from the 2nd to the 9th", s)
	}
	if values[0] != 9 {
		t.Error("Summarize sorted its argument")
	}
	if s := Summarize([]float64{1, 2, 3, 4, 5, 6}); !s.Interval || s.Lo != 1 || s.Hi != 6 {
		t.Errorf("summary of six = %+v, want an interval of all of them", s)
	}
	if s := Summarize([]float64{3, 1, 2}); s.Interval || s.Lo != 1 || s.Hi != 3 || s.Median != 2 {
		t.Errorf("summary of three = %+v, want their range and no interval", s)
	}
	if s := Summarize(nil); s.N != 0 {
		t.Errorf("summary of nothing = %+v", s)
	}
}

func TestDiffer(t *testing.T) {
	a := []float64{10, 11, 12, 13, 14, 15}
	if d := Differ(a, []float64{20, 21, 22, 23, 24, 25}); !d.Significant || d.P > 0.01 {
		t.Errorf("apart: %+v", d)
	}
	if d := Differ(a, []float64{10.5, 11.5, 12.5, 13.5, 14.5, 9.5}); d.Significant || !d.Possible {
		t.Errorf("overlapping: %+v", d)
	}
	if d := Differ([]float64{1}, []float64{2}); d.Significant || d.Possible {
		t.Errorf("one each: %+v, want that no difference could be found", d)
	}
	if d := Differ(nil, a); d.Significant {
		t.Errorf("nothing against six: %+v", d)
	}
}

// samplesOf makes one sample a round for an implementation.
func samplesOf(scenario, impl string, regimes []bench.Regime, values ...float64) []bench.Sample {
	var list []bench.Sample
	for i, v := range values {
		regime := regimes[min(i, len(regimes)-1)]
		control := map[bench.Regime]float64{bench.Near: 145, bench.Far: 600, bench.Mixed: 370}[regime]
		list = append(list, bench.Sample{
			Scenario: scenario, Impl: impl, Unit: bench.Unit, Value: v, Round: i + 1, Regime: regime, ControlNs: control, Run: "r",
			Ops: 1000, Machine: &bench.Machine{OS: "linux", Arch: "amd64", CPU: "AMD EPYC", CPUs: 2, MaxProcs: 2},
		})
	}
	return list
}

var near = []bench.Regime{bench.Near}

func TestRowsOrderAndRatios(t *testing.T) {
	samples := slices.Concat(
		samplesOf("x", "pipe", near, 100, 200, 300, 100, 200, 300),
		samplesOf("x", "goroutine", near, 10, 20, 30, 10, 20, 30),
		samplesOf("x", "multiproc", near, 5, 10, 15, 5, 10, 15))
	a := Analyse(samples, nil)
	if len(a.Scenarios) != 1 || len(a.Scenarios[0].Blocks) != 1 {
		t.Fatalf("scenarios %+v", a.Scenarios)
	}
	b := a.Scenarios[0].Blocks[0]
	if got := []string{b.Rows[0].Impl, b.Rows[1].Impl, b.Rows[2].Impl}; !slices.Equal(got, []string{"multiproc", "goroutine", "pipe"}) {
		t.Errorf("rows %v, want multiproc, goroutine and then the others", got)
	}
	// The times vary threefold from round to round; the ratios, made within rounds, do not.
	pipe := b.Row("pipe")
	if pipe.ToReference.Median != 10 || pipe.ToReference.Lo != 10 || pipe.ToReference.Hi != 10 || pipe.ToSubject.Median != 20 {
		t.Errorf("pipe: %+v to goroutine, %+v to multiproc, want 10 and 20", pipe.ToReference, pipe.ToSubject)
	}
	if own := b.Row("multiproc"); own.ToReference.Median != 0.5 || own.ToSubject.Median != 1 || !own.Subject() {
		t.Errorf("multiproc: %+v, %+v", own.ToReference, own.ToSubject)
	}
	if b.Control.Median != 145 || a.Scenarios[0].LeftOut != 0 {
		t.Errorf("control %v, left out %d", b.Control.Median, a.Scenarios[0].LeftOut)
	}
}

func TestRatioWithoutACommonRound(t *testing.T) {
	a := samplesOf("x", "goroutine", near, 10)
	b := samplesOf("x", "pipe", near, 1, 40)[1:]
	row := Analyse(slices.Concat(a, b), nil).Scenarios[0].Blocks[0].Row("pipe")
	if row.ToReference.N != 1 || row.ToReference.Median != 4 {
		t.Errorf("ratio %+v, want that of the medians, 4", row.ToReference)
	}
	if row.ToSubject.N != 0 {
		t.Errorf("ratio to multiproc %+v, want none: it was not measured", row.ToSubject)
	}
}

// TestRatiosStayWithinRuns has two runs whose rounds bear the same numbers.
func TestRatiosStayWithinRuns(t *testing.T) {
	first := slices.Concat(samplesOf("x", "goroutine", near, 10), samplesOf("x", "pipe", near, 20))
	second := slices.Concat(samplesOf("x", "goroutine", near, 100), samplesOf("x", "pipe", near, 200))
	for i := range second {
		second[i].Run = "s"
	}
	row := Analyse(slices.Concat(first, second), nil).Scenarios[0].Blocks[0].Row("pipe")
	if row.ToReference.N != 2 || row.ToReference.Lo != 2 || row.ToReference.Hi != 2 {
		t.Errorf("ratio %+v, want 2 in both", row.ToReference)
	}
}

func TestRegimesAreKeptApart(t *testing.T) {
	half := []bench.Regime{bench.Near, bench.Near, bench.Near, bench.Far, bench.Far, bench.Far}
	few := []bench.Regime{bench.Near, bench.Near, bench.Near, bench.Near, bench.Near, bench.Far, bench.Mixed}
	for _, c := range []struct {
		name    string
		samples []bench.Sample
		want    []bench.Regime
		leftOut int
	}{
		{"one regime", samplesOf("x", "a", near, 1, 1, 1), near, 0},
		{"half and half", samplesOf("x", "a", half, 1, 1, 1, 5, 5, 5), []bench.Regime{bench.Near, bench.Far}, 0},
		{"few strays", samplesOf("x", "a", few, 1, 1, 1, 1, 1, 5, 3), near, 2},
		{"only mixed", samplesOf("x", "a", []bench.Regime{bench.Mixed}, 1, 2), []bench.Regime{bench.Mixed}, 0},
		{"one implementation is far only", slices.Concat(samplesOf("x", "a", near, 1, 1, 1, 1, 1, 1), samplesOf("x", "b", []bench.Regime{bench.Far}, 5)),
			[]bench.Regime{bench.Near, bench.Far}, 0},
		{"one implementation is mixed only", slices.Concat(samplesOf("x", "a", near, 1, 1, 1), samplesOf("x", "b", []bench.Regime{bench.Mixed}, 5)),
			[]bench.Regime{bench.Near, bench.Mixed}, 0},
		{"a job by workers", samplesOf("wordcount/2", "a", few, 1, 1, 1, 1, 1, 5, 3), []bench.Regime{bench.Pooled}, 0},
		{"one CPU", samplesOf("x", "a", []bench.Regime{bench.None}, 1, 1), []bench.Regime{bench.None}, 0},
	} {
		sc := Analyse(c.samples, nil).Scenarios[0]
		var got []bench.Regime
		for _, b := range sc.Blocks {
			got = append(got, b.Regime)
			for _, r := range b.Rows {
				for _, v := range r.Values {
					for _, s := range c.samples {
						if s.Impl == r.Impl && s.Value == v && s.Regime != b.Regime && b.Regime != bench.Pooled {
							t.Errorf("%s: a %s sample stands among the %s ones", c.name, s.Regime, b.Regime)
						}
					}
				}
			}
		}
		if !slices.Equal(got, c.want) || sc.LeftOut != c.leftOut {
			t.Errorf("%s: blocks %v with %d left out, want %v with %d", c.name, got, sc.LeftOut, c.want, c.leftOut)
		}
	}
}

func TestScaling(t *testing.T) {
	samples := slices.Concat(
		samplesOf("wordcount/1", "goroutine", near, 800, 800), samplesOf("wordcount/1", "multiproc", near, 900),
		samplesOf("wordcount/4", "goroutine", near, 200), samplesOf("wordcount/2", "multiproc", near, 450),
		samplesOf("queue/spsc/8B", "goroutine", near, 5), samplesOf("alone/1", "goroutine", near, 5))
	list := Analyse(samples, nil).Scalings
	if len(list) != 1 || list[0].Job != "wordcount" || !slices.Equal(list[0].Workers, []int{1, 2, 4}) {
		t.Fatalf("scalings %+v, want wordcount with 1, 2 and 4 workers", list)
	}
	for _, c := range []struct {
		impl    string
		workers int
		want    float64
	}{{"goroutine", 1, 1}, {"goroutine", 4, 4}, {"multiproc", 2, 2}} {
		for _, l := range list[0].Lines {
			if l.Impl != c.impl {
				continue
			}
			if p := l.Point(c.workers); p == nil || p.Speedup != c.want {
				t.Errorf("%s with %d workers: %+v, want %v times faster", c.impl, c.workers, p, c.want)
			}
		}
	}
	if list[0].Lines[0].Impl != "multiproc" && list[0].Lines[1].Impl != "multiproc" {
		t.Errorf("lines %+v", list[0].Lines)
	}
}

func TestAnalysisNamesWhatIsAbsent(t *testing.T) {
	run := &bench.Run{
		ID:        "r",
		Scenarios: []bench.ScenarioInfo{{Name: "x", Doc: "one thing", Impls: []string{"goroutine", "cpython", "pipe"}}, {Name: "y", Impls: []string{"pipe"}}},
		Absences: []bench.Absence{
			{Scenario: "x", Impl: "cpython", Kind: bench.Missing, Reason: "no python3"},
			{Scenario: "x", Impl: "pipe", Kind: bench.Failed, Reason: "broken"},
			{Scenario: "y", Impl: "pipe", Kind: bench.Failed, Reason: "broken too"},
		},
	}
	a := Analyse(samplesOf("x", "goroutine", near, 1), []*bench.Run{run})
	if len(a.Missing) != 1 || len(a.Troubles) != 2 || len(a.Scenarios) != 2 {
		t.Errorf("missing %v, troubles %v, scenarios %d", a.Missing, a.Troubles, len(a.Scenarios))
	}
	if a.Scenarios[0].Doc != "one thing" || len(a.Scenarios[0].Troubles) != 1 || len(a.Scenarios[1].Blocks) != 0 {
		t.Errorf("scenarios %+v", a.Scenarios)
	}
}

func TestCompare(t *testing.T) {
	far := []bench.Regime{bench.Far}
	old := slices.Concat(
		samplesOf("x", "a", near, 10, 11, 12, 10, 11, 12), samplesOf("x", "b", near, 10, 11, 12, 10, 11, 12),
		samplesOf("x", "c", near, 10), samplesOf("x", "gone", near, 1))
	new := slices.Concat(
		samplesOf("x", "a", near, 20, 22, 24, 20, 22, 24), samplesOf("x", "b", near, 11, 10, 12, 11, 10, 12),
		samplesOf("x", "c", far, 30), samplesOf("x", "fresh", near, 1))
	c := Compare(old, new)
	if len(c.Changes) != 3 || !slices.Equal(c.OnlyOld, []string{"x gone"}) || !slices.Equal(c.OnlyNew, []string{"x fresh"}) {
		t.Fatalf("comparison %+v", c)
	}
	if a := c.Changes[0]; !a.Significant || math.Abs(a.Delta-1) > 1e-9 || a.Regime != bench.Near {
		t.Errorf("a: %+v, want a significant doubling", a)
	}
	if b := c.Changes[1]; b.Significant {
		t.Errorf("b: %+v, want no significant change", b)
	}
	if x := c.Changes[2]; x.Regime != "" || x.Significant || !slices.Equal(x.OldRegimes, near) || !slices.Equal(x.NewRegimes, far) {
		t.Errorf("c: %+v, want that near is not compared with far", x)
	}
}
