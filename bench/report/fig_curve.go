package report

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/fb2d3dbd/multiproc/bench"
	"github.com/fb2d3dbd/multiproc/bench/stats"
)

// latencyPanels are the latencies that figures show, where samples have them.
var latencyPanels = []struct{ name, title string }{
	{bench.P50, "half of the operations take up to (p50)"},
	{bench.P99, "99 % of the operations take up to (p99)"},
	{bench.P999, "99.9 % of the operations take up to (p99.9)"},
}

// curve shows a contention curve: rate, latencies and fairness by workers.
func curve(c stats.Curve, a *stats.Analysis) figure {
	var workers []float64
	for _, n := range c.Workers {
		workers = append(workers, float64(n))
	}
	var impls []string
	for _, l := range c.Lines {
		impls = append(impls, l.Impl)
	}
	panels := []panel{{name: "operations in a second, all workers together", log: true, format: tickRate, lines: curveLines(c, func(p stats.CurvePoint) stats.Summary { return p.Rate }, true)}}
	further := func(name string) []series {
		return curveLines(c, func(p stats.CurvePoint) stats.Summary { return p.Row.Figure(name) }, false)
	}
	if lines := further(bench.Fairness); len(lines) > 0 {
		panels = append(panels, panel{name: "fairness: least share to greatest", format: tickPlain, top: 1, lines: lines})
	}
	for _, l := range latencyPanels {
		if lines := further(l.name); len(lines) > 0 {
			panels = append(panels, panel{name: l.title, log: true, format: tickTime, lines: lines})
		}
	}
	f := figure{
		id: "curve-" + slug(c.What), title: c.What + " by number of workers",
		caption: fmt.Sprintf("What becomes of %s when more and more workers contend: rate and latencies are logarithmic, the bars are 95 %% intervals, and a cross marks where an "+
			"implementation collapses, that is where its rate is less than half of the best that fewer workers had, of two at least; the dotted line is the number of CPUs.", c.What),
		doubt: "With more workers than CPUs the scheduler's time slices decide fairness and the longest latencies, and a sample that is not long beside them says little of either.",
	}
	if settle(panels) {
		f.doubt = "Open marks were taken with the CPUs far from each other: do not compare one with a filled one. " + f.doubt
	}
	return panelFigure(f, panels, impls, a.Impls, workers, cpusOf(a.Samples))
}

// curveLines makes the series of one value of the points of a curve.
func curveLines(c stats.Curve, value func(stats.CurvePoint) stats.Summary, collapse bool) []series {
	var lines []series
	for _, l := range c.Lines {
		broken := l.Collapse()
		for _, p := range l.Points {
			v := value(p)
			if v.N == 0 {
				continue
			}
			lines = addPoint(lines, l.Impl, linePoint{x: float64(p.Workers), y: v.Median, lo: v.Lo, hi: v.Hi, open: p.Regime == bench.Far,
				crossed: collapse && broken != nil && broken.Workers == p.Workers})
		}
	}
	return lines
}

// footprints shows what a job by workers costs beside its time, where its samples tell: latencies, memory, and what the
// garbage collector takes.
func footprints(a *stats.Analysis) map[string]figure {
	shown := []struct {
		name, title string
		format      func(float64) string
	}{
		{bench.P50, "half of the operations take up to (p50)", tickTime},
		{bench.P99, "99 % of the operations take up to (p99)", tickTime},
		{bench.P999, "99.9 % of the operations take up to (p99.9)", tickTime},
		{bench.MaxLatency, "the longest operation", tickTime},
		{bench.Proportional, "memory, shared pages once", tickBytes},
		{bench.GCPauseMax, "longest pause of the garbage collector", tickTime},
		{bench.GCTime, "CPU time of the garbage collector", tickTime},
	}
	figures := map[string]figure{}
	for _, s := range a.Scalings {
		var workers []float64
		var panels []panel
		var impls []string
		for _, n := range s.Workers {
			workers = append(workers, float64(n))
		}
		for _, sh := range shown {
			pn := panel{name: sh.title, log: true, format: sh.format, binary: sh.name == bench.Proportional}
			for _, l := range s.Lines {
				for _, p := range l.Points {
					if v := p.Figure(sh.name); v.N > 0 && v.Lo > 0 {
						pn.lines = addPoint(pn.lines, l.Impl, linePoint{x: float64(p.Workers), y: v.Median, lo: v.Lo, hi: v.Hi})
						if !slices.Contains(impls, l.Impl) {
							impls = append(impls, l.Impl)
						}
					}
				}
			}
			if len(pn.lines) > 0 {
				panels = append(panels, pn)
			}
		}
		if len(panels) == 0 {
			continue
		}
		figures[s.Job] = panelFigure(figure{
			id: "cost-" + slug(s.Job), title: "What " + s.Job + " costs beside its time",
			caption: fmt.Sprintf("Latencies, memory, and what the garbage collector takes in %s against the number of workers, logarithmic, with 95 %% intervals; lower is better, and the dotted line is the number of CPUs.", s.Job),
			doubt:   "What was zero is not drawn, and neither is what an implementation does not tell: CPython has a collector of another kind. Pauses count for everything in one process, and for nothing in another.",
		}, panels, impls, a.Impls, workers, cpusOf(a.Samples))
	}
	return figures
}

// cpusOf returns the CPUs of the machine that samples were taken on; 0 where they do not say.
func cpusOf(samples []bench.Sample) int {
	cpus := 0
	for _, s := range samples {
		if s.Machine != nil {
			cpus = max(cpus, s.Machine.CPUs)
		}
	}
	return cpus
}

// tickRate, tickBytes and tickPlain format ticks without needless digits.
func tickRate(v float64) string  { return trimZeros(stats.Rate(v)) }
func tickBytes(v float64) string { return trimZeros(stats.Bytes(v)) }
func tickPlain(v float64) string { return strconv.FormatFloat(v, 'g', 3, 64) }

// collapses says in a sentence who collapses, and who does not.
func collapses(c stats.Curve) string {
	var fall, stand []string
	for _, l := range c.Lines {
		if p := l.Collapse(); p != nil {
			fall = append(fall, fmt.Sprintf("%s with %d workers", l.Impl, p.Workers))
		} else if kept := l.Kept(); kept > 0 {
			stand = append(stand, fmt.Sprintf("%s, which keeps %.0f %% of its best rate with %d", l.Impl, 100*kept, l.Points[len(l.Points)-1].Workers))
		}
	}
	var parts []string
	if len(fall) > 0 {
		parts = append(parts, "These collapse: "+strings.Join(fall, ", ")+".")
	}
	if len(stand) > 0 {
		parts = append(parts, "These do not: "+strings.Join(stand, "; ")+".")
	}
	return strings.Join(parts, " ")
}

// readmeCurve is the curve that the README shows: of locks, or the first there is, or how the real job scales.
func readmeCurve(a *stats.Analysis) (figure, bool) {
	if i := slices.IndexFunc(a.Curves, func(c stats.Curve) bool { return c.What == "mutex" }); i >= 0 {
		return curve(a.Curves[i], a), true
	}
	if len(a.Curves) > 0 {
		return curve(a.Curves[0], a), true
	}
	if f := speedups(a); len(f) > 0 {
		return f[0], true
	}
	return figure{}, false
}
