package manager_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/fb2d3dbd/multiproc/internal/proctest"
	"github.com/fb2d3dbd/multiproc/manager"
)

// A puttable is what the two kinds of queues have in common.
type puttable[T any] interface {
	Put(context.Context, T) error
	TryPut(context.Context, T) error
	Get(context.Context) (T, error)
	TryGet(context.Context) (T, error)
	Len(context.Context) (int, error)
	Empty(context.Context) (bool, error)
	Full(context.Context) (bool, error)
	CloseQueue(context.Context) error
	Close() error
}

// queues makes a queue of each kind, for each of the clients.
func queues(t *testing.T, capacity, n int, fn func(t *testing.T, s *manager.Server, q []puttable[int])) {
	clients(t, n, func(t *testing.T, s *manager.Server, m []*manager.Manager) {
		ctx := proctest.Context(t)
		t.Run("Queue", func(t *testing.T) {
			var all []puttable[int]
			for _, m := range m {
				all = append(all, must[*manager.Queue[int]](t)(manager.NewQueue[int](ctx, m, named("queue"), capacity)))
			}
			fn(t, s, all)
		})
		t.Run("JoinableQueue", func(t *testing.T) {
			var all []puttable[int]
			for _, m := range m {
				all = append(all, must[*manager.JoinableQueue[int]](t)(manager.NewJoinableQueue[int](ctx, m, named("work"), capacity)))
			}
			fn(t, s, all)
		})
	})
}

func TestQueue(t *testing.T) {
	queues(t, 3, 2, func(t *testing.T, s *manager.Server, q []puttable[int]) {
		ctx := proctest.Context(t)
		if _, err := q[0].TryGet(ctx); !errors.Is(err, manager.ErrEmpty) {
			t.Error(err)
		}
		short, cancel := context.WithTimeout(ctx, 5*time.Millisecond)
		defer cancel()
		if _, err := q[0].Get(short); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		for i := range 3 {
			is(t, q[0].Put(ctx, i))
		}
		is(t, q[1].TryPut(ctx, 9), manager.ErrFull)
		if yes, err := q[1].Full(ctx); !yes || err != nil {
			t.Error(yes, err)
		}
		short, cancel = context.WithTimeout(ctx, 5*time.Millisecond)
		defer cancel()
		is(t, q[1].Put(short, 9), context.DeadlineExceeded)
		put := make(chan error, 1)
		go func() { put <- q[0].Put(ctx, 3) }()
		proctest.Eventually(t, func() bool { return s.Stats().Waiting == 1 }, "the put to wait")
		if v, err := q[1].Get(ctx); v != 0 || err != nil {
			t.Error(v, err)
		}
		is(t, <-put)
		for want := 1; want < 4; want++ {
			if v, err := q[1].TryGet(ctx); v != want || err != nil {
				t.Error(v, err)
			}
		}
		if yes, err := q[1].Empty(ctx); !yes || err != nil {
			t.Error(yes, err)
		}
		// Gets are served in their order.
		got := make([]chan int, 4)
		for i := range got {
			got[i] = make(chan int, 1)
			go func() {
				v, err := q[i%2].Get(ctx)
				if err != nil {
					t.Error(err)
				}
				got[i] <- v
			}()
			proctest.Eventually(t, func() bool { return s.Stats().Waiting == i+1 }, "one more to wait")
		}
		for i := range got {
			is(t, q[i%2].Put(ctx, i))
			if v := <-got[i]; v != i {
				t.Errorf("got %d instead of %d", v, i)
			}
		}
		// CloseQueue
		for i := range 3 {
			is(t, q[0].Put(ctx, i))
		}
		go func() { put <- q[0].Put(ctx, 3) }()
		proctest.Eventually(t, func() bool { return s.Stats().Waiting == 1 }, "the put to wait")
		is(t, q[1].CloseQueue(ctx))
		is(t, q[1].CloseQueue(ctx))
		is(t, <-put, manager.ErrClosed)
		is(t, q[0].TryPut(ctx, 1), manager.ErrClosed)
		for want := range 3 {
			if v, err := q[1].Get(ctx); v != want || err != nil {
				t.Error(v, err)
			}
		}
		for range 2 {
			if _, err := q[1].Get(ctx); !errors.Is(err, manager.ErrClosed) {
				t.Error(err)
			}
		}
		settled(t, s)
	})
}

// TestQueueMany has many goroutines put and get; some give up. Each value is got once, in the order of its producer.
func TestQueueMany(t *testing.T) {
	queues(t, 10, 3, func(t *testing.T, s *manager.Server, q []puttable[int]) {
		ctx := proctest.Context(t)
		const producers, consumers, each = 10, 10, 40
		var puts, gets sync.WaitGroup
		var mu sync.Mutex
		var all []int
		short := func(g, i int) (context.Context, context.CancelFunc) {
			if i%4 != 0 {
				return ctx, func() {}
			}
			return context.WithTimeout(ctx, time.Duration(g)*100*time.Microsecond)
		}
		for g := range producers {
			puts.Go(func() {
				for i := 0; i < each; {
					ctx, cancel := short(g, i)
					err := q[g%3].Put(ctx, g*each+i)
					cancel()
					switch {
					case err == nil:
						i++
					case !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, manager.ErrLost):
						t.Error(err)
						return
					case i%4 == 0:
						if err := q[g%3].Put(proctest.Context(t), g*each+i); err != nil {
							t.Error(err)
							return
						}
						i++
					}
				}
			})
		}
		for g := range consumers {
			gets.Go(func() {
				last := make([]int, producers)
				for i := 0; ; i++ {
					ctx, cancel := short(g, i)
					v, err := q[g%3].Get(ctx)
					cancel()
					if errors.Is(err, manager.ErrClosed) {
						return
					}
					if err != nil {
						if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, manager.ErrLost) {
							t.Error(err)
							return
						}
						continue
					}
					if last[v/each] > v+1 {
						t.Errorf("%d came after %d", v, last[v/each]-1)
					}
					last[v/each] = v + 1
					mu.Lock()
					all = append(all, v)
					mu.Unlock()
				}
			})
		}
		puts.Wait()
		is(t, q[0].CloseQueue(ctx))
		gets.Wait()
		slices.Sort(all)
		for i, v := range all {
			if i != v {
				t.Fatalf("%d at place %d of %d", v, i, len(all))
			}
		}
		if len(all) != producers*each {
			t.Errorf("%d values", len(all))
		}
	})
}

func TestQueueBatch(t *testing.T) {
	clients(t, 1, func(t *testing.T, s *manager.Server, m []*manager.Manager) {
		ctx := proctest.Context(t)
		q := must[*manager.Queue[any]](t)(manager.NewQueue[any](ctx, m[0], nil, 0))
		for i := range 10 {
			is(t, q.Put(ctx, i))
		}
		for _, want := range [][]any{{0, 1, 2, 3}, {4, 5, 6, 7}, {8, 9}} {
			if got, err := q.GetBatch(ctx, 4); !slices.Equal(got, want) || err != nil {
				t.Error(got, err)
			}
		}
		if _, err := q.GetBatch(ctx, 0); !errors.Is(err, manager.ErrValue) {
			t.Error(err)
		}
		is(t, q.Put(ctx, "last"))
		is(t, q.CloseQueue(ctx))
		for v, err := range q.All(ctx) {
			if v != "last" || err != nil {
				t.Error(v, err)
			}
		}
		is(t, q.Close())
		for _, err := range q.All(ctx) {
			is(t, err, manager.ErrClosed) // not the end of the values
		}
		if _, err := manager.NewQueue[int](ctx, m[0], nil, -1); !errors.Is(err, manager.ErrValue) {
			t.Error(err)
		}
		settled(t, s)
	})
}

// TestQueueOfProxies keeps what values refer to, as long as anybody may get it.
func TestQueueOfProxies(t *testing.T) {
	clients(t, 2, func(t *testing.T, s *manager.Server, m []*manager.Manager) {
		ctx := proctest.Context(t)
		type task struct {
			N    int
			List *manager.List[int]
		}
		q := must[*manager.Queue[task]](t)(manager.NewQueue[task](ctx, m[0], named("q"), 2))
		w := must[*manager.JoinableQueue[task]](t)(manager.NewJoinableQueue[task](ctx, m[0], named("w"), 2))
		for i := range 2 {
			l := must[*manager.List[int]](t)(manager.NewList(ctx, m[0], nil, i))
			is(t, errors.Join(q.Put(ctx, task{i, l}), w.Put(ctx, task{i, l}), l.Close()))
		}
		is(t, q.TryPut(ctx, task{}), manager.ErrFull)
		theirs := must[*manager.Queue[task]](t)(manager.NewQueue[task](ctx, m[1], named("q"), 2))
		work := must[*manager.JoinableQueue[task]](t)(manager.NewJoinableQueue[task](ctx, m[1], named("w"), 2))
		for i := range 2 {
			got := must[task](t)(theirs.Get(ctx))
			if all, err := got.List.Copy(ctx); got.N != i || len(all) != 1 || all[0] != i || err != nil {
				t.Error(got.N, all, err)
			}
			job := must[task](t)(work.Get(ctx))
			is(t, errors.Join(got.List.Close(), job.List.Close()))
		}
		is(t, errors.Join(theirs.Close(), work.Close()))
		is(t, m[1].Close()) // with two tasks in hand
		proctest.Eventually(t, func() bool { return s.Stats().Sessions == 1 }, "its session to end")
		for i := range 2 {
			job := must[task](t)(w.Get(ctx))
			if all, err := job.List.Copy(ctx); job.N != i || len(all) != 1 || all[0] != i || err != nil {
				t.Error(job.N, all, err)
			}
			is(t, errors.Join(job.List.Close(), w.Done(ctx)))
		}
		is(t, m[0].Delete(ctx, "q"))
		is(t, m[0].Delete(ctx, "w"))
		is(t, q.Put(ctx, task{}))
		is(t, errors.Join(q.Close(), w.Close()))
		proctest.Eventually(t, func() bool { return s.Stats().Objects == 0 }, "everything to be let go")
	})
}

func TestJoinableQueue(t *testing.T) {
	clients(t, 2, func(t *testing.T, s *manager.Server, m []*manager.Manager) {
		ctx := proctest.Context(t)
		a := must[*manager.JoinableQueue[int]](t)(manager.NewJoinableQueue[int](ctx, m[0], named("w"), 0))
		b := must[*manager.JoinableQueue[int]](t)(manager.NewJoinableQueue[int](ctx, m[1], named("w"), 0))
		is(t, a.Join(ctx))
		is(t, a.Done(ctx), manager.ErrNotHeld)
		for i := range 4 {
			is(t, a.Put(ctx, i))
		}
		short, cancel := context.WithTimeout(ctx, 5*time.Millisecond)
		defer cancel()
		is(t, a.Join(short), context.DeadlineExceeded)
		joined := make(chan error, 1)
		go func() { joined <- a.Join(ctx) }()
		proctest.Eventually(t, func() bool { return s.Stats().Waiting == 1 }, "Join to wait")
		is(t, a.Put(ctx, 4)) // after the Join
		for want := range 4 {
			q := []*manager.JoinableQueue[int]{a, b}[want%2]
			if v, err := q.Get(ctx); v != want || err != nil {
				t.Fatal(v, err)
			}
		}
		if n, err := a.Unfinished(ctx); n != 5 || err != nil {
			t.Error(n, err)
		}
		is(t, a.Done(short))
		is(t, b.Done(ctx))
		is(t, m[1].Close()) // with 3 in hand
		proctest.Eventually(t, func() bool { return s.Stats().Sessions == 1 }, "its session to end")
		if v, err := a.Get(ctx); v != 3 || err != nil {
			t.Fatal(v, err)
		}
		is(t, a.Done(ctx))
		select {
		case err := <-joined:
			t.Fatal("too early", err)
		case <-time.After(time.Millisecond):
		}
		is(t, a.Done(ctx))
		is(t, <-joined)
		is(t, a.Done(ctx), manager.ErrNotHeld)
		if n, err := a.Unfinished(ctx); n != 1 || err != nil {
			t.Error(n, err)
		}
		settled(t, s)
	})
}

// TestQueueGone ends those who wait at a queue to which nobody refers any more.
func TestQueueGone(t *testing.T) {
	queues(t, 1, 1, func(t *testing.T, s *manager.Server, q []puttable[int]) {
		ctx := proctest.Context(t)
		m := dial(t, s, "ring")
		full := must[*manager.JoinableQueue[int]](t)(manager.NewJoinableQueue[int](ctx, m, nil, 1))
		none := must[*manager.Queue[int]](t)(manager.NewQueue[int](ctx, m, nil, 1))
		is(t, full.Put(ctx, 1))
		errs := make(chan error, 3)
		go func() { errs <- full.Put(ctx, 2) }()
		go func() { errs <- full.Join(ctx) }()
		go func() { _, err := none.Get(ctx); errs <- err }()
		proctest.Eventually(t, func() bool { return s.Stats().Waiting == 3 }, "all to wait")
		is(t, errors.Join(full.Close(), none.Close()))
		for range 3 {
			is(t, <-errs, manager.ErrGone)
		}
		settled(t, s)
	})
}

// TestQueueLost cuts a connection while values are on their way: none is lost, none comes twice.
func TestQueueLost(t *testing.T) {
	ctx := proctest.Context(t)
	s := serve(t, nil)
	p, far := far(t, s, 0)
	near := dial(t, s, "ring")
	mine := must[*manager.Queue[int]](t)(manager.NewQueue[int](ctx, far, named("queue"), 0))
	theirs := must[*manager.Queue[int]](t)(manager.NewQueue[int](ctx, near, named("queue"), 0))
	work := must[*manager.JoinableQueue[int]](t)(manager.NewJoinableQueue[int](ctx, far, named("work"), 0))
	const values = 600
	for i := range values {
		is(t, theirs.Put(ctx, i))
		is(t, work.Put(ctx, i))
	}
	is(t, theirs.CloseQueue(ctx))
	stop := make(chan struct{})
	var cutting sync.WaitGroup
	cutting.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(3 * time.Millisecond):
				p.cut()
			}
		}
	})
	var got []int
	lost := 0
	for {
		v, err := mine.Get(ctx)
		if errors.Is(err, manager.ErrClosed) {
			if !cutOff(err) { // else the connection was closed, and not the queue
				break
			}
		}
		if err == nil {
			got = append(got, v)
		} else if lost++; !cutOff(err) {
			t.Fatal(err)
		}
	}
	for i, v := range got {
		if i != v {
			t.Errorf("%d at place %d", v, i)
			break
		}
	}
	if len(got) != values || !slices.IsSorted(got) {
		t.Errorf("%d values, sorted: %v; %d answers were lost", len(got), slices.IsSorted(got), lost)
	}
	got, held := nil, 0
	for len(got) < values {
		v, err := work.Get(ctx)
		if err == nil {
			got = append(got, v)
			held++
		} else if !cutOff(err) {
			t.Fatal(err)
		}
	}
	close(stop)
	cutting.Wait()
	proctest.Eventually(t, func() bool { return far.Ping(ctx) == nil }, "the connection to be made again")
	if !slices.IsSorted(got) {
		t.Error(fmt.Sprint(got))
	}
	for range held {
		is(t, work.Done(ctx))
	}
	is(t, work.Done(ctx), manager.ErrNotHeld)
	is(t, work.Join(ctx))
	settled(t, s)
}

// cutOff reports whether an error is one of a connection that was cut: in a call, or when it was being made.
func cutOff(err error) bool {
	return errors.Is(err, manager.ErrLost) || errors.Is(err, manager.ErrServer) || errors.Is(err, manager.ErrAuthentication)
}
