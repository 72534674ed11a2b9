package stats

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/fb2d3dbd/multiproc/bench"
)

// An Agreement holds the ratio of one implementation to another as two runs found it, within one regime.
type Agreement struct {
	Scenario, Impl, Peer string
	Regime               bench.Regime
	Old, New             Summary // of the ratios within rounds

	// Chance is how likely it is that two runs which do not differ have intervals with no value in common, with so many rounds each.
	Chance float64
	// Difference is the test of the two runs' ratios. Its P is corrected for how many ratios were tested (Holm-Bonferroni): when no ratio
	// differs, it is in one comparison of twenty that any is found significant.
	Difference
}

// Judged reports whether there are rounds enough that intervals with no value in common say something: by chance alone they are found in
// one case of twenty at the most.
func (a Agreement) Judged() bool { return a.Chance <= Alpha }

// Agree reports whether the two intervals have a value in common.
func (a Agreement) Agree() bool { return a.Old.Lo <= a.New.Hi && a.New.Lo <= a.Old.Hi }

// Agreements compares every ratio to multiproc, or, where that was not measured, to goroutine, that two sets of samples both have in
// one regime. Ratios are what travels from run to run: times change with whatever else the machine does.
func Agreements(old, new []bench.Sample) []Agreement {
	olds, order := sampled(old)
	news, _ := sampled(new)
	var list []Agreement
	for _, k := range order {
		peer := bench.Subject
		if _, ok := olds[subject{k.scenario, peer}]; !ok {
			peer = bench.Reference
		}
		if k.impl == peer {
			continue
		}
		p := subject{k.scenario, peer}
		for _, regime := range []bench.Regime{bench.Pooled, bench.Near, bench.Far, bench.None} {
			was, is := paired(olds[k], olds[p], regime), paired(news[k], news[p], regime)
			if len(was) > 0 && len(is) > 0 {
				list = append(list, Agreement{Scenario: k.scenario, Impl: k.impl, Peer: peer, Regime: regime,
					Old: Summarize(was), New: Summarize(is), Chance: chanceApart(len(was), len(is)), Difference: Differ(was, is)})
			}
		}
	}
	correct(list)
	return list
}

// correct corrects the probabilities of those that are judged for their number, after Holm: the least of m is multiplied by m, the next
// by m-1 and so on, and none is below the one before.
func correct(list []Agreement) {
	var order []int
	for i, a := range list {
		if a.Judged() {
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(i, j int) int { return cmp.Compare(list[i].P, list[j].P) })
	least := 0.0
	for k, i := range order {
		d := &list[i].Difference
		least = max(least, min(1, d.P*float64(len(order)-k)))
		d.P, d.Significant = least, least <= Alpha
	}
}

// chanceApart returns how likely it is that the intervals of n and of m values of the same distribution have no value in common. The
// intervals reach from one of the ordered values to another, so it is a matter of counting the orders that n and m values can have.
func chanceApart(n, m int) float64 {
	loN, hiN := interval(n)
	loM, hiM := interval(m)
	return below(n, hiN, m, loM) + below(m, hiM, n, loN)
}

// interval returns from which to which of n ordered values, counted from 1, the interval of their median reaches.
func interval(n int) (lo, hi int) {
	ranks := make([]float64, n)
	for i := range ranks {
		ranks[i] = float64(i + 1)
	}
	s := Summarize(ranks)
	return int(s.Lo), int(s.Hi)
}

// below returns how likely it is that the ath of n ordered values is below the bth of m, when all have the same distribution.
func below(n, a, m, b int) float64 {
	// It is so when fewer than b of the m are among the values up to the ath of the n: for each number j of them, the first a-1 of
	// the n and the j come in any order before the ath, and all others in any order behind it.
	sum := 0.0
	for j := range b {
		sum += math.Exp(logChoose(a-1+j, j) + logChoose(n-a+m-j, m-j) - logChoose(n+m, m))
	}
	return sum
}

// logChoose returns the logarithm of how many ways there are to choose k of n.
func logChoose(n, k int) float64 {
	f := func(x int) float64 {
		v, _ := math.Lgamma(float64(x + 1))
		return v
	}
	return f(n) - f(k) - f(n-k)
}

// sampled sorts samples by scenario and implementation, and says in which order these come.
func sampled(samples []bench.Sample) (map[subject][]bench.Sample, []subject) {
	m := map[subject][]bench.Sample{}
	var order []subject
	for _, s := range samples {
		k := subject{s.Scenario, s.Impl}
		if m[k] == nil {
			order = append(order, k)
		}
		m[k] = append(m[k], s)
	}
	return m, order
}

// paired returns the ratios of the times of one implementation to those of another in the same rounds and one regime.
func paired(own, peer []bench.Sample, regime bench.Regime) []float64 {
	var ratios []float64
	peers := map[pairing]float64{}
	for _, s := range peer {
		if s.CountsFor() == regime {
			peers[pairing{s.Run, s.Round}] = s.Value
		}
	}
	for _, s := range own {
		if v, ok := peers[pairing{s.Run, s.Round}]; ok && s.CountsFor() == regime {
			ratios = append(ratios, s.Value/v)
		}
	}
	return ratios
}

// Agreed counts agreements.
type Agreed struct {
	Judged   int     // ratios that rest on rounds enough
	Agree    int     // of these, with intervals that have a value in common
	Differ   int     // of these, found to differ by a test that allows for their number
	Few      int     // ratios that were not judged
	Expected float64 // how many judged ones would not agree by chance, if the runs did not differ
	P        float64 // how likely it is then that at least so many do not
}

// Count counts agreements.
func Count(list []Agreement) Agreed {
	var c Agreed
	for _, a := range list {
		if !a.Judged() {
			c.Few++
			continue
		}
		c.Judged++
		c.Expected += a.Chance
		if a.Agree() {
			c.Agree++
		}
		if a.Significant {
			c.Differ++
		}
	}
	c.P = tail(c.Judged-c.Agree, c.Expected)
	return c
}

// tail returns how likely at least k of many rare things happen of which mean are expected (Poisson).
func tail(k int, mean float64) float64 {
	p, term := 1.0, math.Exp(-mean)
	for i := range k {
		p -= term
		term *= mean / float64(i+1)
	}
	return max(0, p)
}

// String says it in some sentences.
func (c Agreed) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d of %d ratios agree within their intervals", c.Agree, c.Judged)
	if c.Few > 0 {
		fmt.Fprintf(&b, "; %d more rest on too few rounds to tell", c.Few)
	}
	b.WriteString(".")
	if c.Judged == 0 {
		return b.String()
	}
	fmt.Fprintf(&b, " Of two runs that do not differ, %.2g would not agree by chance; here it is %d, ", c.Expected, c.Judged-c.Agree)
	if c.P > Alpha {
		b.WriteString("within chance")
	} else {
		b.WriteString("beyond chance")
	}
	fmt.Fprintf(&b, " (p %s). By a test corrected for their number, %d differ.", probability(c.P), c.Differ)
	return b.String()
}

// writeAgreements writes the ratios that do not agree, or differ, and how many there are.
func writeAgreements(b *strings.Builder, list []Agreement, st TextStyle) {
	t := grid{head: []string{"", "ratio", "regime", "old", "", "new", "", "n", "p", ""}, left: 3, right: 9}
	for _, a := range list {
		if !a.Judged() || a.Agree() && !a.Significant {
			continue
		}
		note := "may be chance"
		switch {
		case a.Significant && a.Agree():
			note = "differs, though the intervals meet"
		case a.Significant:
			note = "differs"
		}
		t.add(a.Significant, a.Scenario, a.Impl+" : "+a.Peer, string(a.Regime), Times(a.Old.Median), TimesInterval(a.Old), Times(a.New.Median), TimesInterval(a.New),
			fmt.Sprintf("%d+%d", a.Old.N, a.New.N), probability(a.P), note)
	}
	if len(t.rows) > 0 {
		fmt.Fprintf(b, "\n%s\n", st.bold("ratios that do not agree, or differ"))
		t.write(b, st)
		fmt.Fprintf(b, "p: Mann-Whitney U test, corrected for the number of ratios (Holm-Bonferroni); where none differs, one comparison of twenty\nfinds any. In brackets: fewer than six rounds, and the range instead of an interval.\n")
	}
	b.WriteByte('\n')
	for _, l := range wrap(Count(list).String(), textWidth) {
		fmt.Fprintf(b, "%s\n", st.bold(l))
	}
}
