package manager_test

import (
	"context"
	"errors"
	"iter"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/fb2d3dbd/multiproc/internal/proctest"
	"github.com/fb2d3dbd/multiproc/manager"
	"github.com/fb2d3dbd/multiproc/pool"
)

// upTo yields the numbers below n, and counts them.
func upTo(n int, taken *atomic.Int64) iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := range n {
			taken.Add(1)
			if !yield(i) {
				return
			}
		}
	}
}

func TestPoolIMap(t *testing.T) {
	soon(t, func(t *testing.T, m *manager.Manager) {
		ctx := proctest.Context(t)
		p, err := tasks.New(ctx, m, workers(2), nil)
		check(t, err)
		for _, n := range []int{0, 1, 300} {
			var want []int
			for i := range n {
				want = append(want, i*i)
			}
			for _, o := range []*pool.CallOptions{nil, {Window: 1}, {Window: 7}, {Window: 1000}} {
				var taken atomic.Int64
				var ordered, unordered []int
				for v, err := range p.With(o).IMap(ctx, upTo(n, &taken)) {
					check(t, err)
					ordered = append(ordered, v)
				}
				for v, err := range p.With(o).IMapUnordered(ctx, upTo(n, &taken)) {
					check(t, err)
					unordered = append(unordered, v)
				}
				slices.Sort(unordered)
				if !slices.Equal(ordered, want) || !slices.Equal(unordered, want) || int(taken.Load()) != 2*n {
					t.Fatalf("%d, %+v: %v, %v, %d taken", n, o, ordered, unordered, taken.Load())
				}
			}
		}
		check(t, p.Close())
		quiet(t, m, 0)
	})
}

// An input without an end is taken no faster than the loop goes on, and a break cancels what is under way.
func TestPoolIMapBreaks(t *testing.T) {
	ctx := proctest.Context(t)
	m := start(t, nil)
	p, err := tasks.New(ctx, m, workers(2), nil)
	check(t, err)
	var taken atomic.Int64
	seen := 0
	for v, err := range p.With(&pool.CallOptions{Window: 5}).IMap(ctx, upTo(1<<30, &taken)) {
		check(t, err)
		if v != seen*seen {
			t.Fatalf("%d is the square of %d", v, seen)
		}
		seen++
		if n := int(taken.Load()); n > seen+5 {
			t.Fatalf("%d were taken when %d results were seen", n, seen)
		}
		if seen == 100 {
			break
		}
	}
	for range p.IMapUnordered(ctx, slices.Values([]int{1, -4})) { // -4 waits until it is cancelled
		break
	}
	for _, err := range p.IMap(ctx, slices.Values([]int{1, -4})) {
		check(t, err)
		break
	}
	proctest.Eventually(t, func() bool { n, err := p.Apply(ctx, 3); check(t, err); return n == 9 }, "the workers are free again")
	check(t, p.Close())
	quiet(t, m, 0)
}

func TestPoolIMapFails(t *testing.T) {
	ctx := proctest.Context(t)
	m := start(t, nil)
	p, err := tasks.New(ctx, m, workers(2), nil)
	check(t, err)
	var got []int
	var failed []error
	for v, err := range p.IMap(ctx, slices.Values([]int{1, -1, 2, -3, 3})) {
		if err != nil {
			failed = append(failed, err)
		}
		got = append(got, v)
	}
	if !slices.Equal(got, []int{1, 0, 4, 0, 9}) || len(failed) != 2 || !errors.Is(failed[0], errTooMuch) || !errors.Is(failed[1], pool.ErrWorkerDied) {
		t.Error(got, failed)
	}

	// ended are how a loop ends that cannot go on: with one error, and no panic.
	ended := func(q *manager.Pool[int, int], ctx context.Context, in iter.Seq[int], want error) {
		t.Helper()
		for _, seq := range []iter.Seq2[int, error]{q.IMap(ctx, in), q.IMapUnordered(ctx, in)} {
			var errs []error
			for _, err := range seq {
				if err != nil {
					errs = append(errs, err)
				}
			}
			if len(errs) != 1 || !errors.Is(errs[0], want) {
				t.Errorf("%v, want %v once", errs, want)
			}
		}
	}
	gone, cancel := context.WithCancel(ctx)
	cancel()
	ended(p, gone, slices.Values([]int{1, 2}), context.Canceled)
	ended(p.With(&pool.CallOptions{Window: -1}), ctx, slices.Values([]int{1, 2}), manager.ErrValue)
	ended(p.With(&pool.CallOptions{Progress: func(int, int) {}}), ctx, slices.Values([]int(nil)), manager.ErrValue)

	// The input's panic is the loop's, after the results of what it had given.
	sum := 0
	caught := func() (v any) {
		defer func() { v = recover() }()
		for n, err := range p.IMap(ctx, func(yield func(int) bool) { yield(5); panic(errTooMuch) }) {
			check(t, err)
			sum += n
		}
		return nil
	}()
	if caught != any(errTooMuch) || sum != 25 {
		t.Errorf("%v after %d", caught, sum)
	}

	check(t, p.ClosePool(ctx))
	ended(p, ctx, slices.Values([]int{1, 2, 3}), manager.ErrClosed)
	check(t, p.Close())
	quiet(t, m, 0)
}
