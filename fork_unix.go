//go:build unix

package multiproc

import (
	"context"

	"github.com/fb2d3dbd/multiproc/internal/child"
)

// ForkFunc runs fn in a copy of this process: a closure, which finds everything that it refers to as it was at this moment. What it changes there nobody else sees; queues,
// locks and values are shared as ever, and a lock that this process holds is not the child's. In the child ctx ends when it receives an interrupt, and fn's error becomes
// exit code 1 with its text. When fn returns the child ends at once: nothing runs there that was deferred here.
//
// It is refused with a [BusyError] that names them when other goroutines run; ProcessOptions.AllowForkall says what it means to copy them. On the platforms that cannot
// fork the error matches errors.ErrUnsupported.
//
// In the child, descriptors are the parent's, with shared offsets; a [Process] is the parent's to wait for; handlers of signals are taken away; and math/rand may repeat what it
// gives the parent, unlike crypto/rand.
func ForkFunc(ctx context.Context, fn func(ctx context.Context) error, o *ProcessOptions) (*Process, error) {
	if err := Fork.Available(); err != nil {
		return nil, err
	}
	return forkProcess(ctx, "fork", child.Ready(fn), o)
}

func forkProcess(ctx context.Context, name string, run func(ctx context.Context) error, o *ProcessOptions) (*Process, error) {
	return child.Fork(ctx, name, run, o.plain(), o != nil && o.AllowForkall)
}
