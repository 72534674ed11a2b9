package stats

import (
	"slices"

	"github.com/fb2d3dbd/multiproc/bench"
)

// A Change compares one implementation of one scenario in two results files, within one regime.
type Change struct {
	Scenario, Impl string
	Regime         bench.Regime // "" when the two have no regime in common, and are not compared
	Old, New       Summary
	Delta          float64 // New/Old - 1
	Difference
	// OldRegimes and NewRegimes hold the regimes of either side, when they have none in common.
	OldRegimes, NewRegimes []bench.Regime
}

// A Comparison holds the changes between two sets of samples, in the order of the old set.
type Comparison struct {
	Changes          []Change
	Agreements       []Agreement
	OnlyOld, OnlyNew []string // "scenario impl" that one side has no samples of
}

// side is the samples of one scenario and implementation, by regime.
type side map[bench.Regime][]float64

type subject struct{ scenario, impl string }

// Compare compares two sets of samples. Samples of different regimes are never compared: the change would be the
// machine's.
func Compare(old, new []bench.Sample) Comparison {
	olds, oldOrder := sides(old)
	news, newOrder := sides(new)
	c := Comparison{Agreements: Agreements(old, new)}
	for _, k := range oldOrder {
		n, ok := news[k]
		if !ok {
			c.OnlyOld = append(c.OnlyOld, k.scenario+" "+k.impl)
			continue
		}
		c.Changes = append(c.Changes, changes(k, olds[k], n)...)
	}
	for _, k := range newOrder {
		if _, ok := olds[k]; !ok {
			c.OnlyNew = append(c.OnlyNew, k.scenario+" "+k.impl)
		}
	}
	return c
}

// changes compares one implementation: in each regime that both sides have been sampled in without a change of regime,
// or, when there is none, not at all.
func changes(k subject, old, new side) []Change {
	var list []Change
	for _, regime := range []bench.Regime{bench.Pooled, bench.Near, bench.Far, bench.None, bench.Mixed} {
		if len(old[regime]) == 0 || len(new[regime]) == 0 || regime == bench.Mixed && len(list) > 0 {
			continue
		}
		ch := Change{
			Scenario: k.scenario, Impl: k.impl, Regime: regime,
			Old: Summarize(old[regime]), New: Summarize(new[regime]),
			Difference: Differ(old[regime], new[regime]),
		}
		ch.Delta = ch.New.Median/ch.Old.Median - 1
		list = append(list, ch)
	}
	if len(list) == 0 {
		list = append(list, Change{Scenario: k.scenario, Impl: k.impl, OldRegimes: old.regimes(), NewRegimes: new.regimes()})
	}
	return list
}

func (s side) regimes() []bench.Regime {
	var list []bench.Regime
	for r := range s {
		list = append(list, r)
	}
	slices.Sort(list)
	return list
}

func sides(samples []bench.Sample) (map[subject]side, []subject) {
	m := map[subject]side{}
	var order []subject
	for _, s := range samples {
		k := subject{s.Scenario, s.Impl}
		if m[k] == nil {
			m[k] = side{}
			order = append(order, k)
		}
		m[k][s.CountsFor()] = append(m[k][s.CountsFor()], s.Value)
	}
	return m, order
}
