package manager_test

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/fb2d3dbd/multiproc/manager"
)

// A lock whose owner has gone comes with ErrOwnerDied: who gets it mends what it guards, and says so.
func ExampleMutex() {
	ctx := context.Background()
	s, err := manager.NewServer(nil)
	if err != nil {
		panic(err)
	}
	defer s.Close()
	one, err := s.Dial(ctx)
	if err != nil {
		panic(err)
	}
	another, err := s.Dial(ctx)
	if err != nil {
		panic(err)
	}
	defer another.Close()
	o := &manager.ObjectOptions{Name: "lock"}
	mu, err := manager.NewMutex(ctx, one, o)
	if err != nil {
		panic(err)
	}
	same, err := manager.NewMutex(ctx, another, o)
	if err != nil {
		panic(err)
	}
	fmt.Println(mu.Lock(ctx), errors.Is(same.TryLock(ctx), manager.ErrLocked))
	if err := one.Close(); err != nil { // as a death would
		panic(err)
	}
	fmt.Println(errors.Is(same.Lock(ctx), manager.ErrOwnerDied))
	fmt.Println(same.MarkConsistent(ctx), same.Unlock(ctx))
	// Output:
	// <nil> true
	// true
	// <nil> <nil>
}

// The holder of an RLock is the handle.
func ExampleRLock() {
	ctx := context.Background()
	m, err := manager.Start(ctx, nil)
	if err != nil {
		panic(err)
	}
	defer m.Close()
	l, err := manager.NewRLock(ctx, m, nil)
	if err != nil {
		panic(err)
	}
	fmt.Println(l.Lock(ctx), l.Lock(ctx))
	fmt.Println(l.Depth(ctx))
	fmt.Println(errors.Is(l.Handle().TryLock(ctx), manager.ErrLocked))
	fmt.Println(l.Unlock(ctx), l.Unlock(ctx))
	// Output:
	// <nil> <nil>
	// 2 <nil>
	// true
	// <nil> <nil>
}

// A semaphore lets so many in at a time.
func ExampleSemaphore() {
	ctx := context.Background()
	m, err := manager.Start(ctx, nil)
	if err != nil {
		panic(err)
	}
	defer m.Close()
	s, err := manager.NewSemaphore(ctx, m, nil, 2)
	if err != nil {
		panic(err)
	}
	fmt.Println(s.Acquire(ctx), s.Acquire(ctx), errors.Is(s.TryAcquire(ctx), manager.ErrLocked))
	fmt.Println(s.Release(ctx))
	fmt.Println(s.Value(ctx))
	// Output:
	// <nil> <nil> true
	// <nil>
	// 1 <nil>
}

// A bounded semaphore takes no more back than it gave out.
func ExampleBoundedSemaphore() {
	ctx := context.Background()
	m, err := manager.Start(ctx, nil)
	if err != nil {
		panic(err)
	}
	defer m.Close()
	s, err := manager.NewBoundedSemaphore(ctx, m, nil, 1)
	if err != nil {
		panic(err)
	}
	fmt.Println(s.Acquire(ctx), s.Release(ctx), errors.Is(s.Release(ctx), manager.ErrBound))
	// Output:
	// <nil> <nil> true
}

// One waits, with the lock of the condition, until another has changed something.
func ExampleCond() {
	ctx := context.Background()
	m, err := manager.Start(ctx, nil)
	if err != nil {
		panic(err)
	}
	defer m.Close()
	c, err := manager.NewCond(ctx, m, nil, nil)
	if err != nil {
		panic(err)
	}
	stock := 0
	var others sync.WaitGroup
	others.Go(func() {
		if err := c.Lock(ctx); err != nil {
			panic(err)
		}
		stock++
		fmt.Println("put", c.Notify(ctx, 1), c.Unlock(ctx))
	})
	if err := c.Lock(ctx); err != nil {
		panic(err)
	}
	if err := c.WaitFor(ctx, func() bool { return stock > 0 }); err != nil {
		panic(err)
	}
	stock--
	err = c.Unlock(ctx)
	others.Wait()
	fmt.Println("taken", err)
	// Output:
	// put <nil> <nil>
	// taken <nil>
}

// Everybody who waits goes on when the event is set.
func ExampleEvent() {
	ctx := context.Background()
	m, err := manager.Start(ctx, nil)
	if err != nil {
		panic(err)
	}
	defer m.Close()
	e, err := manager.NewEvent(ctx, m, nil)
	if err != nil {
		panic(err)
	}
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() { fmt.Println(e.Wait(ctx)) })
	}
	if err := e.Set(ctx); err != nil {
		panic(err)
	}
	all.Wait()
	// Output:
	// <nil>
	// <nil>
	// <nil>
}

// Nobody goes on before all have come, and the last has acted for all.
func ExampleBarrier() {
	ctx := context.Background()
	m, err := manager.Start(ctx, nil)
	if err != nil {
		panic(err)
	}
	defer m.Close()
	b, err := manager.NewBarrier(ctx, m, nil, 3)
	if err != nil {
		panic(err)
	}
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() {
			_, err := b.WaitAction(ctx, func() error {
				fmt.Println("all have come")
				return nil
			})
			if err != nil {
				panic(err)
			}
		})
	}
	all.Wait()
	// Output:
	// all have come
}

// The values of a queue come in their order, to whoever asks.
func ExampleQueue() {
	ctx := context.Background()
	m, err := manager.Start(ctx, nil)
	if err != nil {
		panic(err)
	}
	defer m.Close()
	q, err := manager.NewQueue[string](ctx, m, nil, 10)
	if err != nil {
		panic(err)
	}
	for _, s := range []string{"a", "b", "c"} {
		if err := q.Put(ctx, s); err != nil {
			panic(err)
		}
	}
	if err := q.CloseQueue(ctx); err != nil {
		panic(err)
	}
	for s, err := range q.All(ctx) {
		fmt.Println(s, err)
	}
	// Output:
	// a <nil>
	// b <nil>
	// c <nil>
}

// Join waits until all work is done: what a worker had in hand when it died is done by another.
func ExampleJoinableQueue() {
	ctx := context.Background()
	m, err := manager.Start(ctx, nil)
	if err != nil {
		panic(err)
	}
	defer m.Close()
	work, err := manager.NewJoinableQueue[int](ctx, m, nil, 0)
	if err != nil {
		panic(err)
	}
	sum, err := manager.NewValue(ctx, m, nil, 0)
	if err != nil {
		panic(err)
	}
	for i := range 10 {
		if err := work.Put(ctx, i); err != nil {
			panic(err)
		}
	}
	var workers sync.WaitGroup
	for range 2 {
		workers.Go(func() {
			for n, err := range work.All(ctx) {
				if err == nil {
					_, err = manager.UpdateValue(ctx, sum, addTo, n+1)
				}
				if err = errors.Join(err, work.Done(ctx)); err != nil {
					panic(err)
				}
			}
		})
	}
	fmt.Println(work.Join(ctx))
	fmt.Println(sum.Get(ctx))
	err = work.CloseQueue(ctx)
	workers.Wait()
	fmt.Println(err)
	// Output:
	// <nil>
	// 55 <nil>
	// <nil>
}
