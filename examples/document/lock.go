package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/fb2d3dbd/multiproc"
)

type greeting struct {
	Lock *multiproc.Mutex
	I    int
}

var helloWorld = multiproc.NewTarget("hello world", func(ctx context.Context, g greeting) error {
	if err := g.Lock.Lock(ctx); err != nil {
		return err
	}
	defer g.Lock.Unlock()
	fmt.Println("hello world", g.I)
	return nil
})

// lock has ten processes print one at a time, in no certain order.
func lock(ctx context.Context) error {
	l, err := multiproc.NewMutex()
	if err != nil {
		return err
	}
	var procs []*multiproc.Process
	for num := range 10 {
		p, err := helloWorld.Start(ctx, greeting{l, num}, nil)
		if err != nil {
			return err
		}
		procs = append(procs, p)
	}
	for _, p := range procs { // Python waits for them at its exit; here they would be ended with main
		err = errors.Join(err, p.Wait(ctx))
	}
	return err
}
