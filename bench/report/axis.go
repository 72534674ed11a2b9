package report

import (
	"image/color"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/fb2d3dbd/multiproc/bench/stats"
)

// newPlot returns an empty plot in the report's style.
func newPlot(c canvas) *plot.Plot {
	p := plot.New()
	p.BackgroundColor = nil
	for _, a := range []*plot.Axis{&p.X, &p.Y} {
		a.LineStyle = draw.LineStyle{Color: quiet.rgba(), Width: 0.6}
		a.Tick.LineStyle = a.LineStyle
		a.Tick.Length = 3
		a.Padding = 2
		a.Tick.Label = restyle(a.Tick.Label, c.fontSize(), quiet.rgba())
		a.Label.TextStyle = restyle(a.Label.TextStyle, c.fontSize(), quiet.rgba())
		a.Label.Padding = 3
	}
	return p
}

// restyle returns a text style with the report's font.
func restyle(s text.Style, size vg.Length, c color.Color) text.Style {
	s.Font.Variant, s.Font.Size, s.Color = "Sans", size, c
	return s
}

// label returns a style for text that is drawn by hand.
func label(size vg.Length, c color.Color, x text.XAlignment) text.Style {
	s := restyle(plot.New().X.Tick.Label, size, c)
	s.XAlign, s.YAlign = x, text.YCenter
	return s
}

// bold makes a text style bold.
func bold(s text.Style) text.Style {
	s.Font.Weight = 3 // bold, as golang.org/x/image/font counts
	return s
}

// logTicks places ticks on a logarithmic axis: at powers of ten, and at 2 and 5 times these where the axis is short.
type logTicks struct {
	format func(float64) string
	most   int // labels at the most
}

// Ticks returns the ticks between min and max.
func (t logTicks) Ticks(min, max float64) []plot.Tick {
	decades := math.Log10(max / min)
	steps := []float64{1}
	switch {
	case decades < 0.5:
		steps = []float64{1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9}
	case decades < 1.3:
		steps = []float64{1, 2, 3, 5}
	case decades*3 <= float64(t.most):
		steps = []float64{1, 2, 5}
	}
	every := 1
	for len(steps) == 1 && decades/float64(every) > float64(t.most) {
		every++
	}
	var ticks []plot.Tick
	lo, hi := int(math.Floor(math.Log10(min))), int(math.Ceil(math.Log10(max)))
	for e := lo; e <= hi; e++ {
		for _, s := range steps {
			v := s * math.Pow10(e)
			if v < min*0.999 || v > max*1.001 {
				continue
			}
			tick := plot.Tick{Value: v}
			if e%every == 0 {
				tick.Label = t.format(v)
			}
			ticks = append(ticks, tick)
		}
	}
	return ticks
}

// binaryTicks places ticks on a logarithmic axis at powers of two: every one of them, or every second one, and so on.
type binaryTicks struct {
	format func(float64) string
	most   int // labels at the most
}

// Ticks returns the ticks between min and max.
func (t binaryTicks) Ticks(min, max float64) []plot.Tick {
	lo, hi := int(math.Ceil(math.Log2(min))), int(math.Floor(math.Log2(max)))
	every := 1
	for (hi-lo)/every >= t.most {
		every++
	}
	var ticks []plot.Tick
	for e := lo; e <= hi; e += every {
		v := math.Ldexp(1, e)
		ticks = append(ticks, plot.Tick{Value: v, Label: t.format(v)})
	}
	if len(ticks) == 0 {
		ticks = append(ticks, plot.Tick{Value: min, Label: t.format(min)})
	}
	return ticks
}

// logAxis makes an axis logarithmic from lo to hi with some room on either side.
func logAxis(a *plot.Axis, lo, hi float64, t logTicks) {
	if lo <= 0 || hi <= 0 || lo > hi {
		lo, hi = 1, 10
	}
	room := math.Max(1.08, math.Pow(hi/lo, 0.04))
	a.Scale = plot.LogScale{}
	a.Min, a.Max = lo/room, hi*room
	a.Tick.Marker = t
}

// tickTime formats a time without needless digits: "10 ns", "2 µs".
func tickTime(ns float64) string { return trimZeros(stats.Time(ns)) }

// tickTimes formats a ratio without needless digits.
func tickTimes(r float64) string { return trimZeros(stats.Times(r)) + "×" }

// trimZeros removes the zeros after the point of the number that s starts with.
func trimZeros(s string) string {
	end := 0
	for end < len(s) && (s[end] >= '0' && s[end] <= '9' || s[end] == '.') {
		end++
	}
	number, rest := s[:end], s[end:]
	for i := range number {
		if number[i] != '.' {
			continue
		}
		for number[len(number)-1] == '0' {
			number = number[:len(number)-1]
		}
		if number[len(number)-1] == '.' {
			number = number[:len(number)-1]
		}
		break
	}
	return number + rest
}

// gridX draws a rule at each labelled tick of the x axis.
type gridX struct{}

// Plot draws the rules.
func (gridX) Plot(c draw.Canvas, p *plot.Plot) {
	x, _ := p.Transforms(&c)
	for _, t := range p.X.Tick.Marker.Ticks(p.X.Min, p.X.Max) {
		if !t.IsMinor() {
			c.StrokeLine2(draw.LineStyle{Color: rule.rgba(), Width: 0.6}, x(t.Value), c.Min.Y, x(t.Value), c.Max.Y)
		}
	}
}

// gridY draws a rule at each labelled tick of the y axis.
type gridY struct{}

// Plot draws the rules.
func (gridY) Plot(c draw.Canvas, p *plot.Plot) {
	_, y := p.Transforms(&c)
	for _, t := range p.Y.Tick.Marker.Ticks(p.Y.Min, p.Y.Max) {
		if !t.IsMinor() {
			c.StrokeLine2(draw.LineStyle{Color: rule.rgba(), Width: 0.6}, c.Min.X, y(t.Value), c.Max.X, y(t.Value))
		}
	}
}
