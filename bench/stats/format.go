package stats

import (
	"fmt"
	"math"
	"strconv"
)

// timeUnits are the units that times are shown in.
var timeUnits = []struct {
	ns   float64
	name string
}{{1e9, "s"}, {1e6, "ms"}, {1e3, "µs"}, {1, "ns"}}

// timeUnit returns the largest unit in which ns is at least 1.
func timeUnit(ns float64) (scale float64, name string) {
	for _, u := range timeUnits {
		if math.Abs(ns) >= u.ns*0.9995 {
			return u.ns, u.name
		}
	}
	return 1, "ns"
}

// Time formats nanoseconds with three digits and a unit: "17.2 ns", "1.83 µs".
func Time(ns float64) string {
	scale, unit := timeUnit(ns)
	return digits(ns/scale) + " " + unit
}

// Bytes formats an amount of memory: "1.83 MiB".
func Bytes(n float64) string {
	for _, u := range []struct {
		bytes float64
		name  string
	}{{1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}} {
		if n >= u.bytes {
			return digits(n/u.bytes) + " " + u.name
		}
	}
	return strconv.FormatFloat(n, 'f', 0, 64) + " B"
}

// Rate formats how many operations are done in a second: "17.2 M/s".
func Rate(perSecond float64) string {
	for _, u := range []struct {
		n    float64
		name string
	}{{1e9, "G/s"}, {1e6, "M/s"}, {1e3, "k/s"}} {
		if perSecond >= u.n*0.9995 {
			return digits(perSecond/u.n) + " " + u.name
		}
	}
	return digits(perSecond) + " /s"
}

// fixed formats a number from 0 to 1 with two decimals.
func fixed(v float64) string { return strconv.FormatFloat(v, 'f', 2, 64) }

// Interval formats the interval of a summary in the unit of its median: "16.9–17.8", or, where there are too few values
// for one, their range in brackets.
func Interval(s Summary) string {
	if s.N == 0 {
		return ""
	}
	scale, _ := timeUnit(s.Median)
	return s.bracket(digits(s.Lo/scale) + "–" + digits(s.Hi/scale))
}

// Times formats a ratio with two or three digits: "0.31", "3.4", "480", "12k".
func Times(r float64) string {
	switch {
	case r == 0 || math.IsNaN(r) || math.IsInf(r, 0):
		return "–"
	case r < 0.0995:
		return strconv.FormatFloat(r, 'g', 2, 64)
	case r < 9.95:
		return strconv.FormatFloat(r, 'f', 2, 64)
	case r < 99.5:
		return strconv.FormatFloat(r, 'f', 1, 64)
	case r < 9995:
		return strconv.FormatFloat(r, 'f', 0, 64)
	}
	return strconv.FormatFloat(r/1000, 'f', 0, 64) + "k"
}

// TimesInterval formats the interval of a summary of ratios, as Interval does.
func TimesInterval(s Summary) string {
	if s.N < 2 {
		return ""
	}
	return s.bracket(Times(s.Lo) + "–" + Times(s.Hi))
}

// Ratio formats the median of a summary of ratios: 1 for what is compared to itself, ~ before one that the interval does
// not tell from 1, brackets around one that has too few values for an interval.
func Ratio(s Summary) string { return s.ratio("") }

// Multiple formats a ratio as Ratio does, with a × behind the number.
func Multiple(s Summary) string { return s.ratio("×") }

func (s Summary) ratio(unit string) string {
	switch {
	case s.N == 0:
		return "–"
	case s.Lo == 1 && s.Hi == 1:
		return "1" + unit
	case s.Unclear():
		return "~" + Times(s.Median) + unit
	}
	return s.bracket(Times(s.Median) + unit)
}

// bracket marks what rests on too few values for an interval.
func (s Summary) bracket(text string) string {
	if s.Interval {
		return text
	}
	return "(" + text + ")"
}

// digits formats v with three significant digits and without an exponent.
func digits(v float64) string {
	switch a := math.Abs(v); {
	case a >= 99.95:
		return fmt.Sprintf("%.0f", v)
	case a >= 9.995:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

// trimmed formats a plain number with three significant digits at the most.
func trimmed(v float64) string {
	if math.Abs(v) >= 100 {
		return strconv.FormatFloat(math.Round(v), 'f', -1, 64)
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}

// Percent formats a relative change: "+3.2%", "-41%".
func Percent(change float64) string {
	p := 100 * change
	if math.Abs(p) >= 9.95 {
		return fmt.Sprintf("%+.0f%%", p)
	}
	return fmt.Sprintf("%+.1f%%", p)
}

// Spread formats the half-width of a summary's interval as a part of the median, as benchstat does: "± 3%".
func Spread(s Summary) string {
	switch {
	case s.N == 0:
		return ""
	case !s.Interval:
		return "± ∞"
	}
	return fmt.Sprintf("± %.0f%%", 100*math.Max(s.Hi/s.Median-1, 1-s.Lo/s.Median))
}
