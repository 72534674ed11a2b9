package multiproc_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/fb2d3dbd/multiproc"
	"github.com/fb2d3dbd/multiproc/internal/proctest"
	"github.com/fb2d3dbd/multiproc/shm"
)

// All locks at once, as a child gets them.
type locks struct {
	RW      *multiproc.RWMutex
	R       *multiproc.RLock
	Sem     *multiproc.Semaphore
	Bounded *multiproc.BoundedSemaphore
	Event   *multiproc.Event
	Ready   *multiproc.Event
}

func newLocks(t *testing.T) locks {
	t.Helper()
	return locks{
		must(multiproc.NewRWMutex(nil))(t), must(multiproc.NewRLock())(t), must(multiproc.NewSemaphore(2, nil))(t),
		must(multiproc.NewBoundedSemaphore(2))(t), must(multiproc.NewEvent())(t), must(multiproc.NewEvent())(t),
	}
}

// holdAll takes everything and waits to be killed.
var holdAll = multiproc.NewTarget("hold all locks", func(ctx context.Context, l locks) error {
	if err := errors.Join(l.RW.Lock(ctx), l.R.Lock(ctx), l.R.Lock(ctx), l.Sem.Acquire(ctx), l.Bounded.Acquire(ctx), l.Ready.Set()); err != nil {
		return err
	}
	return l.Event.Wait(ctx)
})

func isPID(t *testing.T, what string, pid int, all ...shm.Participant) {
	t.Helper()
	if !slices.ContainsFunc(all, func(p shm.Participant) bool { return p.PID == pid }) {
		t.Errorf("%s: process %d is not among %v", what, pid, all)
	}
}

// A process that is stopped keeps what it holds; when it is killed its permits come back, and its locks with the news.
func TestLocksOfAnotherProcess(t *testing.T) {
	ctx := proctest.Context(t)
	l := newLocks(t)
	p := start(t, holdAll, l, nil)
	check(t, l.Ready.Wait(ctx))
	w, _ := l.RW.Holder()
	r, _ := l.R.Holder()
	isPID(t, "RWMutex", p.PID(), w)
	isPID(t, "RLock", p.PID(), r)
	isPID(t, "Semaphore", p.PID(), l.Sem.Holders()...)
	isPID(t, "BoundedSemaphore", p.PID(), l.Bounded.Holders()...)
	proctest.Stop(t, p.PID())
	short, cancel := context.WithTimeout(ctx, 120*time.Millisecond)
	defer cancel()
	for name, err := range map[string]error{
		"RW.Lock": l.RW.Lock(short), "RW.RLock": l.RW.RLock(short), "R.Lock": l.R.Lock(short),
		"RW.TryLock": l.RW.TryLock(), "RW.TryRLock": l.RW.TryRLock(), "R.TryLock": l.R.TryLock(),
	} {
		if !errors.Is(err, context.DeadlineExceeded) && err != multiproc.ErrLocked {
			t.Errorf("%s, held by a stopped process, returned %v", name, err)
		}
	}
	check(t, l.Sem.Acquire(ctx))
	check(t, l.Bounded.Acquire(ctx))
	want(t, l.Sem.TryAcquire(), multiproc.ErrLocked)
	want(t, l.Bounded.TryAcquire(), multiproc.ErrLocked)
	want(t, l.Event.Wait(short), context.DeadlineExceeded)
	kill(t, p)
	want(t, l.RW.RLock(ctx), multiproc.ErrDamaged)
	want(t, l.RW.Lock(ctx), multiproc.ErrOwnerDied)
	want(t, l.R.Lock(ctx), multiproc.ErrOwnerDied)
	check(t, l.RW.MarkConsistent())
	check(t, l.R.MarkConsistent())
	check(t, l.RW.Unlock())
	check(t, l.R.Unlock())
	check(t, l.RW.RLock(ctx))
	isPID(t, "Readers", os.Getpid(), l.RW.Readers()...)
	check(t, l.RW.RUnlock())
	check(t, l.Sem.Acquire(ctx))
	check(t, l.Bounded.Acquire(ctx))
	for _, free := range []func() error{l.RW.Free, l.R.Free, l.Sem.Free, l.Bounded.Free, l.Event.Free} {
		check(t, free())
	}
}

func TestRLock(t *testing.T) {
	ctx := proctest.Context(t)
	l := must(multiproc.NewRLock())(t)
	for range 3 {
		check(t, l.Lock(ctx))
	}
	if l.Depth() != 3 || !l.Locked() {
		t.Errorf("locked %d times, %v", l.Depth(), l.Locked())
	}
	want(t, l.Handle().TryLock(), multiproc.ErrLocked)
	for range 3 {
		check(t, l.Unlock())
	}
	want(t, l.Unlock(), multiproc.ErrNotOwner)
}

func value(t *testing.T, s interface{ Value() (int, error) }, n int) {
	t.Helper()
	if got := must(s.Value())(t); got != n {
		t.Errorf("the value is %d, want %d", got, n)
	}
}

func TestSemaphore(t *testing.T) {
	ctx := proctest.Context(t)
	s := must(multiproc.NewSemaphore(2, nil))(t)
	b := must(multiproc.NewBoundedSemaphore(2))(t)
	for n := 2; n > 0; n-- {
		value(t, s, n)
		value(t, b, n)
		check(t, s.Acquire(ctx))
		check(t, b.Acquire(ctx))
	}
	want(t, s.TryAcquire(), multiproc.ErrLocked)
	want(t, b.TryAcquire(), multiproc.ErrLocked)
	short, cancel := context.WithTimeout(ctx, time.Millisecond)
	defer cancel()
	want(t, s.Acquire(short), context.DeadlineExceeded)
	want(t, b.Acquire(ended()), context.Canceled)
	for n := range 4 {
		value(t, s, n)
		check(t, s.Release())
	}
	check(t, b.Release())
	check(t, b.Release())
	want(t, b.Release(), multiproc.ErrBound)
	value(t, s, 4)
	value(t, b, 2)
	if _, err := multiproc.NewSemaphore(-1, nil); err == nil {
		t.Error("a semaphore with -1 permits was made")
	}
	if _, err := multiproc.NewSemaphore(3, &multiproc.SemaphoreOptions{Max: 2}); err == nil {
		t.Error("a semaphore with 3 permits of at most 2 was made")
	}
	if _, err := multiproc.NewBoundedSemaphore(0); err == nil {
		t.Error("a bounded semaphore without permits was made")
	}
}

var setEvent = multiproc.NewTarget("set an event", func(_ context.Context, e *multiproc.Event) error { return e.Set() })

func TestEvent(t *testing.T) {
	ctx := proctest.Context(t)
	e := must(multiproc.NewEvent())(t)
	set := func(is bool) {
		t.Helper()
		if got := must(e.IsSet())(t); got != is {
			t.Errorf("IsSet returned %v", got)
		}
	}
	set(false)
	want(t, e.Wait(ended()), context.Canceled)
	short, cancel := context.WithTimeout(ctx, 5*time.Millisecond)
	defer cancel()
	want(t, e.Wait(short), context.DeadlineExceeded)
	check(t, e.Set())
	set(true)
	check(t, e.Wait(ended()))
	check(t, e.Clear())
	set(false)
	p := start(t, setEvent, e, nil)
	check(t, e.Wait(ctx))
	set(true)
	wait(t, p)
}

type numbersOf struct {
	I    *multiproc.Value[int32]
	D    *multiproc.Value[float64]
	H    *multiproc.Value[int16]
	Raw  *shm.Value[int64]
	List *multiproc.Array[int32]
	Bare *shm.Array[int32]
}

func sumUpTo(x []int32) {
	for i := 1; i < len(x); i++ {
		x[i] += x[i-1]
	}
}

var changeNumbers = multiproc.NewTarget("change numbers", func(ctx context.Context, n numbersOf) error {
	sumUpTo(n.Bare.Elems())
	return errors.Join(n.I.Store(24234), n.D.Store(-4.25), n.H.Store(234), n.Raw.Store(1<<34), n.List.Update(ctx, sumUpTo))
})

func TestValuesAndArraysInAnotherProcess(t *testing.T) {
	seq := []int32{680, 626, 934, 821, 150, 233, 548, 982, 714, 831}
	n := numbersOf{
		must(multiproc.NewValue[int32](4343))(t), must(multiproc.NewValue(3.625))(t), must(multiproc.NewValue[int16](-232))(t),
		must(multiproc.NewRawValue[int64](1 << 33))(t), must(multiproc.ArrayOf(seq...))(t), must(multiproc.NewRawArray[int32](len(seq)))(t),
	}
	check(t, n.Bare.CopyFrom(0, seq))
	if x := must(n.List.At(3))(t); x != 821 || n.List.Len() != 10 || n.Bare.Len() != 10 {
		t.Errorf("element 3 is %d", x)
	}
	check(t, n.List.Shared().CopyFrom(4, []int32{1, 2, 3, 4}))
	check(t, n.Bare.CopyFrom(4, []int32{1, 2, 3, 4}))
	copy(seq[4:], []int32{1, 2, 3, 4})
	wait(t, start(t, changeNumbers, n, nil))
	i, d, h, raw := must(n.I.Load())(t), must(n.D.Load())(t), must(n.H.Load())(t), must(n.Raw.Load())(t)
	if i != 24234 || d != -4.25 || h != 234 || raw != 1<<34 {
		t.Errorf("the values are %d, %g, %d and %d", i, d, h, raw)
	}
	sumUpTo(seq)
	if !slices.Equal(n.List.Shared().Elems(), seq) || !slices.Equal(n.Bare.Elems(), seq) {
		t.Errorf("the arrays are %v and %v, want %v", n.List.Shared().Elems(), n.Bare.Elems(), seq)
	}
}

// New memory is zeros, also where other memory was before.
func TestArrayIsZeros(t *testing.T) {
	for range 3 {
		a := must(multiproc.NewArray[int32](10))(t)
		for i, x := range a.All() {
			if x != 0 {
				t.Errorf("element %d is %d", i, x)
			}
			check(t, a.Set(i, int32(i)))
		}
		check(t, a.Free())
	}
}

type sameLock struct {
	A, B *multiproc.Value[int]
	List *multiproc.Array[int]
}

// move takes one from A to B under their lock.
func (s sameLock) move(ctx context.Context) error {
	if err := s.A.Mutex().Lock(ctx); err != nil {
		return err
	}
	defer s.A.Mutex().Unlock()
	a, e1 := s.A.Load()
	b, e2 := s.B.Load()
	x, e3 := s.List.At(0)
	if a+b != 0 || x != b {
		return fmt.Errorf("%d, %d and %d are not of one instant", a, b, x)
	}
	return errors.Join(e1, e2, e3, s.A.Store(a-1), s.B.Store(b+1), s.List.Set(0, b+1))
}

var move = multiproc.NewTarget("move between values", func(ctx context.Context, s sameLock) error {
	for range 500 {
		if err := s.move(ctx); err != nil {
			return err
		}
	}
	return nil
})

// Several values and arrays under one lock.
func TestValuesUnderOneLock(t *testing.T) {
	ctx := proctest.Context(t)
	lock := newMutex(t)
	s := sameLock{
		must(multiproc.NewValueWithLock(0, lock))(t), must(multiproc.NewValueWithLock(0, lock))(t), must(multiproc.NewArrayWithLock[int](3, lock))(t),
	}
	if s.A.Mutex() != lock || s.List.Mutex() != lock {
		t.Error("the lock is another")
	}
	procs := []*multiproc.Process{start(t, move, s, nil), start(t, move, s, nil)}
	for range 500 {
		check(t, s.move(ctx))
	}
	wait(t, procs...)
	if n := must(s.B.Load())(t); n != 1500 {
		t.Errorf("moved %d", n)
	}
	check(t, s.B.Update(ctx, func(x *int) { *x = 7; want(t, lock.TryLock(), multiproc.ErrLocked) }))
	check(t, s.A.Free())
	check(t, s.B.Free())
	check(t, s.List.Free())
	check(t, lock.Lock(ctx)) // it is left alone
	check(t, lock.Unlock())
	check(t, lock.Free())
	if _, err := multiproc.NewValueWithLock(1, nil); err == nil {
		t.Error("a value was made under no lock")
	}
	if _, err := multiproc.NewArrayWithLock[int](1, new(multiproc.Mutex)); err == nil {
		t.Error("an array was made under no lock")
	}
}

// A handle of one kind is not taken for another, and zero values are not sent.
func TestLockHandles(t *testing.T) {
	type handle interface {
		MarshalBinary() ([]byte, error)
		UnmarshalBinary([]byte) error
	}
	made := []handle{
		newMutex(t), must(multiproc.NewRWMutex(nil))(t), must(multiproc.NewRLock())(t), must(multiproc.NewSemaphore(1, nil))(t),
		must(multiproc.NewBoundedSemaphore(1))(t), must(multiproc.NewEvent())(t), must(multiproc.NewBarrier(2))(t), must(multiproc.NewCond(nil, nil))(t),
	}
	empty := func() []handle {
		return []handle{
			new(multiproc.Mutex), new(multiproc.RWMutex), new(multiproc.RLock), new(multiproc.Semaphore),
			new(multiproc.BoundedSemaphore), new(multiproc.Event), new(multiproc.Barrier), new(multiproc.Cond),
		}
	}
	for i, m := range made {
		b := must(m.MarshalBinary())(t)
		for k, e := range empty() {
			if _, err := e.MarshalBinary(); err == nil {
				t.Errorf("a zero %T was sent", e)
			}
			if err := e.UnmarshalBinary(b[:len(b)/3]); err == nil {
				t.Errorf("%T was opened by a third of a handle", e)
			}
			if err := e.UnmarshalBinary(b); (err == nil) != (i == k) {
				t.Errorf("a handle of %T opened as %T: %v", m, e, err)
			}
		}
	}
}
