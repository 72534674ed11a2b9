package main

import (
	"context"
	"fmt"

	"github.com/fb2d3dbd/multiproc/manager"
)

// Maths is a class whose objects live in a manager's server.
type Maths struct{}

// Add returns x + y.
func (*Maths) Add(x, y int) int { return x + y }

// Mul returns x * y.
func (*Maths) Mul(x, y int) int { return x * y }

// mathsType is what MyManager.register('Maths', MathsClass) is in Python.
var mathsType = manager.NewType("Maths", func(ctx context.Context, _ struct{}) (*Maths, error) { return &Maths{}, nil })

func maths(ctx context.Context) error {
	m, err := manager.Start(ctx, nil)
	if err != nil {
		return err
	}
	defer m.Close()
	object, err := mathsType.New(ctx, m, struct{}{}, nil)
	if err != nil {
		return err
	}
	sum, err := manager.Call[int](ctx, object, "Add", 4, 3)
	if err != nil {
		return err
	}
	product, err := manager.Call[int](ctx, object, "Mul", 7, 8)
	if err != nil {
		return err
	}
	fmt.Println(sum)     // prints 7
	fmt.Println(product) // prints 56
	return nil
}
