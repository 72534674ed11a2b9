package main

import (
	"context"
	"fmt"
	"os"

	"github.com/fb2d3dbd/multiproc"
)

// Target=f, args=('bob',): the function is registered by a name, and its argument has a type.
var hello = multiproc.NewTarget("hello", func(ctx context.Context, name string) error {
	fmt.Println("hello", name)
	return nil
})

func process(ctx context.Context) error {
	p, err := hello.Start(ctx, "bob", nil)
	if err != nil {
		return err
	}
	return p.Wait(ctx)
}

// Who is who: the numbers of the processes that take part.
var tell = multiproc.NewTarget("tell", func(ctx context.Context, name string) error {
	info("function f")
	fmt.Println("hello", name)
	return nil
})

func info(title string) {
	fmt.Println(title)
	fmt.Println("process name:", multiproc.ProcessName()) // Python's __name__ has no counterpart: main runs in the parent alone
	fmt.Println("parent process:", os.Getppid())
	fmt.Println("process id:", os.Getpid())
}

func ids(ctx context.Context) error {
	info("main line")
	p, err := tell.Start(ctx, "bob", nil)
	if err != nil {
		return err
	}
	return p.Wait(ctx)
}
