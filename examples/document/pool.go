package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/fb2d3dbd/multiproc/pool"
)

var square = pool.NewFunc("square", func(ctx context.Context, x int) (int, error) { return x * x, nil })

// poolOfWorkers maps a function over a list with five processes. A pool takes the methods spawn and forkserver.
func poolOfWorkers(ctx context.Context) error {
	p, err := pool.New(square, &pool.Options{Workers: 5})
	if err != nil {
		return err
	}
	defer p.Terminate() // what Python's "with" does
	squares, err := p.Map(ctx, []int{1, 2, 3})
	if err != nil {
		return err
	}
	fmt.Println(repr(squares)) // [1, 4, 9]
	return errors.Join(p.Close(), p.Join(ctx))
}
