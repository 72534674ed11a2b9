package multiproc_test

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/fb2d3dbd/multiproc"
	"github.com/fb2d3dbd/multiproc/internal/proctest"
	"github.com/fb2d3dbd/multiproc/shm"
)

type account struct {
	Balance int64
	Moves   [3]int32
	Open    bool
}

func TestValue(t *testing.T) {
	ctx := proctest.Context(t)
	v := must(multiproc.NewValue(account{Balance: 10, Open: true}))(t)
	if x, err := v.Load(); x != (account{Balance: 10, Open: true}) || err != nil {
		t.Errorf("Load returned %+v, %v", x, err)
	}
	check(t, v.Store(account{Balance: 5}))
	check(t, v.Update(ctx, func(a *account) { a.Balance *= 2; a.Moves[2]++ }))
	if x, err := v.Load(); x != (account{Balance: 10, Moves: [3]int32{0, 0, 1}}) || err != nil {
		t.Errorf("after Update Load returned %+v, %v", x, err)
	}
	if x, err := v.Shared().Load(); x.Balance != 10 || err != nil {
		t.Errorf("without its lock the value is %+v, %v", x, err)
	}
	check(t, v.Mutex().Lock(ctx))
	want(t, v.Update(ended(), func(*account) { t.Error("updated without the lock") }), context.Canceled)
	check(t, v.Mutex().Unlock())
	check(t, v.Free())
	if err := v.Free(); err == nil {
		t.Error("a value was freed twice")
	}
}

// A panic in an update leaves the value as it was, and the lock free.
func TestUpdatePanics(t *testing.T) {
	ctx := proctest.Context(t)
	v := must(multiproc.NewValue(1))(t)
	a := must(multiproc.ArrayOf(1, 2))(t)
	for _, update := range []func(){
		func() { _ = v.Update(ctx, func(x *int) { *x = 9; panic("aargh") }) },
		func() { _ = a.Update(ctx, func(x []int) { panic("aargh") }) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Error("the panic was swallowed")
				}
			}()
			update()
		}()
	}
	if x, err := v.Load(); x != 1 || err != nil {
		t.Errorf("the value is %d, %v", x, err)
	}
	check(t, v.Mutex().TryLock())
	check(t, a.Mutex().TryLock())
	check(t, v.Mutex().Unlock())
	check(t, a.Mutex().Unlock())
}

func TestAtomics(t *testing.T) {
	v := must(multiproc.NewValue[uint32](5))(t)
	if x, err := multiproc.Add(v, 3); x != 8 || err != nil {
		t.Errorf("Add returned %d, %v", x, err)
	}
	if x, err := multiproc.Add(v, ^uint32(0)); x != 7 || err != nil {
		t.Errorf("Add of -1 returned %d, %v", x, err)
	}
	if ok, err := multiproc.CompareAndSwap(v, 8, 1); ok || err != nil {
		t.Errorf("CompareAndSwap of another value returned %v, %v", ok, err)
	}
	if ok, err := multiproc.CompareAndSwap(v, 7, 1); !ok || err != nil {
		t.Errorf("CompareAndSwap returned %v, %v", ok, err)
	}
	if x, err := v.Load(); x != 1 || err != nil {
		t.Errorf("the value is %d, %v", x, err)
	}
}

type sums struct {
	Locked *multiproc.Value[account]
	Atomic *multiproc.Value[int64]
	Small  *multiproc.Value[int32]
	Table  *multiproc.Array[int]
	Each   int
}

func (s *sums) add(ctx context.Context) error {
	for i := range s.Each {
		if err := s.Locked.Update(ctx, func(a *account) { a.Balance++; a.Moves[i%3]++ }); err != nil {
			return err
		}
		if _, err := multiproc.Add(s.Atomic, -2); err != nil {
			return err
		}
		if _, err := multiproc.Add(s.Small, 1); err != nil {
			return err
		}
		if err := s.Table.Update(ctx, func(x []int) { x[i%len(x)]++ }); err != nil {
			return err
		}
	}
	return nil
}

var sumUp = multiproc.NewTarget("sum up", func(ctx context.Context, s *sums) error { return s.add(ctx) })

// Many processes and goroutines at a time; no update is lost.
func TestUpdatesAreExact(t *testing.T) {
	const workers, each = 3, 3000
	ctx := proctest.Context(t)
	s := &sums{
		Locked: must(multiproc.NewValue(account{}))(t),
		Atomic: must(multiproc.NewValue[int64](0))(t),
		Small:  must(multiproc.NewValue[int32](0))(t),
		Table:  must(multiproc.NewArray[int](7))(t),
		Each:   each,
	}
	var procs []*multiproc.Process
	for range workers {
		procs = append(procs, start(t, sumUp, s, nil))
	}
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			if err := s.add(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	wait(t, procs...)
	const n = 2 * workers * each
	if x := must(s.Locked.Load())(t); x.Balance != n || x.Moves != [3]int32{n / 3, n / 3, n / 3} {
		t.Errorf("the locked value is %+v, want %d", x, n)
	}
	if x := must(s.Atomic.Load())(t); x != -2*n {
		t.Errorf("the atomic value is %d, want %d", x, -2*n)
	}
	if x := must(s.Small.Load())(t); x != n {
		t.Errorf("the small value is %d, want %d", x, n)
	}
	total := 0
	for _, x := range s.Table.All() {
		total += x
	}
	if total != n {
		t.Errorf("the array holds %d in all, want %d", total, n)
	}
}

// What a dead process was updating is not believed until somebody has looked at it.
func TestUpdateAfterDeath(t *testing.T) {
	ctx := proctest.Context(t)
	v := must(multiproc.NewValue(7))(t)
	a := must(multiproc.ArrayOf(1, 2, 3))(t)
	for _, c := range []struct {
		lock   *multiproc.Mutex
		update func(ran *bool) error
	}{
		{v.Mutex(), func(ran *bool) error { return v.Update(ctx, func(*int) { *ran = true }) }},
		{a.Mutex(), func(ran *bool) error { return a.Update(ctx, func([]int) { *ran = true }) }},
	} {
		h := holding{c.lock, newQueue[bool](t, nil)}
		p, _ := held(t, h)
		kill(t, p)
		for range 2 {
			var ran bool
			want(t, c.update(&ran), multiproc.ErrOwnerDied)
			if ran {
				t.Error("the update ran on what may be half changed")
			}
		}
		want(t, c.lock.Lock(ctx), multiproc.ErrOwnerDied)
		check(t, c.lock.MarkConsistent())
		check(t, c.lock.Unlock())
		var ran bool
		check(t, c.update(&ran))
		if !ran {
			t.Error("the update did not run")
		}
	}
}

func TestArray(t *testing.T) {
	ctx := proctest.Context(t)
	a := must(multiproc.NewArray[float64](4))(t)
	if a.Len() != 4 {
		t.Errorf("Len returned %d", a.Len())
	}
	for i := range 4 {
		if x, err := a.At(i); x != 0 || err != nil {
			t.Errorf("element %d is %v, %v", i, x, err)
		}
		check(t, a.Set(i, float64(i)/2))
	}
	check(t, a.Update(ctx, func(x []float64) { slices.Reverse(x) }))
	var got []float64
	for i, x := range a.All() {
		if i != len(got) {
			t.Errorf("All gave index %d after %d elements", i, len(got))
		}
		got = append(got, x)
	}
	if !slices.Equal(got, []float64{1.5, 1, 0.5, 0}) {
		t.Errorf("the array holds %v", got)
	}
	for _, i := range []int{-1, 4, 1 << 40} {
		if _, err := a.At(i); err == nil {
			t.Errorf("At(%d) of 4 elements was no error", i)
		}
		if err := a.Set(i, 1); err == nil || !strings.Contains(err.Error(), "4 elements") {
			t.Errorf("Set(%d) of 4 elements returned %v", i, err)
		}
	}
	check(t, a.Free())

	empty := must(multiproc.NewArray[int](0))(t)
	for range empty.All() {
		t.Error("an empty array has elements")
	}
	check(t, empty.Update(ctx, func(x []int) {
		if len(x) != 0 {
			t.Error("an empty array has elements")
		}
	}))
	if _, err := multiproc.NewArray[int](-1); err == nil {
		t.Error("an array of -1 elements was made")
	}
	if _, err := multiproc.NewArray[[1 << 20]int](1 << 50); err == nil {
		t.Error("an array larger than memory was made")
	}
}

type withPointers struct {
	ID   int
	Meta struct {
		Labels [2]struct{ Name string }
	}
}

// The error names the field that cannot be there.
func TestTypesWithPointers(t *testing.T) {
	for _, c := range []struct {
		make func() error
		name string
	}{
		{func() error { _, err := multiproc.NewValue(withPointers{}); return err }, "withPointers.Meta.Labels[].Name is a string"},
		{func() error { _, err := multiproc.NewArray[withPointers](3); return err }, "withPointers.Meta.Labels[].Name is a string"},
		{func() error { _, err := multiproc.NewValue("x"); return err }, "a string"},
		{func() error { _, err := multiproc.NewValue(&account{}); return err }, "a pointer"},
		{func() error { _, err := multiproc.NewValue([]int{}); return err }, "a slice"},
		{func() error { _, err := multiproc.NewValue(map[int]int{}); return err }, "a map"},
		{func() error { _, err := multiproc.NewValue[any](1); return err }, "an interface"},
		{func() error { _, err := multiproc.NewValue(func() {}); return err }, "a func"},
		{func() error { _, err := multiproc.NewValue(make(chan int)); return err }, "a chan"},
	} {
		if err := c.make(); err == nil || !strings.Contains(err.Error(), c.name) {
			t.Errorf("got %v, want an error that says %q", err, c.name)
		}
	}
}

func TestValuesAfterSegmentClose(t *testing.T) {
	ctx := proctest.Context(t)
	v := must(multiproc.NewValue(1))(t)
	a := must(multiproc.ArrayOf(1, 2, 3))(t)
	closeDefault(t)
	_, loadErr := v.Load()
	_, addErr := multiproc.Add(v, 1)
	_, casErr := multiproc.CompareAndSwap(v, 0, 1)
	_, atErr := a.At(0)
	_, sendV := v.MarshalBinary()
	_, sendA := a.MarshalBinary()
	for i, err := range []error{
		loadErr, addErr, casErr, atErr, sendV, sendA, v.Store(2), v.Free(), a.Set(0, 1), a.Free(),
		v.Update(ctx, func(*int) { t.Error("updated") }), a.Update(ctx, func([]int) { t.Error("updated") }),
	} {
		if !errors.Is(err, os.ErrClosed) {
			t.Errorf("operation %d after the segment was closed returned %v", i, err)
		}
	}
	for range a.All() {
		t.Error("an array whose segment is closed has elements")
	}
	if a.Shared().Elems() != nil {
		t.Error("an array whose segment is closed gives a slice")
	}
	v2 := must(multiproc.NewValue(3))(t) // the next object gets a new segment
	if v2.Segment() == v.Segment() || must(shm.Default())(t) != v2.Segment() {
		t.Error("a new value stands in the closed segment")
	}
}
