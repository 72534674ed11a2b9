package bench

import (
	"fmt"
	"strconv"
	"testing"
	"time"
)

func TestLatenciesAddUp(t *testing.T) {
	a, b := newLatencies(), newLatencies()
	for i := range int64(1000) {
		a.record(i, 1)
		b.record(1000*i, 2)
	}
	b.record(int64(time.Hour), 1) // as long as can be told
	both := newLatencies()
	for _, text := range []string{a.text(), "", b.text()} {
		if err := both.add(text); err != nil {
			t.Fatal(err)
		}
	}
	if got := both.TotalCount(); got != 3001 {
		t.Errorf("%d latencies, want 3001", got)
	}
	extra := both.ofCurve(map[string]string{"other": "x"})
	for name, want := range map[string]float64{Timed: 3001, P50: 250_000, P99: 986_000, P999: 999_000, MaxLatency: float64(longestLatency)} {
		got, err := strconv.ParseFloat(extra[name], 64)
		if err != nil || got < 0.98*want || got > 1.02*want {
			t.Errorf("%s is %s, want about %g", name, extra[name], want)
		}
	}
	if extra["other"] != "x" || len(extra) != 6 {
		t.Errorf("figures %v", extra)
	}
	if none := newLatencies().ofCurve(nil); len(none) != 1 || none[Timed] != "0" {
		t.Errorf("figures of nothing: %v", none)
	}
}

func TestLatenciesThatAreNone(t *testing.T) {
	for _, bad := range []string{"5", "5:", ":5", "x:1", "1:x", "-1:1", "1:0", "1:-1", "1:1;2:2", "1:9223372036854775807,1:1"} {
		if err := newLatencies().add(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

// TestStopwatchTimesOneInSoMany counts what is timed, and that neighbours begin apart.
func TestStopwatchTimesOneInSoMany(t *testing.T) {
	clock := newCommonClock()
	for _, c := range []struct{ every, me, ops, want int }{{1, 0, 10, 10}, {1, 3, 10, 10}, {5, 0, 10, 2}, {5, 4, 10, 2}, {5, 4, 9, 1}, {5, 3, 3, 0}, {5, 5, 1, 1}} {
		w, due := newStopwatch(clock, c.every, c.me), newStopwatch(clock, c.every, c.me)
		n := 0
		for range c.ops {
			w.start()
			w.stop()
			if due.due() {
				n++
			}
		}
		if got := int(w.times.TotalCount()); got != c.want || n != c.want {
			t.Errorf("one in %d of %d operations of worker %d: timed %d and %d, want %d", c.every, c.ops, c.me, got, n, c.want)
		}
	}
	for _, n := range []int{1, timedOps, 1e6, 1e9} {
		if every := timedEvery(n); every%2 == 0 || n/every > 2*timedOps || n > timedOps && n/every < timedOps/2 {
			t.Errorf("one in %d of %d operations is timed", every, n)
		}
	}
}

func TestFairness(t *testing.T) {
	for _, c := range []struct {
		counts         []int
		fairness, jain string
	}{
		{[]int{5}, "", ""}, {[]int{3, 3, 3}, "1.000", "1.000"}, {[]int{0, 8}, "0.000", "0.500"}, {[]int{0, 0}, "0.000", "0.000"}, {[]int{1, 2}, "0.500", "0.900"},
	} {
		if got := fairness(c.counts); got[Fairness] != c.fairness || got[Jain] != c.jain {
			t.Errorf("fairness of %v: %v", c.counts, got)
		}
	}
}

// TestChangesAndLooks holds that the turns at a lock for readers and writers add up to n, whatever n is.
func TestChangesAndLooks(t *testing.T) {
	for n := 1; n < 100; n++ {
		turns := 0
		for seen := range changes(n) {
			turns += 1 + readsAfter(n, seen)
		}
		if turns != n {
			t.Errorf("%d turns, want %d", turns, n)
		}
	}
}

func TestCommonClock(t *testing.T) {
	clock := newCommonClock()
	before := monotonic()
	now := clock.now()
	after := monotonic()
	if slack := int64(time.Millisecond); now < before-slack || now > after+slack {
		t.Errorf("the common clock shows %d between %d and %d", now, before, after)
	}
}

// TestCurvePoints holds what each point of a curve has: its name tells it, its latencies are there, and the curves have the same points.
func TestCurvePoints(t *testing.T) {
	seen := make(map[string]int)
	for _, s := range curveScenarios() {
		what, workers, ok := Curve(s.Name)
		if !ok || s.Name != fmt.Sprintf("curve/%s/%d", what, workers) || s.Rounds != curveRounds {
			t.Errorf("%s: %q, %d, %v, %d rounds", s.Name, what, workers, ok, s.Rounds)
		}
		seen[what]++
	}
	for what, points := range seen {
		if points != len(curveWorkers) {
			t.Errorf("%s has %d points", what, points)
		}
	}
	for _, im := range curves[0].impls(2) {
		if missing(im) != "" {
			continue
		}
		r, err := im.Run(t.Context(), 100)
		if err != nil {
			t.Errorf("%s: %v", im.Name, err)
			continue
		}
		for _, name := range []string{P50, P99, P999, MaxLatency, Timed, Fairness, Jain} {
			if _, ok := (Sample{Extra: r.Extra}).Metric(name); !ok {
				t.Errorf("%s of %s is %q", name, im.Name, r.Extra[name])
			}
		}
	}
}
