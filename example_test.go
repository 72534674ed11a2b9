package multiproc_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/fb2d3dbd/multiproc"
)

type squaring struct {
	N   int
	Out *multiproc.Queue[int]
}

var square = multiproc.NewTarget("square", func(ctx context.Context, job squaring) error {
	return job.Out.Put(ctx, job.N*job.N)
})

// A function in a process of its own, whose result comes back through a queue. In main, multiproc.Init() is the first
// statement; here TestMain has called it.
func Example() {
	ctx := context.Background()
	out, err := multiproc.NewQueue[int](nil)
	if err != nil {
		panic(err)
	}
	p, err := square.Start(ctx, squaring{7, out}, nil)
	if err != nil {
		panic(err)
	}
	n, err := out.Get(ctx)
	fmt.Println(n, err)
	fmt.Println(p.Wait(ctx))
	// Output:
	// 49 <nil>
	// <nil>
}

var broken = multiproc.NewTarget("broken", func(ctx context.Context, name string) error {
	return errors.New(name + " cannot go on")
})

// What goes wrong in a process is told by Wait.
func ExampleProcess() {
	ctx := context.Background()
	p, err := broken.Start(ctx, "Bob", &multiproc.ProcessOptions{Name: "bob"})
	if err != nil {
		panic(err)
	}
	var exit *multiproc.ExitError
	if errors.As(p.Wait(ctx), &exit) {
		fmt.Println(exit.Name, exit.Code, exit.Text)
	}
	// Output: bob 1 Bob cannot go on
}

type relay struct{ In, Out *multiproc.Queue[[]any] }

var echo = multiproc.NewTarget("echo", func(ctx context.Context, r relay) error {
	for v, err := range r.In.All(ctx) {
		if err != nil {
			return err
		}
		if err := r.Out.Put(ctx, v); err != nil {
			return err
		}
	}
	return r.Out.Close()
})

// Any value goes through a queue, and Close ends the stream for whoever ranges over it.
func ExampleQueue() {
	ctx := context.Background()
	var r relay
	var err error
	if r.In, err = multiproc.NewQueue[[]any](nil); err != nil {
		panic(err)
	}
	if r.Out, err = multiproc.NewQueue[[]any](&multiproc.QueueOptions{Capacity: 10}); err != nil {
		panic(err)
	}
	p, err := echo.Start(ctx, r, nil)
	if err != nil {
		panic(err)
	}
	_ = r.In.Put(ctx, []any{42, nil, "hello"})
	_ = r.In.Put(ctx, []any{3.5, []byte("bytes")})
	_ = r.In.Close()
	for v, err := range r.Out.All(ctx) {
		fmt.Println(v, err)
	}
	fmt.Println(p.Wait(ctx))
	// Output:
	// [42 <nil> hello] <nil>
	// [3.5 [98 121 116 101 115]] <nil>
	// <nil>
}

type deposit struct {
	Lock    *multiproc.Mutex
	Balance *multiproc.Array[int]
	Amount  int
}

var pay = multiproc.NewTarget("pay", func(ctx context.Context, d deposit) error {
	if err := d.Lock.Lock(ctx); err != nil {
		return err
	}
	defer d.Lock.Unlock()
	b, err := d.Balance.At(0)
	if err != nil {
		return err
	}
	return d.Balance.Set(0, b+d.Amount)
})

// A lock between processes.
func ExampleMutex() {
	ctx := context.Background()
	lock, err := multiproc.NewMutex()
	if err != nil {
		panic(err)
	}
	balance, err := multiproc.NewArray[int](1)
	if err != nil {
		panic(err)
	}
	var procs []*multiproc.Process
	for _, amount := range []int{5, 10, 27} {
		p, err := pay.Start(ctx, deposit{lock, balance, amount}, nil)
		if err != nil {
			panic(err)
		}
		procs = append(procs, p)
	}
	for _, p := range procs {
		if err := p.Wait(ctx); err != nil {
			fmt.Println(err)
		}
	}
	fmt.Println(balance.At(0))
	// Output: 42 <nil>
}

var grab = multiproc.NewTarget("grab", func(ctx context.Context, lock *multiproc.Mutex) error {
	return lock.Lock(ctx) // and the process ends with it
})

// A lock whose owner has died is not lost: the next owner is told, mends what the lock guards, and says so.
func ExampleMutex_ownerDied() {
	ctx := context.Background()
	lock, err := multiproc.NewMutex()
	if err != nil {
		panic(err)
	}
	p, err := grab.Start(ctx, lock, nil)
	if err != nil {
		panic(err)
	}
	_ = p.Wait(ctx)
	if err := lock.Lock(ctx); errors.Is(err, multiproc.ErrOwnerDied) {
		fmt.Println("mending")
		_ = lock.MarkConsistent()
	}
	fmt.Println(lock.Unlock())
	fmt.Println(lock.Lock(ctx))
	// Output:
	// mending
	// <nil>
	// <nil>
}

type stats struct {
	Count    int64
	Min, Max float64
}

var measure = multiproc.NewTarget("measure", func(ctx context.Context, s *multiproc.Value[stats]) error {
	for _, x := range []float64{1.5, -2, 8} {
		if err := s.Update(ctx, func(s *stats) {
			s.Count++
			s.Min, s.Max = min(s.Min, x), max(s.Max, x)
		}); err != nil {
			return err
		}
	}
	return nil
})

// A struct in shared memory, updated by several processes under its own lock.
func ExampleValue() {
	ctx := context.Background()
	s, err := multiproc.NewValue(stats{})
	if err != nil {
		panic(err)
	}
	var procs []*multiproc.Process
	for range 3 {
		p, err := measure.Start(ctx, s, nil)
		if err != nil {
			panic(err)
		}
		procs = append(procs, p)
	}
	for _, p := range procs {
		if err := p.Wait(ctx); err != nil {
			fmt.Println(err)
		}
	}
	fmt.Println(s.Load())
	// Output: {9 -2 8} <nil>
}

var visits = multiproc.NewTarget("visits", func(ctx context.Context, n *multiproc.Value[int64]) error {
	_, err := multiproc.Add(n, 10)
	return err
})

// Integers are counted up without a lock.
func ExampleAdd() {
	ctx := context.Background()
	n, err := multiproc.NewValue[int64](2)
	if err != nil {
		panic(err)
	}
	p, err := visits.Start(ctx, n, nil)
	if err != nil {
		panic(err)
	}
	_ = p.Wait(ctx)
	fmt.Println(n.Load())
	// Output: 12 <nil>
}

type half struct {
	Table *multiproc.Array[float64]
	From  int
}

var fill = multiproc.NewTarget("fill", func(ctx context.Context, h half) error {
	for i := h.From; i < h.Table.Len(); i += 2 {
		if err := h.Table.Set(i, float64(i)/10); err != nil {
			return err
		}
	}
	return nil
})

// An array that two processes fill, every other element each.
func ExampleArray() {
	ctx := context.Background()
	table, err := multiproc.NewArray[float64](5)
	if err != nil {
		panic(err)
	}
	for i := range 2 {
		p, err := fill.Start(ctx, half{table, i}, nil)
		if err != nil {
			panic(err)
		}
		if err := p.Wait(ctx); err != nil {
			panic(err)
		}
	}
	for i, x := range table.All() {
		fmt.Println(i, x)
	}
	// Output:
	// 0 0
	// 1 0.1
	// 2 0.2
	// 3 0.3
	// 4 0.4
}
