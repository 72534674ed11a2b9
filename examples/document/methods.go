package main

import (
	"context"
	"fmt"

	"github.com/fb2d3dbd/multiproc"
)

var foo = multiproc.NewTarget("foo", func(ctx context.Context, q *multiproc.Queue[string]) error {
	return q.Put(ctx, "hello")
})

// startMethods has one process of each method that there is here. The context takes the place of Python's get_context; main has called
// SetStartMethod, which is set_start_method.
func startMethods(ctx context.Context) error {
	for _, m := range multiproc.StartMethods() {
		ctx := multiproc.WithStartMethod(ctx, m)
		q, err := multiproc.NewQueue[string](nil)
		if err != nil {
			return err
		}
		p, err := foo.Start(ctx, q, nil)
		if err != nil {
			return err
		}
		s, err := q.Get(ctx)
		if err != nil {
			return err
		}
		fmt.Println(s)
		if err := p.Wait(ctx); err != nil {
			return err
		}
	}
	return nil
}
