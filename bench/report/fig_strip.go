package report

import (
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/fb2d3dbd/multiproc/bench"
	"github.com/fb2d3dbd/multiproc/bench/stats"
)

// strip shows every sample of one scenario.
func strip(sc stats.Scenario, samples []bench.Sample, impls []string) (figure, bool) {
	var own []bench.Sample
	var names []name
	has := map[string]bool{}
	lo, hi := math.Inf(1), 0.0
	for _, s := range samples {
		if s.Scenario == sc.Name {
			own = append(own, s)
			has[s.Impl] = true
			lo, hi = math.Min(lo, s.Value), math.Max(hi, s.Value)
		}
	}
	for _, im := range rowOrder(sc, impls) {
		if has[im] {
			names = append(names, name{im, im == subject})
		}
	}
	return figure{
		id: "samples-" + slug(sc.Name), title: "Every sample of " + sc.Name,
		caption: fmt.Sprintf("Each mark is one sample of %s, the upright line a median and the bar its 95 %% interval; further left is faster.", sc.Name),
		doubt:   stripDoubt(sc, own),
		height:  func(bool) vg.Length { return vg.Length(len(names))*22 + 46 },
		draw: func(c canvas) {
			p := newPlot(c)
			logAxis(&p.X, lo, hi, logTicks{tickTime, ticksFor(c)})
			p.Add(stripPlot{sc, own, names, impls})
			drawRows(c, p, names, "time per operation")
		},
	}, len(own) > 0
}

// rowOrder returns implementations in the order of the scenario's tables, and after them those in no table.
func rowOrder(sc stats.Scenario, impls []string) []string {
	var order []string
	for _, b := range sc.Blocks {
		for _, r := range b.Rows {
			if !slices.Contains(order, r.Impl) {
				order = append(order, r.Impl)
			}
		}
	}
	for _, im := range impls {
		if !slices.Contains(order, im) {
			order = append(order, im)
		}
	}
	return order
}

// stripDoubt says what to mind about the regimes of the samples.
func stripDoubt(sc stats.Scenario, samples []bench.Sample) string {
	has := map[bench.Regime]bool{}
	for _, s := range samples {
		has[s.Regime] = true
	}
	marks := "Filled marks were taken with the CPUs near, open ones with them far, crosses while that changed"
	switch {
	case len(sc.Blocks) > 0 && sc.Blocks[0].Regime == bench.Pooled && (has[bench.Mixed] || has[bench.Far]):
		return marks + "; the job lasts longer than that stays the same, so they share a median."
	case has[bench.Mixed] || has[bench.Near] && has[bench.Far]:
		return marks + ": compare only marks of one kind."
	case has[bench.Far]:
		return "All of it was taken with the CPUs far from each other; near ones give other ratios."
	case has[bench.Near]:
		return "All of it was taken with the CPUs near each other; far ones give other ratios."
	}
	return "On one CPU nothing crosses between CPUs: a machine with more of them gives other ratios."
}

type stripPlot struct {
	sc      stats.Scenario
	samples []bench.Sample
	names   []name
	impls   []string
}

// Plot draws the band of multiproc, the intervals and the samples.
func (s stripPlot) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	row := map[string]vg.Length{}
	half := (y(1) - y(0)) * 0.5
	for i, n := range s.names {
		row[n.text] = y(float64(len(s.names) - 1 - i))
		if n.strong {
			c.FillPolygon(band.rgba(), rectangle(vg.Rectangle{
				Min: vg.Point{X: c.Min.X, Y: row[n.text] - half}, Max: vg.Point{X: c.Max.X, Y: row[n.text] + half},
			}))
		}
	}
	gridX{}.Plot(c, p)
	for _, b := range s.sc.Blocks {
		for _, r := range b.Rows {
			sh, at := lookOf(r.Impl, s.impls).shade, row[r.Impl]
			if r.Time.Interval {
				c.FillPolygon(sh.faint(70), rectangle(vg.Rectangle{
					Min: vg.Point{X: x(r.Time.Lo), Y: at - 4}, Max: vg.Point{X: x(r.Time.Hi), Y: at + 4},
				}))
			}
			c.StrokeLine2(draw.LineStyle{Color: sh.rgba(), Width: 1.8}, x(r.Time.Median), at-7, x(r.Time.Median), at+7)
		}
	}
	for _, sm := range s.samples {
		style := draw.GlyphStyle{Color: lookOf(sm.Impl, s.impls).shade.faint(190), Radius: 3, Shape: regimeGlyph(sm.Regime)}
		c.DrawGlyphNoClip(style, vg.Point{X: x(sm.Value), Y: row[sm.Impl]})
	}
}

// regimeGlyph returns the mark of a sample of a regime.
func regimeGlyph(r bench.Regime) draw.GlyphDrawer {
	switch r {
	case bench.Far:
		return hollow{}
	case bench.Mixed:
		return strokes{2, 0.125}
	}
	return disc{}
}
