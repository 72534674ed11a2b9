package report

import (
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// A panel is one of several line charts that share their x axis of workers and their legend.
type panel struct {
	name   string // above its y axis
	lines  []series
	log    bool
	format func(float64) string // of the y axis
	binary bool                 // ticks of a logarithmic y axis stand at powers of two
	top    float64              // of a y axis that is not logarithmic
}

// panelHeight is the height of one panel.
func panelHeight(narrow bool) vg.Length {
	if narrow {
		return 190
	}
	return 215
}

// panelColumns is how many panels stand side by side.
func panelColumns(narrow bool) int {
	if narrow {
		return 1
	}
	return 2
}

// panelFigure completes a figure of several panels over a number of workers. Vertical lines stand where the workers are as many
// as the CPUs.
func panelFigure(f figure, panels []panel, impls, all []string, workers []float64, cpus int) figure {
	rows := func(narrow bool) int {
		n := panelColumns(narrow)
		return (len(panels) + n - 1) / n
	}
	f.height = func(narrow bool) vg.Length {
		c := canvas{draw.Canvas{Rectangle: vg.Rectangle{Max: vg.Point{X: wideWidth}}}, narrow}
		if narrow {
			c.Rectangle.Max.X = narrowWidth
		}
		return legendHeight(c, impls) + vg.Length(rows(narrow))*panelHeight(narrow)
	}
	f.draw = func(c canvas) {
		c = drawLegend(c, impls, all)
		columns := panelColumns(c.narrow)
		width, height := c.Size().X/vg.Length(columns), panelHeight(c.narrow)
		for i, pn := range panels {
			left, above := vg.Length(i%columns)*width, vg.Length(i/columns)*height
			area := draw.Crop(c.Canvas, left, -(c.Size().X - left - width), c.Size().Y-above-height, -above)
			area = draw.Crop(area, 0, -10, 0, -8)
			pn.draw(canvas{area, c.narrow}, all, workers, cpus)
		}
	}
	return f
}

// draw draws one panel.
func (pn panel) draw(c canvas, all []string, workers []float64, cpus int) {
	p := newPlot(c)
	namedAxis(&p.X, workers, func(v float64) string { return strconv.Itoa(int(v)) })
	if pn.log {
		lo, hi := extent(pn.lines)
		logAxis(&p.Y, lo, hi, logTicks{pn.format, 6})
		if pn.binary {
			p.Y.Tick.Marker = binaryTicks{pn.format, 6}
		}
	} else {
		p.Y.Min, p.Y.Max = 0, pn.top
		var ticks plot.ConstantTicks
		for i := range 5 {
			v := pn.top * float64(i) / 4
			ticks = append(ticks, plot.Tick{Value: v, Label: pn.format(v)})
		}
		p.Y.Tick.Marker = ticks
	}
	if len(workers) > 1 && float64(cpus) >= workers[0] {
		p.Add(cpuLine(cpus))
	}
	p.Add(lineChart{pn.lines, all, 0})
	drawLines(c, p, "workers", pn.name)
}

// settle makes the marks of panels that were all taken with the CPUs far from each other ordinary ones, which tell implementations
// apart, and reports whether some, but not all, were.
func settle(panels []panel) (mixed bool) {
	open, closed := false, false
	for _, pn := range panels {
		for _, s := range pn.lines {
			for _, pt := range s.points {
				open, closed = open || pt.open, closed || !pt.open
			}
		}
	}
	if open && closed {
		return true
	}
	for _, pn := range panels {
		for _, s := range pn.lines {
			for i := range s.points {
				s.points[i].open = false
			}
		}
	}
	return false
}

// cpuLine is an upright line at the number of CPUs.
type cpuLine float64

// Plot draws the line.
func (l cpuLine) Plot(c draw.Canvas, p *plot.Plot) {
	x, _ := p.Transforms(&c)
	c.StrokeLine2(draw.LineStyle{Color: quiet.faint(150), Width: 1, Dashes: []vg.Length{2, 3}}, x(float64(l)), c.Min.Y, x(float64(l)), c.Max.Y)
}
