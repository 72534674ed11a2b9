package stats

import (
	"cmp"
	"slices"

	"github.com/fb2d3dbd/multiproc/bench"
)

// A Scaling shows how one job speeds up with workers: the scenarios "wordcount/1", "wordcount/2" and so on.
type Scaling struct {
	Job     string
	Workers []int // ascending
	Lines   []ScalingLine
}

// A ScalingLine is one implementation of a job.
type ScalingLine struct {
	Impl   string
	Points []ScalingPoint // those numbers of workers that were measured
}

// A ScalingPoint is the median time of the job with a number of workers.
type ScalingPoint struct {
	Workers int
	Time    Summary  // ns/op
	Speedup float64  // times faster than the same implementation with the fewest workers
	Figures []Figure // further figures
}

// Figure returns a further figure of the point by its name; one that it has not has N 0.
func (p ScalingPoint) Figure(name string) Summary { return Row{Figures: p.Figures}.Figure(name) }

// Point returns the point of a number of workers, or nil.
func (l ScalingLine) Point(workers int) *ScalingPoint {
	for i := range l.Points {
		if l.Points[i].Workers == workers {
			return &l.Points[i]
		}
	}
	return nil
}

// scalings finds the jobs among scenarios.
func scalings(scenarios []Scenario) []Scaling {
	var list []Scaling
	for _, sc := range scenarios {
		job, workers, ok := bench.Family(sc.Name)
		if _, _, curve := bench.Curve(sc.Name); !ok || curve || sc.Total == 0 {
			continue
		}
		i := slices.IndexFunc(list, func(s Scaling) bool { return s.Job == job })
		if i < 0 {
			list = append(list, Scaling{Job: job})
			i = len(list) - 1
		}
		list[i].add(sc, workers)
	}
	list = slices.DeleteFunc(list, func(s Scaling) bool { return len(s.Workers) < 2 })
	for i := range list {
		list[i].finish()
	}
	return list
}

func (s *Scaling) add(sc Scenario, workers int) {
	s.Workers = append(s.Workers, workers)
	values := map[string][]float64{}
	further := map[string][]Figure{}
	var names []string
	for _, b := range sc.Blocks {
		for _, r := range b.Rows {
			values[r.Impl] = append(values[r.Impl], r.Values...)
			names = append(names, r.Impl)
			further[r.Impl] = r.Figures
		}
	}
	for _, name := range ordered(names) {
		i := slices.IndexFunc(s.Lines, func(l ScalingLine) bool { return l.Impl == name })
		if i < 0 {
			s.Lines = append(s.Lines, ScalingLine{Impl: name})
			i = len(s.Lines) - 1
		}
		s.Lines[i].Points = append(s.Lines[i].Points, ScalingPoint{Workers: workers, Time: Summarize(values[name]), Figures: further[name]})
	}
}

func (s *Scaling) finish() {
	slices.Sort(s.Workers)
	for i := range s.Lines {
		points := s.Lines[i].Points
		slices.SortFunc(points, func(a, b ScalingPoint) int { return cmp.Compare(a.Workers, b.Workers) })
		for j := range points {
			points[j].Speedup = points[0].Time.Median / points[j].Time.Median
		}
	}
}
