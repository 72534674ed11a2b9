package bench

import (
	"slices"
	"testing"
	"time"
)

func TestPlan(t *testing.T) {
	const s = time.Second
	for _, c := range []struct {
		name   string
		left   time.Duration
		rounds int
		costs  []time.Duration
		done   []int
		want   []int
	}{
		{"all fit", 100 * s, 6, []time.Duration{s, 2 * s}, []int{0, 0}, []int{6, 6}},
		{"the slow one gives up rounds", 20 * s, 6, []time.Duration{s, 10 * s}, []int{0, 0}, []int{6, 1}},
		{"everybody has one round", 1 * s, 6, []time.Duration{s, 10 * s, 3 * s}, []int{0, 0, 0}, []int{1, 1, 1}},
		{"who had a round may have no more", 1 * s, 6, []time.Duration{s, 10 * s}, []int{1, 1}, []int{1, 0}},
		{"nothing left", -s, 6, []time.Duration{s, s}, []int{1, 0}, []int{0, 1}},
		{"unknown costs", 5 * s, 6, []time.Duration{0, 0}, []int{0, 0}, []int{6, 6}},
		{"nobody", s, 6, nil, nil, []int{}},
	} {
		if got := plan(c.left, c.rounds, c.costs, c.done); !slices.Equal(got, c.want) {
			t.Errorf("%s: plan = %v, want %v", c.name, got, c.want)
		}
	}
}

func TestShareOfABudget(t *testing.T) {
	job := Scenario{Impls: []Impl{{}, {Fixed: 1}}}
	for _, c := range []struct {
		passes, number, index int
		left, want            time.Duration
	}{
		{1, 0, 0, 60 * time.Second, 12 * time.Second},
		{1, 0, 1, 60 * time.Second, 45 * time.Second},
		{1, 0, 2, 60 * time.Second, 60 * time.Second},
		{2, 0, 2, 60 * time.Second, 10 * time.Second},
		{2, 1, 2, 60 * time.Second, 60 * time.Second},
		{1, 0, 0, -time.Second, 0},
	} {
		s := pass{Runner: Runner{Passes: c.passes}, entries: []*entry{{}, {Scenario: job}, {}}, number: c.number, index: c.index}
		if got := share(c.left, weight(s.entries[c.index].Scenario), s.weightLeft()); got != c.want {
			t.Errorf("share of scenario %d in pass %d of %d = %v, want %v", c.index, c.number, c.passes, got, c.want)
		}
	}
}
