package report

import (
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// legendHeight returns how high a legend of implementations is on a canvas of the given width.
func legendHeight(c canvas, impls []string) vg.Length {
	return vg.Length(len(legendRows(c, impls)))*(c.fontSize()+6) + 4
}

// legendRows breaks the entries of a legend into rows.
func legendRows(c canvas, impls []string) [][]string {
	var rows [][]string
	var x vg.Length
	for _, im := range impls {
		w := legendEntry(c, im)
		if len(rows) == 0 || x+w > c.Size().X {
			rows, x = append(rows, nil), 0
		}
		rows[len(rows)-1] = append(rows[len(rows)-1], im)
		x += w
	}
	return rows
}

func legendEntry(c canvas, impl string) vg.Length {
	return label(c.fontSize(), ink.rgba(), text.XLeft).Width(impl) + 30
}

// drawLegend draws a legend at the top of a canvas and returns what is left of the canvas.
func drawLegend(c canvas, impls, all []string) canvas {
	y := c.Max.Y - (c.fontSize()+6)/2
	for _, row := range legendRows(c, impls) {
		x := c.Min.X + 6
		for _, im := range row {
			l := lookOf(im, all)
			c.DrawGlyphNoClip(draw.GlyphStyle{Color: l.shade.rgba(), Radius: 4.2, Shape: l.glyph}, vg.Point{X: x, Y: y})
			style := label(c.fontSize(), ink.rgba(), text.XLeft)
			c.FillText(style, vg.Point{X: x + 8, Y: y}, im)
			x += legendEntry(c, im)
		}
		y -= c.fontSize() + 6
	}
	return canvas{draw.Crop(c.Canvas, 0, 0, 0, -legendHeight(c, impls)), c.narrow}
}

// A name is a row label of a plot.
type name struct {
	text   string
	strong bool
}

// style returns how the name is written.
func (n name) style(c canvas) text.Style {
	if n.strong {
		return bold(label(c.fontSize(), looks[subject].shade.rgba(), text.XRight))
	}
	return label(c.fontSize(), ink.rgba(), text.XRight)
}

// drawRows draws a plot whose y axis is a column of names, the first one on top: row i stands at y = len(names)-1-i. The labels
// of logarithmic axes are drawn here and in drawLines: gonum makes room for them as if the axis were linear.
func drawRows(c canvas, p *plot.Plot, names []name, xLabel string) {
	var width vg.Length
	for _, n := range names {
		width = max(width, n.style(c).Width(n.text))
	}
	p.HideY()
	p.Y.Min, p.Y.Max = -0.6, float64(len(names))-0.4
	inner := draw.Crop(c.Canvas, width+8, -10, c.fontSize()+5, 0)
	p.Draw(inner)
	c.FillText(label(c.fontSize(), quiet.rgba(), text.XCenter), vg.Point{X: inner.Center().X, Y: c.Min.Y + c.fontSize()*0.8}, xLabel)
	data := p.DataCanvas(inner)
	_, y := p.Transforms(&data)
	for i, n := range names {
		c.FillText(n.style(c), vg.Point{X: c.Min.X + width, Y: y(float64(len(names)-1-i)) + 2}, n.text)
	}
}

// drawLines draws a plot with a label below its x axis and one above its y axis.
func drawLines(c canvas, p *plot.Plot, xLabel, yLabel string) {
	room := c.fontSize() + 5
	inner := draw.Crop(c.Canvas, 0, -8, room, -room)
	p.Draw(inner)
	style := label(c.fontSize(), quiet.rgba(), text.XLeft)
	c.FillText(style, vg.Point{X: c.Min.X, Y: c.Max.Y - c.fontSize()/2}, yLabel)
	style.XAlign = text.XCenter
	c.FillText(style, vg.Point{X: c.Center().X, Y: c.Min.Y + c.fontSize()*0.8}, xLabel)
}
