// Package stats says what the samples of package bench amount to: medians with confidence intervals, ratios between
// implementations, how a job scales with workers, and whether two runs differ. It assumes nothing about how samples are
// distributed (golang.org/x/perf/benchmath: order statistics for intervals, the Mann-Whitney U test for differences).
package stats

import (
	"math"
	"slices"
	"strconv"

	"golang.org/x/perf/benchmath"
)

// Confidence is the level of every interval.
const Confidence = 0.95

// Alpha is the level below which a difference counts as significant.
const Alpha = 0.05

// A Summary describes a set of values by their median.
type Summary struct {
	N        int
	Median   float64
	Lo, Hi   float64 // the median's 95 % confidence interval, or, when Interval is false, the least and greatest value
	Interval bool    // there were values enough for an interval (six)
	Min, Max float64
}

// Unclear reports whether a summary of ratios does not tell them from 1.
func (s Summary) Unclear() bool { return s.Lo <= 1 && 1 <= s.Hi }

// Summarize returns the summary of values. The Summary of no values has N 0.
func Summarize(values []float64) Summary {
	if len(values) == 0 {
		return Summary{}
	}
	s := sampleOf(values)
	sum := benchmath.AssumeNothing.Summary(s, Confidence)
	out := Summary{
		N: len(values), Median: sum.Center, Lo: sum.Lo, Hi: sum.Hi, Interval: true,
		Min: s.Values[0], Max: s.Values[len(s.Values)-1],
	}
	if math.IsInf(sum.Lo, 0) || math.IsInf(sum.Hi, 0) {
		out.Lo, out.Hi, out.Interval = out.Min, out.Max, false
	}
	return out
}

// sampleOf sorts a copy of values into a benchmath sample.
func sampleOf(values []float64) *benchmath.Sample {
	t := benchmath.DefaultThresholds
	t.CompareAlpha = Alpha
	return benchmath.NewSample(slices.Clone(values), &t)
}

// A Difference is the outcome of testing whether two sets of values come from the same distribution.
type Difference struct {
	P           float64 // probability of values at least so different if they do
	Significant bool    // P is at most Alpha
	Possible    bool    // there were values enough for a difference to be found significant
}

// Differ tests two sets of values by the Mann-Whitney U test.
func Differ(a, b []float64) Difference {
	if len(a) == 0 || len(b) == 0 {
		return Difference{P: 1}
	}
	c := benchmath.AssumeNothing.Compare(sampleOf(a), sampleOf(b))
	return Difference{P: c.P, Significant: c.P <= c.Alpha, Possible: len(c.Warnings) == 0}
}

// String formats the probability: "0.032", "< 0.001", or "too few" where no difference could have been significant.
func (d Difference) String() string {
	switch {
	case !d.Possible && !d.Significant:
		return "too few"
	}
	return probability(d.P)
}

// probability formats a probability: "0.032", "< 0.001".
func probability(p float64) string {
	if p < 0.001 {
		return "< 0.001"
	}
	return strconv.FormatFloat(p, 'f', 3, 64)
}
