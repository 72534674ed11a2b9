package stats

import (
	"maps"
	"slices"
	"strings"

	"github.com/fb2d3dbd/multiproc/bench"
)

// A Figure is a further figure of some samples, beside their time.
type Figure struct {
	Name string
	Summary
}

// figureNames says how the figures that are known are called, and in which order they come. Figures that are not among them
// count what was done rather than how well.
var figureNames = []struct{ name, title string }{
	{bench.P50, "p50"},
	{bench.P99, "p99"},
	{bench.P999, "p99.9"},
	{bench.MaxLatency, "longest"},
	{bench.Fairness, "fairness"},
	{bench.Resident, "resident memory"},
	{bench.Proportional, "memory, shared once"},
	{bench.GCCycles, "GC runs"},
	{bench.GCPauses, "GC pauses"},
	{bench.GCPauseTime, "GC pauses, in all"},
	{bench.GCPauseMax, "longest GC pause"},
	{bench.GCTime, "GC's CPU time"},
	{bench.Threads, "threads"},
}

// FigureTitle returns how a further figure is called in tables.
func FigureTitle(name string) string {
	for _, f := range figureNames {
		if f.name == name {
			return f.title
		}
	}
	return name
}

// FormatFigure formats a further figure by the unit that its name ends in.
func FormatFigure(name string, v float64) string {
	switch {
	case strings.HasSuffix(name, "-ns"):
		return Time(v)
	case strings.HasSuffix(name, "-bytes"):
		return Bytes(v)
	case name == bench.Fairness:
		return fixed(v)
	}
	return trimmed(v)
}

// figures summarizes the further figures of samples that are known.
func figures(samples []bench.Sample) []Figure {
	var list []Figure
	for _, f := range figureNames {
		var values []float64
		for _, s := range samples {
			if v, ok := s.Metric(f.name); ok {
				values = append(values, v)
			}
		}
		if len(values) > 0 {
			list = append(list, Figure{f.name, Summarize(values)})
		}
	}
	return list
}

// FigureNames returns the names of the further figures that rows of the block have, in order.
func (b Block) FigureNames() []string {
	has := map[string]bool{}
	for _, r := range b.Rows {
		for _, f := range r.Figures {
			has[f.Name] = true
		}
	}
	var names []string
	for _, f := range figureNames {
		if has[f.name] {
			names = append(names, f.name)
		}
	}
	return names
}

// isFigure reports whether a key of Extra is a further figure that tables show by implementation.
func isFigure(name string) bool {
	return slices.ContainsFunc(figureNames, func(f struct{ name, title string }) bool { return f.name == name })
}

// ExtraNote formats what else samples of a job tell, without its digest and what tables show by implementation: "; 10234
// files, 5000 identifiers".
func ExtraNote(extra map[string]string) string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(extra)) {
		if k != "digest" && !isFigure(k) {
			parts = append(parts, extra[k]+" "+k)
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return "; " + strings.Join(parts, ", ")
}
