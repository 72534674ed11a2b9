package main

import (
	"context"
	"fmt"

	"github.com/fb2d3dbd/multiproc"
)

type numbers struct {
	Num *multiproc.Value[float64]
	Arr *multiproc.Array[int]
}

var change = multiproc.NewTarget("change", func(ctx context.Context, n numbers) error {
	if err := n.Num.Store(3.1415927); err != nil {
		return err
	}
	for i, x := range n.Arr.All() {
		if err := n.Arr.Set(i, -x); err != nil {
			return err
		}
	}
	return nil
})

// values is Value('d', 0.0) and Array('i', range(10)): the types are Go's.
func values(ctx context.Context) error {
	num, err := multiproc.NewValue(0.0)
	if err != nil {
		return err
	}
	arr, err := multiproc.ArrayOf(0, 1, 2, 3, 4, 5, 6, 7, 8, 9)
	if err != nil {
		return err
	}
	p, err := change.Start(ctx, numbers{num, arr}, nil)
	if err != nil {
		return err
	}
	if err := p.Wait(ctx); err != nil {
		return err
	}
	x, err := num.Load()
	if err != nil {
		return err
	}
	var all []int
	for _, x := range arr.All() {
		all = append(all, x)
	}
	fmt.Println(repr(x))   // 3.1415927
	fmt.Println(repr(all)) // [0, -1, -2, -3, -4, -5, -6, -7, -8, -9]
	return nil
}
