package report

import (
	"math"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// The marks of implementations: shapes that stay apart in print and for readers who do not tell colours apart.
type (
	disc    struct{} // a filled circle
	polygon struct { // a filled regular polygon
		corners int
		turn    float64 // of the first corner, in turns from the right
	}
	strokes struct { // thick lines through the middle
		lines int
		turn  float64
	}
	hollow struct{} // a thick ring
)

// DrawGlyph draws the mark.
func (disc) DrawGlyph(c *draw.Canvas, sty draw.GlyphStyle, at vg.Point) {
	c.SetColor(sty.Color)
	var p vg.Path
	p.Move(vg.Point{X: at.X + sty.Radius, Y: at.Y})
	p.Arc(at, sty.Radius, 0, 2*math.Pi)
	p.Close()
	c.Fill(p)
}

// DrawGlyph draws the mark.
func (g polygon) DrawGlyph(c *draw.Canvas, sty draw.GlyphStyle, at vg.Point) {
	var corners []vg.Point
	for i := range g.corners {
		corners = append(corners, around(at, sty.Radius*1.15, g.turn+float64(i)/float64(g.corners)))
	}
	c.FillPolygon(sty.Color, corners)
}

// DrawGlyph draws the mark.
func (g strokes) DrawGlyph(c *draw.Canvas, sty draw.GlyphStyle, at vg.Point) {
	for i := range g.lines {
		turn := g.turn + float64(i)/float64(2*g.lines)
		a, b := around(at, sty.Radius*1.05, turn), around(at, sty.Radius*1.05, turn+0.5)
		c.StrokeLine2(draw.LineStyle{Color: sty.Color, Width: sty.Radius * 0.5}, a.X, a.Y, b.X, b.Y)
	}
}

// DrawGlyph draws the mark.
func (hollow) DrawGlyph(c *draw.Canvas, sty draw.GlyphStyle, at vg.Point) {
	width := sty.Radius * 0.45
	r := sty.Radius - width/2
	c.SetLineStyle(draw.LineStyle{Color: sty.Color, Width: width})
	var p vg.Path
	p.Move(vg.Point{X: at.X + r, Y: at.Y})
	p.Arc(at, r, 0, 2*math.Pi)
	p.Close()
	c.Stroke(p)
}

// around returns the point at a distance from another, in a direction given in turns.
func around(at vg.Point, distance vg.Length, turn float64) vg.Point {
	sin, cos := math.Sincos(2 * math.Pi * turn)
	return vg.Point{X: at.X + distance*vg.Length(cos), Y: at.Y + distance*vg.Length(sin)}
}
