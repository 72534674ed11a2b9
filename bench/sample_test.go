package bench

import (
	"sync/atomic"
	"testing"
	"time"
)

func TestBracketMarksTheRegime(t *testing.T) {
	for _, c := range []struct {
		before, after Control
		regime        Regime
		mean          float64
	}{
		{controlOf(100), controlOf(150), Near, 125},
		{controlOf(299.9), controlOf(150), Near, 225},
		{controlOf(300), controlOf(600), Far, 450},
		{controlOf(145), controlOf(600), Mixed, 372.5},
		{controlOf(600), controlOf(145), Mixed, 372.5},
		{Control{Regime: None}, Control{Regime: None}, None, 0},
	} {
		if regime, mean := bracket(c.before, c.after); regime != c.regime || mean < c.mean-0.06 || mean > c.mean+0.06 {
			t.Errorf("bracket(%v, %v) = %s, %v, want %s, %v", c.before, c.after, regime, mean, c.regime, c.mean)
		}
	}
}

func TestFamily(t *testing.T) {
	for _, c := range []struct {
		name, job string
		workers   int
		ok        bool
	}{
		{"wordcount/4", "wordcount", 4, true},
		{"a/b/16", "a/b", 16, true},
		{"queue/spsc/64B", "queue/spsc/64B", 0, false},
		{"lock/contended-2", "lock/contended-2", 0, false},
		{"wordcount/0", "wordcount/0", 0, false},
		{"wordcount", "wordcount", 0, false},
	} {
		if job, workers, ok := Family(c.name); job != c.job || workers != c.workers || ok != c.ok {
			t.Errorf("Family(%q) = %q, %d, %v, want %q, %d, %v", c.name, job, workers, ok, c.job, c.workers, c.ok)
		}
	}
}

// TestControl holds what is true on every machine: it returns, and its regime fits its round trip.
func TestControl(t *testing.T) {
	for range 3 {
		switch c := MeasureControl(); {
		case CPUs() < 2 && (c.Regime != None || c.RoundTripNs != 0):
			t.Errorf("one CPU: %+v", c)
		case CPUs() >= 2 && (c.RoundTripNs <= 0 || c.Regime != controlOf(c.RoundTripNs).Regime):
			t.Errorf("several CPUs: %+v", c)
		}
	}
}

// TestAwaitGivesUp holds that neither side of the control waits for one that will never answer.
func TestAwaitGivesUp(t *testing.T) {
	var word controlLine
	var stop atomic.Bool
	stop.Store(true)
	passed := time.Now().Add(-time.Second)
	if await(&word.v, 1, &stop, time.Time{}) {
		t.Error("await saw a value that nobody stored")
	}
	if await(&word.v, 1, nil, passed) {
		t.Error("await went past its deadline")
	}
	word.v.Store(1)
	if !await(&word.v, 1, nil, passed) {
		t.Error("await did not see the value")
	}
}
