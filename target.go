package multiproc

import (
	"context"
	"os"

	"github.com/fb2d3dbd/multiproc/internal/child"
	"github.com/fb2d3dbd/multiproc/internal/zygote"
)

// A Target is a function that can be run in a child process, with an argument of type A. Several arguments are a struct.
//
// By the methods [Spawn] and [ForkServer] the argument is encoded: numbers, strings, slices, maps, pointers, structs with exported fields,
// interfaces holding registered types, whatever marshals itself to binary, and handles to shared objects, open files, sockets and
// connections, which in the child refer to the same things. By [Fork] the child has it as it is, whatever it holds.
type Target[A any] struct{ t *child.Target[A] }

// NewTarget registers fn under a unique name, for use in a package-level variable. In the child, ctx ends when the child
// receives an interrupt, and fn's error becomes exit code 1 with its text.
func NewTarget[A any](name string, fn func(ctx context.Context, arg A) error) *Target[A] {
	return &Target[A]{child.NewTarget(name, fn)}
}

// Name returns the name that the target is registered under.
func (t *Target[A]) Name() string { return t.t.Name() }

// ProcessOptions are for starting a process; nil and the zero value work.
type ProcessOptions struct {
	// Name is for people; the default is the target's name and a number.
	Name string
	// Stdin, Stdout and Stderr are the child's; nil means the parent's own.
	Stdin, Stdout, Stderr *os.File
	// Env is added to the parent's environment, in the form "key=value"; of two settings of one variable the last holds.
	Env []string
	// Dir is the child's working directory; "" means the parent's.
	Dir string
	// Executable is the program to run instead of this one. It must register the same targets and call Init. It goes with [Spawn] alone.
	Executable string

	// Method is how the process comes to be. "" means that of [WithStartMethod], and else that of [SetStartMethod].
	Method StartMethod
	// AllowForkall lets [Fork] copy a process in which other goroutines run. They run on in the child as well as here: accept loops
	// accept in both, what is buffered is written twice, timers fire twice, and what is locked in memory stays locked until its
	// holder's copy unlocks it. Goroutines that are seen in the middle of calls on queues and locks are refused nevertheless; one that begins
	// such a call at that moment is not seen, so keep them from what is shared.
	AllowForkall bool
}

func (o *ProcessOptions) plain() *child.Options {
	if o == nil {
		return nil
	}
	return &child.Options{Name: o.Name, Stdin: o.Stdin, Stdout: o.Stdout, Stderr: o.Stderr, Env: o.Env, Dir: o.Dir, Executable: o.Executable}
}

// Start runs the target in a new process. It returns when the process is on its way; what goes wrong in it, an unknown
// target included, is told by Wait. ctx bounds the start alone: its end later does not end the process. An error that matches
// errors.ErrUnsupported says that the start method is not available here.
func (t *Target[A]) Start(ctx context.Context, arg A, o *ProcessOptions) (*Process, error) {
	m, err := methodOf(ctx, o)
	if err != nil {
		return nil, err
	}
	defer child.Begin()()
	if m == Fork {
		run, err := t.t.Closure(arg)
		if err != nil {
			return nil, err
		}
		return forkProcess(ctx, t.Name(), run, o)
	}
	call, err := t.t.Encode(&arg)
	if err != nil {
		return nil, err
	}
	var p *Process
	if m == ForkServer {
		p, err = zygote.Start(ctx, call, o.plain())
	} else {
		p, err = child.Spawn(ctx, call, o.plain())
	}
	call.End(err == nil)
	return p, err
}
