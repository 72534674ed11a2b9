package futex_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fb2d3dbd/multiproc/futex"
	"github.com/fb2d3dbd/multiproc/internal/proctest"
	"github.com/fb2d3dbd/multiproc/shm"
	"github.com/fb2d3dbd/multiproc/spawn"
)

// The words of a crowd's segment, by offset; from crowdObjects one object for each of the crowd, or one for all.
const (
	crowdEntered = 0  // how many have begun to wait
	crowdOut     = 4  // how many have ended
	crowdGo      = 8  // what they wait for
	crowdBad     = 12 // how many ended in another way than they should
	crowdCancel  = 16 // the crowd's process cancels half of them when this is set
	crowdOrder   = 20 // how many ended before one that had come earlier
	crowdTook    = 24 // microseconds that the cancelling took
	crowdObjects = 64
)

type crowdArg struct {
	Seg  *shm.Segment
	Kind string // "lock", "event"
	N    int
	Own  bool // each an object of its own
}

// A crowd is a process with many goroutines that wait.
var crowd = spawn.NewTarget("futex.crowd", func(ctx context.Context, c crowdArg) error {
	mem := c.Seg.Bytes()
	word := func(off int) *uint32 { return wordAt(mem, off) }
	half, cancel := context.WithCancel(ctx)
	defer cancel()
	var all, cancelled sync.WaitGroup
	var last atomic.Int64
	for i := range c.N {
		ctx, group := ctx, &all
		if i%2 == 1 {
			ctx, group = half, &cancelled
		}
		at := crowdObjects
		if c.Own {
			at += 8 * i
		}
		group.Add(1)
		go func() {
			defer group.Done()
			err := c.wait(ctx, mem[at:], func() { atomic.AddUint32(word(crowdEntered), 1) })
			if err != nil && !(errors.Is(err, context.Canceled) && atomic.LoadUint32(word(crowdCancel)) != 0) {
				atomic.AddUint32(word(crowdBad), 1)
			}
			if int64(i) < last.Swap(int64(i)) {
				atomic.AddUint32(word(crowdOrder), 1)
			}
			atomic.AddUint32(word(crowdOut), 1)
		}()
		for atomic.LoadUint32(word(crowdEntered)) < uint32(i) { // nearly in order
			time.Sleep(10 * time.Microsecond)
		}
	}
	go func() {
		for atomic.LoadUint32(word(crowdCancel)) == 0 {
			time.Sleep(time.Millisecond)
		}
		start := time.Now()
		cancel()
		cancelled.Wait()
		atomic.StoreUint32(word(crowdTook), uint32(time.Since(start).Microseconds()))
	}()
	cancelled.Wait()
	all.Wait()
	return nil
})

// wait waits at the object in mem, and calls entered when it has looked once.
func (c *crowdArg) wait(ctx context.Context, mem []byte, entered func()) error {
	if c.Kind == "lock" {
		mu, err := futex.NewMutex(mem, c.Seg)
		if err != nil {
			return err
		}
		entered()
		if err := mu.Lock(ctx); err != nil {
			return err
		}
		return mu.Unlock()
	}
	ev, err := futex.NewEventCount(mem)
	if err != nil {
		return err
	}
	first := true
	return ev.Await(ctx, func() (bool, error) {
		if first {
			first = false
			entered()
		}
		return atomic.LoadUint32(wordAt(c.Seg.Bytes(), crowdGo)) != 0, nil
	}, nil)
}

func crowdSize() int {
	if raceEnabled {
		return 1000
	}
	return 10000
}

// TestCrowd has 10,000 goroutines of one process wait for another process, on few threads.
func TestCrowd(t *testing.T) {
	for _, c := range []struct {
		name   string
		arg    crowdArg
		cancel bool
	}{
		{"one event", crowdArg{Kind: "event"}, false},
		{"one lock", crowdArg{Kind: "lock"}, false},
		{"many events", crowdArg{Kind: "event", Own: true}, false},
		{"many locks", crowdArg{Kind: "lock", Own: true}, false},
		{"one event, half cancelled", crowdArg{Kind: "event"}, true},
		{"one lock, half cancelled", crowdArg{Kind: "lock"}, true},
		{"many events, half cancelled", crowdArg{Kind: "event", Own: true}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx := proctest.Context(t)
			n := crowdSize()
			seg := newSegment(t, crowdObjects+8*n)
			mem := seg.Bytes()
			word := func(off int) *uint32 { return wordAt(mem, off) }
			c.arg.Seg, c.arg.N = seg, n
			objects := 1
			if c.arg.Own {
				objects = n
			}
			var locks []*futex.Mutex
			for i := range objects {
				if c.arg.Kind == "lock" {
					mu, err := futex.NewMutex(mem[crowdObjects+8*i:], seg)
					if err != nil {
						t.Fatal(err)
					}
					if err := mu.Lock(ctx); err != nil {
						t.Fatal(err)
					}
					locks = append(locks, mu)
				}
			}
			p, err := crowd.Start(ctx, c.arg, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer p.Kill()
			proctest.Eventually(t, func() bool { return atomic.LoadUint32(word(crowdEntered)) == uint32(n) }, "all have come")
			time.Sleep(100 * time.Millisecond) // let them fall asleep: nothing here depends on it
			threads := proctest.Threads(t, p.PID())
			want := uint32(n)
			if c.cancel {
				atomic.StoreUint32(word(crowdCancel), 1)
				want /= 2
				proctest.Eventually(t, func() bool { return atomic.LoadUint32(word(crowdOut)) >= want }, "half are cancelled")
				proctest.Eventually(t, func() bool { return atomic.LoadUint32(word(crowdTook)) > 0 }, "the time is known")
				threads = max(threads, proctest.Threads(t, p.PID()))
			}
			start := time.Now()
			atomic.StoreUint32(word(crowdGo), 1)
			for i := range objects {
				if c.arg.Kind == "lock" {
					if err := locks[i].Unlock(); err != nil {
						t.Error(err)
					}
					continue
				}
				ev, _ := futex.NewEventCount(mem[crowdObjects+8*i:])
				ev.Notify(-1)
			}
			rung := time.Since(start)
			for atomic.LoadUint32(word(crowdOut)) < uint32(n) {
				if ctx.Err() != nil {
					t.Fatalf("%d of %d have ended", atomic.LoadUint32(word(crowdOut)), n)
				}
				threads = max(threads, proctest.Threads(t, p.PID()))
				time.Sleep(100 * time.Microsecond)
			}
			took := time.Since(start)
			if err := p.Wait(ctx); err != nil {
				t.Error(err)
			}
			// Beyond four CPUs the runtime's own threads are most of them.
			if limit := 16 + 2*max(0, runtime.GOMAXPROCS(0)-4); threads > limit {
				t.Errorf("%d waiters take %d threads", n, threads)
			}
			if bad := atomic.LoadUint32(word(crowdBad)); bad != 0 {
				t.Errorf("%d ended in an error", bad)
			}
			t.Logf("%d waiters, %d threads, rung in %v, all out after %v; cancelling took %d µs; out of order %d", n, threads,
				rung, took, atomic.LoadUint32(word(crowdTook)), atomic.LoadUint32(word(crowdOrder)))
		})
	}
}
