package bench

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// regimes lets the controls of a stage say near, but far in every nth sample.
func (st *stage) regimes(every int) {
	calls := 0
	st.runner.Control = func() Control {
		st.now = st.now.Add(time.Millisecond)
		calls++
		if (calls-1)/2%every == every-1 {
			return controlOf(600)
		}
		return controlOf(145)
	}
}

func countOf(samples []Sample) map[string]int {
	count := map[string]int{}
	for _, s := range samples {
		count[s.Scenario+" "+s.Impl]++
	}
	return count
}

// TestTargetsDecideWhoIsSampled has a scenario with a target that two of three implementations are about, and one without.
func TestTargetsDecideWhoIsSampled(t *testing.T) {
	st := newStage()
	st.runner.Rounds, st.runner.Passes = 15, 3
	st.runner.Targets = []Target{{Scenario: "x", Impl: "a", Bound: Ratio, Limit: 1, Peer: "b"}}
	three := func() []Impl {
		return []Impl{st.impl("a", 0, time.Millisecond), st.impl("b", 0, time.Millisecond), st.impl("c", 0, time.Millisecond)}
	}
	res := st.run(t, t.Context(), Scenario{Name: "x", Impls: three()}, Scenario{Name: "y", Impls: three()})
	for name, want := range map[string]int{"x a": 15, "x b": 15, "x c": 6, "y a": 6, "y b": 6, "y c": 6} {
		if got := countOf(res.Samples)[name]; got != want {
			t.Errorf("%s: %d samples, want %d", name, got, want)
		}
	}
	for _, s := range res.Samples { // two of each pass, which has five rounds
		if s.Scenario == "x" && s.Impl == "c" && (s.Round-1)%5 > 1 {
			t.Errorf("%s took part in round %d", s.Impl, s.Round)
		}
	}
	if !res.Settings.Aimed {
		t.Errorf("settings %+v do not say that there were targets", res.Settings)
	}
}

// TestTargetsGetMoreRounds has a target of a regime that is rare, one whose scenario has few rounds, and one that has all it needs.
func TestTargetsGetMoreRounds(t *testing.T) {
	st := newStage()
	st.runner.Rounds = 8
	st.regimes(3)
	st.runner.Targets = []Target{
		{Scenario: "rare", Impl: "a", Bound: Within, Limit: 1, Regime: Far},
		{Scenario: "few", Impl: "a", Bound: Within, Limit: 1},
		{Scenario: "enough", Impl: "a", Bound: Within, Limit: 1, Regime: Near},
		{Scenario: "unknown", Impl: "a", Bound: Within, Limit: 1},
	}
	one := func(name string, rounds int) Scenario {
		return Scenario{Name: name, Impls: []Impl{st.impl("a", 0, time.Millisecond)}, Rounds: rounds}
	}
	res := st.run(t, t.Context(), one("rare", 0), one("few", 2), one("enough", 4))
	for _, target := range st.runner.Targets[:3] {
		if n := target.Comparable(res.Samples); n != Enough && target.Scenario != "enough" || n < Enough-2 {
			t.Errorf("%s: %d samples that can be compared, of %d", target.Scenario, n, countOf(res.Samples)[target.Scenario+" a"])
		}
	}
	// A regime that never comes does not keep the run going.
	st.regimes(1 << 20)
	if n := countOf(st.run(t, t.Context(), one("rare", 0)).Samples)["rare a"]; n != 16 {
		t.Errorf("%d samples where the regime never comes, want twice the rounds", n)
	}
}

// TestMoreRoundsKeepToTheBudget has no time for a slow one, and some for a fast one.
func TestMoreRoundsKeepToTheBudget(t *testing.T) {
	st := newStage()
	st.runner.Rounds, st.runner.Budget = 4, 20*time.Second
	st.runner.Targets = []Target{{Scenario: "slow", Impl: "a", Bound: Within, Limit: 1}, {Scenario: "fast", Impl: "a", Bound: Within, Limit: 1}}
	res := st.run(t, t.Context(),
		Scenario{Name: "slow", Impls: []Impl{st.impl("a", 3*time.Second, time.Millisecond)}},
		Scenario{Name: "fast", Impls: []Impl{st.impl("a", 0, time.Millisecond)}})
	if n := countOf(res.Samples)["fast a"]; n != Enough {
		t.Errorf("%d samples of the fast one, want %d", n, Enough)
	}
	if took := res.Finished.Sub(res.Started); took > st.runner.Budget {
		t.Errorf("took %v of a budget of %v", took, st.runner.Budget)
	}
}

// TestGoingOnWithMoreRounds interrupts a run after each number of samples, those of the rounds that are added for targets too.
func TestGoingOnWithMoreRounds(t *testing.T) {
	for _, budget := range []time.Duration{0, time.Hour} {
		whole := ""
		for stop := 0; stop == 0 || stop < strings.Count(whole, ":"); {
			st := newStage()
			st.runner.Rounds, st.runner.Passes, st.runner.Budget = 4, 2, budget
			st.runner.Targets = []Target{{Scenario: "x", Impl: "a", Bound: Ratio, Limit: 1, Peer: "b"}, {Scenario: "y", Impl: "a", Bound: Within, Limit: 1}}
			scenarios := []Scenario{
				{Name: "x", Impls: []Impl{st.impl("a", 0, 5e6), st.impl("b", 0, 5e6)}},
				{Name: "y", Impls: []Impl{st.impl("a", 0, 5e6), st.impl("b", 0, 5e6)}},
			}
			if stop == 0 {
				whole = scenarioNames(st.run(t, t.Context(), scenarios...).Samples)
				stop = 1 + int(min(budget, 1)) // every other number with a budget, the others without
				continue
			}
			st.runner.Earlier = st.interrupted(t, stop, scenarios...)
			again := st.run(t, t.Context(), scenarios...)
			if got := scenarioNames(again.Samples); got != whole {
				t.Errorf("stopped after %d: samples\n%s, want\n%s", stop, got, whole)
			}
			stop += 2
		}
	}
}

func TestComparable(t *testing.T) {
	sample := func(scenario, impl string, round int, regime Regime) Sample {
		return Sample{Scenario: scenario, Impl: impl, Round: round, Regime: regime, Run: "r"}
	}
	samples := []Sample{
		sample("x", "a", 1, Near), sample("x", "a", 2, Near), sample("x", "a", 3, Far), sample("x", "a", 4, Far), sample("x", "a", 5, Far),
		sample("x", "b", 1, Near), sample("x", "b", 2, Far), sample("x", "b", 3, Far), sample("x", "b", 5, Far), sample("x", "b", 6, Far),
		sample("job/2", "a", 1, Near), sample("job/2", "a", 2, Mixed), sample("job/2", "b", 1, Far), sample("job/2", "b", 2, Near),
	}
	for _, c := range []struct {
		target Target
		want   int
	}{
		{Target{Scenario: "x", Impl: "a"}, 3},
		{Target{Scenario: "x", Impl: "a", Regime: Near}, 2},
		{Target{Scenario: "x", Impl: "a", Peer: "b"}, 2},
		{Target{Scenario: "x", Impl: "a", Peer: "b", Regime: Near}, 1},
		{Target{Scenario: "x", Impl: "a", Peer: "b", PeerOf: "y"}, 0},
		{Target{Scenario: "job/2", Impl: "a", Peer: "b"}, 2},
	} {
		if got := c.target.Comparable(samples); got != c.want {
			t.Errorf("%+v: %d, want %d", c.target, got, c.want)
		}
	}
	var about []string
	for _, s := range samples {
		if tg := (Target{Scenario: "x", Impl: "a", Peer: "b", PeerOf: "job/2"}); tg.Concerns(s.Scenario, s.Impl) && !slices.Contains(about, s.Scenario+" "+s.Impl) {
			about = append(about, s.Scenario+" "+s.Impl)
		}
	}
	if want := []string{"x a", "job/2 b"}; !slices.Equal(about, want) {
		t.Errorf("the target is about %v, want %v", about, want)
	}
}
