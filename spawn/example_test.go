package spawn_test

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/fb2d3dbd/multiproc/spawn"
)

var greet = spawn.NewTarget("greet", func(ctx context.Context, name string) error {
	fmt.Println("hello", name)
	return nil
})

// The whole of a program that starts a process. In main, spawn.Init() is the first statement; here TestMain has called it.
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

type division struct{ A, B int }

var divide = spawn.NewTarget("divide", func(ctx context.Context, d division) error {
	if d.B == 0 {
		return errors.New("division by zero")
	}
	fmt.Println(d.A / d.B)
	return nil
})

// Several arguments are a struct.
func ExampleTarget() {
	ctx := context.Background()
	p, err := divide.Start(ctx, division{42, 6}, nil)
	if err != nil {
		panic(err)
	}
	fmt.Println(p.Wait(ctx))
	// Output:
	// 7
	// <nil>
}

// What the target returns comes back as text, whatever else ended the process as its code.
func ExampleExitError() {
	ctx := context.Background()
	p, err := divide.Start(ctx, division{1, 0}, nil)
	if err != nil {
		panic(err)
	}
	var exit *spawn.ExitError
	if errors.As(p.Wait(ctx), &exit) {
		fmt.Println(exit.Code, exit.Text)
	}
	// Output: 1 division by zero
}

var waitForever = spawn.NewTarget("wait for ever", func(ctx context.Context, _ struct{}) error {
	<-ctx.Done()
	return ctx.Err()
})

// A process is asked to end by Interrupt, which ends its context, and made to end by Kill.
func ExampleProcess() {
	ctx := context.Background()
	p, err := waitForever.Start(ctx, struct{}{}, nil)
	if err != nil {
		panic(err)
	}
	_ = p.Kill()
	<-p.Done()
	code, _ := p.ExitCode()
	fmt.Println(code)
	// Output: -9
}

var showEnv = spawn.NewTarget("show env", func(ctx context.Context, key string) error {
	fmt.Println(spawn.ProcessName(), "sees", os.Getenv(key))
	return nil
})

func ExampleOptions() {
	ctx := context.Background()
	p, err := showEnv.Start(ctx, "COLOR", &spawn.Options{Name: "painter", Env: []string{"COLOR=blue"}})
	if err != nil {
		panic(err)
	}
	fmt.Println(p.Wait(ctx))
	// Output:
	// painter sees blue
	// <nil>
}
