package stats

import (
	"cmp"
	"slices"

	"github.com/fb2d3dbd/multiproc/bench"
)

// A Curve shows what becomes of something when more and more contend for it: the scenarios "curve/lock/1", "curve/lock/2" and
// so on.
type Curve struct {
	What    string
	Doc     string // of the scenario with the most workers
	Workers []int  // ascending
	Lines   []CurveLine
}

// A CurveLine is one implementation of a curve.
type CurveLine struct {
	Impl   string
	Points []CurvePoint // those numbers of workers that were measured
}

// A CurvePoint is what one implementation did with a number of workers.
type CurvePoint struct {
	Workers int
	Regime  bench.Regime
	Row     Row
	Rate    Summary // operations in a second, of all workers together
}

// Point returns the point of a number of workers, or nil.
func (l CurveLine) Point(workers int) *CurvePoint {
	i := slices.IndexFunc(l.Points, func(p CurvePoint) bool { return p.Workers == workers })
	if i < 0 {
		return nil
	}
	return &l.Points[i]
}

// Collapsed is the part of its best rate below which an implementation has collapsed.
const Collapsed = 0.5

// Collapse returns the first point at which the rate is less than half of the best that fewer workers had, of two at least: one
// alone contends with nobody. It is nil where there is none.
func (l CurveLine) Collapse() *CurvePoint {
	best := 0.0
	for i, p := range l.Points {
		if p.Workers < 2 {
			continue
		}
		if p.Rate.Median < best*Collapsed {
			return &l.Points[i]
		}
		best = max(best, p.Rate.Median)
	}
	return nil
}

// Kept returns the part of the best rate, of two workers at least, that is left with the most workers; 0 where there are not
// two points to compare.
func (l CurveLine) Kept() float64 {
	best, last, n := 0.0, 0.0, 0
	for _, p := range l.Points {
		if p.Workers > 1 {
			best, last = max(best, p.Rate.Median), p.Rate.Median
			n++
		}
	}
	if n < 2 {
		return 0
	}
	return last / best
}

// curves finds the contention curves among scenarios; one point alone is none.
func curves(scenarios []Scenario) []Curve {
	var list []Curve
	for _, sc := range scenarios {
		what, workers, ok := bench.Curve(sc.Name)
		if !ok || len(sc.Blocks) == 0 {
			continue
		}
		i := slices.IndexFunc(list, func(c Curve) bool { return c.What == what })
		if i < 0 {
			list = append(list, Curve{What: what})
			i = len(list) - 1
		}
		if c := &list[i]; len(c.Workers) == 0 || workers > slices.Max(c.Workers) {
			c.Doc = sc.Doc
		}
		list[i].add(sc, workers)
	}
	list = slices.DeleteFunc(list, func(c Curve) bool { return len(c.Workers) < 2 })
	for i := range list {
		c := &list[i]
		slices.Sort(c.Workers)
		for j := range c.Lines {
			slices.SortFunc(c.Lines[j].Points, func(a, b CurvePoint) int { return cmp.Compare(a.Workers, b.Workers) })
		}
		order := make([]string, len(c.Lines))
		for j, l := range c.Lines {
			order[j] = l.Impl
		}
		order = ordered(order)
		slices.SortStableFunc(c.Lines, func(a, b CurveLine) int { return slices.Index(order, a.Impl) - slices.Index(order, b.Impl) })
	}
	return list
}

// add adds a scenario: each implementation by the block in which most samples stand, or another where it is not in that.
func (c *Curve) add(sc Scenario, workers int) {
	c.Workers = append(c.Workers, workers)
	main := sc.Main()
	seen := map[string]bool{}
	for _, b := range append([]Block{main}, sc.Blocks...) {
		for _, r := range b.Rows {
			if seen[r.Impl] {
				continue
			}
			seen[r.Impl] = true
			i := slices.IndexFunc(c.Lines, func(l CurveLine) bool { return l.Impl == r.Impl })
			if i < 0 {
				c.Lines = append(c.Lines, CurveLine{Impl: r.Impl})
				i = len(c.Lines) - 1
			}
			c.Lines[i].Points = append(c.Lines[i].Points, CurvePoint{workers, b.Regime, r, rate(r.Time)})
		}
	}
}

// rate makes operations in a second of a time for one.
func rate(t Summary) Summary {
	return Summary{N: t.N, Median: 1e9 / t.Median, Lo: 1e9 / t.Hi, Hi: 1e9 / t.Lo, Interval: t.Interval, Min: 1e9 / t.Max, Max: 1e9 / t.Min}
}
