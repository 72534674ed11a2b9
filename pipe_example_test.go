package multiproc_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/fb2d3dbd/multiproc"
)

var pipeChild = multiproc.NewTarget("pipeChild", func(ctx context.Context, end *multiproc.PipeEnd) error {
	if err := end.Send(ctx, []any{42, nil, "hello"}); err != nil {
		return err
	}
	return end.Close()
})

// The example of the Python document: a child sends a list to its parent.
func ExamplePipe() {
	ctx := context.Background()
	parent, child, err := multiproc.Pipe(true)
	if err != nil {
		panic(err)
	}
	p, err := pipeChild.Start(ctx, child, nil)
	if err != nil {
		panic(err)
	}
	child.Close() // the other process has its own
	v, err := parent.Recv(ctx)
	if err != nil {
		panic(err)
	}
	fmt.Println(v)
	_, err = parent.Recv(ctx)
	fmt.Println(err, p.Wait(ctx))
	// Output:
	// [42 <nil> hello]
	// EOF <nil>
}

// A value is received as what it is expected to be.
func ExampleRecv() {
	ctx := context.Background()
	r, w, err := multiproc.Pipe(false)
	if err != nil {
		panic(err)
	}
	if err := w.Send(ctx, map[string]int{"a": 1}); err != nil {
		panic(err)
	}
	m, err := multiproc.Recv[map[string]int](ctx, r)
	fmt.Println(m["a"], err)
	// Output: 1 <nil>
}

var pipeCount = multiproc.NewTarget("pipeCount", func(ctx context.Context, end *multiproc.PipeEnd) error {
	for i := range 3 {
		if err := end.Send(ctx, i); err != nil {
			return err
		}
	}
	return nil // the end of the process is the end of the pipe
})

// Several pipes are read as messages come, until all are at their end.
func ExampleWait() {
	ctx := context.Background()
	var open []any
	for range 4 {
		r, w, err := multiproc.Pipe(false)
		if err != nil {
			panic(err)
		}
		if _, err := pipeCount.Start(ctx, w, nil); err != nil {
			panic(err)
		}
		w.Close()
		open = append(open, r)
	}
	sum := 0
	for len(open) > 0 {
		ready, err := multiproc.Wait(ctx, open...)
		if err != nil {
			panic(err)
		}
		for _, r := range ready {
			n, err := multiproc.Recv[int](ctx, r.(*multiproc.PipeEnd))
			if errors.Is(err, io.EOF) {
				open = slices.DeleteFunc(open, func(o any) bool { return o == r })
			} else if err != nil {
				panic(err)
			}
			sum += n
		}
	}
	fmt.Println(sum)
	// Output: 12
}
