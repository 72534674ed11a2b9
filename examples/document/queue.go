package main

import (
	"context"
	"fmt"

	"github.com/fb2d3dbd/multiproc"
)

var putList = multiproc.NewTarget("put a list", func(ctx context.Context, q *multiproc.Queue[[]any]) error {
	return q.Put(ctx, []any{42, nil, "hello"})
})

func queue(ctx context.Context) error {
	q, err := multiproc.NewQueue[[]any](nil)
	if err != nil {
		return err
	}
	p, err := putList.Start(ctx, q, nil)
	if err != nil {
		return err
	}
	v, err := q.Get(ctx)
	if err != nil {
		return err
	}
	fmt.Println(repr(v)) // prints "[42, None, 'hello']"
	return p.Wait(ctx)
}
