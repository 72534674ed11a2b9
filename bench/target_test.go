package bench

import (
	"slices"
	"testing"
)

// TestTargetsAreMeasured has a scenario, an implementation and a peer for each target.
func TestTargetsAreMeasured(t *testing.T) {
	has := map[string][]string{}
	for _, s := range Scenarios(ScenarioOptions{}) {
		for _, im := range s.Impls {
			has[s.Name] = append(has[s.Name], im.Name)
		}
	}
	seen := map[string]bool{}
	for _, tg := range Targets() {
		if seen[tg.What] || tg.What == "" {
			t.Errorf("two targets are called %q", tg.What)
		}
		if seen[tg.What] = true; tg.Limit <= 0 {
			t.Errorf("%s: limit %v", tg.What, tg.Limit)
		}
		if !slices.Contains(has[tg.Scenario], tg.Impl) {
			t.Errorf("%s: no %s in %s", tg.What, tg.Impl, tg.Scenario)
		}
		if ratio := tg.Bound == Ratio || tg.Bound == Faster; ratio != (tg.Peer != "") {
			t.Errorf("%s: a target of kind %q with the peer %q", tg.What, tg.Bound, tg.Peer)
		}
		if tg.Peer != "" && !slices.Contains(has[tg.PeerScenario()], tg.Peer) {
			t.Errorf("%s: no %s in %s", tg.What, tg.Peer, tg.PeerScenario())
		}
		if further := tg.Bound == AtMost || tg.Bound == AtLeast; further != (tg.Metric != "") {
			t.Errorf("%s: a target of kind %q with the figure %q", tg.What, tg.Bound, tg.Metric)
		}
	}
}

func TestTargetReached(t *testing.T) {
	for _, c := range []struct {
		bound     Bound
		at, above bool
	}{{Ratio, true, false}, {Within, true, false}, {AtMost, true, false}, {Faster, true, true}, {AtLeast, true, true}} {
		tg := Target{Bound: c.bound, Limit: 2}
		if tg.Reached(2) != c.at || tg.Reached(2.1) != c.above || tg.Reached(1.9) == c.above {
			t.Errorf("%s: 1.9 %v, 2 %v, 2.1 %v", c.bound, tg.Reached(1.9), tg.Reached(2), tg.Reached(2.1))
		}
	}
}
