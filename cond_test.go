package multiproc_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/fb2d3dbd/multiproc"
	"github.com/fb2d3dbd/multiproc/internal/proctest"
)

// A bedroom is where processes and goroutines wait on a condition. What they do they say by semaphores, as signals.
type bedroom struct {
	Cond     *multiproc.Cond
	Sleeping *multiproc.Semaphore
	Woken    *multiproc.Semaphore
	Limit    time.Duration // 0: none
}

func newBedroom(t *testing.T) bedroom {
	t.Helper()
	return bedroom{
		must(multiproc.NewCond(nil, nil))(t),
		must(multiproc.NewSemaphore(0, nil))(t),
		must(multiproc.NewSemaphore(0, nil))(t), 0,
	}
}

func (b bedroom) sleep(ctx context.Context) error {
	if err := b.Cond.Lock(ctx); err != nil {
		return err
	}
	if err := b.Sleeping.Release(); err != nil {
		return err
	}
	limited := ctx
	if b.Limit != 0 {
		var cancel context.CancelFunc
		limited, cancel = context.WithTimeout(ctx, b.Limit)
		defer cancel()
	}
	if err := b.Cond.Wait(limited); err != nil && (b.Limit == 0 || !errors.Is(err, context.DeadlineExceeded)) {
		return err
	}
	if err := b.Woken.Release(); err != nil {
		return err
	}
	return b.Cond.Unlock()
}

var sleepOnCond = multiproc.NewTarget("sleep on a condition", func(ctx context.Context, b bedroom) error { return b.sleep(ctx) })

// fill has half of n processes and half of n goroutines wait.
func (b bedroom) fill(t *testing.T, n int) (end func()) {
	t.Helper()
	ctx := proctest.Context(t)
	var procs []*multiproc.Process
	ends := make(chan error, n)
	for range n - n/2 { // first: a process whose goroutines use shared memory is not forked
		procs = append(procs, start(t, sleepOnCond, b, nil))
	}
	for range n / 2 {
		go func() { ends <- b.sleep(ctx) }()
	}
	for range n {
		check(t, b.Sleeping.Consume(ctx))
	}
	return func() {
		t.Helper()
		wait(t, procs...)
		for range n / 2 {
			check(t, <-ends)
		}
	}
}

func (b bedroom) notify(t *testing.T, n int) {
	t.Helper()
	check(t, b.Cond.Lock(proctest.Context(t)))
	check(t, b.Cond.Notify(n))
	check(t, b.Cond.Unlock())
}

// woken waits until n have woken since the last call, and no more.
func (b bedroom) woken(t *testing.T, n int) {
	t.Helper()
	for range n {
		check(t, b.Woken.Consume(proctest.Context(t)))
	}
	if b.Limit == 0 {
		// Each of those that still wait has its place: none has been told.
		want(t, b.Woken.TryConsume(), multiproc.ErrLocked)
	}
}

func TestCondNotify(t *testing.T) {
	b := newBedroom(t)
	end := b.fill(t, 2)
	b.woken(t, 0)
	b.notify(t, 1)
	b.woken(t, 1)
	b.notify(t, 1)
	b.woken(t, 1)
	end()
	b.notify(t, 1) // nobody waits
	if n := b.Cond.Waiting(); n != 0 {
		t.Errorf("%d wait", n)
	}
	want(t, b.Cond.Notify(1), multiproc.ErrNotOwner)
	want(t, b.Cond.Wait(t.Context()), multiproc.ErrNotOwner)
}

func TestCondNotifyN(t *testing.T) {
	b := newBedroom(t)
	end := b.fill(t, 6)
	b.woken(t, 0)
	b.notify(t, 1)
	b.woken(t, 1)
	b.notify(t, 4)
	b.woken(t, 4)
	b.notify(t, 3)
	b.woken(t, 1)
	end()
}

func TestCondNotifyAll(t *testing.T) {
	b := newBedroom(t)
	short := b
	short.Limit = 20 * time.Millisecond
	end := short.fill(t, 4) // by themselves
	short.woken(t, 4)
	end()
	end = b.fill(t, 6)
	b.woken(t, 0)
	b.notify(t, -1)
	b.woken(t, 6)
	end()
}

func TestCondTimeout(t *testing.T) {
	c := must(multiproc.NewCond(nil, nil))(t)
	check(t, c.Lock(t.Context()))
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
	defer cancel()
	want(t, c.Wait(ctx), context.DeadlineExceeded)
	want(t, c.WaitFor(ctx, func() bool { return false }), context.DeadlineExceeded)
	check(t, c.Unlock()) // it has the lock again
}

type counting struct {
	Cond  *multiproc.Cond
	State *multiproc.Value[int]
	Stop  int
	Zero  *multiproc.Event // somebody has seen the state at 0
}

// countUp counts to four, one step at a time, while another waits for the sum.
var countUp = multiproc.NewTarget("count up under a condition", func(ctx context.Context, c counting) error {
	for range 4 {
		if err := c.Cond.Lock(ctx); err != nil {
			return err
		}
		if _, err := multiproc.Add(c.State, 1); err != nil {
			return err
		}
		if err := errors.Join(c.Cond.Notify(1), c.Cond.Unlock()); err != nil {
			return err
		}
	}
	return nil
})

var awaitZero = multiproc.NewTarget("wait for zero, then for four", func(ctx context.Context, c counting) error {
	if err := c.Cond.Lock(ctx); err != nil {
		return err
	}
	for _, n := range []int{0, 4} {
		if err := c.Cond.WaitFor(ctx, func() bool { x, _ := c.State.Load(); return x == n }); err != nil {
			return err
		}
		if err := c.Zero.Set(); err != nil {
			return err
		}
	}
	if x, err := c.State.Load(); x != 4 || err != nil {
		return fmt.Errorf("the state is %d, %w", x, err)
	}
	return c.Cond.Unlock()
})

func TestCondWaitFor(t *testing.T) {
	for name, lock := range map[string]multiproc.Locker{"mutex": nil, "rlock": must(multiproc.NewRLock())(t), "rwmutex": must(multiproc.NewRWMutex(nil))(t)} {
		t.Run(name, func(t *testing.T) {
			ctx := proctest.Context(t)
			c := counting{Cond: must(multiproc.NewCond(lock, nil))(t), State: must(multiproc.NewValue(-1))(t), Zero: must(multiproc.NewEvent())(t)}
			p := start(t, awaitZero, c, nil)
			proctest.Eventually(t, func() bool { return c.Cond.Waiting() == 1 }, "the child waits")
			check(t, c.Cond.Lock(ctx))
			check(t, c.State.Store(0))
			check(t, c.Cond.Notify(1))
			check(t, c.Cond.Unlock())
			check(t, c.Zero.Wait(ctx))
			q := start(t, countUp, c, nil)
			wait(t, p, q)
			// A condition that never holds.
			check(t, c.Cond.Lock(ctx))
			short, cancel := context.WithTimeout(ctx, 5*time.Millisecond)
			defer cancel()
			want(t, c.Cond.WaitFor(short, func() bool { return false }), context.DeadlineExceeded)
			check(t, c.Cond.Unlock())
			check(t, c.Cond.Free())
			check(t, c.Zero.Free())
		})
	}
}

// Whoever is killed while it waits takes no notification with it.
func TestCondWaiterKilled(t *testing.T) {
	ctx := proctest.Context(t)
	b := newBedroom(t)
	for range 5 {
		first := start(t, sleepOnCond, b, nil)
		check(t, b.Sleeping.Consume(ctx))
		second := start(t, sleepOnCond, b, nil)
		check(t, b.Sleeping.Consume(ctx))
		check(t, b.Cond.Lock(ctx))
		check(t, b.Cond.Notify(1)) // the first, which waits for the lock
		kill(t, first)
		check(t, b.Cond.Unlock())
		wait(t, second)
		check(t, b.Woken.Consume(ctx))
	}
}
