package futex

import (
	"context"
	"sync/atomic"
	"testing"
)

// TestCrowdedWaitSleepsAtOnce looks at the order of looks and sleeps: who shares its CPU with the one it waits for looks once, and the next time when others know that
// it is about to sleep. After that it spins again.
func TestCrowdedWaitSleepsAtOnce(t *testing.T) {
	e, err := NewEventCount(make([]byte, EventCountSize))
	if err != nil {
		t.Fatal(err)
	}
	// wait ends at the nth look, and returns whether each one was made by somebody whom others have to wake.
	wait := func(n int) (announced []bool) {
		t.Helper()
		err := e.Await(t.Context(), func() (bool, error) {
			announced = append(announced, atomic.LoadUint32(e.word)&sleepers != 0)
			return len(announced) == n, nil
		}, nil)
		if err != nil {
			t.Fatal(err)
		}
		atomic.StoreUint32(e.word, atomic.LoadUint32(e.word)&^sleepers)
		return announced
	}
	e.crowded.Store(true)
	if got := wait(1); got[0] || !e.crowded.Load() {
		t.Errorf("a wait for what is there already announced a sleep: %v, or spent the knowledge of the one before: %t", got[0], !e.crowded.Load())
	}
	if got := wait(2); got[0] || !got[1] {
		t.Errorf("announced at the looks of a crowded wait: %v", got)
	}
	if e.crowded.Load() {
		t.Error("still crowded after a sleep")
	}
	if got := wait(2); got[1] {
		t.Error("the wait after that did not spin")
	}
	e.crowded.Store(true)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := e.Await(ctx, func() (bool, error) { return true, nil }, nil); err != nil {
		t.Errorf("a crowded wait for what is there already, in a context that has ended: %v", err)
	}
}

// TestCrowdedIsLearned: only by who waits for one process alone, and only when somebody took the CPU that was offered.
func TestCrowdedIsLearned(t *testing.T) {
	list := func(tokens ...uint32) func() []uint32 { return func() []uint32 { return tokens } }
	for _, c := range []struct {
		what  string
		gave  bool
		peers func() []uint32
		want  bool
	}{
		{"one peer", true, list(7), manyCPUs},
		{"one peer, and nobody took the CPU", false, list(7), false},
		{"two peers", true, list(7, 8), false},
		{"no other process", true, list(), false},
		{"anybody", true, nil, false},
	} {
		e, err := NewEventCount(make([]byte, EventCountSize))
		if err != nil {
			t.Fatal(err)
		}
		e.answered(&spinner{gave: c.gave}, c.peers)
		if e.crowded.Load() != c.want {
			t.Errorf("%s: crowded is %t", c.what, !c.want)
		}
	}
}
