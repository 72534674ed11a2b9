package manager_test

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/fb2d3dbd/multiproc"
	"github.com/fb2d3dbd/multiproc/internal/proctest"
	"github.com/fb2d3dbd/multiproc/manager"
)

// A victim is a process that uses one of everything, to be killed. Over a network it connects by itself, else it has the proxies from its parent.
type victim struct {
	Does             string
	Address          string
	Key              []byte
	Ready            *manager.Event
	Mutex            *manager.Mutex
	RLock            *manager.RLock
	Semaphore        *manager.Semaphore
	BoundedSemaphore *manager.BoundedSemaphore
	Cond             *manager.Cond
	Event            *manager.Event
	Barrier          *manager.Barrier
	Queue            *manager.Queue[int]
	Full             *manager.Queue[int]
	Work             *manager.JoinableQueue[int]
}

// open makes the proxies.
func (v *victim) open(ctx context.Context, m *manager.Manager) error {
	var errs [11]error
	v.Ready, errs[0] = manager.NewEvent(ctx, m, named("ready"))
	v.Mutex, errs[1] = manager.NewMutex(ctx, m, named("mutex"))
	v.RLock, errs[2] = manager.NewRLock(ctx, m, named("rlock"))
	v.Semaphore, errs[3] = manager.NewSemaphore(ctx, m, named("semaphore"), 2)
	v.BoundedSemaphore, errs[4] = manager.NewBoundedSemaphore(ctx, m, named("bounded"), 2)
	v.Cond, errs[5] = manager.NewCond(ctx, m, named("cond"), nil)
	v.Event, errs[6] = manager.NewEvent(ctx, m, named("event"))
	v.Barrier, errs[7] = manager.NewBarrier(ctx, m, named("barrier"), 3)
	v.Queue, errs[8] = manager.NewQueue[int](ctx, m, named("queue"), 0)
	v.Full, errs[9] = manager.NewQueue[int](ctx, m, named("full"), 1)
	v.Work, errs[10] = manager.NewJoinableQueue[int](ctx, m, named("work"), 0)
	return errors.Join(errs[:]...)
}

var dies = multiproc.NewTarget("manager/victim", func(ctx context.Context, v victim) error {
	if v.Address != "" {
		m, err := manager.Dial(ctx, "tcp", v.Address, &manager.DialOptions{Key: v.Key})
		if err != nil {
			return err
		}
		if err := v.open(ctx, m); err != nil {
			return err
		}
	}
	switch v.Does {
	case "holds":
		err := errors.Join(v.Mutex.Lock(ctx), v.RLock.Lock(ctx), v.RLock.Lock(ctx), v.Semaphore.Acquire(ctx), v.BoundedSemaphore.Acquire(ctx), v.BoundedSemaphore.Acquire(ctx),
			v.Cond.Lock(ctx), v.Semaphore.Consume(ctx))
		if err != nil {
			return err
		}
	case "waits":
		if err := v.Cond.Lock(ctx); err != nil {
			return err
		}
		for _, fn := range []func(context.Context) error{v.Mutex.Lock, v.RLock.Lock, v.Semaphore.Acquire, v.BoundedSemaphore.Acquire, v.Semaphore.Consume, v.Cond.Wait, v.Event.Wait} {
			go func() { _ = fn(ctx) }()
		}
		go func() { _, _ = v.Barrier.Wait(ctx) }()
	case "gets":
		for range 3 {
			_, err := v.Queue.Get(ctx)
			_, err2 := v.Work.Get(ctx)
			if err := errors.Join(err, err2); err != nil {
				return err
			}
		}
		if err := v.Work.Done(ctx); err != nil {
			return err
		}
	case "forgets": // to say that it has something
		if err := manager.GetUnconfirmed(ctx, v.Queue, 3); err != nil {
			return err
		}
	case "queues":
		go func() { _, _ = v.Queue.Get(ctx) }()
		go func() { _, _ = v.Work.Get(ctx) }()
		go func() { _ = v.Full.Put(ctx, 2) }()
		go func() { _ = v.Work.Join(ctx) }()
	case "acts":
		_, err := v.Barrier.WaitAction(ctx, func() error {
			if err := v.Ready.Set(ctx); err != nil {
				return err
			}
			select {}
		})
		return err
	}
	if err := v.Ready.Set(ctx); err != nil {
		return err
	}
	select {}
})

// victims calls fn for each transport, with a server, proxies of a client that lives, and a function that starts a victim and returns what kills it.
func victims(t *testing.T, fn func(t *testing.T, s *manager.Server, v *victim, start func(does string) (kill func()))) {
	for _, transport := range []string{"ring", "unix", "tcp"} {
		t.Run(transport, func(t *testing.T) {
			ctx := proctest.Context(t)
			s := serve(t, &manager.ServerOptions{Linger: 10 * time.Millisecond})
			v := &victim{}
			check(t, v.open(ctx, dial(t, s, transport)))
			fn(t, s, v, func(does string) func() {
				theirs := *v
				if transport == "tcp" {
					a := must[net.Addr](t)(s.Listen("tcp", ""))
					theirs = victim{Address: a.String(), Key: s.Key()}
				}
				theirs.Does = does
				check(t, v.Ready.Clear(ctx))
				before := s.Stats().Sessions
				p, err := dies.Start(ctx, theirs, nil)
				check(t, err)
				check(t, v.Ready.Wait(ctx))
				return func() {
					check(t, p.Kill())
					_ = p.Wait(ctx)
					proctest.Eventually(t, func() bool { return s.Stats().Sessions == before }, "the session to end")
				}
			})
		})
	}
}

// TestDeathOfHolder kills a process that holds everything: who waits gets it, and is told.
func TestDeathOfHolder(t *testing.T) {
	victims(t, func(t *testing.T, s *manager.Server, v *victim, start func(string) func()) {
		ctx := proctest.Context(t)
		kill := start("holds")
		locks := []interface {
			Lock(context.Context) error
			MarkConsistent(context.Context) error
			Unlock(context.Context) error
		}{v.Mutex, v.RLock, v.Cond.Locker()}
		is(t, v.Mutex.TryLock(ctx), manager.ErrLocked)
		is(t, v.RLock.TryLock(ctx), manager.ErrLocked)
		is(t, v.Cond.Notify(ctx, 1), manager.ErrNotOwner)
		is(t, v.BoundedSemaphore.Release(ctx), manager.ErrNotOwner)
		is(t, v.Semaphore.TryAcquire(ctx), manager.ErrLocked)
		got := make(chan error, 5)
		for _, l := range locks {
			go func() { got <- l.Lock(ctx) }()
		}
		go func() { got <- v.Semaphore.Acquire(ctx) }()
		go func() { got <- v.BoundedSemaphore.Acquire(ctx) }()
		proctest.Eventually(t, func() bool { return s.Stats().Waiting == 5 }, "all to wait")
		kill()
		for range 5 {
			is(t, <-got, manager.ErrOwnerDied)
		}
		is(t, v.BoundedSemaphore.TryAcquire(ctx), manager.ErrOwnerDied)
		is(t, v.Semaphore.TryAcquire(ctx), manager.ErrLocked) // the other one was consumed
		is(t, v.BoundedSemaphore.Release(ctx))
		is(t, v.BoundedSemaphore.Acquire(ctx))
		for _, l := range locks {
			is(t, l.Unlock(ctx))
			is(t, l.Lock(ctx), manager.ErrOwnerDied) // nobody has mended what it guards
			is(t, l.MarkConsistent(ctx))
			is(t, l.Unlock(ctx))
			is(t, l.Lock(ctx))
		}
		settled(t, s)
	})
}

// TestDeathOfWaiter kills a process that waits for everything: nothing is left of it, and nothing goes to it.
func TestDeathOfWaiter(t *testing.T) {
	victims(t, func(t *testing.T, s *manager.Server, v *victim, start func(string) func()) {
		ctx := proctest.Context(t)
		for _, l := range []manager.Locker{v.Mutex, v.RLock} {
			is(t, l.Lock(ctx))
		}
		for range 2 {
			is(t, v.Semaphore.Acquire(ctx))
			is(t, v.BoundedSemaphore.Acquire(ctx))
		}
		kill := start("waits")
		waiting(t, v.Cond, 1)
		arrived(t, v.Barrier, 1)
		proctest.Eventually(t, func() bool { return s.Stats().Waiting == 8 }, "it to wait")
		// Those who come behind it.
		notified := make(chan error, 1)
		is(t, v.Cond.Lock(ctx))
		go func() { notified <- v.Cond.Wait(ctx) }()
		waiting(t, v.Cond, 2)
		broken := make(chan error, 1)
		go func() {
			_, err := v.Barrier.Wait(ctx)
			broken <- err
		}()
		arrived(t, v.Barrier, 2)
		// It is notified, and cannot have the lock before it dies.
		is(t, v.Cond.Lock(ctx))
		is(t, v.Cond.Notify(ctx, 1))
		kill()
		is(t, <-broken, manager.ErrBrokenBarrier)
		waiting(t, v.Cond, 0)
		is(t, v.Cond.Unlock(ctx))
		is(t, <-notified)
		is(t, v.Cond.Unlock(ctx))
		settled(t, s)
		for _, l := range []manager.Locker{v.Mutex, v.RLock} {
			is(t, l.Unlock(ctx))
			is(t, l.Lock(ctx))
			is(t, l.Unlock(ctx))
		}
		for range 2 {
			is(t, v.Semaphore.Release(ctx))
			is(t, v.BoundedSemaphore.Release(ctx))
		}
		for range 2 {
			is(t, v.Semaphore.TryAcquire(ctx))
			is(t, v.BoundedSemaphore.TryAcquire(ctx))
		}
	})
}

// TestDeathOfNotified kills a process that waits at a condition, while it is notified: the notification is never lost, or the lock's next owner is told.
func TestDeathOfNotified(t *testing.T) {
	victims(t, func(t *testing.T, s *manager.Server, v *victim, start func(string) func()) {
		ctx := proctest.Context(t)
		for range 3 {
			kill := start("waits")
			waiting(t, v.Cond, 1)
			notified := make(chan error, 1)
			lock(t, ctx, v.Cond.Locker())
			go func() {
				err := v.Cond.Wait(ctx)
				if err == nil || errors.Is(err, manager.ErrOwnerDied) {
					err = errors.Join(v.Cond.Locker().MarkConsistent(ctx), v.Cond.Unlock(ctx))
				}
				notified <- err
			}()
			waiting(t, v.Cond, 2)
			killed := make(chan struct{})
			go func() {
				kill()
				close(killed)
			}()
			lock(t, ctx, v.Cond.Locker())
			is(t, v.Cond.Notify(ctx, 1))
			is(t, v.Cond.Unlock(ctx))
			// The victim does not unlock: it dies with the lock, or without.
			<-killed
			lock(t, ctx, v.Cond.Locker())
			if n, err := v.Cond.Waiting(ctx); err != nil {
				t.Fatal(err)
			} else if n == 1 { // the victim had taken it before it died
				is(t, v.Cond.Notify(ctx, 1))
			}
			is(t, v.Cond.Unlock(ctx))
			is(t, <-notified)
			is(t, v.Barrier.Reset(ctx))
			settled(t, s)
		}
	})
}

// lock takes a lock, whoever has died, and mends what it guards.
func lock(t testing.TB, ctx context.Context, l manager.Locker) {
	t.Helper()
	err := l.Lock(ctx)
	if errors.Is(err, manager.ErrOwnerDied) {
		err = l.MarkConsistent(ctx)
	}
	check(t, err)
}

// TestDeathOfActor kills a process that runs a barrier's action.
func TestDeathOfActor(t *testing.T) {
	victims(t, func(t *testing.T, s *manager.Server, v *victim, start func(string) func()) {
		ctx := proctest.Context(t)
		errs := make(chan error, 3)
		come := func() {
			_, err := v.Barrier.Wait(ctx)
			errs <- err
		}
		go come()
		go come()
		arrived(t, v.Barrier, 2)
		kill := start("acts")
		go come() // for the next round
		proctest.Eventually(t, func() bool { return s.Stats().Waiting == 3 }, "one more to come")
		kill()
		for range 3 {
			is(t, <-errs, manager.ErrBrokenBarrier)
		}
		is(t, v.Barrier.Reset(ctx))
		for range 3 {
			go come()
		}
		for range 3 {
			is(t, <-errs)
		}
		settled(t, s)
	})
}

// TestDeathWithValues kills a process that has got values from queues.
func TestDeathWithValues(t *testing.T) {
	victims(t, func(t *testing.T, s *manager.Server, v *victim, start func(string) func()) {
		ctx := proctest.Context(t)
		for i := range 6 {
			is(t, v.Queue.Put(ctx, i))
			is(t, v.Work.Put(ctx, i))
		}
		kill := start("gets")
		joined := make(chan error, 1)
		go func() { joined <- v.Work.Join(ctx) }()
		proctest.Eventually(t, func() bool { return s.Stats().Waiting == 1 }, "Join to wait")
		kill()
		for want := 3; want < 6; want++ { // what it had got was its own
			if got, err := v.Queue.TryGet(ctx); got != want || err != nil {
				t.Fatal(got, err)
			}
		}
		for want := 1; want < 6; want++ { // one was done
			if got, err := v.Work.TryGet(ctx); got != want || err != nil {
				t.Fatal(got, err)
			}
			is(t, v.Work.Done(ctx))
		}
		is(t, <-joined)
		settled(t, s)

		for i := range 6 {
			is(t, v.Queue.Put(ctx, i))
		}
		kill = start("forgets")
		if got, err := v.Queue.TryGet(ctx); got != 3 || err != nil {
			t.Fatal(got, err)
		}
		is(t, v.Queue.CloseQueue(ctx))
		ended := make(chan error, 1)
		got := make(chan int, 6)
		go func() {
			for x, err := range v.Queue.All(ctx) {
				if err != nil {
					ended <- err
				}
				got <- x
			}
			ended <- nil
		}()
		proctest.Eventually(t, func() bool { return s.Stats().Waiting == 1 }, "Get to wait for what may come back")
		kill()
		is(t, <-ended)
		close(got)
		all := map[int]int{}
		for x := range got {
			all[x]++
		}
		if len(all) != 5 || all[3] != 0 {
			t.Error(all)
		}
		settled(t, s)
	})
}

// TestDeathAtQueues kills a process that waits at queues.
func TestDeathAtQueues(t *testing.T) {
	victims(t, func(t *testing.T, s *manager.Server, v *victim, start func(string) func()) {
		ctx := proctest.Context(t)
		is(t, v.Full.Put(ctx, 1))
		is(t, v.Work.Put(ctx, 1))
		if _, err := v.Work.Get(ctx); err != nil {
			t.Fatal(err)
		}
		kill := start("queues")
		proctest.Eventually(t, func() bool { return s.Stats().Waiting == 4 }, "it to wait")
		kill()
		settled(t, s)
		is(t, v.Queue.Put(ctx, 1))
		is(t, v.Work.Put(ctx, 2))
		for _, get := range []func(context.Context) (int, error){v.Queue.TryGet, v.Work.TryGet, v.Full.TryGet} {
			if _, err := get(ctx); err != nil {
				t.Error(err)
			}
		}
		if _, err := v.Full.TryGet(ctx); !errors.Is(err, manager.ErrEmpty) {
			t.Error(err)
		}
		is(t, v.Work.Done(ctx))
		is(t, v.Work.Done(ctx))
		is(t, v.Work.Join(ctx))
		settled(t, s)
	})
}
