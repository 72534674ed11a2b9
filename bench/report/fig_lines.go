package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/fb2d3dbd/multiproc/bench"
	"github.com/fb2d3dbd/multiproc/bench/stats"
)

// A series is one implementation in a line chart.
type series struct {
	impl   string
	points []linePoint
}

// A linePoint is one median.
type linePoint struct {
	x, y, lo, hi float64
	open         bool // taken with the CPUs far from each other
	crossed      bool // marked by a cross
}

// A lineChart draws series over a logarithmic x axis of few, named values.
type lineChart struct {
	series []series
	impls  []string
	ideal  float64 // draw y = x up to this x; 0: do not
}

// Plot draws the lines, their intervals and marks.
func (l lineChart) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	gridY{}.Plot(c, p)
	if l.ideal > 0 {
		c.StrokeLine2(draw.LineStyle{Color: quiet.rgba(), Width: 1, Dashes: []vg.Length{4, 3}}, x(1), y(1), x(l.ideal), y(l.ideal))
	}
	for _, s := range slices.Backward(l.series) { // the first stands above the others
		lk := lookOf(s.impl, l.impls)
		width, radius := vg.Length(1.4), vg.Length(3.2)
		if s.impl == subject {
			width, radius = 2.6, 4
		}
		var line []vg.Point
		for _, pt := range s.points {
			at := vg.Point{X: x(pt.x), Y: y(pt.y)}
			line = append(line, at)
			c.StrokeLine2(draw.LineStyle{Color: lk.shade.faint(140), Width: width}, at.X, y(pt.lo), at.X, y(pt.hi))
		}
		c.StrokeLines(draw.LineStyle{Color: lk.shade.rgba(), Width: width}, line)
		for i, pt := range s.points {
			shape := lk.glyph
			if pt.open {
				c.DrawGlyphNoClip(draw.GlyphStyle{Color: paper.rgba(), Radius: radius, Shape: disc{}}, line[i])
				shape = hollow{}
			}
			c.DrawGlyphNoClip(draw.GlyphStyle{Color: lk.shade.rgba(), Radius: radius, Shape: shape}, line[i])
			if pt.crossed {
				c.DrawGlyphNoClip(draw.GlyphStyle{Color: alarm.rgba(), Radius: 7, Shape: strokes{2, 0.125}}, line[i])
			}
		}
	}
}

// namedAxis makes the x axis logarithmic with one tick for each value.
func namedAxis(a *plot.Axis, values []float64, format func(float64) string) {
	ticks := make(plot.ConstantTicks, len(values))
	for i, v := range values {
		ticks[i] = plot.Tick{Value: v, Label: format(v)}
	}
	lo, hi := slices.Min(values), slices.Max(values)
	room := math.Pow(hi/lo, 0.05)
	a.Scale, a.Tick.Marker = plot.LogScale{}, ticks
	a.Min, a.Max = lo/room, hi*room
}

// lineHeight is the height of a line chart.
func lineHeight(narrow bool) vg.Length {
	if narrow {
		return 270
	}
	return 320
}

// sizeSuffix are the units that message sizes are named with.
var sizeSuffix = []struct {
	name  string
	bytes float64
}{{"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}}

// messageSize splits "queue/spsc/64B" into the way of messaging and the size of a message.
func messageSize(scenario string) (way string, bytes float64, ok bool) {
	i := strings.LastIndexByte(scenario, '/')
	if i < 0 {
		return "", 0, false
	}
	for _, u := range sizeSuffix {
		if number, found := strings.CutSuffix(scenario[i+1:], u.name); found {
			n, err := strconv.Atoi(number)
			return scenario[:i], float64(n) * u.bytes, err == nil && n > 0
		}
	}
	return "", 0, false
}

// sizeName formats a message size.
func sizeName(bytes float64) string {
	for _, u := range sizeSuffix {
		if bytes >= u.bytes {
			return strconv.Itoa(int(bytes/u.bytes)) + " " + u.name
		}
	}
	return strconv.Itoa(int(bytes)) + " B"
}

// bySize makes a figure of each way of messaging that was measured with three sizes or more.
func bySize(a *stats.Analysis) []figure {
	var ways []string
	sizes := map[string][]float64{}
	lines := map[string][]series{}
	for _, sc := range a.Scenarios {
		way, bytes, ok := messageSize(sc.Name)
		if !ok || len(sc.Blocks) == 0 {
			continue
		}
		if !slices.Contains(ways, way) {
			ways = append(ways, way)
		}
		sizes[way] = append(sizes[way], bytes)
		b := sc.Main()
		for _, r := range b.Rows {
			lines[way] = addPoint(lines[way], r.Impl, linePoint{x: bytes, y: r.Time.Median, lo: r.Time.Lo, hi: r.Time.Hi, open: b.Regime == bench.Far})
		}
	}
	var figures []figure
	for _, way := range ways {
		if len(sizes[way]) < 3 {
			continue
		}
		figures = append(figures, lineFigure(figure{
			id: "size-" + slug(way), title: way + " by size of message",
			caption: fmt.Sprintf("Median time for one message of %s against its size, both logarithmic; the bars are 95 %% intervals, lower is faster.", way),
			doubt:   "Open marks were taken with the CPUs far from each other, the others with them near: do not compare an open mark with a filled one.",
		}, a, inOrder(lines[way], a.Impls), func(p *plot.Plot) {
			namedAxis(&p.X, sizes[way], sizeName)
			lo, hi := extent(lines[way])
			logAxis(&p.Y, lo, hi, logTicks{tickTime, 8})
		}, "size of a message", "time per message", 0))
	}
	return figures
}

// speedups makes a figure of each job that was measured with several numbers of workers.
func speedups(a *stats.Analysis) []figure {
	var figures []figure
	for _, s := range a.Scalings {
		var lines []series
		var workers []float64
		for _, n := range s.Workers {
			workers = append(workers, float64(n))
		}
		for _, l := range s.Lines {
			base := l.Points[0].Time.Median
			for _, pt := range l.Points {
				lines = addPoint(lines, l.Impl, linePoint{x: float64(pt.Workers), y: pt.Speedup, lo: base / pt.Time.Hi, hi: base / pt.Time.Lo})
			}
		}
		_, hi := extent(lines)
		ideal := min(slices.Max(workers), float64(max(cpusOf(a.Samples), 1)))
		top := math.Ceil(math.Max(hi, ideal)*2+0.2) / 2
		figures = append(figures, lineFigure(figure{
			id: "speedup-" + slug(s.Job), title: s.Job + " by number of workers",
			caption: fmt.Sprintf("How many times faster %s runs with more workers, each implementation against itself with %d; the dashed line is perfect scaling, as far as there are CPUs.", s.Job, s.Workers[0]),
			doubt:   "A slow implementation can scale well: read the times in the table beside it.",
		}, a, lines, func(p *plot.Plot) {
			namedAxis(&p.X, workers, func(v float64) string { return strconv.Itoa(int(v)) })
			p.Y.Min, p.Y.Max = 0, top
			var ticks plot.ConstantTicks
			step := math.Max(0.5, math.Ceil(top/6))
			for v := 0.0; v <= top; v += step {
				ticks = append(ticks, plot.Tick{Value: v, Label: strconv.FormatFloat(v, 'f', -1, 64)})
			}
			p.Y.Tick.Marker = ticks
		}, "workers", "times faster", ideal))
	}
	return figures
}

// lineFigure completes a figure that is a line chart.
func lineFigure(f figure, a *stats.Analysis, lines []series, axes func(*plot.Plot), xLabel, yLabel string, ideal float64) figure {
	var impls []string
	for _, s := range lines {
		impls = append(impls, s.impl)
	}
	f.height = lineHeight
	f.draw = func(c canvas) {
		c = drawLegend(c, impls, a.Impls)
		p := newPlot(c)
		axes(p)
		p.Add(lineChart{lines, a.Impls, ideal})
		drawLines(c, p, xLabel, yLabel)
	}
	return f
}

// addPoint adds a point to the series of an implementation.
func addPoint(list []series, impl string, pt linePoint) []series {
	i := slices.IndexFunc(list, func(s series) bool { return s.impl == impl })
	if i < 0 {
		list = append(list, series{impl: impl})
		i = len(list) - 1
	}
	list[i].points = append(list[i].points, pt)
	return list
}

// inOrder sorts series as the report orders implementations, and their points by x.
func inOrder(list []series, impls []string) []series {
	slices.SortStableFunc(list, func(a, b series) int { return slices.Index(impls, a.impl) - slices.Index(impls, b.impl) })
	for _, s := range list {
		slices.SortFunc(s.points, func(a, b linePoint) int { return cmp.Compare(a.x, b.x) })
	}
	return list
}

// extent returns the least and the greatest y of series.
func extent(list []series) (lo, hi float64) {
	lo, hi = math.Inf(1), 0
	for _, s := range list {
		for _, pt := range s.points {
			lo, hi = math.Min(lo, pt.lo), math.Max(hi, pt.hi)
		}
	}
	return lo, hi
}
