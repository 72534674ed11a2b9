package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/fb2d3dbd/multiproc"
	"github.com/fb2d3dbd/multiproc/manager"
)

type proxies struct {
	D *manager.Dict[any, any]
	L *manager.List[int]
}

var use = multiproc.NewTarget("use", func(ctx context.Context, p proxies) error {
	return errors.Join(
		p.D.Set(ctx, 1, "1"),
		p.D.Set(ctx, "2", 2),
		p.D.Set(ctx, 0.25, nil),
		p.L.Reverse(ctx),
	)
})

// objects has a server process hold a dictionary, with keys of several types, and a list, and another process change them.
func objects(ctx context.Context) error {
	m, err := manager.Start(ctx, nil)
	if err != nil {
		return err
	}
	defer m.Close() // what Python's "with" does
	d, err := manager.NewDict[any, any](ctx, m, nil)
	if err != nil {
		return err
	}
	l, err := manager.NewList(ctx, m, nil, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9)
	if err != nil {
		return err
	}
	p, err := use.Start(ctx, proxies{d, l}, nil)
	if err != nil {
		return err
	}
	if err := p.Wait(ctx); err != nil {
		return err
	}
	dict, err := d.Copy(ctx)
	if err != nil {
		return err
	}
	list, err := l.Copy(ctx)
	if err != nil {
		return err
	}
	fmt.Println(repr(dict)) // {0.25: None, 1: '1', '2': 2}
	fmt.Println(repr(list)) // [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]
	return nil
}
