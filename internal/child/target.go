package child

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"github.com/fb2d3dbd/multiproc/internal/cargo"
	"github.com/fb2d3dbd/multiproc/internal/codec"
	"github.com/fb2d3dbd/multiproc/shm"
)

// Errors of starting processes, by whichever method. They are matched with errors.Is.
var (
	// ErrNotInitialized says that a process was started before Init was called. Without Init the child would be another run of
	// main, which starts a child, which starts a child.
	ErrNotInitialized = errors.New("multiproc: Init was not called: make it the first statement of main, and of TestMain in tests")
	// ErrRunning says that a process has not ended yet.
	ErrRunning = errors.New("multiproc: the process is still running")
	// ErrNotChild says that a process is the child of the one that this one was forked from.
	ErrNotChild = errors.New("it is no child of this process, but of the one that this was forked from")
)

// A Target is a registered function and what has to be known to start it.
type Target[A any] struct {
	name string
	fn   func(ctx context.Context, arg A) error
	late error // it was registered too late
	err  error // why its argument cannot be encoded
}

// NewTarget registers fn under name.
func NewTarget[A any](name string, fn func(ctx context.Context, arg A) error) *Target[A] {
	t := &Target[A]{name: name, fn: fn}
	late := Register(name, func(ctx context.Context, b []byte) error {
		var arg A
		in := arrived.Swap(nil)
		err := codec.DecodeWith(b, &arg, in)
		in.Close()
		if err != nil {
			return fmt.Errorf("decode the argument of target %q: %w", name, err)
		}
		markReady()
		return fn(ctx, arg)
	})
	if late {
		t.late = fmt.Errorf("multiproc: %w %q: it was registered after Init; register it in a package-level variable", ErrUnknownTarget, name)
	} else if err := codec.Check(reflect.TypeFor[A]()); err != nil {
		t.err = fmt.Errorf("multiproc: argument of target %q: %w", name, err)
	}
	return t
}

// Name returns the name that the target is registered under.
func (t *Target[A]) Name() string { return t.name }

// Encode makes the target's call with this argument something that can be sent to a child. The caller ends the call once it is known whether the child was started.
func (t *Target[A]) Encode(arg *A) (*Call, error) {
	if t.late != nil {
		return nil, t.late
	}
	if t.err != nil {
		return nil, t.err
	}
	c := &Call{Target: t.name}
	b, err := codec.AppendWith(nil, arg, c.need, &c.cargo)
	if err != nil {
		c.End(false)
		return nil, fmt.Errorf("multiproc: argument of target %q: %w", t.name, err)
	}
	c.Arg = b
	return c, nil
}

// Closure is the target's call with this argument, for a child that has this process's memory: nothing is encoded.
func (t *Target[A]) Closure(arg A) (func(ctx context.Context) error, error) {
	return Ready(func(ctx context.Context) error { return t.fn(ctx, arg) }), t.late
}

// Ready makes a function of a forked child one that tells the parent when it begins.
func Ready(fn func(ctx context.Context) error) func(ctx context.Context) error {
	return func(ctx context.Context) error {
		markReady()
		return fn(ctx)
	}
}

// A Call is a target with its encoded argument, and the segments that the handles in it belong to.
type Call struct {
	Target   string
	Arg      []byte
	Segments []*shm.Segment
	cargo    cargo.Out // open files and sockets in the argument
}

// End gives back what is the call's own, and tells what was in the argument whether it was sent.
func (c *Call) End(sent bool) { c.cargo.End(sent) }

func (c *Call) need(v any) {
	h, ok := v.(interface{ Segment() *shm.Segment })
	if !ok || h.Segment() == nil {
		return
	}
	for _, have := range c.Segments {
		if have.ID() == h.Segment().ID() {
			return
		}
	}
	c.Segments = append(c.Segments, h.Segment())
}
