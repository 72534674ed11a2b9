//go:build fault && linux

package futex_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fb2d3dbd/multiproc/futex"
	"github.com/fb2d3dbd/multiproc/internal/fault"
	"github.com/fb2d3dbd/multiproc/internal/proctest"
	"github.com/fb2d3dbd/multiproc/shm"
	"github.com/fb2d3dbd/multiproc/spawn"
)

// The words of a crash segment.
const (
	crashLock   = 0  // a mutex
	crashHalf   = 32 // what it guards: two words that are equal
	crashEvent  = 12 // an event count
	crashFlag   = 16 // what it is about
	crashDone   = 20 // somebody has done all
	crashReady  = 28 // processes that are
	crashHolder = 24 // who is between the two halves of a change
	crashSize   = 64
)

type crashArg struct {
	Seg   *shm.Segment
	Fault string
	Crew  int // goroutines
	Times int
}

// work has many goroutines lock, change what is guarded and unlock, and each time tell the others by the event.
func (a crashArg) work(ctx context.Context) error {
	mem := a.Seg.Bytes()
	mu, err := futex.NewMutex(mem[crashLock:], a.Seg)
	if err != nil {
		return err
	}
	ev, err := futex.NewEventCount(mem[crashEvent:])
	if err != nil {
		return err
	}
	one, two, holder := wordAt(mem, crashHalf), wordAt(mem, crashHalf+4), wordAt(mem, crashHolder)
	step := func() error {
		err := mu.Lock(ctx)
		if errors.Is(err, futex.ErrOwnerDied) {
			atomic.StoreUint32(two, atomic.LoadUint32(one))
			atomic.StoreUint32(holder, 0)
			err = mu.MarkConsistent()
		}
		if err != nil {
			return err
		}
		if h := atomic.SwapUint32(holder, a.Seg.Self()); h != 0 {
			return fmt.Errorf("%#x holds the lock too", h)
		}
		runtime.Gosched() // others come meanwhile
		if x, y := atomic.AddUint32(one, 1), atomic.AddUint32(two, 1); x != y {
			return fmt.Errorf("the halves are %d and %d, and nobody said so", x, y)
		}
		atomic.StoreUint32(holder, 0)
		if err := mu.Unlock(); err != nil {
			return err
		}
		atomic.AddUint32(wordAt(mem, crashFlag), 1)
		ev.Notify(-1)
		return nil
	}
	atomic.AddUint32(wordAt(mem, crashReady), 1)
	for atomic.LoadUint32(wordAt(mem, crashReady)) < 2 {
		time.Sleep(100 * time.Microsecond)
	}
	errs := make(chan error, a.Crew)
	var wg sync.WaitGroup
	for range a.Crew {
		wg.Go(func() {
			for i := 0; i < a.Times; i++ {
				seen := atomic.LoadUint32(wordAt(mem, crashFlag))
				if err := step(); err != nil {
					errs <- err
					return
				}
				if i%4 != 0 || i+1 == a.Times {
					continue
				}
				err := ev.Await(ctx, func() (bool, error) {
					return atomic.LoadUint32(wordAt(mem, crashFlag)) > seen+2 || atomic.LoadUint32(wordAt(mem, crashDone)) != 0, nil
				}, nil)
				if err != nil {
					errs <- err
					return
				}
			}
			atomic.StoreUint32(wordAt(mem, crashDone), 1) // no more waits for others: they may have ended
			ev.Notify(-1)
		})
	}
	wg.Wait()
	select {
	case err := <-errs:
		return err
	default:
		return nil
	}
}

var crasher = spawn.NewTarget("futex.crasher", func(ctx context.Context, a crashArg) error {
	if err := fault.Arm(a.Fault); err != nil {
		return err
	}
	return a.work(ctx)
})

// TestKilledWaitersAndWakers kills a process of many waiters and wakers at every point, and the others go on, which are many too.
func TestKilledWaitersAndWakers(t *testing.T) {
	points := []string{"mutex.locked", "mutex.unlocked", "mutex.handed", "mutex.unwanted", "mutex.waiting", "mutex.woken",
		"event.raised", "event.waiting", "event.woken"}
	died := map[string]int{}
	for _, what := range []string{"kill", "stop"} {
		for _, point := range points {
			for try, nth := range []int{1, 2, 7, 30, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1} {
				if try >= 4 && died[point] > 0 {
					break // the rest are for points that take luck
				}
				seg := newSegment(t, crashSize)
				a := crashArg{seg, fmt.Sprintf("%s:%s:%d", what, point, nth), 20, 100}
				ctx := proctest.Context(t)
				p, err := crasher.Start(ctx, a, nil)
				if err != nil {
					t.Fatal(err)
				}
				mine := a
				end := make(chan error)
				go func() { end <- mine.work(ctx) }()
				if what == "stop" && stops(t, p) {
					died[point]++
					// One of its goroutines may have the lock, and keeps it while it is stopped.
					proctest.Continue(t, p.PID())
				}
				if err := <-end; err != nil {
					t.Fatalf("%s: %v", a.Fault, err)
				}
				if err := p.Wait(ctx); err != nil {
					if died[point]++; what == "stop" {
						t.Errorf("%s: %v", a.Fault, err)
					}
				}
				// What the dead has left hinders nobody who comes later.
				mu, _ := futex.NewMutex(seg.Bytes(), seg)
				if err := mu.Lock(ctx); err != nil && !errors.Is(err, futex.ErrOwnerDied) {
					t.Errorf("%s: %v", a.Fault, err)
				}
				seg.Close()
			}
		}
	}
	for _, point := range points {
		if died[point] == 0 && point != "mutex.unwanted" { // it takes luck
			t.Errorf("nobody was killed or stopped at %s", point)
		}
	}
	t.Log(died)
}

// stops waits until the process is stopped or has ended.
func stops(t *testing.T, p *spawn.Process) bool {
	stopped := false
	proctest.Eventually(t, func() bool {
		stopped = proctest.Stopped(t, p.PID())
		select {
		case <-p.Done():
			return true
		default:
			return stopped
		}
	}, "the process stops or ends")
	return stopped
}

// TestHandedToTheDead: a lock that was handed over, and taken by nobody, is free for whoever waits, and not damaged.
func TestHandedToTheDead(t *testing.T) {
	seg := newSegment(t, crashSize)
	ctx := proctest.Context(t)
	atomic.StoreUint32(wordAt(seg.Bytes(), 0), 0xfffffffd) // handed, somebody may sleep
	mu, _ := futex.NewMutex(seg.Bytes(), seg)
	if _, held := mu.Holder(); held {
		t.Error("a lock that is handed over counts as held")
	}
	start := time.Now()
	if err := mu.Lock(ctx); err != nil {
		t.Error(err)
	}
	t.Logf("taken after %v", time.Since(start))
	if err := mu.Unlock(); err != nil {
		t.Error(err)
	}
	atomic.StoreUint32(wordAt(seg.Bytes(), 0), 0xfffffffd)
	if err := mu.TryLock(); err != nil {
		t.Error(err)
	}
	if err := mu.Unlock(); err != nil {
		t.Error(err)
	}
}
