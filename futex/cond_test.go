package futex_test

import (
	"context"
	"slices"
	"sync"
	"testing"

	"github.com/fb2d3dbd/multiproc/futex"
)

type condOf struct {
	*futex.Cond
	mu futex.Locker
}

// newConds makes one condition with a mutex, seen by each of who.
func newConds(t testing.TB, waiters int, who ...futex.Participants) (all []condOf) {
	t.Helper()
	mem := make([]byte, 64+futex.CondSize(waiters))
	for i, w := range who {
		mu := must(futex.NewMutex(mem, w))(t)
		if i == 0 {
			all = append(all, condOf{must(futex.CreateCond(mem[64:], waiters, mu, w))(t), mu})
		} else {
			all = append(all, condOf{must(futex.OpenCond(mem[64:], mu, w))(t), mu})
		}
	}
	return all
}

// wait has c wait in a goroutine, which then unlocks.
func (c condOf) wait(t testing.TB, ctx context.Context) <-chan error {
	t.Helper()
	n := c.Waiting()
	ch := waiting(func() error {
		if err := c.mu.Lock(ctx); err != nil {
			return err
		}
		err := c.Wait(ctx)
		if e := c.mu.Unlock(); e != nil {
			return e
		}
		return err
	})
	eventually(t, "it waits", func() bool { return c.Waiting() == n+1 || len(ch) > 0 })
	return ch
}

func (c condOf) notify(t testing.TB, n int) {
	t.Helper()
	ok(t, c.mu.Lock(t.Context()))
	ok(t, c.Notify(n))
	ok(t, c.mu.Unlock())
}

func TestCond(t *testing.T) {
	var all folk
	cs := newConds(t, 4, all.one(1), all.one(2))
	a, b := cs[0], cs[1]
	ctx := context.Background()
	want(t, a.Wait(ctx), futex.ErrNotOwner)
	want(t, a.Notify(1), futex.ErrNotOwner)
	want(t, a.NotifyAll(), futex.ErrNotOwner)
	want(t, a.WaitFor(ctx, func() bool { t.Error("asked without the lock"); return true }), futex.ErrNotOwner)
	ok(t, a.mu.Lock(ctx))
	want(t, a.Wait(ended()), context.Canceled)
	want(t, b.Notify(1), futex.ErrNotOwner) // another process holds it
	ok(t, a.Notify(3))                      // nobody waits
	ok(t, a.mu.Unlock())

	// The longest waits first, and each notification wakes one.
	var order []<-chan error
	for i := range 4 {
		order = append(order, cs[i%2].wait(t, ctx))
	}
	ok(t, a.mu.Lock(ctx))
	want(t, a.Wait(ctx), futex.ErrTooMany)
	ok(t, a.mu.Unlock())
	b.notify(t, 1)
	ok(t, result(t, order[0]))
	b.notify(t, 2)
	ok(t, result(t, order[1]))
	ok(t, result(t, order[2]))
	none(t, order[3])
	// One that gives up takes nothing.
	short, cancel := context.WithCancel(ctx)
	gives := a.wait(t, short)
	last := a.wait(t, ctx)
	cancel()
	want(t, result(t, gives), context.Canceled)
	b.notify(t, -1)
	ok(t, result(t, order[3]))
	ok(t, result(t, last))
	if n := a.Waiting(); n != 0 {
		t.Errorf("%d wait after all", n)
	}
}

// Whoever died before a notification takes none, and what one was told who dies before its Wait returns goes to another.
func TestCondOfTheDead(t *testing.T) {
	var all folk
	cs := newConds(t, 8, all.one(1), all.one(2), all.one(3), all.one(4))
	ctx := context.Background()
	first := cs[1].wait(t, ctx)
	second := cs[2].wait(t, ctx)
	third := cs[3].wait(t, ctx)
	all.kill(2)
	all.leave(2)
	want(t, result(t, first), futex.ErrClosed)
	ok(t, cs[0].mu.Lock(ctx))
	ok(t, cs[0].Notify(1)) // for the second
	eventually(t, "it is told", func() bool { return cs[0].Waiting() == 1 })
	none(t, second) // it waits for the lock
	all.kill(3)
	all.leave(3)
	eventually(t, "the notification goes to the third", func() bool { return cs[0].Waiting() == 0 })
	ok(t, cs[0].mu.Unlock())
	ok(t, result(t, third))
	want(t, result(t, second), futex.ErrClosed)
	// All places can be had again.
	var rest []<-chan error
	for range 8 {
		rest = append(rest, cs[0].wait(t, ctx))
	}
	cs[3].notify(t, 100)
	for _, r := range rest {
		ok(t, result(t, r))
	}
}

// A wait whose lock's owner dies meanwhile comes back with the lock and the news.
func TestCondLockOwnerDies(t *testing.T) {
	var all folk
	cs := newConds(t, 2, all.one(1), all.one(2))
	ctx := context.Background()
	waits := waiting(func() error {
		ok(t, cs[0].mu.Lock(ctx))
		return cs[0].Wait(ctx)
	})
	eventually(t, "it waits", func() bool { return cs[0].Waiting() == 1 })
	ok(t, cs[1].mu.Lock(ctx))
	ok(t, cs[1].Notify(1))
	none(t, waits)
	all.kill(2)
	want(t, result(t, waits), futex.ErrOwnerDied)
	ok(t, cs[0].mu.Unlock())
}

func TestCondOnOtherLocks(t *testing.T) {
	ctx := context.Background()
	mem := make([]byte, 4096)
	rl := must(futex.NewRLock(mem, futex.Local{}))(t)
	rw := must(futex.CreateRWMutex(mem[64:], 1, futex.Local{}))(t)
	for _, lock := range []futex.Locker{rl, rw} {
		c := condOf{must(futex.CreateCond(mem[1024:], 2, lock, futex.Local{}))(t), lock}
		n := 1
		if lock == rl {
			n = 3
		}
		ch := waiting(func() error {
			for range n {
				ok(t, lock.Lock(ctx))
			}
			err := c.Wait(ctx)
			for range n {
				ok(t, lock.Unlock())
			}
			want(t, lock.Unlock(), futex.ErrNotOwner)
			return err
		})
		eventually(t, "it waits", func() bool { return c.Waiting() == 1 })
		other := lock
		if l, is := lock.(*futex.RLock); is {
			other = l.Handle()
		}
		condOf{must(futex.OpenCond(mem[1024:], other, futex.Local{}))(t), other}.notify(t, 1)
		ok(t, result(t, ch))
	}
}

func TestCondWaitFor(t *testing.T) {
	var all folk
	cs := newConds(t, 4, all.one(1), all.one(2))
	ctx := context.Background()
	state := 0
	ok(t, cs[0].mu.Lock(ctx))
	ok(t, cs[0].WaitFor(ended(), func() bool { return true }))
	want(t, cs[0].WaitFor(ended(), func() bool { return false }), context.Canceled)
	asked := 0
	ok(t, cs[0].WaitFor(ended(), func() bool { asked++; return asked == 2 })) // the last word
	ok(t, cs[0].mu.Unlock())
	waits := waiting(func() error {
		ok(t, cs[0].mu.Lock(ctx))
		defer cs[0].mu.Unlock()
		return cs[0].WaitFor(ctx, func() bool { return state == 4 })
	})
	for range 4 {
		eventually(t, "it waits", func() bool { return cs[0].Waiting() == 1 })
		ok(t, cs[1].mu.Lock(ctx))
		none(t, waits)
		state++
		ok(t, cs[1].NotifyAll())
		ok(t, cs[1].mu.Unlock())
	}
	ok(t, result(t, waits))
}

// What is put under the condition is taken once, by many at a time, some of whom give up.
func TestCondLosesNothing(t *testing.T) {
	const takers, items = 6, 3000
	var all folk
	var who []futex.Participants
	for i := range takers + 1 {
		who = append(who, all.one(uint32(i+1)))
	}
	cs := newConds(t, takers, who...)
	var store, taken []int
	done := false
	var wg sync.WaitGroup
	for _, c := range cs[1:] {
		wg.Go(func() {
			for k := 0; ; k++ {
				ctx, cancel := context.WithCancel(context.Background())
				if k%5 == 0 {
					go cancel()
				}
				ok(t, c.mu.Lock(context.Background()))
				for len(store) == 0 && !done {
					if err := c.Wait(ctx); err != nil {
						break
					}
				}
				if len(store) > 0 {
					taken = append(taken, store[0])
					store = store[1:]
				}
				end := done && len(store) == 0
				ok(t, c.mu.Unlock())
				cancel()
				if end {
					return
				}
			}
		})
	}
	c := cs[0]
	for i := range items {
		ok(t, c.mu.Lock(context.Background()))
		store = append(store, i)
		ok(t, c.Notify(1))
		ok(t, c.mu.Unlock())
	}
	ok(t, c.mu.Lock(context.Background()))
	done = true
	ok(t, c.NotifyAll())
	ok(t, c.mu.Unlock())
	wg.Wait()
	slices.Sort(taken)
	if len(taken) != items || taken[0] != 0 || taken[items-1] != items-1 {
		t.Errorf("%d taken", len(taken))
	}
}
