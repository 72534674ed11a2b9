package report

import (
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/fb2d3dbd/multiproc/bench/stats"
)

// overviewRow is one scenario in one regime.
type overviewRow struct {
	name  name
	block stats.Block
}

// overview shows every implementation of every scenario as a multiple of multiproc's time.
func overview(a *stats.Analysis) (figure, bool) {
	var rows []overviewRow
	var impls []string
	seen := map[string]bool{}
	lo, hi := 1.0, 1.0
	for _, sc := range a.Single() {
		for _, b := range sc.Blocks {
			if b.Row(subject) == nil || len(b.Rows) < 2 {
				continue
			}
			n := sc.Name
			if len(sc.Blocks) > 1 {
				n += " " + string(b.Regime)
			}
			rows = append(rows, overviewRow{name{text: n}, b})
			for _, r := range b.Rows {
				seen[r.Impl] = true
				lo, hi = math.Min(lo, r.ToSubject.Lo), math.Max(hi, r.ToSubject.Hi)
			}
		}
	}
	for _, im := range a.Impls {
		if seen[im] && im != subject {
			impls = append(impls, im)
		}
	}
	return figure{
		id: "overview", title: "Every implementation against multiproc",
		caption: "Median time of each implementation as a multiple of multiproc's in the same rounds: marks right of the blue line are slower than multiproc, marks left of it faster.",
		doubt:   "Where a bar crosses the blue line the two cannot be told apart; the scale is logarithmic, so small gaps near the line are small.",
		height: func(narrow bool) vg.Length {
			c := canvas{draw.Canvas{Rectangle: vg.Rectangle{Max: vg.Point{X: wideWidth}}}, narrow}
			if narrow {
				c.Rectangle.Max.X = narrowWidth
			}
			return legendHeight(c, impls) + vg.Length(len(rows))*19 + 66
		},
		draw: func(c canvas) {
			c = drawLegend(c, impls, a.Impls)
			c.Max.Y -= 16 // for the name of the line
			p := newPlot(c)
			logAxis(&p.X, lo, hi, logTicks{tickTimes, ticksFor(c)})
			p.Add(gridX{}, overviewPlot{rows, a.Impls})
			var names []name
			for _, r := range rows {
				names = append(names, r.name)
			}
			drawRows(c, p, names, "times multiproc's time per operation")
		},
	}, len(rows) > 0
}

// ticksFor returns how many labels an x axis has room for.
func ticksFor(c canvas) int {
	if c.narrow {
		return 4
	}
	return 9
}

type overviewPlot struct {
	rows  []overviewRow
	impls []string
}

// Plot draws the line of multiproc and the marks of the others.
func (o overviewPlot) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	for i := range o.rows {
		c.StrokeLine2(draw.LineStyle{Color: rule.rgba(), Width: 0.4}, c.Min.X, y(float64(i)), c.Max.X, y(float64(i)))
	}
	c.StrokeLine2(draw.LineStyle{Color: looks[subject].shade.rgba(), Width: 2}, x(1), c.Min.Y, x(1), c.Max.Y+8)
	style := bold(label(10, looks[subject].shade.rgba(), text.XCenter))
	c.FillText(style, vg.Point{X: x(1), Y: c.Max.Y + 14}, subject)
	for i, row := range o.rows {
		at := y(float64(len(o.rows) - 1 - i))
		for _, r := range row.block.Rows {
			if r.Impl == subject || r.ToSubject.N == 0 {
				continue
			}
			l := lookOf(r.Impl, o.impls)
			c.StrokeLine2(draw.LineStyle{Color: l.shade.faint(130), Width: 1.4}, x(r.ToSubject.Lo), at, x(r.ToSubject.Hi), at)
			c.DrawGlyphNoClip(draw.GlyphStyle{Color: l.shade.rgba(), Radius: 4.4, Shape: l.glyph}, vg.Point{X: x(r.ToSubject.Median), Y: at})
		}
	}
}
