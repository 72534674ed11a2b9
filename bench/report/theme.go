package report

import (
	"fmt"
	"image/color"
	"slices"

	"gonum.org/v1/plot/vg/draw"

	"github.com/fb2d3dbd/multiproc/bench"
)

// A shade is one colour of the report. Figures are drawn in its light form; inside the page every occurrence becomes the
// CSS variable, which has a dark form too.
type shade struct {
	name        string // of the CSS variable, without its dashes
	light, dark string // as #RRGGBB, upper case
}

// rgba returns the light form.
func (s shade) rgba() color.NRGBA {
	var c color.NRGBA
	_, _ = fmt.Sscanf(s.light, "#%02X%02X%02X", &c.R, &c.G, &c.B) // the table below is constant
	c.A = 255
	return c
}

// faint returns the light form, mostly transparent.
func (s shade) faint(alpha uint8) color.NRGBA {
	c := s.rgba()
	c.A = alpha
	return c
}

// The colours that are not an implementation's.
var (
	paper = shade{"paper", "#FFFFFF", "#0F1318"}
	ink   = shade{"ink", "#1B1F24", "#E6EAEF"}
	quiet = shade{"quiet", "#5C6670", "#9BA6B2"}
	rule  = shade{"rule", "#DFE3E8", "#2C343D"}
	band  = shade{"band", "#E8F0FE", "#16243B"}
	alarm = shade{"alarm", "#B3261E", "#FF8A80"}
)

const subject = bench.Subject

// A look is how an implementation is drawn, everywhere in the report.
type look struct {
	shade shade
	glyph draw.GlyphDrawer
}

// looks are the implementations' colours and marks; multiproc is the only strong blue.
var looks = map[string]look{
	bench.Subject:   {shade{"i-multiproc", "#1559D6", "#6FA8FF"}, disc{}},
	bench.Reference: {shade{"i-goroutine", "#0B8074", "#3FCAB8"}, polygon{4, 0.125}},
	"pipe":          {shade{"i-pipe", "#8C6A00", "#D9B648"}, polygon{3, 0.25}},
	"unixsocket":    {shade{"i-unixsocket", "#7A4BC2", "#B99AF3"}, polygon{3, 0.75}},
	"exec":          {shade{"i-exec", "#68707A", "#A5AEB9"}, polygon{5, 0.25}},
	"cpython":       {shade{"i-cpython", "#BF540B", "#FF9D5C"}, polygon{4, 0}},
	"pthread":       {shade{"i-pthread", "#AE2248", "#FF7F9E"}, strokes{2, 0.125}},
	"cring":         {shade{"i-cring", "#3E4953", "#C5CDD6"}, hollow{}},

	"multiproc-unix": {shade{"i-multiproc-unix", "#4A86E8", "#9CC4FF"}, polygon{4, 0}},
	"multiproc-tls":  {shade{"i-multiproc-tls", "#7FA6E8", "#C5DBFF"}, polygon{3, 0.25}},
	"forkserver":     {shade{"i-forkserver", "#5F8A12", "#B5D66A"}, polygon{6, 0}},
	"spawn":          {shade{"i-spawn", "#A0522D", "#E0A080"}, strokes{3, 0.25}},
	"cfork":          {shade{"i-cfork", "#4E5B8C", "#A3B0E8"}, strokes{2, 0}},
	"pipe-polled":    {shade{"i-pipe-polled", "#B89010", "#F0D070"}, strokes{3, 0}},
	"pthread-robust": {shade{"i-pthread-robust", "#D9527A", "#FFB0C4"}, polygon{3, 0.75}},
	"futex":          {shade{"i-futex", "#8A2BA8", "#DDA0F0"}, strokes{2, 0}},
	"mq":             {shade{"i-mq", "#5B3FA8", "#9F86F0"}, polygon{5, 0.75}},
	"memfd":          {shade{"i-memfd", "#2E7D7A", "#8FD0CC"}, strokes{3, 0.125}},
	"eventfd":        {shade{"i-eventfd", "#8A5A44", "#D9AE98"}, polygon{3, 0.25}},
	"crings":         {shade{"i-crings", "#707B86", "#E3E8EE"}, hollow{}},
}

// spare are the looks of implementations that have none of their own.
var spare = []look{
	{shade{"i-spare1", "#2F7D32", "#7FCB82"}, strokes{2, 0}},
	{shade{"i-spare2", "#9C3D8B", "#E58FD5"}, polygon{6, 0}},
	{shade{"i-spare3", "#5A6B1E", "#B9CC6F"}, strokes{3, 0.25}},
}

// lookOf returns the look of an implementation among all those of a report.
func lookOf(impl string, impls []string) look {
	if l, ok := looks[impl]; ok {
		return l
	}
	n := 0
	for _, other := range impls {
		if other == impl {
			break
		}
		if _, ok := looks[other]; !ok {
			n++
		}
	}
	return spare[n%len(spare)]
}

// shades returns every colour there is, in a fixed order.
func shades() []shade {
	list := []shade{paper, ink, quiet, rule, band, alarm}
	var names []string
	for n := range looks {
		names = append(names, n)
	}
	slices.Sort(names)
	for _, n := range names {
		list = append(list, looks[n].shade)
	}
	for _, l := range spare {
		list = append(list, l.shade)
	}
	return list
}
