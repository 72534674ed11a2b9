package multiproc_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/fb2d3dbd/multiproc"
	"github.com/fb2d3dbd/multiproc/internal/proctest"
)

// work is what the consumers of these tests are given.
type work struct {
	Tasks *multiproc.Queue[string]
	Held  *multiproc.Queue[string]
	Ack   bool
}

// holder receives one task, tells of it, and then acknowledges it or waits to be killed.
var holder = multiproc.NewTarget("queue.holder", func(ctx context.Context, w work) error {
	d, err := w.Tasks.Receive(ctx)
	if err != nil {
		return err
	}
	if w.Ack {
		if err := d.Ack(); err != nil {
			return err
		}
	}
	if err := w.Held.Put(ctx, d.Value); err != nil {
		return err
	}
	select {}
})

func newWork(t *testing.T, o *multiproc.QueueOptions) work {
	return work{Tasks: newQueue[string](t, o), Held: newQueue[string](t, nil)}
}

// What a consumer held when it was killed is handed out again, with the count of its deliveries; what it had acknowledged
// is not.
func TestReceiveAgainAfterKill(t *testing.T) {
	ctx := proctest.Context(t)
	w := newWork(t, nil)
	for _, s := range []string{"acknowledged", "held", "waiting"} {
		check(t, w.Tasks.Put(ctx, s))
	}
	for _, ack := range []bool{true, false} {
		w.Ack = ack
		p := start(t, holder, w, nil)
		must(w.Held.Get(ctx))(t)
		kill(t, p)
	}
	// The queue is not empty, so no Receive sleeps: the death is found out all the same.
	var d *multiproc.Delivery[string]
	proctest.Eventually(t, func() bool {
		d = must(w.Tasks.Receive(ctx))(t)
		if d.Value == "held" {
			return true
		}
		check(t, d.Nack())
		return false
	}, "what the dead had held is handed out again")
	if d.Deliveries() != 2 {
		t.Errorf("it is said to be delivered %d times", d.Deliveries())
	}
	check(t, d.Ack())
	want(t, d.Ack(), multiproc.ErrNotHeld)
	want(t, d.Nack(), multiproc.ErrNotHeld)
	if v := must(w.Tasks.Get(ctx))(t); v != "waiting" {
		t.Errorf("got %q", v)
	}
	if n := must(w.Tasks.Len())(t); n != 0 {
		t.Errorf("%d values are left", n)
	}
}

// A get that waits for nothing but what a dead consumer held goes on.
func TestBlockedGetAfterKill(t *testing.T) {
	ctx := proctest.Context(t)
	w := newWork(t, nil)
	check(t, w.Tasks.Put(ctx, "only"))
	p := start(t, holder, w, nil)
	must(w.Held.Get(ctx))(t)
	got := make(chan error, 1)
	go func() {
		v, err := w.Tasks.Get(ctx)
		if err == nil && v != "only" {
			err = errors.New("got " + v)
		}
		got <- err
	}()
	kill(t, p)
	check(t, <-got)
}

// A value that kills everybody who takes it is set aside.
func TestDeadLetter(t *testing.T) {
	ctx := proctest.Context(t)
	w := newWork(t, &multiproc.QueueOptions{MaxDeliveries: 2})
	check(t, w.Tasks.Put(ctx, "poison"))
	for range 2 {
		p := start(t, holder, w, nil)
		must(w.Held.Get(ctx))(t)
		kill(t, p)
	}
	check(t, w.Tasks.Put(ctx, "good"))
	if v := must(w.Tasks.Get(ctx))(t); v != "good" {
		t.Errorf("got %q", v)
	}
	proctest.Eventually(t, func() bool {
		_, err := w.Tasks.TryGet() // lets the dead be found
		if err == nil {
			t.Fatal("the poison was handed out a third time")
		}
		d, err := w.Tasks.DeadLetter()
		if err != nil {
			return false
		}
		if d.Value != "poison" || d.Deliveries() != 2 {
			t.Errorf("the dead letter is %q, delivered %d times", d.Value, d.Deliveries())
		}
		check(t, d.Ack())
		return true
	}, "the poison is a dead letter")
	_, err := w.Tasks.DeadLetter()
	want(t, err, multiproc.ErrEmpty)
}

type joint struct {
	Tasks *multiproc.JoinableQueue[int]
	Done  *multiproc.Queue[int]
}

// worker does tasks; every seventh kills it once it has got it for the first time.
var worker = multiproc.NewTarget("queue.worker", func(ctx context.Context, j joint) error {
	for n, err := range j.Tasks.All(ctx) {
		if err != nil {
			return err
		}
		if err := j.Done.Put(ctx, n); err != nil {
			return err
		}
		if err := j.Tasks.Done(); err != nil {
			return err
		}
	}
	return j.Tasks.Done() // one too many
})

func TestJoinableQueue(t *testing.T) {
	ctx := proctest.Context(t)
	tasks := must(multiproc.NewJoinableQueue[int](&multiproc.QueueOptions{Capacity: 5}))(t)
	j := joint{tasks, newQueue[int](t, nil)}
	procs := []*multiproc.Process{start(t, worker, j, nil), start(t, worker, j, nil)}
	for i := range 100 {
		check(t, tasks.Put(ctx, i))
	}
	check(t, tasks.Join(ctx))
	var all []int
	for range 100 {
		all = append(all, must(j.Done.TryGet())(t)) // done means done: each has been put there
	}
	slices.Sort(all)
	for i, n := range all {
		if i != n {
			t.Fatalf("task %d was done %v", i, all)
		}
	}
	if empty, err := tasks.Empty(); !empty || err != nil || tasks.Cap() != 5 {
		t.Errorf("Empty returned %v, %v, and Cap %d", empty, err, tasks.Cap())
	}
	check(t, tasks.Close())
	for _, p := range procs {
		err := p.Wait(ctx)
		if err == nil {
			t.Error("a Done without a Get is no error")
		}
	}
	want(t, tasks.Done(), multiproc.ErrNotHeld)
	check(t, tasks.Free())
}

// What is received has its own Ack, and is not Done's.
func TestJoinableReceive(t *testing.T) {
	tasks := must(multiproc.NewJoinableQueue[int](&multiproc.QueueOptions{Capacity: 1}))(t)
	_, err := tasks.TryReceive()
	want(t, err, multiproc.ErrEmpty)
	check(t, tasks.TryPut(7))
	if full, err := tasks.Full(); !full || err != nil {
		t.Errorf("Full returned %v, %v", full, err)
	}
	d := must(tasks.TryReceive())(t)
	want(t, tasks.Done(), multiproc.ErrNotHeld)
	check(t, d.Ack())
	if n, err := tasks.Unfinished(); n != 0 || err != nil {
		t.Errorf("Unfinished returned %d, %v", n, err)
	}
	check(t, tasks.Free())
}

// A task that is given back too often is no work any more, and not lost.
func TestJoinableDeadLetter(t *testing.T) {
	ctx := proctest.Context(t)
	tasks := must(multiproc.NewJoinableQueue[int](&multiproc.QueueOptions{MaxDeliveries: 2}))(t)
	check(t, tasks.Put(ctx, 7))
	for range 2 {
		check(t, must(tasks.Receive(ctx))(t).Nack())
	}
	_, err := tasks.TryGet()
	want(t, err, multiproc.ErrEmpty)
	check(t, tasks.Join(ctx))
	d := must(tasks.DeadLetter())(t)
	if d.Value != 7 || d.Deliveries() != 2 {
		t.Errorf("%d was delivered %d times", d.Value, d.Deliveries())
	}
	check(t, d.Ack())
	_, err = tasks.DeadLetter()
	want(t, err, multiproc.ErrEmpty)
	check(t, tasks.Free())
}

// slowWorker takes one task and waits to be killed.
var slowWorker = multiproc.NewTarget("queue.slowWorker", func(ctx context.Context, j joint) error {
	n, err := j.Tasks.Get(ctx)
	if err != nil {
		return err
	}
	if err := j.Done.Put(ctx, n); err != nil {
		return err
	}
	select {}
})

// Join waits for what a dead worker had not done, until another has done it.
func TestJoinAfterKill(t *testing.T) {
	ctx := proctest.Context(t)
	j := joint{must(multiproc.NewJoinableQueue[int](nil))(t), newQueue[int](t, nil)}
	check(t, j.Tasks.Put(ctx, 1))
	p := start(t, slowWorker, j, nil)
	must(j.Done.Get(ctx))(t)
	_, err := j.Tasks.TryGet() // so that somebody is left who takes: Join would say that nobody is
	want(t, err, multiproc.ErrEmpty)
	joined := make(chan error, 1)
	go func() { joined <- j.Tasks.Join(ctx) }()
	kill(t, p)
	if n := must(j.Tasks.Unfinished())(t); n != 1 {
		t.Errorf("%d values are unfinished after the worker's death, want 1", n)
	}
	if v := must(j.Tasks.Get(ctx))(t); v != 1 {
		t.Errorf("got %d again", v)
	}
	check(t, j.Tasks.Done())
	check(t, <-joined)
	check(t, j.Tasks.Free())
}

type pairArg struct {
	In  *multiproc.SimpleQueue[any]
	Out *multiproc.Queue[any]
}

var echoOne = multiproc.NewTarget("queue.simpleEcho", func(ctx context.Context, p pairArg) error {
	v, err := p.In.Get(ctx)
	if err != nil {
		return err
	}
	return p.Out.Put(ctx, v)
})

func TestSimpleQueue(t *testing.T) {
	ctx := proctest.Context(t)
	in := must(multiproc.NewSimpleQueue[any]())(t)
	out := newQueue[any](t, nil)
	p := start(t, echoOne, pairArg{in, out}, nil)
	check(t, in.Put(ctx, []any{42, nil, "hello"}))
	v := must(out.Get(ctx))(t)
	if got, ok := v.([]any); !ok || len(got) != 3 || got[0] != 42 || got[1] != nil || got[2] != "hello" {
		t.Errorf("got %#v", v)
	}
	wait(t, p)
	if empty := must(in.Empty())(t); !empty {
		t.Error("the queue is not empty")
	}
	// The echo was the only one who could have put anything, and it is gone.
	_, err := out.Get(ctx)
	want(t, err, multiproc.ErrPeerDied)
	check(t, in.Close())
	want(t, in.Put(ctx, 1), multiproc.ErrClosed)
	check(t, in.Free())
}

// silent has the queues open and does nothing with them.
var silent = multiproc.NewTarget("queue.silent", func(ctx context.Context, w work) error {
	if err := w.Held.Put(ctx, "here"); err != nil {
		return err
	}
	select {}
})

// Who waits for the last peer hears of its death, whichever side it was on, and not before.
func TestPeerDied(t *testing.T) {
	mixed(t)
	ctx := proctest.Context(t)
	w := newWork(t, &multiproc.QueueOptions{Capacity: 1})
	a, b := start(t, silent, w, nil), start(t, silent, w, nil)
	must(w.Held.Get(ctx))(t)
	must(w.Held.Get(ctx))(t)
	var wg sync.WaitGroup
	errs := make(chan error, 2)
	wg.Go(func() { _, err := w.Tasks.Get(ctx); errs <- err })
	kill(t, a)
	select {
	case err := <-errs:
		t.Fatalf("with a peer left, Get returned %v", err)
	default:
	}
	kill(t, b)
	want(t, <-errs, multiproc.ErrPeerDied)
	wg.Wait()

	full := newWork(t, &multiproc.QueueOptions{Capacity: 1})
	check(t, full.Tasks.Put(ctx, "stays"))
	a = start(t, silent, full, nil)
	must(full.Held.Get(ctx))(t)
	wg.Go(func() { errs <- full.Tasks.Put(ctx, "waits") })
	kill(t, a)
	want(t, <-errs, multiproc.ErrPeerDied)
	wg.Wait()
	if v := must(full.Tasks.Get(ctx))(t); v != "stays" {
		t.Errorf("got %q", v)
	}
}

func TestCloseWrite(t *testing.T) {
	ctx := proctest.Context(t)
	w := newWork(t, nil)
	a := start(t, silent, w, nil)
	must(w.Held.Get(ctx))(t)
	check(t, w.Tasks.Put(ctx, "last"))
	check(t, w.Tasks.CloseWrite())
	want(t, w.Tasks.Put(ctx, "more"), multiproc.ErrClosed)
	kill(t, a)
	if v := must(w.Tasks.Get(ctx))(t); v != "last" {
		t.Errorf("got %q", v)
	}
	_, err := w.Tasks.Get(ctx)
	want(t, err, multiproc.ErrPeerDied)
}
