package stats

import (
	"fmt"
	"slices"
	"strings"

	"github.com/fb2d3dbd/multiproc/bench"
)

// An Analysis is everything that tables and reports show of a set of samples.
type Analysis struct {
	Samples   []bench.Sample
	Scenarios []Scenario // in the order asked for
	Impls     []string   // of all scenarios: multiproc, goroutine, then as they come
	Scalings  []Scaling
	Curves    []Curve
	Missing   []bench.MissingImpl
	Troubles  []bench.Absence // what failed or was skipped
	Verdicts  []bench.Verdict // of the jobs that report a digest
}

// A Scenario is the table of one scenario.
type Scenario struct {
	Name, Doc string
	Blocks    []Block // one for each regime shown
	Troubles  []bench.Absence
	Total     int // samples of the scenario, of which LeftOut stand in no block
	LeftOut   int
}

// Failed reports whether an implementation of the scenario failed.
func (s Scenario) Failed() bool {
	return slices.ContainsFunc(s.Troubles, func(a bench.Absence) bool { return a.Kind == bench.Failed })
}

// A Block holds the rows of one scenario in one regime. Ratios never cross blocks.
type Block struct {
	Regime  bench.Regime
	Control Summary // round trip of the control, in nanoseconds
	Rows    []Row
}

// Main returns the block that most samples stand in, of the scenario that has one.
func (s Scenario) Main() Block {
	return slices.MaxFunc(s.Blocks, func(x, y Block) int { return x.Control.N - y.Control.N })
}

// A Row is one implementation in a block.
type Row struct {
	Impl   string
	Values []float64
	Time   Summary // ns/op
	// Median and interval of the ratios of ns/op to the goroutine and to the multiproc implementation in the same
	// round; below 1 is faster than those. N is 0 when there is nothing to compare to.
	ToReference, ToSubject Summary
	Difference             Difference // of its times to multiproc's
	Figures                []Figure   // further figures of the samples, by name
}

// Figure returns a further figure of the row by its name; one that the row has not has N 0.
func (r Row) Figure(name string) Summary {
	for _, f := range r.Figures {
		if f.Name == name {
			return f.Summary
		}
	}
	return Summary{}
}

// Subject reports whether the row is the one the suite is about.
func (r Row) Subject() bool { return r.Impl == bench.Subject }

// FairnessNote says how fair the implementations were where participants took turns, or "".
func (b Block) FairnessNote() string {
	var parts []string
	for _, r := range b.Rows {
		if f := r.Figure(bench.Fairness); f.N > 0 {
			parts = append(parts, fmt.Sprintf("%s %.2f", r.Impl, f.Median))
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return "fairness, the least part that one of them had to the greatest: " + strings.Join(parts, ", ")
}

// Row returns the row of an implementation, or nil.
func (b Block) Row(impl string) *Row {
	for i := range b.Rows {
		if b.Rows[i].Impl == impl {
			return &b.Rows[i]
		}
	}
	return nil
}

// Analyse analyses samples. Runs, which may be nil, give the order and the sentences of the scenarios, and say what was
// not measured.
func Analyse(samples []bench.Sample, runs []*bench.Run) *Analysis {
	a := &Analysis{Samples: samples, Verdicts: bench.Verdicts(samples)}
	var infos []bench.ScenarioInfo
	var absences []bench.Absence
	for _, r := range runs {
		for _, info := range r.Scenarios {
			if !slices.ContainsFunc(infos, func(i bench.ScenarioInfo) bool { return i.Name == info.Name }) {
				infos = append(infos, info)
			}
		}
		absences = append(absences, r.Absences...)
	}
	for _, s := range samples {
		if !slices.ContainsFunc(infos, func(i bench.ScenarioInfo) bool { return i.Name == s.Scenario }) {
			infos = append(infos, bench.ScenarioInfo{Name: s.Scenario})
		}
	}
	a.Missing = bench.MissingImpls(absences)
	for _, info := range infos {
		var own []bench.Sample
		for _, s := range samples {
			if s.Scenario == info.Name {
				own = append(own, s)
			}
		}
		sc := scenario(info, own)
		for _, abs := range absences {
			if abs.Scenario == info.Name && abs.Kind != bench.Missing {
				sc.Troubles = append(sc.Troubles, abs)
			}
		}
		a.Troubles = append(a.Troubles, sc.Troubles...)
		if sc.Total > 0 || len(sc.Troubles) > 0 {
			a.Scenarios = append(a.Scenarios, sc)
		}
	}
	var impls []string
	for _, sc := range a.Scenarios {
		for _, b := range sc.Blocks {
			for _, r := range b.Rows {
				impls = append(impls, r.Impl)
			}
		}
	}
	a.Impls = ordered(impls)
	a.Scalings = scalings(a.Scenarios)
	a.Curves = curves(a.Scenarios)
	return a
}

// Single returns the scenarios that are no points of curves.
func (a *Analysis) Single() []Scenario {
	return slices.DeleteFunc(slices.Clone(a.Scenarios), func(s Scenario) bool { return a.inCurve(s.Name) })
}

// inCurve reports whether a scenario is a point of a curve.
func (a *Analysis) inCurve(name string) bool {
	what, _, ok := bench.Curve(name)
	return ok && slices.ContainsFunc(a.Curves, func(c Curve) bool { return c.What == what })
}

// ordered returns the distinct names with the subject first, the reference second and the others as they come.
func ordered(names []string) []string {
	var list []string
	for _, n := range append([]string{bench.Subject, bench.Reference}, names...) {
		if slices.Contains(names, n) && !slices.Contains(list, n) {
			list = append(list, n)
		}
	}
	return list
}

// scenario makes the table of one scenario from its samples.
func scenario(info bench.ScenarioInfo, samples []bench.Sample) Scenario {
	sc := Scenario{Name: info.Name, Doc: info.Doc, Total: len(samples)}
	names := slices.Clone(info.Impls)
	for _, s := range samples {
		names = append(names, s.Impl)
	}
	names = ordered(names)
	shown := 0
	for _, regime := range regimesShown(samples, names) {
		b := block(regime, samples, names)
		sc.Blocks = append(sc.Blocks, b)
		for _, r := range b.Rows {
			shown += r.Time.N
		}
	}
	sc.LeftOut = sc.Total - shown
	return sc
}

// regimesShown chooses the regimes that get rows of their own: the one most samples were taken in, any other that holds
// a third of them, and those without which an implementation would not be seen at all. Samples that changed regime
// while they ran are never preferred to others.
func regimesShown(samples []bench.Sample, impls []string) []bench.Regime {
	count := map[bench.Regime]int{}
	by := map[string]map[bench.Regime]int{}
	for _, s := range samples {
		count[s.CountsFor()]++
		if by[s.Impl] == nil {
			by[s.Impl] = map[bench.Regime]int{}
		}
		by[s.Impl][s.CountsFor()]++
	}
	pure := []bench.Regime{bench.Pooled, bench.Near, bench.Far, bench.None}
	shown := map[bench.Regime]bool{}
	most, total := bench.Mixed, 0
	for _, r := range pure {
		total += count[r]
		if count[r] > 0 && (most == bench.Mixed || count[r] > count[most]) {
			most = r
		}
	}
	for _, r := range pure {
		if r == most || count[r] > 0 && 3*count[r] >= total {
			shown[r] = true
		}
	}
	for _, im := range impls {
		best, seen := bench.Mixed, false
		for _, r := range append(pure, bench.Mixed) {
			seen = seen || shown[r] && by[im][r] > 0
			if r != bench.Mixed && by[im][r] > by[im][best] || best == bench.Mixed && by[im][r] > 0 {
				best = r
			}
		}
		if !seen && by[im][best] > 0 {
			shown[best] = true
		}
	}
	var list []bench.Regime
	for _, r := range append(pure, bench.Mixed) {
		if shown[r] {
			list = append(list, r)
		}
	}
	return list
}

// pairing names what two samples share when they may be divided by each other.
type pairing struct {
	run   string
	round int
}

// block makes the rows of one regime.
func block(regime bench.Regime, samples []bench.Sample, impls []string) Block {
	b := Block{Regime: regime}
	var control []float64
	rounds := map[string]map[pairing]float64{}
	for _, s := range samples {
		if s.CountsFor() != regime {
			continue
		}
		control = append(control, s.ControlNs)
		if rounds[s.Impl] == nil {
			rounds[s.Impl] = map[pairing]float64{}
		}
		rounds[s.Impl][pairing{s.Run, s.Round}] = s.Value
	}
	b.Control = Summarize(control)
	for _, im := range impls {
		row := Row{Impl: im}
		var own []bench.Sample
		for _, s := range samples {
			if s.CountsFor() == regime && s.Impl == im {
				own = append(own, s)
				row.Values = append(row.Values, s.Value)
			}
		}
		if len(own) == 0 {
			continue
		}
		row.Figures = figures(own)
		row.Time = Summarize(row.Values)
		row.ToReference = ratio(rounds[im], rounds[bench.Reference])
		row.ToSubject = ratio(rounds[im], rounds[bench.Subject])
		b.Rows = append(b.Rows, row)
	}
	if own := b.Row(bench.Subject); own != nil {
		for i := range b.Rows {
			b.Rows[i].Difference = Differ(own.Values, b.Rows[i].Values)
		}
	}
	return b
}

// ratio summarizes the ratios of samples of the same round. When no round holds both, it divides the medians, and says
// so by an N of 1.
func ratio(num, den map[pairing]float64) Summary {
	if len(num) == 0 || len(den) == 0 {
		return Summary{}
	}
	var ratios, nums, dens []float64
	for k, v := range num {
		nums = append(nums, v)
		if d, ok := den[k]; ok {
			ratios = append(ratios, v/d)
		}
	}
	for _, d := range den {
		dens = append(dens, d)
	}
	if len(ratios) == 0 {
		ratios = []float64{Summarize(nums).Median / Summarize(dens).Median}
	}
	return Summarize(ratios)
}
