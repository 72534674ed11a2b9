//go:build linux && amd64 && !cgo

package forkserver_test

import (
	"context"
	"fmt"

	"github.com/fb2d3dbd/multiproc/forkserver"
)

var greet = forkserver.NewTarget("greet", func(ctx context.Context, name string) error {
	fmt.Println("hello", name)
	return nil
})

// The whole of a program that starts a process. In main, forkserver.Init() is the first statement; here TestMain has called it.
func Example() {
	ctx := context.Background()
	p, err := greet.Start(ctx, "bob", nil)
	if err == nil {
		err = p.Wait(ctx)
	}
	fmt.Println(err)
	// Output:
	// hello bob
	// <nil>
}

// index stands for what takes long to load.
var index map[string]int

func init() {
	forkserver.Preload("index", func() error {
		index = map[string]int{"answer": 42}
		return nil
	})
}

var lookUp = forkserver.NewTarget("look up", func(ctx context.Context, word string) error {
	fmt.Println(word, index[word])
	return nil
})

// What the zygote has loaded, once, every child has from the beginning.
func ExamplePreload() {
	ctx := context.Background()
	p, err := lookUp.Start(ctx, "answer", nil)
	if err != nil {
		panic(err)
	}
	fmt.Println(p.Wait(ctx))
	// Output:
	// answer 42
	// <nil>
}
