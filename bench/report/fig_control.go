package report

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/fb2d3dbd/multiproc/bench"
)

// control shows the control ping-pong over the time of a run.
func control(samples []bench.Sample) (figure, bool) {
	var points []controlPoint
	lo, hi := float64(bench.FarRoundTrip), float64(bench.FarRoundTrip)
	var start time.Time
	for _, s := range samples {
		if start.IsZero() || s.Time.Before(start) {
			start = s.Time
		}
	}
	for _, s := range samples {
		at := s.Time.Sub(start).Seconds()
		for _, pt := range []controlPoint{{at, s.ControlBeforeNs}, {at + float64(s.WallNs)/1e9, s.ControlAfterNs}} {
			if pt.ns > 0 {
				points = append(points, pt)
				lo, hi = math.Min(lo, pt.ns), math.Max(hi, pt.ns)
			}
		}
	}
	end := 1.0
	for _, pt := range points {
		end = math.Max(end, pt.seconds)
	}
	return figure{
		id: "control", title: "The control ping-pong during the run",
		caption: fmt.Sprintf("Round trip of one cache line between two CPUs, measured before and after every sample; above the dashed line of %d ns the CPUs count as far from each other.", bench.FarRoundTrip),
		doubt:   "It sees two CPUs only, and only between samples: a change in the middle of a sample that is undone before its end goes unseen.",
		height:  func(bool) vg.Length { return 190 },
		draw: func(c canvas) {
			p := newPlot(c)
			p.X.Min, p.X.Max = 0, end*1.01
			p.X.Tick.Marker = plot.TickerFunc(secondTicks)
			logAxis(&p.Y, math.Min(lo, 100), math.Max(hi, 1000), logTicks{tickTime, 5})
			p.Add(gridY{}, controlPlot(points))
			drawLines(c, p, "since the first sample", "round trip")
		},
	}, len(points) > 0
}

type controlPoint struct{ seconds, ns float64 }

type controlPlot []controlPoint

// Plot draws the limit between the regimes and one mark for each control.
func (ps controlPlot) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	limit := y(bench.FarRoundTrip)
	c.StrokeLine2(draw.LineStyle{Color: quiet.rgba(), Width: 1, Dashes: []vg.Length{4, 3}}, c.Min.X, limit, c.Max.X, limit)
	style := label(9, quiet.rgba(), text.XLeft)
	c.FillText(style, vg.Point{X: c.Min.X + 3, Y: limit + 7}, "far")
	c.FillText(style, vg.Point{X: c.Min.X + 3, Y: limit - 7}, "near")
	var path vg.Path // one path for all marks keeps the page small
	for _, pt := range ps {
		at := vg.Point{X: x(pt.seconds), Y: y(pt.ns)}
		path.Move(vg.Point{X: at.X - 1.6, Y: at.Y})
		path.Line(vg.Point{X: at.X, Y: at.Y + 1.6})
		path.Line(vg.Point{X: at.X + 1.6, Y: at.Y})
		path.Line(vg.Point{X: at.X, Y: at.Y - 1.6})
		path.Close()
	}
	c.SetColor(looks[subject].shade.faint(170))
	c.Fill(path)
}

// secondTicks places ticks on an axis of seconds.
func secondTicks(lo, hi float64) []plot.Tick {
	step := 1.0
	for _, s := range []float64{1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600} {
		if step = s; (hi-lo)/s <= 7 {
			break
		}
	}
	var ticks []plot.Tick
	for v := math.Ceil(lo/step) * step; v <= hi; v += step {
		text := strconv.Itoa(int(v)) + " s"
		if v >= 120 {
			text = strconv.FormatFloat(v/60, 'f', -1, 64) + " min"
		}
		ticks = append(ticks, plot.Tick{Value: v, Label: text})
	}
	return ticks
}
