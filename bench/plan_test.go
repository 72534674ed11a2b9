package bench

import (
	"slices"
	"testing"
	"time"
)

func TestPlan(t *testing.T) {
	const s = time.Second
	fresh := func(costs ...time.Duration) []prospect {
		var list []prospect
		for _, c := range costs {
			list = append(list, prospect{cost: c, rounds: 6})
		}
		return list
	}
	for _, c := range []struct {
		name  string
		left  time.Duration
		field []prospect
		want  []int
	}{
		{"all fit", 100 * s, fresh(s, 2*s), []int{6, 6}},
		{"the slow one gives up rounds", 20 * s, fresh(s, 10*s), []int{6, 1}},
		{"everybody has one round", 1 * s, fresh(s, 10*s, 3*s), []int{1, 1, 1}},
		{"who had a round may have no more", 1 * s, []prospect{{s, 6, true, false}, {10 * s, 6, true, false}}, []int{1, 0}},
		{"nothing left", -s, []prospect{{s, 6, true, false}, {s, 6, false, false}}, []int{0, 1}},
		{"unknown costs", 5 * s, fresh(0, 0), []int{6, 6}},
		{"different rounds", 9 * s, []prospect{{s, 8, true, false}, {s, 2, true, false}}, []int{7, 2}},
		{"whom a target is about keeps its rounds", 13 * s, []prospect{{2 * s, 6, true, true}, {s, 6, true, false}}, []int{6, 1}},
		{"and gives them up last", 8 * s, []prospect{{2 * s, 6, true, true}, {s, 6, true, false}}, []int{4, 0}},
		{"nobody", s, nil, []int{}},
	} {
		if got := plan(c.left, c.field); !slices.Equal(got, c.want) {
			t.Errorf("%s: plan = %v, want %v", c.name, got, c.want)
		}
	}
}

// TestAllowance gives each scenario what it needs of what is left: here a sample takes a second, and nobody has to be warmed up.
func TestAllowance(t *testing.T) {
	const s = time.Second
	for _, c := range []struct {
		name                  string
		passes, number, index int
		left                  time.Duration
		sampled               bool
		allowance             time.Duration
		short                 bool
	}{
		{"in proportion to the need", 1, 0, 0, 36 * s, true, 6 * s, false},
		{"of what the scenarios before left", 1, 0, 1, 60 * s, true, 48 * s, false},
		{"with passes what the others will not need", 2, 1, 1, 60 * s, true, 57 * s, false},
		{"in proportion when there is too little", 1, 0, 1, 15 * s, true, 12 * s, false},
		{"the last has it all", 1, 0, 2, 60 * s, true, 60 * s, false},
		{"half of the rounds in one of two passes", 2, 0, 0, 36 * s, true, 3 * s, false},
		{"the others in the other", 2, 1, 0, 18 * s, true, 3 * s, false},
		{"nothing left", 1, 0, 0, -s, true, 0, false},
		{"no more than leaves one sample to the others", 1, 0, 1, 5250 * time.Millisecond, false, 4 * s, false},
		{"less than one sample for each", 1, 0, 1, 2625 * time.Millisecond, false, 2 * s, true},
	} {
		now := time.Now()
		p := pass{Runner: Runner{Passes: c.passes, Budget: time.Hour, now: func() time.Time { return now }}, number: c.number, index: c.index, deadline: now.Add(c.left)}
		for _, contenders := range []int{1, 4, 1} {
			e := &entry{}
			for range contenders {
				one := &contender{ops: 1, cost: s, rounds: 6}
				if c.sampled {
					one.done = 1
				}
				e.field = append(e.field, one)
			}
			p.entries = append(p.entries, e)
		}
		if got := p.allowance(p.entries[c.index]).Round(time.Millisecond); got != c.allowance {
			t.Errorf("%s: allowance %v, want %v", c.name, got, c.allowance)
		}
		if p.short() != c.short {
			t.Errorf("%s: short %v", c.name, p.short())
		}
	}
}
