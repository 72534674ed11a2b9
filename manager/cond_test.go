package manager_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fb2d3dbd/multiproc/internal/proctest"
	"github.com/fb2d3dbd/multiproc/manager"
)

// waiting waits until so many wait at a condition.
func waiting(t testing.TB, c *manager.Cond, n int) {
	t.Helper()
	proctest.Eventually(t, func() bool { have, err := c.Waiting(proctest.Context(t)); return have == n && err == nil }, "them to wait")
}

// conds makes a condition on a Mutex of its own, on a Mutex and on an RLock, for each of the clients.
func conds(t *testing.T, m []*manager.Manager, fn func(t *testing.T, c []*manager.Cond)) {
	for _, kind := range []string{"own", "Mutex", "RLock"} {
		t.Run(kind, func(t *testing.T) {
			ctx := proctest.Context(t)
			var all []*manager.Cond
			for _, m := range m {
				var l manager.Locker
				switch kind {
				case "Mutex":
					l = must[*manager.Mutex](t)(manager.NewMutex(ctx, m, named("mutex")))
				case "RLock":
					l = must[*manager.RLock](t)(manager.NewRLock(ctx, m, named("rlock")))
				}
				all = append(all, must[*manager.Cond](t)(manager.NewCond(ctx, m, named("on "+kind), l)))
			}
			fn(t, all)
		})
	}
}

func TestCond(t *testing.T) {
	clients(t, 2, func(t *testing.T, s *manager.Server, m []*manager.Manager) {
		conds(t, m, func(t *testing.T, c []*manager.Cond) {
			ctx := proctest.Context(t)
			is(t, c[0].Wait(ctx), manager.ErrNotOwner)
			is(t, c[0].Notify(ctx, 1), manager.ErrNotOwner)
			is(t, c[0].Notify(ctx, -1), manager.ErrValue)
			is(t, c[0].Lock(ctx))
			is(t, c[1].Locker().TryLock(ctx), manager.ErrLocked)
			done := make(chan error, 1)
			go func() { done <- c[0].Wait(ctx) }()
			waiting(t, c[0], 1)
			is(t, c[1].Lock(ctx)) // Wait has released it
			is(t, c[1].Notify(ctx, 5))
			waiting(t, c[0], 0)
			select {
			case err := <-done:
				t.Fatal("Wait returned without the lock", err)
			case <-time.After(time.Millisecond):
			}
			is(t, c[1].Unlock(ctx))
			is(t, <-done)
			is(t, c[1].Locker().TryLock(ctx), manager.ErrLocked)
			is(t, c[0].Unlock(ctx))
			settled(t, s)
		})
	})
}

// TestCondGivesUp has a Wait end whose context does: it has the lock all the same.
func TestCondGivesUp(t *testing.T) {
	clients(t, 2, func(t *testing.T, s *manager.Server, m []*manager.Manager) {
		conds(t, m, func(t *testing.T, c []*manager.Cond) {
			ctx := proctest.Context(t)
			is(t, c[0].Lock(ctx))
			short, cancel := context.WithTimeout(ctx, 5*time.Millisecond)
			defer cancel()
			is(t, c[0].Wait(short), context.DeadlineExceeded)
			is(t, c[0].Wait(short), context.DeadlineExceeded)
			is(t, c[0].Unlock(ctx))

			is(t, c[0].Lock(ctx))
			quit, cancel := context.WithCancel(ctx)
			done := make(chan error, 1)
			go func() { done <- c[0].Wait(quit) }()
			waiting(t, c[0], 1)
			is(t, c[1].Lock(ctx))
			cancel()
			waiting(t, c[0], 0) // it waits for the lock
			is(t, c[1].NotifyAll(ctx))
			is(t, c[1].Unlock(ctx))
			is(t, <-done, context.Canceled)
			is(t, c[0].Unlock(ctx))

			calls := 0
			is(t, c[0].Lock(ctx))
			short, cancel = context.WithTimeout(ctx, 5*time.Millisecond)
			defer cancel()
			is(t, c[0].WaitFor(short, func() bool { calls++; return false }), context.DeadlineExceeded)
			is(t, c[0].WaitFor(short, func() bool { calls++; return calls == 4 })) // it has the last word
			is(t, c[0].Unlock(ctx))
			settled(t, s)
		})
	})
}

func TestCondRecursive(t *testing.T) {
	clients(t, 2, func(t *testing.T, s *manager.Server, m []*manager.Manager) {
		ctx := proctest.Context(t)
		l := must[*manager.RLock](t)(manager.NewRLock(ctx, m[0], nil))
		c := must[*manager.Cond](t)(manager.NewCond(ctx, m[0], nil, l))
		for range 3 {
			is(t, l.Lock(ctx))
		}
		is(t, c.Lock(ctx)) // the same holder
		done := make(chan error, 1)
		go func() { done <- c.Wait(ctx) }()
		waiting(t, c, 1)
		other := new(manager.Cond)
		is(t, other.UnmarshalBinary(must[[]byte](t)(c.MarshalBinary())))
		is(t, other.Lock(ctx))
		is(t, other.Notify(ctx, 1))
		is(t, other.Unlock(ctx))
		is(t, <-done)
		if n, err := l.Depth(ctx); n != 4 || err != nil {
			t.Error(n, err)
		}
		is(t, c.Close())
		is(t, l.Unlock(ctx)) // the lock is not the condition's
		foreign := must[*manager.Mutex](t)(manager.NewMutex(ctx, dial(t, serve(t, nil), "ring"), nil))
		if _, err := manager.NewCond(ctx, m[0], nil, foreign); !errors.Is(err, manager.ErrValue) {
			t.Error(err)
		}
		if _, err := manager.NewCond(ctx, m[0], nil, new(manager.Mutex)); !errors.Is(err, manager.ErrValue) {
			t.Error(err)
		}
	})
}

// TestCondHands has goroutines of several clients hand numbers on; some give up waiting.
func TestCondHands(t *testing.T) {
	clients(t, 3, func(t *testing.T, s *manager.Server, m []*manager.Manager) {
		ctx := proctest.Context(t)
		const each, pairs = 20, 15
		var stock, taken atomic.Int32 // the race detector sees no lock over rings
		var all sync.WaitGroup
		for g := range 2 * pairs {
			c := must[*manager.Cond](t)(manager.NewCond(ctx, m[g%3], named("c"), nil))
			all.Go(func() {
				for range each {
					if err := c.Lock(ctx); err != nil {
						t.Error(err)
						return
					}
					if g < pairs {
						stock.Store(stock.Load() + 1)
						if err := c.Notify(ctx, 1); err != nil {
							t.Error(err)
						}
					} else {
						for stock.Load() == 0 {
							short, cancel := context.WithTimeout(ctx, time.Duration(g)*100*time.Microsecond)
							if g%2 == 0 {
								short = ctx
							}
							err := c.Wait(short)
							cancel()
							if err != nil && (g%2 == 0 || !errors.Is(err, context.DeadlineExceeded)) {
								t.Error(err)
								return
							}
						}
						stock.Store(stock.Load() - 1)
						taken.Store(taken.Load() + 1)
					}
					if err := c.Unlock(ctx); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		all.Wait()
		if stock.Load() != 0 || taken.Load() != each*pairs {
			t.Errorf("%d are left, %d were taken", stock.Load(), taken.Load())
		}
		settled(t, s)
	})
}

func TestEvent(t *testing.T) {
	clients(t, 2, func(t *testing.T, s *manager.Server, m []*manager.Manager) {
		ctx := proctest.Context(t)
		a := must[*manager.Event](t)(manager.NewEvent(ctx, m[0], named("e")))
		b := must[*manager.Event](t)(manager.NewEvent(ctx, m[1], named("e")))
		for range 3 {
			short, cancel := context.WithTimeout(ctx, 5*time.Millisecond)
			is(t, a.Wait(short), context.DeadlineExceeded)
			cancel()
			var all sync.WaitGroup
			for g := range 40 {
				all.Go(func() {
					if err := []*manager.Event{a, b}[g%2].Wait(ctx); err != nil {
						t.Error(err)
					}
				})
			}
			proctest.Eventually(t, func() bool { return s.Stats().Waiting == 40 }, "all to wait")
			is(t, a.Set(ctx))
			all.Wait()
			is(t, b.Wait(ctx))
			if yes, err := b.IsSet(ctx); !yes || err != nil {
				t.Error(yes, err)
			}
			is(t, b.Clear(ctx))
			if yes, err := a.IsSet(ctx); yes || err != nil {
				t.Error(yes, err)
			}
		}
		settled(t, s)
	})
}
