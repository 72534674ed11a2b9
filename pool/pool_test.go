package pool_test

import (
	"context"
	"errors"
	"iter"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/fb2d3dbd/multiproc/internal/proctest"
	"github.com/fb2d3dbd/multiproc/pool"
)

func TestApply(t *testing.T) {
	p := start(t, square, nil)
	for _, n := range []int{5, 3, 0, -1} {
		if v, err := p.Apply(proctest.Context(t), n); v != n*n || err != nil {
			t.Errorf("%d, %v", v, err)
		}
	}
	finish(t, p)
}

func TestMap(t *testing.T) {
	p := start(t, square, &pool.Options{Workers: 4})
	ctx := proctest.Context(t)
	for _, n := range []int{0, 1, 10, 100, 50_000} {
		for _, chunk := range []int{0, 1, 20, 100_000} {
			got, err := p.With(&pool.CallOptions{Chunk: chunk}).Map(ctx, numbers(n))
			if err != nil {
				t.Fatal(err)
			}
			squares(t, got, n)
		}
	}
	finish(t, p)
}

func TestMapStructArguments(t *testing.T) {
	p := start(t, mul, nil)
	ctx := proctest.Context(t)
	var in []pair
	for i := range 100 {
		in = append(in, pair{i, 99 - i})
	}
	got, err := p.With(&pool.CallOptions{Chunk: 20}).Map(ctx, in)
	also, err2 := p.MapAsync(ctx, in).Get(ctx)
	if err != nil || err2 != nil || !slices.Equal(got, also) {
		t.Fatal(err, err2)
	}
	for i, v := range got {
		if v != i*(99-i) {
			t.Errorf("%d: %d", i, v)
		}
	}
}

func collect(t *testing.T, seq iter.Seq2[int, error]) (all []int) {
	t.Helper()
	for v, err := range seq {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, v)
	}
	return all
}

func TestIMap(t *testing.T) {
	p := start(t, square, nil)
	ctx := proctest.Context(t)
	for _, n := range []int{0, 10, 1000} {
		for _, o := range []pool.CallOptions{{}, {Chunk: 100}, {Chunk: 1, Window: 1}, {Chunk: 7, Window: 3}, {Window: 5000}} {
			q := p.With(&o)
			squares(t, collect(t, q.IMap(ctx, slices.Values(numbers(n)))), n)
			got := collect(t, q.IMapUnordered(ctx, slices.Values(numbers(n))))
			slices.Sort(got)
			squares(t, got, n)
			got = collect(t, q.MapUnordered(ctx, numbers(n)))
			slices.Sort(got)
			squares(t, got, n)
		}
	}
	finish(t, p)
}

// The input has no end, and is not taken faster than the loop goes on.
func TestIMapIsLazy(t *testing.T) {
	p := start(t, square, nil)
	const window = 10
	var taken atomic.Int64
	endless := func(yield func(int) bool) {
		for i := 0; ; i++ {
			taken.Add(1)
			if !yield(i) {
				return
			}
		}
	}
	seen := 0
	for v, err := range p.With(&pool.CallOptions{Window: window}).IMap(proctest.Context(t), endless) {
		if err != nil || v != seen*seen {
			t.Fatal(v, err)
		}
		seen++
		if n := int(taken.Load()); n > seen+window {
			t.Fatalf("%d elements were taken when %d results were seen", n, seen)
		}
		if seen == 500 {
			break
		}
	}
	finish(t, p)
}

// An input that gives one element only when the result of the last was seen.
func TestIMapWithASlowInput(t *testing.T) {
	p := start(t, square, nil)
	seen := make(chan int, 1)
	slow := func(yield func(int) bool) {
		for i := range 50 {
			if !yield(i) {
				return
			}
			<-seen
		}
	}
	n := 0
	for v, err := range p.With(&pool.CallOptions{Chunk: 10}).IMap(proctest.Context(t), slow) {
		if err != nil || v != n*n {
			t.Fatal(v, err)
		}
		n++
		seen <- v
	}
	if n != 50 {
		t.Errorf("%d results", n)
	}
}

var errSayWhen = errors.New("somebody said when")

// A panic of the input is the loop's, after the results of what was taken before; the pool works on.
func TestIMapPanickingInput(t *testing.T) {
	p := start(t, square, nil)
	for _, unordered := range []bool{false, true} {
		for _, c := range []struct{ total, when, chunk int }{{1, 0, 1}, {1, 0, 1}, {10, 3, 1}, {20, 7, 2}, {20, 7, 4}} {
			input := func(yield func(int) bool) {
				for i := range c.total {
					if i == c.when {
						panic(errSayWhen)
					}
					if !yield(i) {
						return
					}
				}
			}
			var got []int
			caught := func() (v any) {
				defer func() { v = recover() }()
				q := p.With(&pool.CallOptions{Chunk: c.chunk})
				seq := q.IMap(proctest.Context(t), input)
				if unordered {
					seq = q.IMapUnordered(proctest.Context(t), input)
				}
				got = collect(t, seq)
				return nil
			}()
			_ = got
			if caught != any(errSayWhen) {
				t.Errorf("%+v: %v", c, caught)
			}
		}
	}
	finish(t, p)
}

func TestAsyncAndCallbacks(t *testing.T) {
	p := start(t, act, nil)
	ctx := proctest.Context(t)
	var said []string
	note := func(s string) { said = append(said, s) }
	fail := func(err error) { said = append(said, "failed: "+err.Error()) }
	h := p.ApplyAsync(ctx, "echo 1").Then(note, fail)
	if v, err := h.Get(ctx); v != "1" || err != nil {
		t.Error(v, err)
	}
	finish(t, p) // Join waits for callbacks
	if !slices.Equal(said, []string{"1"}) {
		t.Errorf("%q", said)
	}

	p = start(t, act, nil)
	h = p.ApplyAsync(ctx, "error oh").Then(note, fail)
	<-h.Done()
	p.MapAsync(ctx, []string{"echo a", "echo b"}).Then(func(v []string) {
		if !slices.Equal(v, []string{"a", "b"}) {
			t.Errorf("%q", v)
		}
	}, func(err error) { t.Error(err) })
	finish(t, p)
	if len(said) != 2 || !strings.Contains(said[1], "failed: pool: task 0 of \"act\": oh") {
		t.Errorf("%q", said)
	}
}

// A wait that ends does not end the call.
func TestAsyncTimeout(t *testing.T) {
	p := start(t, act, nil)
	ctx := proctest.Context(t)
	end, cancel := context.WithCancel(ctx)
	h := p.ApplyAsync(end, "wait")
	short, stop := context.WithCancel(ctx)
	stop()
	if _, err := h.Get(short); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	select {
	case <-h.Done():
		t.Error("the call has ended")
	default:
	}
	cancel()
	if _, err := h.Get(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestMakePool(t *testing.T) {
	for _, o := range []pool.Options{{Workers: -1}, {Workers: 1 << 20}, {TasksPerWorker: -1}, {Backlog: -1}, {Grace: -1}, {MemoryLimit: -1}, {Bytes: -1}, {StartFailures: -1}} {
		if p, err := pool.New(square, &o); p != nil || err == nil {
			t.Errorf("%+v was taken", o)
		}
	}
	p := start(t, square, &pool.Options{Workers: 3})
	if n := len(p.Workers()); n != 3 {
		t.Errorf("%d workers", n)
	}
	if err := p.Join(t.Context()); !errors.Is(err, pool.ErrOpen) {
		t.Error(err)
	}
	if _, err := p.With(&pool.CallOptions{Chunk: -1}).Map(t.Context(), []int{1}); err == nil {
		t.Error("a chunk of -1 was taken")
	}
	finish(t, p)
}

func TestClosedPool(t *testing.T) {
	p := start(t, square, nil)
	ctx := proctest.Context(t)
	h := p.MapAsync(ctx, numbers(10))
	got, err := h.Get(ctx)
	if err != nil {
		t.Fatal(err)
	}
	squares(t, got, 10)
	finish(t, p)
	for range 2 {
		_, e1 := p.Apply(ctx, 1)
		_, e2 := p.Map(ctx, []int{1})
		var e3 error
		for _, err := range p.IMap(ctx, slices.Values([]int{1})) {
			e3 = err
		}
		for _, err := range []error{e1, e2, e3} {
			if !errors.Is(err, pool.ErrClosed) || !errors.Is(err, os.ErrClosed) {
				t.Error(err)
			}
		}
		if err := errors.Join(p.Close(), p.Terminate(), p.Join(ctx)); err != nil {
			t.Error(err)
		}
	}
}

// Close does not end what was begun.
func TestCloseFinishes(t *testing.T) {
	p := start(t, act, &pool.Options{Workers: 3, TasksPerWorker: 1})
	ctx := proctest.Context(t)
	var all []*pool.Handle[string]
	for range 6 {
		all = append(all, p.ApplyAsync(ctx, "sleep 3ms"))
	}
	finish(t, p)
	for _, h := range all {
		if v, err := h.Get(ctx); v != "3ms" || err != nil {
			t.Error(v, err)
		}
	}
}

func TestTerminate(t *testing.T) {
	p := start(t, act, &pool.Options{Workers: 3})
	ctx := proctest.Context(t)
	in := slices.Repeat([]string{"ignore"}, 10_000)
	h := p.With(&pool.CallOptions{Chunk: 1}).MapAsync(ctx, in)
	proctest.Eventually(t, func() bool { return p.Stats().Begun > 3 }, "tasks begin")
	if err := p.Terminate(); err != nil {
		t.Fatal(err)
	}
	_, err := h.Get(ctx)
	var m *pool.MapError
	if !errors.As(err, &m) || len(m.Tasks)+m.NotBegun != len(in) || !errors.Is(err, pool.ErrTerminated) {
		t.Error(err)
	}
	if n := len(p.Workers()); n != 0 {
		t.Errorf("%d workers live", n)
	}
	if _, err := p.Apply(ctx, "echo"); !errors.Is(err, pool.ErrClosed) || !errors.Is(err, pool.ErrTerminated) {
		t.Error(err)
	}
}

func TestProgress(t *testing.T) {
	p := start(t, square, nil)
	var last, total int
	q := p.With(&pool.CallOptions{Progress: func(n, all int) {
		if n < last {
			t.Errorf("%d after %d", n, last)
		}
		last, total = n, all
	}})
	if _, err := q.Map(proctest.Context(t), numbers(1000)); err != nil {
		t.Fatal(err)
	}
	finish(t, p)
	if last != 1000 || total != 1000 {
		t.Errorf("%d of %d", last, total)
	}
}

func TestLargePool(t *testing.T) {
	if testing.Short() {
		t.Skip("starts 80 processes")
	}
	p := start(t, square, &pool.Options{Workers: 80})
	got, err := p.Map(proctest.Context(t), numbers(1000))
	if err != nil {
		t.Fatal(err)
	}
	sum := 0
	for _, v := range got {
		sum += v
	}
	if sum != 332833500 {
		t.Errorf("%d", sum)
	}
}
