package multiproc_test

import (
	"context"
	"errors"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/fb2d3dbd/multiproc"
	"github.com/fb2d3dbd/multiproc/internal/proctest"
)

func TestMutex(t *testing.T) {
	ctx := proctest.Context(t)
	mu := newMutex(t)
	want(t, mu.Unlock(), multiproc.ErrNotOwner)
	want(t, mu.MarkConsistent(), multiproc.ErrNotOwner)
	if _, ok := mu.Holder(); ok || mu.Locked() {
		t.Error("a new mutex is held")
	}
	check(t, mu.Lock(ctx))
	if p, ok := mu.Holder(); !ok || p.PID != os.Getpid() || !mu.Locked() {
		t.Errorf("the holder is %+v, %v", p, ok)
	}
	want(t, mu.TryLock(), multiproc.ErrLocked)
	short, cancel := context.WithTimeout(ctx, time.Millisecond)
	defer cancel()
	want(t, mu.Lock(short), context.DeadlineExceeded)
	want(t, mu.Lock(ended()), context.Canceled)
	check(t, mu.Unlock())
	check(t, mu.TryLock())
	check(t, mu.Unlock())
	check(t, mu.Free())
}

// A counted is what workers count up under a lock, in a way that loses counts without one.
type counted struct {
	Lock  *multiproc.Mutex
	Total *multiproc.Array[int] // two elements that must stay equal
	Each  int
}

func (c *counted) add(ctx context.Context) error {
	if err := c.Lock.Lock(ctx); err != nil {
		return err
	}
	defer c.Lock.Unlock()
	return c.step()
}

func (c *counted) step() error {
	a, err := c.Total.At(0)
	if err != nil {
		return err
	}
	b, err := c.Total.At(1)
	if err != nil {
		return err
	}
	if a != b {
		return errors.New("somebody is between the two halves of a change")
	}
	if err := c.Total.Set(0, a+1); err != nil {
		return err
	}
	return c.Total.Set(1, b+1)
}

var count = multiproc.NewTarget("count", func(ctx context.Context, c counted) error {
	for range c.Each {
		if err := c.add(ctx); err != nil {
			return err
		}
	}
	return nil
})

func TestMutexExcludes(t *testing.T) {
	const workers, each = 4, 2000
	ctx := proctest.Context(t)
	c := counted{newMutex(t), must(multiproc.NewArray[int](2))(t), each}
	var procs []*multiproc.Process
	for range workers {
		procs = append(procs, start(t, count, c, nil))
	}
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for range each {
				if err := c.add(ctx); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	wait(t, procs...)
	if n := must(c.Total.At(0))(t); n != 2*workers*each {
		t.Errorf("%d were counted, want %d", n, 2*workers*each)
	}
}

// A holding says when the lock is held.
type holding struct {
	Lock *multiproc.Mutex
	Held *multiproc.Queue[bool]
}

// hold takes the lock and never gives it back.
var hold = multiproc.NewTarget("hold", func(ctx context.Context, h holding) error {
	err := h.Lock.Lock(ctx)
	if err != nil && !errors.Is(err, multiproc.ErrOwnerDied) {
		return err
	}
	if err := h.Held.Put(ctx, err == nil); err != nil {
		return err
	}
	select {}
})

// held starts a process that holds the lock, and returns whether it got it from a living owner.
func held(t *testing.T, h holding) (*multiproc.Process, bool) {
	t.Helper()
	p := start(t, hold, h, nil)
	clean := must(h.Held.Get(proctest.Context(t)))(t)
	return p, clean
}

func TestOwnerKilled(t *testing.T) {
	ctx := proctest.Context(t)
	h := holding{newMutex(t), newQueue[bool](t, nil)}
	p, clean := held(t, h)
	if !clean {
		t.Error("the first owner heard of a death")
	}
	if holder, ok := h.Lock.Holder(); !ok || holder.PID != p.PID() {
		t.Errorf("the holder is %+v, %v", holder, ok)
	}
	want(t, h.Lock.TryLock(), multiproc.ErrLocked)
	want(t, h.Lock.Unlock(), multiproc.ErrNotOwner)
	kill(t, p)

	want(t, h.Lock.Lock(ctx), multiproc.ErrOwnerDied)
	want(t, h.Lock.TryLock(), multiproc.ErrLocked) // it is ours
	check(t, h.Lock.Unlock())
	want(t, h.Lock.TryLock(), multiproc.ErrOwnerDied) // nobody has mended anything yet
	check(t, h.Lock.MarkConsistent())
	check(t, h.Lock.Unlock())
	check(t, h.Lock.Lock(ctx))
	check(t, h.Lock.Unlock())

	// Killed with the news of a death and the lock: the next hears it too.
	p, _ = held(t, h)
	kill(t, p)
	p, clean = held(t, h)
	if clean {
		t.Error("the next owner did not hear of the death")
	}
	kill(t, p)
	proctest.Dead(t, h.Lock.Segment(), p.PID())
	want(t, h.Lock.TryLock(), multiproc.ErrOwnerDied)
	check(t, h.Lock.MarkConsistent())
	check(t, h.Lock.Unlock())
}

// Those who wait when the owner is killed get the lock one after the other, and one of them the news.
func TestOwnerKilledWhileOthersWait(t *testing.T) {
	ctx := proctest.Context(t)
	h := holding{newMutex(t), newQueue[bool](t, nil)}
	p, _ := held(t, h)
	news := make(chan bool)
	for range 8 {
		go func() {
			err := h.Lock.Lock(ctx)
			died := errors.Is(err, multiproc.ErrOwnerDied)
			if died {
				err = h.Lock.MarkConsistent()
			}
			if err == nil {
				err = h.Lock.Unlock()
			}
			if err != nil {
				t.Error(err)
			}
			news <- died
		}()
	}
	kill(t, p)
	n := 0
	for range 8 {
		if <-news {
			n++
		}
	}
	if n != 1 {
		t.Errorf("%d waiters heard of the owner's death, want 1", n)
	}
}

// An owner that is stopped keeps its lock.
func TestOwnerStopped(t *testing.T) {
	ctx := proctest.Context(t)
	h := holding{newMutex(t), newQueue[bool](t, nil)}
	p, _ := held(t, h)
	proctest.Stop(t, p.PID())
	want(t, h.Lock.TryLock(), multiproc.ErrLocked)
	short, cancel := context.WithTimeout(ctx, 150*time.Millisecond) // some slices of the wait, after each of which it looks
	defer cancel()
	want(t, h.Lock.Lock(short), context.DeadlineExceeded)
	kill(t, p)
	want(t, h.Lock.Lock(ctx), multiproc.ErrOwnerDied)
	check(t, h.Lock.Unlock())
}

func TestMutexAfterSegmentClose(t *testing.T) {
	mu := newMutex(t)
	check(t, mu.Lock(context.Background()))
	waiting := make(chan error)
	go func() { waiting <- mu.Lock(proctest.Context(t)) }()
	closeDefault(t)
	want(t, <-waiting, os.ErrClosed)
	_, sendErr := mu.MarshalBinary()
	for i, err := range []error{mu.Lock(context.Background()), mu.TryLock(), mu.Unlock(), mu.MarkConsistent(), mu.Free(), sendErr} {
		if !errors.Is(err, os.ErrClosed) {
			t.Errorf("operation %d on a mutex whose segment is closed returned %v", i, err)
		}
	}
	mu.Locked()
	mu.Holder()
}
