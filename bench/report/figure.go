package report

import (
	"bytes"
	"fmt"
	"html"
	"html/template"
	"os"
	"path/filepath"
	"regexp"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// Widths of a figure: as a file and on a wide screen, and on a phone.
const (
	wideWidth   vg.Length = 860
	narrowWidth vg.Length = 345
)

// fileMargin is around a figure that stands alone, on whatever ground.
const fileMargin vg.Length = 12

// A figure is a plot that is drawn for each width that the page is read at.
type figure struct {
	id      string // of the element, and the name of the file
	title   string
	caption string // one sentence: what it shows
	doubt   string // when not to believe it
	draw    func(c canvas)
	height  func(narrow bool) vg.Length
}

// A canvas is what a figure draws on.
type canvas struct {
	draw.Canvas
	narrow bool
}

// fontSize is the size of running text on a canvas.
func (c canvas) fontSize() vg.Length {
	if c.narrow {
		return 10
	}
	return 11
}

// svg draws the figure, with a margin on all sides.
func (f figure) svg(narrow bool, margin vg.Length) []byte {
	width := wideWidth
	if narrow {
		width = narrowWidth
	}
	vc := vgsvg.NewWith(vgsvg.UseWH(width+2*margin, f.height(narrow)+2*margin))
	c := canvas{draw.New(vc), narrow}
	c.FillPolygon(paper.rgba(), rectangle(c.Rectangle))
	f.draw(canvas{draw.Crop(c.Canvas, margin, -margin, margin, -margin), narrow})
	var b bytes.Buffer
	_, _ = vc.WriteTo(&b) // a buffer takes everything
	return b.Bytes()
}

// file returns the name of the figure's file.
func (f figure) file() string { return f.id + ".svg" }

// write writes the figure as a file of its own.
func (f figure) write(dir string) error {
	return os.WriteFile(filepath.Join(dir, f.file()), f.svg(false, fileMargin), 0o644)
}

// Wide returns the figure for a wide screen, to stand in the page.
func (f figure) Wide() template.HTML { return f.inline(false) }

// Narrow returns the figure for a phone, to stand in the page.
func (f figure) Narrow() template.HTML { return f.inline(true) }

// ID, Title, Caption and Doubt are for the page.
func (f figure) ID() string      { return f.id }
func (f figure) Title() string   { return f.title }
func (f figure) Caption() string { return f.caption }
func (f figure) Doubt() string   { return f.doubt }
func (f figure) File() string    { return f.file() }

var (
	svgOpen   = regexp.MustCompile(`(?s)^.*?<svg width="[^"]*" height="[^"]*" viewBox="([^"]*)"[^>]*>`)
	svgColour = regexp.MustCompile(`#[0-9A-F]{6}`)
	svgFont   = regexp.MustCompile(`font-family:[^;"]*;font-variant:[a-z-]*;font-weight:normal;font-style:normal;`)
	svgFont2  = regexp.MustCompile(`font-family:[^;"]*;font-variant:[a-z-]*;`)
)

// inline makes the figure part of a page: without what only a file needs, with the page's font, and with its colours as
// CSS variables, so that they follow the reader's choice of light or dark.
func (f figure) inline(narrow bool) template.HTML {
	s := string(f.svg(narrow, 0))
	s = svgOpen.ReplaceAllString(s, fmt.Sprintf(`<svg role="img" aria-label="%s" viewBox="$1">`, html.EscapeString(f.title)))
	s = svgFont.ReplaceAllString(s, "")
	s = svgFont2.ReplaceAllString(s, "")
	s = svgColour.ReplaceAllStringFunc(s, variable)
	return template.HTML(s) //nolint:gosec // drawn by this package, texts escaped by vgsvg
}

// variable returns the CSS variable of a colour. A transparent colour comes out of the canvas with its channels off by
// one or two, because it is kept multiplied by its opacity.
func variable(hex string) string {
	var c [3]int
	_, _ = fmt.Sscanf(hex, "#%02X%02X%02X", &c[0], &c[1], &c[2]) // the pattern saw to its form
	for _, sh := range shades() {
		l := sh.rgba()
		if near(c[0], l.R) && near(c[1], l.G) && near(c[2], l.B) {
			return "var(--" + sh.name + ")"
		}
	}
	return hex
}

func near(a int, b uint8) bool { return a-int(b) <= 3 && int(b)-a <= 3 }

// rectangle returns the corners of r.
func rectangle(r vg.Rectangle) []vg.Point {
	return []vg.Point{r.Min, {X: r.Max.X, Y: r.Min.Y}, r.Max, {X: r.Min.X, Y: r.Max.Y}}
}
