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

// clients calls fn for each transport, with a server in this process and a number of clients of it.
func clients(t *testing.T, n int, fn func(t *testing.T, s *manager.Server, m []*manager.Manager)) {
	for _, transport := range transports {
		t.Run(transport, func(t *testing.T) {
			s := serve(t, &manager.ServerOptions{Keep: time.Nanosecond})
			all := make([]*manager.Manager, n)
			for i := range all {
				all[i] = dial(t, s, transport)
			}
			fn(t, s, all)
		})
	}
}

// named is for objects that several clients have.
func named(name string) *manager.ObjectOptions { return &manager.ObjectOptions{Name: name} }

// is fails the test unless err is one of want, or nil if there are none.
func is(t testing.TB, err error, want ...error) {
	t.Helper()
	if len(want) == 0 && err != nil {
		t.Fatal(err)
	}
	for _, w := range want {
		if !errors.Is(err, w) {
			t.Fatalf("%v; want %v", err, w)
		}
	}
}

// settled waits until nothing waits in a server, and its clients hold nothing.
func settled(t testing.TB, s *manager.Server) {
	t.Helper()
	proctest.Eventually(t, func() bool { st := s.Stats(); return st.Waiting == 0 && st.Held == 0 }, "no call to be left")
}

// lockers makes a Mutex and an RLock for each of the clients.
func lockers(t *testing.T, m []*manager.Manager, fn func(t *testing.T, l []manager.Locker)) {
	ctx := proctest.Context(t)
	t.Run("Mutex", func(t *testing.T) {
		var all []manager.Locker
		for _, m := range m {
			all = append(all, must[*manager.Mutex](t)(manager.NewMutex(ctx, m, named("mutex"))))
		}
		fn(t, all)
	})
	t.Run("RLock", func(t *testing.T) {
		var all []manager.Locker
		for _, m := range m {
			all = append(all, must[*manager.RLock](t)(manager.NewRLock(ctx, m, named("rlock"))))
		}
		fn(t, all)
	})
}

func TestLock(t *testing.T) {
	clients(t, 2, func(t *testing.T, s *manager.Server, m []*manager.Manager) {
		lockers(t, m, func(t *testing.T, l []manager.Locker) {
			ctx := proctest.Context(t)
			is(t, l[0].Unlock(ctx), manager.ErrNotOwner)
			is(t, l[0].Lock(ctx))
			is(t, l[1].TryLock(ctx), manager.ErrLocked)
			is(t, l[1].Unlock(ctx), manager.ErrNotOwner)
			is(t, l[1].MarkConsistent(ctx), manager.ErrNotOwner)
			if yes, err := l[1].Locked(ctx); !yes || err != nil {
				t.Error(yes, err)
			}
			short, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
			is(t, l[1].Lock(short), context.DeadlineExceeded)
			cancel()
			is(t, l[1].Lock(short), context.DeadlineExceeded)
			got := make(chan error, 1)
			go func() { got <- l[1].Lock(ctx) }()
			proctest.Eventually(t, func() bool { return s.Stats().Waiting == 1 }, "the other to wait")
			ended, cancel := context.WithCancel(ctx)
			cancel()
			is(t, l[0].Unlock(ended)) // all the same
			is(t, <-got)
			is(t, l[0].TryLock(ctx), manager.ErrLocked)
			is(t, l[1].Unlock(ctx))
			if yes, err := l[1].Locked(ctx); yes || err != nil {
				t.Error(yes, err)
			}
			settled(t, s)
		})
	})
}

func TestRLock(t *testing.T) {
	clients(t, 1, func(t *testing.T, s *manager.Server, m []*manager.Manager) {
		ctx := proctest.Context(t)
		l := must[*manager.RLock](t)(manager.NewRLock(ctx, m[0], nil))
		other := l.Handle()
		for i := range 3 {
			is(t, l.Lock(ctx))
			if n, err := l.Depth(ctx); n != i+1 || err != nil {
				t.Fatal(n, err)
			}
			is(t, other.TryLock(ctx), manager.ErrLocked)
		}
		if n, err := other.Depth(ctx); n != 0 || err != nil {
			t.Fatal(n, err)
		}
		is(t, l.TryLock(ctx))
		is(t, other.Unlock(ctx), manager.ErrNotOwner)
		for range 4 {
			is(t, other.TryLock(ctx), manager.ErrLocked)
			is(t, l.Unlock(ctx))
		}
		is(t, other.TryLock(ctx))
		is(t, l.Unlock(ctx), manager.ErrNotOwner)
		is(t, other.Unlock(ctx))
		copied := new(manager.RLock)
		is(t, copied.UnmarshalBinary(must[[]byte](t)(l.MarshalBinary())))
		is(t, copied.Lock(ctx))
		is(t, l.TryLock(ctx), manager.ErrLocked)
		is(t, copied.Unlock(ctx))
	})
}

// TestLockExcludes has many goroutines of several clients add to what a lock guards; some give up.
func TestLockExcludes(t *testing.T) {
	clients(t, 3, func(t *testing.T, s *manager.Server, m []*manager.Manager) {
		lockers(t, m, func(t *testing.T, l []manager.Locker) {
			ctx := proctest.Context(t)
			var n, want atomic.Int32 // the race detector sees no lock over rings
			var all sync.WaitGroup
			for g := range 60 {
				all.Go(func() {
					mine := l[g%len(l)]
					if r, ok := mine.(*manager.RLock); ok {
						mine = r.Handle()
					}
					for i := range 10 {
						short, cancel := context.WithTimeout(ctx, time.Duration(i)*time.Millisecond)
						if i == 0 {
							short = ctx
						}
						err := mine.Lock(short)
						cancel()
						if errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, manager.ErrLost) {
							continue
						}
						if err != nil {
							t.Error(err)
							return
						}
						n.Store(n.Load() + 1)
						want.Add(1)
						if err := mine.Unlock(ctx); err != nil {
							t.Error(err)
							return
						}
					}
				})
			}
			all.Wait()
			if n.Load() != want.Load() || n.Load() < 60 {
				t.Errorf("%d, not %d", n.Load(), want.Load())
			}
			settled(t, s)
		})
	})
}

// TestLockFair hands a lock over in the order in which it was asked for.
func TestLockFair(t *testing.T) {
	clients(t, 2, func(t *testing.T, s *manager.Server, m []*manager.Manager) {
		ctx := proctest.Context(t)
		a := must[*manager.Mutex](t)(manager.NewMutex(ctx, m[0], named("lock")))
		b := must[*manager.Mutex](t)(manager.NewMutex(ctx, m[1], named("lock")))
		is(t, a.Lock(ctx))
		var order [8]atomic.Int32
		var at atomic.Int32
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				l := []*manager.Mutex{a, b}[i%2]
				if err := l.Lock(ctx); err != nil {
					t.Error(err)
					return
				}
				order[at.Add(1)-1].Store(int32(i))
				if err := l.Unlock(ctx); err != nil {
					t.Error(err)
				}
			})
			proctest.Eventually(t, func() bool { return s.Stats().Waiting == i+1 }, "one more to wait")
		}
		is(t, a.Unlock(ctx))
		all.Wait()
		for i := range order {
			if got := order[i].Load(); int(got) != i {
				t.Errorf("%d came at place %d", got, i)
			}
		}
	})
}

// TestLockGone ends those who wait for a lock to which nobody refers any more.
func TestLockGone(t *testing.T) {
	clients(t, 1, func(t *testing.T, s *manager.Server, m []*manager.Manager) {
		ctx := proctest.Context(t)
		l := must[*manager.Mutex](t)(manager.NewMutex(ctx, m[0], nil))
		sem := must[*manager.Semaphore](t)(manager.NewSemaphore(ctx, m[0], nil, 0))
		ev := must[*manager.Event](t)(manager.NewEvent(ctx, m[0], nil))
		bar := must[*manager.Barrier](t)(manager.NewBarrier(ctx, m[0], nil, 2))
		cond := must[*manager.Cond](t)(manager.NewCond(ctx, m[0], nil, nil))
		is(t, l.Lock(ctx))
		is(t, cond.Lock(ctx))
		errs := make(chan error, 5)
		go func() { errs <- l.Lock(ctx) }()
		go func() { errs <- sem.Acquire(ctx) }()
		go func() { errs <- ev.Wait(ctx) }()
		go func() { _, err := bar.Wait(ctx); errs <- err }()
		go func() { errs <- cond.Wait(ctx) }()
		proctest.Eventually(t, func() bool { return s.Stats().Waiting == 5 }, "all to wait")
		is(t, errors.Join(l.Close(), sem.Close(), ev.Close(), bar.Close(), cond.Close()))
		for range 5 {
			is(t, <-errs, manager.ErrGone)
		}
		proctest.Eventually(t, func() bool { st := s.Stats(); return st.Objects == 0 && st.Waiting == 0 }, "everything to end")
		is(t, l.Lock(ctx), manager.ErrClosed)
	})
}

// TestLockShutdown ends those who wait when the server does, and lets those who hold something give it back.
func TestLockShutdown(t *testing.T) {
	clients(t, 1, func(t *testing.T, s *manager.Server, m []*manager.Manager) {
		ctx := proctest.Context(t)
		l := must[*manager.Mutex](t)(manager.NewMutex(ctx, m[0], nil))
		bar := must[*manager.Barrier](t)(manager.NewBarrier(ctx, m[0], nil, 2))
		cond := must[*manager.Cond](t)(manager.NewCond(ctx, m[0], nil, nil))
		v := must[*manager.Value[int]](t)(manager.NewValue(ctx, m[0], nil, 1))
		is(t, l.Lock(ctx))
		is(t, cond.Lock(ctx))
		errs := make(chan error, 3)
		go func() { errs <- l.Lock(ctx) }()
		go func() { _, err := bar.Wait(ctx); errs <- err }()
		go func() { errs <- cond.Wait(ctx) }()
		updated := make(chan error, 1)
		go func() { _, err := manager.UpdateValue(ctx, v, hold, 0); updated <- err }()
		<-holding
		proctest.Eventually(t, func() bool { return s.Stats().Waiting == 4 }, "all to wait")
		ended := make(chan error, 1)
		go func() { ended <- s.Shutdown(ctx) }()
		for range 3 {
			is(t, <-errs, manager.ErrShutdown)
		}
		is(t, l.Unlock(ctx))
		is(t, l.Lock(ctx), manager.ErrShutdown)
		letGo <- struct{}{}
		is(t, <-updated)
		is(t, <-ended)
	})
}

// TestLockLost cuts a connection while locks change hands: what the client was told it holds it holds, and nothing else.
func TestLockLost(t *testing.T) {
	ctx := proctest.Context(t)
	s := serve(t, nil)
	p, far := far(t, s, 0)
	near := dial(t, s, "ring")
	for range 50 {
		mine := must[*manager.RLock](t)(manager.NewRLock(ctx, far, named("lock")))
		theirs := must[*manager.RLock](t)(manager.NewRLock(ctx, near, named("lock")))
		perms := must[*manager.BoundedSemaphore](t)(manager.NewBoundedSemaphore(ctx, far, named("permits"), 3))
		cutting := make(chan struct{})
		go func() {
			p.cut()
			close(cutting)
		}()
		depth, permits := 0, 0
		for range 3 {
			switch err := mine.Lock(ctx); {
			case err == nil:
				depth++
			case !cutOff(err):
				t.Fatal(err)
			}
			switch err := perms.TryAcquire(ctx); {
			case err == nil:
				permits++
			case !cutOff(err):
				t.Fatal(err)
			}
		}
		<-cutting
		proctest.Eventually(t, func() bool { return far.Ping(ctx) == nil }, "the connection to be made again")
		if n, err := mine.Depth(ctx); n != depth || err != nil {
			t.Fatalf("the lock is held %d times, %v; the client knows of %d", n, err, depth)
		}
		if n, err := perms.Value(ctx); n != 3-permits || err != nil {
			t.Fatalf("%d permits are free, %v; the client knows of %d", n, err, permits)
		}
		for range depth {
			is(t, theirs.TryLock(ctx), manager.ErrLocked)
			is(t, mine.Unlock(ctx))
		}
		for range permits {
			is(t, perms.Release(ctx))
		}
		is(t, theirs.TryLock(ctx))
		is(t, theirs.Unlock(ctx))
		is(t, errors.Join(mine.Close(), theirs.Close(), perms.Close()))
	}
}

// TestLockLinger keeps the lock of a client that is away, and takes it when it has been away for too long.
func TestLockLinger(t *testing.T) {
	ctx := proctest.Context(t)
	s := serve(t, &manager.ServerOptions{Linger: 100 * time.Millisecond})
	p, far := far(t, s, 0)
	near := dial(t, s, "ring")
	mine := must[*manager.Mutex](t)(manager.NewMutex(ctx, far, named("lock")))
	theirs := must[*manager.Mutex](t)(manager.NewMutex(ctx, near, named("lock")))
	is(t, mine.Lock(ctx))
	p.refuse(true)
	p.cut()
	is(t, theirs.Lock(ctx), manager.ErrOwnerDied)
	p.refuse(false)
	proctest.Eventually(t, func() bool { return errors.Is(mine.Unlock(ctx), manager.ErrNotOwner) }, "the client to be told that it has no lock")
	is(t, theirs.MarkConsistent(ctx))
	is(t, theirs.Unlock(ctx))
	is(t, mine.Lock(ctx))
}
