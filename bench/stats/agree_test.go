package stats

import (
	"bytes"
	"fmt"
	"math"
	"math/bits"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/fb2d3dbd/multiproc/bench"
)

func TestAgreements(t *testing.T) {
	far := []bench.Regime{bench.Far}
	old := slices.Concat(
		samplesOf("x", "multiproc", near, 10, 10, 10, 10, 10, 10), samplesOf("x", "same", near, 20, 21, 22, 20, 21, 22),
		samplesOf("x", "other", near, 20, 21, 22, 20, 21, 22), samplesOf("x", "twice", near, 20, 21), samplesOf("x", "once", near, 20), samplesOf("x", "far", far, 20, 20),
		samplesOf("y", "goroutine", near, 1, 1, 1, 1), samplesOf("y", "pipe", near, 3, 3, 3, 3), samplesOf("gone", "multiproc", near, 1), samplesOf("gone", "pipe", near, 1))
	new := slices.Concat(
		samplesOf("x", "multiproc", near, 100, 100, 100, 100, 100, 100), samplesOf("x", "same", near, 215, 220, 225, 215, 220, 225),
		samplesOf("x", "other", near, 300, 300, 300, 300, 300, 300), samplesOf("x", "twice", near, 300, 300), samplesOf("x", "once", near, 20), samplesOf("x", "far", near, 20, 20),
		samplesOf("y", "goroutine", near, 1, 1, 1, 1), samplesOf("y", "pipe", near, 3, 3, 3, 3))
	got := map[string][2]bool{}
	for _, a := range Agreements(old, new) {
		got[a.Scenario+" "+a.Impl+" "+a.Peer] = [2]bool{a.Judged(), a.Agree()}
	}
	want := map[string][2]bool{
		"x same multiproc": {true, true}, "x other multiproc": {true, false}, "x once multiproc": {false, false}, "x twice multiproc": {false, false}, "y pipe goroutine": {true, true},
	}
	if len(got) != len(want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for k, w := range want {
		if got[k] != w {
			t.Errorf("%s: judged and agreeing %v, want %v", k, got[k], w)
		}
	}
	var b bytes.Buffer
	if err := WriteComparison(&b, Compare(old, new), TextStyle{}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"2 of 3 ratios agree within their intervals; 2 more rest on too few rounds to tell.", "By a test corrected for their number, 1 differ.", "other : multiproc", "2.10  2.00–2.20  3.00  3.00–3.00  6+6  0.006  differs"} {
		if !strings.Contains(b.String(), want) && !strings.Contains(strings.Join(strings.Fields(b.String()), " "), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
	if strings.Contains(b.String(), "same : multiproc") {
		t.Errorf("a ratio that agrees is listed:\n%s", b.String())
	}
}

// TestChanceApart counts, among all orders that values can have, those in which the intervals have no value in common.
func TestChanceApart(t *testing.T) {
	for _, c := range []struct {
		n, m int
		want float64
	}{{1, 1, 1}, {2, 2, 1.0 / 3}, {3, 3, 0.1}, {4, 4, 2.0 / 70}, {6, 6, 2.0 / 924}} {
		if got := chanceApart(c.n, c.m); math.Abs(got-c.want) > 1e-9 {
			t.Errorf("%d and %d values: %v, want %v", c.n, c.m, got, c.want)
		}
	}
	for _, c := range [][2]int{{2, 7}, {6, 9}, {8, 5}, {9, 9}} {
		n, m := c[0], c[1]
		apart, all := 0, 0
		for set := range 1 << (n + m) { // which of the ordered values are of the first n
			if bits.OnesCount(uint(set)) != n {
				continue
			}
			var a, b []float64
			for i := range n + m {
				if set>>i&1 == 1 {
					a = append(a, float64(i))
				} else {
					b = append(b, float64(i))
				}
			}
			if all++; !(Agreement{Old: Summarize(a), New: Summarize(b)}).Agree() {
				apart++
			}
		}
		if got, want := chanceApart(n, m), float64(apart)/float64(all); math.Abs(got-want) > 1e-9 {
			t.Errorf("%d and %d values: %v, counted %v", n, m, got, want)
		}
	}
}

func TestProbabilitiesAreCorrected(t *testing.T) {
	var list []Agreement
	for _, p := range []float64{0.04, 0.001, 0.9, 0.012, 0.5} {
		list = append(list, Agreement{Chance: 0.01, Difference: Difference{P: p}})
	}
	list = append(list, Agreement{Chance: 0.3, Difference: Difference{P: 0.0001}}) // too few rounds: it does not count
	correct(list)
	for i, want := range []float64{0.12, 0.005, 1, 0.048, 1, 0.0001} {
		if math.Abs(list[i].P-want) > 1e-12 || list[i].Significant != (want <= Alpha && i < 5) {
			t.Errorf("probability %d is %v and significant %v, want %v", i, list[i].P, list[i].Significant, want)
		}
	}
}

// TestManyRatios compares runs that differ by chance alone, and runs of which one ratio has changed by a fifth.
func TestManyRatios(t *testing.T) {
	const ratios, rounds = 150, 15
	random := rand.New(rand.NewPCG(1, 2))
	run := func(changed float64) []bench.Sample {
		var samples []bench.Sample
		for i := range ratios {
			name := fmt.Sprintf("x%d", i)
			mine, other := make([]float64, rounds), make([]float64, rounds)
			for r := range rounds {
				speed := 1 + random.Float64() // of the machine in this round
				mine[r], other[r] = 100*speed, 200*speed*(1+0.1*random.NormFloat64())
				if i == 7 {
					other[r] *= changed
				}
			}
			samples = slices.Concat(samples, samplesOf(name, "multiproc", near, mine...), samplesOf(name, "pipe", near, other...))
		}
		return samples
	}
	old := run(1)
	same := Count(Agreements(old, run(1)))
	if same.Judged != ratios || same.Differ != 0 || same.P < Alpha || same.Expected < 0.1 || same.Expected > 2 {
		t.Errorf("of runs that differ by chance: %+v", same)
	}
	list := Agreements(old, run(1.2))
	if c := Count(list); c.Differ != 1 || !list[7].Significant || list[7].Agree() {
		t.Errorf("of runs with one ratio that has changed: %+v, and that one %+v", c, list[7])
	}
}

func TestCountSaysWhatIsChance(t *testing.T) {
	list := func(apart, all int) []Agreement {
		l := make([]Agreement, all)
		for i := range l {
			l[i] = Agreement{Chance: 0.01, Old: Summary{Lo: 1, Hi: 2}, New: Summary{Lo: 1, Hi: 2}, Difference: Difference{P: 1}}
			if i < apart {
				l[i].New = Summary{Lo: 3, Hi: 4}
			}
		}
		return l
	}
	for _, c := range []struct {
		list []Agreement
		want string
	}{
		{list(0, 100), "100 of 100 ratios agree within their intervals. Of two runs that do not differ, 1 would not agree by chance; here it is 0, within chance (p 1.000). By a test corrected for their number, 0 differ."},
		{list(2, 100), "98 of 100 ratios agree within their intervals. Of two runs that do not differ, 1 would not agree by chance; here it is 2, within chance (p 0.264). By a test corrected for their number, 0 differ."},
		{list(6, 100), "94 of 100 ratios agree within their intervals. Of two runs that do not differ, 1 would not agree by chance; here it is 6, beyond chance (p < 0.001). By a test corrected for their number, 0 differ."},
		{nil, "0 of 0 ratios agree within their intervals."},
	} {
		if got := Count(c.list).String(); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
}
