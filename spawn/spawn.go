// Package spawn starts functions of this program in processes of their own: a fresh process from the executable, which
// shares nothing but what is passed to it.
//
// A [Target] is a function registered under a name in a package-level variable. [Init], the first statement of main and of
// TestMain, is where a child stops being a copy of the program and runs its target:
//
//	var greet = spawn.NewTarget("greet", func(ctx context.Context, name string) error {
//		fmt.Println("hello", name)
//		return nil
//	})
//
//	func main() {
//		spawn.Init()
//		p, err := greet.Start(context.Background(), "bob", nil)
//		if err == nil {
//			err = p.Wait(context.Background())
//		}
//	}
//
// A child never outlives its parent: when the parent ends, however it ends, the kernel kills the child.
package spawn

import (
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"sync/atomic"

	"github.com/fb2d3dbd/multiproc/internal/child"
	"github.com/fb2d3dbd/multiproc/internal/codec"
)

// Errors of this package. They are matched with errors.Is.
var (
	// ErrNotInitialized says that a process was started before Init was called. Without Init the child would be another run of
	// main, which starts a child, which starts a child.
	ErrNotInitialized = errors.New("spawn: Init was not called: make it the first statement of main, and of TestMain in tests")
	// ErrUnknownTarget says that a child of this program has no target of the name: it was registered too late or
	// not at all.
	ErrUnknownTarget = child.ErrUnknownTarget
	// ErrRunning says that a process has not ended yet.
	ErrRunning = errors.New("spawn: the process is still running")
)

// A Target is a function that can be run in a child process, with an argument of type A. Several arguments are a struct.
//
// The argument is encoded: numbers, strings, slices, maps, pointers, structs with exported fields, interfaces holding
// registered types, whatever marshals itself to binary, and handles to shared objects (segments, values, arrays, queues,
// locks), which in the child refer to the same objects.
type Target[A any] struct {
	name string
	err  error // why it cannot be started
}

// NewTarget registers fn under name, for use in a package-level variable. The name must be unique in the program; a second
// registration panics. In the child, ctx ends when the child receives an interrupt (SIGINT), and fn's error becomes
// exit code 1 with its text.
func NewTarget[A any](name string, fn func(ctx context.Context, arg A) error) *Target[A] {
	t := &Target[A]{name: name}
	late := child.Register(name, func(ctx context.Context, b []byte) error {
		var arg A
		if err := codec.Decode(b, &arg); err != nil {
			return fmt.Errorf("decode the argument of target %q: %w", name, err)
		}
		markReady()
		return fn(ctx, arg)
	})
	if late {
		t.err = fmt.Errorf("spawn: %w %q: it was registered after Init; register it in a package-level variable", ErrUnknownTarget, name)
	} else if err := codec.Check(reflect.TypeFor[A]()); err != nil {
		t.err = fmt.Errorf("spawn: argument of target %q: %w", name, err)
	}
	return t
}

// Name returns the name that the target is registered under.
func (t *Target[A]) Name() string { return t.name }

// Options for a new process. Nil and the zero value work.
type Options struct {
	// Name is for people; the default is the target's name and a number.
	Name string
	// Stdin, Stdout and Stderr are the child's; nil means the parent's own.
	Stdin, Stdout, Stderr *os.File
	// Env is added to the parent's environment, in the form "key=value"; of two settings of one variable the last holds.
	Env []string
	// Dir is the child's working directory; "" means the parent's.
	Dir string
	// Executable is the program to run instead of this one. It must register the same targets and call Init.
	Executable string
}

// Start runs the target in a new process. It returns when the process is on its way; what goes wrong in it, an unknown
// target included, is told by Wait. ctx bounds the start alone: its end later does not end the process.
func (t *Target[A]) Start(ctx context.Context, arg A, o *Options) (*Process, error) {
	if t.err != nil {
		return nil, t.err
	}
	starting.Add(1)
	defer starting.Add(-1)
	var handles segmentSet
	b, err := codec.Append(nil, &arg, handles.add)
	if err != nil {
		return nil, fmt.Errorf("spawn: argument of target %q: %w", t.name, err)
	}
	return start(ctx, t.name, b, handles.all, o)
}

var initialized atomic.Bool
