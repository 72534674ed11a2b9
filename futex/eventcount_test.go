package futex_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fb2d3dbd/multiproc/futex"
	"github.com/fb2d3dbd/multiproc/internal/proctest"
	"github.com/fb2d3dbd/multiproc/shm"
	"github.com/fb2d3dbd/multiproc/spawn"
)

// A game of turns: byte 0 is an event count, byte 4 whose turn it is.
type turns struct {
	Seg    *shm.Segment
	Mine   uint32 // 0 or 1
	Rounds uint32
}

func (g turns) play(ctx context.Context) error {
	mem := g.Seg.Bytes()
	ev, err := futex.NewEventCount(mem)
	if err != nil {
		return err
	}
	turn := wordAt(mem, 4)
	for i := range g.Rounds {
		want := 2*i + g.Mine
		err := ev.Await(ctx, func() (bool, error) {
			now := atomic.LoadUint32(turn)
			if now > want {
				return false, fmt.Errorf("turn %d came before %d", now, want)
			}
			return now == want, nil
		}, nil)
		if err != nil {
			return err
		}
		atomic.StoreUint32(turn, want+1)
		ev.Notify(-1)
	}
	return nil
}

var turnTarget = spawn.NewTarget("futex.turns", func(ctx context.Context, g turns) error { return g.play(ctx) })

// Two processes take turns, so that each change is waited for; the generation starts before, at and behind its wrap.
func TestEventCountTurns(t *testing.T) {
	for _, start := range []uint32{0, 1<<32 - 2, 1<<32 - 1, 1<<32 - 100, 1<<31 - 1} {
		seg := newSegment(t, 64)
		atomic.StoreUint32(wordAt(seg.Bytes(), 0), start)
		p, err := turnTarget.Start(proctest.Context(t), turns{seg, 1, 300}, nil)
		ok(t, err)
		ok(t, turns{seg, 0, 300}.play(proctest.Context(t)))
		ok(t, p.Wait(proctest.Context(t)))
	}
}

// Every item is taken once by one of many, when one is woken for each.
func TestEventCountOne(t *testing.T) {
	const takers, items = 8, 4000
	mem := make([]byte, 8)
	ev, err := futex.NewEventCount(mem)
	ok(t, err)
	var there, taken atomic.Int64
	var wg sync.WaitGroup
	for range takers {
		wg.Go(func() {
			for {
				done := false
				err := ev.Await(proctest.Context(t), func() (bool, error) {
					if taken.Load() >= items {
						done = true
						return true, nil
					}
					n := there.Load()
					return n > 0 && there.CompareAndSwap(n, n-1), nil
				}, nil)
				if err != nil {
					t.Error(err)
				}
				if err != nil || done {
					return
				}
				if taken.Add(1) == items {
					ev.Notify(-1)
				}
			}
		})
	}
	for range items {
		there.Add(1)
		ev.Notify(1)
	}
	wg.Wait()
	if taken.Load() != items || there.Load() != 0 {
		t.Errorf("%d of %d items were taken, %d are there", taken.Load(), items, there.Load())
	}
}

// Await ends by its context, by an error of ready, and by one of idle.
func TestEventCountEnds(t *testing.T) {
	ev, err := futex.NewEventCount(make([]byte, 4))
	ok(t, err)
	never := func() (bool, error) { return false, nil }
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	wantErr(t, ev.Await(ctx, never, nil), context.DeadlineExceeded)
	wantErr(t, ev.Await(ended(), never, nil), context.Canceled)
	ok(t, ev.Await(ended(), func() (bool, error) { return true, nil }, nil))
	boom := errors.New("boom")
	wantErr(t, ev.Await(proctest.Context(t), func() (bool, error) { return false, boom }, nil), boom)
	wantErr(t, ev.Await(proctest.Context(t), never, func() error { return boom }), boom)
	looks := 0
	wantErr(t, ev.Await(proctest.Context(t), never, func() error {
		if looks++; looks == 3 {
			return boom
		}
		return nil
	}), boom)
	for range 20 {
		ctx, cancel := context.WithCancel(context.Background())
		end := make(chan error)
		go func() { end <- ev.Await(ctx, never, nil) }()
		cancel()
		wantErr(t, <-end, context.Canceled)
	}
}
