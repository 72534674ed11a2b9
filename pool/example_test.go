package pool_test

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/fb2d3dbd/multiproc/pool"
)

// The whole of a program with a pool. In main, multiproc.Init() is the first statement; here TestMain has called it.
func Example() {
	ctx := context.Background()
	p, err := pool.New(square, &pool.Options{Workers: 2})
	if err != nil {
		panic(err)
	}
	defer p.Terminate()
	fmt.Println(p.Apply(ctx, 10))
	fmt.Println(p.Map(ctx, []int{0, 1, 2, 3}))
	for v, err := range p.IMap(ctx, slices.Values([]int{4, 5})) {
		fmt.Println(v, err)
	}
	fmt.Println(p.Close(), p.Join(ctx))
	// Output:
	// 100 <nil>
	// [0 1 4 9] <nil>
	// 16 <nil>
	// 25 <nil>
	// <nil> <nil>
}

// Several arguments are a struct: this is Python's starmap.
func ExamplePool_Map() {
	ctx := context.Background()
	p, err := pool.New(mul, nil)
	if err != nil {
		panic(err)
	}
	defer p.Terminate()
	fmt.Println(p.Map(ctx, []pair{{1, 2}, {3, 4}, {5, 6}}))
	// Output: [2 12 30] <nil>
}

func ExamplePool_ApplyAsync() {
	ctx := context.Background()
	p, err := pool.New(square, nil)
	if err != nil {
		panic(err)
	}
	defer p.Terminate()
	h := p.ApplyAsync(ctx, 7).Then(func(v int) { fmt.Println("called back with", v) }, nil)
	v, err := h.Get(ctx)
	p.Close()
	p.Join(ctx) // waits for callbacks too
	fmt.Println(v, err)
	// Output:
	// called back with 49
	// 49 <nil>
}

// A worker that dies costs the task in its hands, which says so, and no other.
func ExampleWorkerDiedError() {
	ctx := context.Background()
	p, err := pool.New(act, nil)
	if err != nil {
		panic(err)
	}
	defer p.Terminate()
	got, err := p.Map(ctx, []string{"echo a", "kill", "echo b"})
	var died *pool.WorkerDiedError
	var task *pool.TaskError
	if errors.As(err, &task) && errors.As(err, &died) {
		fmt.Println(got, task.Index, died.Signal)
	}
	// Output: [a  b] 1 killed
}

var greeting = pool.NewFuncInit("greeting", func(_ context.Context, hello string) (string, error) { return hello + ", ", nil },
	func(_ context.Context, prefix *string, name string) (string, error) { return *prefix + name, nil })

// Each worker is prepared once, with an argument, and has a state of its own.
func ExampleNewFuncInit() {
	p, err := pool.New(greeting.With("hello"), nil)
	if err != nil {
		panic(err)
	}
	defer p.Terminate()
	fmt.Println(p.Apply(context.Background(), "bob"))
	// Output: hello, bob <nil>
}
