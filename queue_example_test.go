package multiproc_test

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/fb2d3dbd/multiproc"
)

// What a consumer has received and not acknowledged is handed out again, when it gives it back or dies.
func ExampleQueue_Receive() {
	ctx := context.Background()
	q, err := multiproc.NewQueue[string](&multiproc.QueueOptions{MaxDeliveries: 3})
	if err != nil {
		panic(err)
	}
	defer q.Free()
	if err := q.Put(ctx, "a task"); err != nil {
		panic(err)
	}
	d, err := q.Receive(ctx)
	if err != nil {
		panic(err)
	}
	fmt.Println(d.Value, d.Deliveries(), d.Nack())
	d, err = q.Receive(ctx)
	if err != nil {
		panic(err)
	}
	fmt.Println(d.Value, d.Deliveries(), d.Ack())
	// Output:
	// a task 1 <nil>
	// a task 2 <nil>
}

// One buffer takes all values, and grows when one is longer: that value waits for it.
func ExampleGetInto() {
	ctx := context.Background()
	q, err := multiproc.NewQueue[[]byte](nil)
	if err != nil {
		panic(err)
	}
	defer q.Free()
	for _, s := range []string{"short", "a longer value"} {
		if err := q.Put(ctx, []byte(s)); err != nil {
			panic(err)
		}
	}
	buf := make([]byte, 8)
	for range 2 {
		n, err := multiproc.GetInto(ctx, q, buf)
		for errors.Is(err, io.ErrShortBuffer) { // n is what it needs
			buf = make([]byte, n)
			n, err = multiproc.GetInto(ctx, q, buf)
		}
		if err != nil {
			panic(err)
		}
		fmt.Println(string(buf[:n]))
	}
	// Output:
	// short
	// a longer value
}

var addAll = multiproc.NewTarget("addAll", func(ctx context.Context, j adding) error {
	for n, err := range j.Numbers.All(ctx) {
		if err != nil {
			return err
		}
		if _, err := multiproc.Add(j.Sum, n); err != nil {
			return err
		}
		if err := j.Numbers.Done(); err != nil {
			return err
		}
	}
	return nil
})

type adding struct {
	Numbers *multiproc.JoinableQueue[int64]
	Sum     *multiproc.Value[int64]
}

// Two workers share the work, and Join waits until all of it is done: should one of them die, the other does its part.
func ExampleJoinableQueue() {
	ctx := context.Background()
	numbers, err := multiproc.NewJoinableQueue[int64](nil)
	if err != nil {
		panic(err)
	}
	sum, err := multiproc.NewValue[int64](0)
	if err != nil {
		panic(err)
	}
	for range 2 {
		if _, err := addAll.Start(ctx, adding{numbers, sum}, nil); err != nil {
			panic(err)
		}
	}
	for n := range int64(101) {
		if err := numbers.Put(ctx, n); err != nil {
			panic(err)
		}
	}
	fmt.Println(numbers.Join(ctx))
	fmt.Println(sum.Load())
	numbers.Close() // the workers end
	for _, p := range multiproc.ActiveChildren() {
		p.Wait(ctx)
	}
	// Output:
	// <nil>
	// 5050 <nil>
}

// The smallest queue.
func ExampleSimpleQueue() {
	ctx := context.Background()
	q, err := multiproc.NewSimpleQueue[[]any]()
	if err != nil {
		panic(err)
	}
	defer q.Free()
	if err := q.Put(ctx, []any{42, nil, "hello"}); err != nil {
		panic(err)
	}
	fmt.Println(q.Get(ctx))
	// Output: [42 <nil> hello] <nil>
}
