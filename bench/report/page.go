package report

import (
	"fmt"
	"html/template"
	"slices"
	"strings"
	"time"

	"github.com/fb2d3dbd/multiproc/bench"
	"github.com/fb2d3dbd/multiproc/bench/stats"
)

// A page is what the template of the report shows.
type page struct {
	*stats.Analysis
	Runs      []*bench.Run
	When      string // the time of the first sample
	Took      string // from the first sample to the last
	Machines  []machineTable
	Cards     []card
	Overview  *figure
	Targets   []stats.Outcome // none where no target was measured
	Groups    []group
	Control   *figure
	Settings  []string
	Alarms    []string // what makes part of the report untrustworthy
	Notices   []string // what the reader has to know
	HasMixed  bool
	Far, Near int // samples in either regime
}

// A group is the scenarios whose names begin alike, with the figures that show them together.
type group struct {
	Name      string
	Figures   []figure
	Curves    []curveView
	Scalings  []stats.Scaling
	Verdicts  []bench.Verdict
	Scenarios []scenarioView
}

// A curveView is a contention curve with its figure.
type curveView struct {
	stats.Curve
	Figure    figure
	Collapses string
}

// A scenarioView is one scenario with the figure of its samples.
type scenarioView struct {
	stats.Scenario
	Figure *figure
}

// A card is one headline figure.
type card struct {
	Scenario string
	Regime   bench.Regime
	Time     string
	Against  []against
}

// against is how another implementation compares in a card.
type against struct {
	Impl, Text string
}

// A machineTable is a machine that samples were taken on, as lines of name and value.
type machineTable [][2]string

// headlines are the scenarios that cards are made of, where they were measured.
var headlines = []string{"queue/spsc/64B", "queue/rtt/64B", "lock/uncontended", "lock/contended-2", "start/spawn", "wordcount/4", "wordcount/2"}

const cardCount = 6

func newPage(a *stats.Analysis, runs []*bench.Run) *page {
	p := &page{Analysis: a, Runs: runs}
	p.times()
	p.alarms()
	p.machines()
	p.settings()
	p.cards()
	if f, ok := overview(a); ok {
		p.Overview = &f
	}
	if f, ok := control(longestRun(a.Samples)); ok {
		p.Control = &f
	}
	p.groups()
	p.targets()
	return p
}

// targets holds the samples against the targets of the project, if they are of any.
func (p *page) targets() {
	outcomes := stats.Judge(bench.Targets(), p.Samples)
	if slices.ContainsFunc(outcomes, func(o stats.Outcome) bool { return o.Standing != stats.NotMeasured }) {
		p.Targets = outcomes
	}
}

// Columns returns the implementations that the overview has columns of: those of three scenarios at least, where there are more than
// would fit.
func (p *page) Columns() []string {
	if len(p.Impls) <= 8 {
		return p.Impls
	}
	count := map[string]int{}
	for _, sc := range p.Single() {
		seen := map[string]bool{}
		for _, b := range sc.Blocks {
			for _, r := range b.Rows {
				if !seen[r.Impl] {
					seen[r.Impl] = true
					count[r.Impl]++
				}
			}
		}
	}
	return slices.DeleteFunc(slices.Clone(p.Impls), func(im string) bool { return count[im] < 3 })
}

// Tally counts the targets that were reached.
func (p *page) Tally() string { return stats.Tally(p.Targets) }

// figures returns every figure of the page.
func (p *page) figures() []figure {
	var list []figure
	if p.Overview != nil {
		list = append(list, *p.Overview)
	}
	for _, g := range p.Groups {
		for _, c := range g.Curves {
			list = append(list, c.Figure)
		}
		list = append(list, g.Figures...)
		for _, s := range g.Scenarios {
			if s.Figure != nil {
				list = append(list, *s.Figure)
			}
		}
	}
	if p.Control != nil {
		list = append(list, *p.Control)
	}
	return list
}

// groups sorts scenarios and figures into groups, in the order in which they come.
func (p *page) groups() {
	at := func(scenario string) *group {
		name, _, _ := strings.Cut(scenario, "/")
		i := slices.IndexFunc(p.Groups, func(g group) bool { return g.Name == name })
		if i < 0 {
			p.Groups = append(p.Groups, group{Name: name})
			i = len(p.Groups) - 1
		}
		return &p.Groups[i]
	}
	for _, sc := range p.Single() {
		if len(sc.Blocks) == 0 && !sc.Failed() {
			continue
		}
		v := scenarioView{Scenario: sc}
		if f, ok := strip(sc, p.Samples, p.Impls); ok {
			v.Figure = &f
		}
		g := at(sc.Name)
		g.Scenarios = append(g.Scenarios, v)
	}
	for _, c := range p.Curves {
		g := at("curve")
		g.Curves = append(g.Curves, curveView{c, curve(c, p.Analysis), collapses(c)})
	}
	for _, f := range bySize(p.Analysis) {
		g := at(strings.TrimSuffix(f.title, " by size of message"))
		g.Figures = append(g.Figures, f)
	}
	costs := footprints(p.Analysis)
	for i, f := range speedups(p.Analysis) {
		g := at(p.Scalings[i].Job)
		g.Figures = append(g.Figures, f)
		if cost, ok := costs[p.Scalings[i].Job]; ok {
			g.Figures = append(g.Figures, cost)
		}
		g.Scalings = append(g.Scalings, p.Scalings[i])
	}
	for _, v := range p.Verdicts {
		g := at(v.Job)
		g.Verdicts = append(g.Verdicts, v)
	}
}

// times says when the samples were taken, and counts their regimes.
func (p *page) times() {
	var first, last time.Time
	for _, s := range p.Samples {
		if first.IsZero() || s.Time.Before(first) {
			first = s.Time
		}
		if end := s.Time.Add(time.Duration(s.WallNs)); end.After(last) {
			last = end
		}
		switch s.Regime {
		case bench.Near:
			p.Near++
		case bench.Far:
			p.Far++
		case bench.Mixed:
			p.HasMixed = true
		}
	}
	if !first.IsZero() {
		p.When = first.UTC().Format("2 January 2006, 15:04 UTC")
		p.Took = last.Sub(first).Round(time.Second).String()
	}
}

// alarms collects what the reader must see first.
func (p *page) alarms() {
	for _, v := range p.Verdicts {
		if !v.Agree() {
			p.Alarms = append(p.Alarms, "Wrong result. "+v.Error()+". None of its times may be compared.")
		}
	}
	for _, t := range p.Troubles {
		if t.Kind == bench.Failed {
			p.Alarms = append(p.Alarms, fmt.Sprintf("%s of %s failed: %s", t.Impl, t.Scenario, t.Reason))
		}
	}
	if skipped := bench.SkippedScenarios(p.Troubles); len(skipped) > 0 {
		p.Notices = append(p.Notices, "The time given for the run was used up before everything was measured. These scenarios lack as many implementations: "+stats.Few(skipped, 8)+".")
	}
	for _, r := range p.Runs {
		if r.Interrupted {
			p.Notices = append(p.Notices, "The run was interrupted: what had been measured until then is shown.")
			break
		}
	}
	if p.Near > 0 && p.Far > 0 {
		p.Notices = append(p.Notices, fmt.Sprintf("The machine moved its CPUs about: %d samples were taken with them near each other and %d with them far. Tables keep the two apart; ratios are made within a round and one regime.", p.Near, p.Far))
	}
}

// cards makes the headline figures.
func (p *page) cards() {
	for _, want := range headlines {
		i := slices.IndexFunc(p.Scenarios, func(s stats.Scenario) bool { return s.Name == want })
		if i < 0 || len(p.Cards) == cardCount || want == "wordcount/2" && p.hasCard("wordcount/4") {
			continue
		}
		for _, b := range p.Scenarios[i].Blocks {
			own := b.Row(subject)
			if own == nil {
				continue
			}
			c := card{Scenario: want, Regime: b.Regime, Time: stats.Time(own.Time.Median)}
			for _, r := range b.Rows {
				if r.Impl != subject && r.ToSubject.N > 0 && len(c.Against) < 5 {
					c.Against = append(c.Against, against{r.Impl, faster(r.ToSubject)})
				}
			}
			p.Cards = append(p.Cards, c)
			break
		}
	}
}

func (p *page) hasCard(scenario string) bool {
	return slices.ContainsFunc(p.Cards, func(c card) bool { return c.Scenario == scenario })
}

// faster says in words how a ratio to multiproc reads.
func faster(ratio stats.Summary) string {
	switch {
	case ratio.Unclear():
		return "about the same"
	case ratio.Median >= 1:
		return stats.Times(ratio.Median) + "× slower"
	}
	return stats.Times(1/ratio.Median) + "× faster"
}

// longestRun returns the samples of the run that has most of them.
func longestRun(samples []bench.Sample) []bench.Sample {
	by := map[string][]bench.Sample{}
	best := ""
	for _, s := range samples {
		by[s.Run] = append(by[s.Run], s)
		if len(by[s.Run]) > len(by[best]) {
			best = s.Run
		}
	}
	return by[best]
}

// shade returns the style of an implementation's colour.
func (p *page) shade(impl string) template.CSS {
	return template.CSS("var(--" + lookOf(impl, p.Impls).shade.name + ")") //nolint:gosec // one of a fixed set
}

// heat returns the class and strength of an overview cell: "slow" when the row is slower than multiproc, "fast" when it
// is faster, in four steps of the ratio.
func heat(r *stats.Row) string {
	if r == nil || r.Subject() || r.ToSubject.N == 0 || r.ToSubject.Unclear() {
		return ""
	}
	ratio, class := r.ToSubject.Median, "slow"
	if ratio < 1 {
		ratio, class = 1/ratio, "fast"
	}
	step := 1
	for _, limit := range []float64{2, 10, 100} {
		if ratio >= limit {
			step++
		}
	}
	return fmt.Sprintf("%s%d", class, step)
}

// Names that the template shows.
func (*page) FarLimit() int          { return bench.FarRoundTrip }
func (*page) ResultsName() string    { return bench.ResultsFile }
func (*page) RecordName() string     { return bench.RecordFile }
func (*page) BenchmarksName() string { return BenchmarksFile }
