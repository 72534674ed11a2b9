package pool

import (
	"context"
	"fmt"
	"io"

	"github.com/fb2d3dbd/multiproc"
	"github.com/fb2d3dbd/multiproc/internal/failure"
)

// A Func is a function that the workers of a pool run, with what they do before.
type Func[In, Out any] struct {
	name string
	in   form
	out  form
	err  error
	// start starts a worker.
	start func(ctx context.Context, a workerArg, o *multiproc.ProcessOptions) (*multiproc.Process, error)
}

// Name returns the name that the function is registered under.
func (f *Func[In, Out]) Name() string { return f.name }

// NewFunc registers fn under name, for use in a package-level variable, as multiproc.NewTarget does. Several arguments are a struct. ctx ends when
// the call's context ends, its deadline passes, or the task's time-out does; its values do not travel.
//
// An argument or result without pointers is copied as it stands in memory, []byte, [View] and string as their bytes, and everything else is encoded: any value that a
// Target takes as its argument. Handles in it must stand in the family's own shared memory, as those of package multiproc do.
func NewFunc[In, Out any](name string, fn func(ctx context.Context, in In) (Out, error)) *Func[In, Out] {
	type none struct{}
	f := NewFuncInit(name, func(context.Context, none) (none, error) { return none{}, nil },
		func(ctx context.Context, _ *none, in In) (Out, error) { return fn(ctx, in) })
	return f.With(none{})
}

// A FuncInit is a function whose workers are prepared by an initializer with an argument of type Arg.
type FuncInit[Arg, In, Out any] struct {
	f      *Func[In, Out]
	target *multiproc.Target[initArg[Arg]]
}

type initArg[Arg any] struct {
	Worker workerArg
	Arg    Arg
}

// NewFuncInit registers fn under name with an initializer. Each worker calls init once, before its first task, and passes what it returned to all its tasks:
// the worker's own state. When the worker leaves in order and the state, or the pointer to it, is an io.Closer, it is closed. An error of init ends
// the worker; when worker after worker ends so, the pool is broken and says why.
func NewFuncInit[Arg, State, In, Out any](name string, init func(ctx context.Context, arg Arg) (State, error),
	fn func(ctx context.Context, s *State, in In) (Out, error)) *FuncInit[Arg, In, Out] {
	f := &Func[In, Out]{name: name}
	var err error
	if f.in, err = formOf[In](); err != nil {
		f.err = fmt.Errorf("pool: argument of %q: %w", name, err)
	} else if f.out, err = formOf[Out](); err != nil {
		f.err = fmt.Errorf("pool: result of %q: %w", name, err)
	}
	t := multiproc.NewTarget("pool:"+name, func(ctx context.Context, a initArg[Arg]) error {
		w, err := newWorker(a.Worker, name)
		if err != nil {
			return err
		}
		state, err := init(ctx, a.Arg)
		if err != nil {
			return fmt.Errorf("initializer of %q: %w", name, err)
		}
		err = w.run(func(ctx context.Context, arg []byte) outcome { return runTask(ctx, f, &state, arg, fn) })
		return closeState(&state, err)
	})
	return &FuncInit[Arg, In, Out]{f, t}
}

// With returns the function with the argument of its initializer.
func (fi *FuncInit[Arg, In, Out]) With(arg Arg) *Func[In, Out] {
	f := *fi.f
	f.start = func(ctx context.Context, a workerArg, o *multiproc.ProcessOptions) (*multiproc.Process, error) {
		return fi.target.Start(ctx, initArg[Arg]{a, arg}, o)
	}
	return &f
}

func closeState[State any](s *State, err error) error {
	c, ok := any(s).(io.Closer)
	if !ok {
		c, ok = any(*s).(io.Closer)
	}
	if ok {
		if e := c.Close(); err == nil && e != nil {
			err = fmt.Errorf("close the worker's state: %w", e)
		}
	}
	return err
}

// An outcome is how a task ended: a kind of result, and its bytes.
type outcome struct {
	kind byte
	raw  []byte
}

// runTask decodes the argument, calls fn, and encodes what it returned.
func runTask[State, In, Out any](ctx context.Context, f *Func[In, Out], s *State, arg []byte, fn func(context.Context, *State, In) (Out, error)) (o outcome) {
	var in In
	if err := decodeValue(f.in, arg, &in, false); err != nil {
		return outcome{kind: isUnread, raw: []byte(failure.Text(err))}
	}
	out, err := fn(ctx, s, in)
	if err != nil {
		return outcome{kind: isFailure, raw: failure.Of(err).Append(nil)}
	}
	switch f.out {
	case formView:
		return outcome{raw: any(out).(View)}
	case formBytes:
		return outcome{raw: any(out).([]byte)}
	}
	b, err := appendValue(f.out, scratch[:0], &out)
	if err != nil {
		return outcome{kind: isUnsent, raw: []byte(failure.Text(err))}
	}
	if cap(b) <= maxScratch {
		scratch = b[:0]
	}
	return outcome{raw: b}
}

// scratch is where the one task of this process encodes its result.
var scratch []byte

const maxScratch = 1 << 20
