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

func TestSemaphore(t *testing.T) {
	clients(t, 2, func(t *testing.T, s *manager.Server, m []*manager.Manager) {
		ctx := proctest.Context(t)
		a := must[*manager.Semaphore](t)(manager.NewSemaphore(ctx, m[0], named("s"), 2))
		b := must[*manager.Semaphore](t)(manager.NewSemaphore(ctx, m[1], named("s"), 0))
		free := func(want int) {
			t.Helper()
			if n, err := b.Value(ctx); n != want || err != nil {
				t.Fatal(n, err)
			}
		}
		is(t, a.Acquire(ctx))
		is(t, b.TryAcquire(ctx))
		is(t, b.TryAcquire(ctx), manager.ErrLocked)
		is(t, b.TryConsume(ctx), manager.ErrLocked)
		short, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
		defer cancel()
		is(t, a.Acquire(short), context.DeadlineExceeded)
		is(t, a.Release(short))
		is(t, a.Release(ctx)) // one more than there was
		free(2)
		is(t, b.Release(ctx))
		free(3)
		is(t, a.Consume(ctx))
		is(t, a.TryConsume(ctx))
		is(t, a.Acquire(ctx))
		got := make(chan error, 2)
		go func() { got <- b.Consume(ctx) }()
		proctest.Eventually(t, func() bool { return s.Stats().Waiting == 1 }, "one to wait")
		go func() { got <- b.Acquire(ctx) }()
		proctest.Eventually(t, func() bool { return s.Stats().Waiting == 2 }, "two to wait")
		is(t, a.Release(ctx))
		is(t, a.Release(ctx))
		is(t, <-got)
		is(t, <-got)
		free(0)
		settled(t, s)
		is(t, m[1].Close()) // with one permit
		is(t, a.Acquire(ctx), manager.ErrOwnerDied)
		is(t, a.Release(ctx))
		is(t, a.Acquire(ctx))
		if _, err := manager.NewSemaphore(ctx, m[0], nil, -1); !errors.Is(err, manager.ErrValue) {
			t.Error(err)
		}
	})
}

func TestBoundedSemaphore(t *testing.T) {
	clients(t, 2, func(t *testing.T, s *manager.Server, m []*manager.Manager) {
		ctx := proctest.Context(t)
		a := must[*manager.BoundedSemaphore](t)(manager.NewBoundedSemaphore(ctx, m[0], named("s"), 2))
		b := must[*manager.BoundedSemaphore](t)(manager.NewBoundedSemaphore(ctx, m[1], named("s"), 2))
		is(t, a.Release(ctx), manager.ErrBound)
		is(t, a.Acquire(ctx))
		is(t, b.Release(ctx), manager.ErrNotOwner)
		is(t, a.Release(ctx))
		is(t, b.Acquire(ctx))
		is(t, b.TryAcquire(ctx))
		is(t, a.TryAcquire(ctx), manager.ErrLocked)
		got := make(chan error, 1)
		go func() { got <- a.Acquire(ctx) }()
		proctest.Eventually(t, func() bool { return s.Stats().Waiting == 1 }, "one to wait")
		is(t, m[1].Close())
		is(t, <-got, manager.ErrOwnerDied)
		is(t, a.TryAcquire(ctx), manager.ErrOwnerDied)
		is(t, a.Release(ctx))
		is(t, a.Release(ctx))
		is(t, a.Release(ctx), manager.ErrBound)
		if _, err := manager.NewBoundedSemaphore(ctx, m[0], nil, 0); !errors.Is(err, manager.ErrValue) {
			t.Error(err)
		}
	})
}

// TestSemaphoreBounds never has more at work than there are permits.
func TestSemaphoreBounds(t *testing.T) {
	clients(t, 3, func(t *testing.T, s *manager.Server, m []*manager.Manager) {
		ctx := proctest.Context(t)
		var working atomic.Int32
		var all sync.WaitGroup
		for g := range 60 {
			sem := must[*manager.BoundedSemaphore](t)(manager.NewBoundedSemaphore(ctx, m[g%3], named("s"), 4))
			all.Go(func() {
				for i := range 10 {
					short, cancel := context.WithTimeout(ctx, time.Duration(i)*time.Millisecond)
					if i == 0 {
						short = ctx
					}
					err := sem.Acquire(short)
					cancel()
					if errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, manager.ErrLost) {
						continue
					}
					if err != nil {
						t.Error(err)
						return
					}
					if n := working.Add(1); n > 4 {
						t.Errorf("%d at work", n)
					}
					working.Add(-1)
					if err := sem.Release(ctx); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		all.Wait()
		settled(t, s)
		sem := must[*manager.BoundedSemaphore](t)(manager.NewBoundedSemaphore(ctx, m[0], named("s"), 4))
		if n, err := sem.Value(ctx); n != 4 || err != nil {
			t.Error(n, err)
		}
	})
}
