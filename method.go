package multiproc

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fb2d3dbd/multiproc/internal/child"
	"github.com/fb2d3dbd/multiproc/internal/zygote"
)

// A StartMethod is how a process comes to be. All give the same kind of child: it has its own exit status, may be signalled and waited for, and never
// outlives the process that started it.
type StartMethod string

const (
	// Spawn starts the program anew: the child shares nothing but what it is passed. It is the default, for it is the safest, and works from any
	// process. It costs what the program's initialisation costs.
	Spawn StartMethod = "spawn"
	// Fork copies this process: the child has all of its memory, copied when one of the two writes to it. Arguments need not be encoded, and
	// closures can be run ([ForkFunc]). It is refused with a [BusyError] while other goroutines run, for they would run on in the child; see
	// ProcessOptions.AllowForkall.
	Fork StartMethod = "fork"
	// ForkServer copies a process that was started for the purpose and has run what was registered with [Preload]: the child shares that memory, and
	// nothing of this process but what it is passed. It is as safe as Spawn, and as fast as a fork of a small process, whatever this one is; see package
	// forkserver.
	ForkServer StartMethod = "forkserver"
)

// StartMethods returns the methods that are available here. The default comes first.
func StartMethods() []StartMethod {
	all := []StartMethod{Spawn}
	for _, m := range []StartMethod{Fork, ForkServer} {
		if m.Available() == nil {
			all = append(all, m)
		}
	}
	return all
}

// Available returns nil if processes can be started by the method here. Otherwise the error says why not and what to use instead, and matches errors.ErrUnsupported
// where the platform or the build is the reason.
func (m StartMethod) Available() error {
	switch m {
	case Spawn:
		return nil
	case Fork:
		if err := child.CanFork(); err != nil {
			return fmt.Errorf("multiproc: start method fork: %w; use the start method spawn", err)
		}
		return nil
	case ForkServer:
		return zygote.Available()
	}
	return fmt.Errorf("multiproc: there is no start method %q; there are %q, %q and %q: %w", string(m), Spawn, Fork, ForkServer, errors.ErrUnsupported)
}

// SetStartMethod makes m the method of this process and of the processes that it starts from now on, where no other is asked for. A program
// calls it at its beginning, after Init; a package leaves it alone. A method that is not available is an error, and changes nothing.
func SetStartMethod(m StartMethod) error {
	if err := m.Available(); err != nil {
		return err
	}
	child.SetMethod(string(m))
	return nil
}

// DefaultStartMethod returns the method that is used where no other is asked for: what SetStartMethod was given here or by an ancestor, or [Spawn].
func DefaultStartMethod() StartMethod {
	if m := child.Method(); m != "" {
		return StartMethod(m)
	}
	return Spawn
}

type methodKey struct{}

// WithStartMethod returns a context with which processes are started by the method, where their options name no other: what Python's get_context is
// for. Whoever starts processes with a context that was passed on starts them as the one wishes who made it.
func WithStartMethod(ctx context.Context, m StartMethod) context.Context {
	return context.WithValue(ctx, methodKey{}, m)
}

// methodOf returns the method that a process is to be started by.
func methodOf(ctx context.Context, o *ProcessOptions) (StartMethod, error) {
	if o != nil && o.Method != "" {
		return o.Method, o.Method.Available()
	}
	if m, ok := ctx.Value(methodKey{}).(StartMethod); ok && m != "" {
		return m, m.Available()
	}
	m := DefaultStartMethod()
	return m, m.Available()
}

// A BusyError says that this process cannot be forked because other goroutines run in it, and which: Goroutines has the stack of each.
type BusyError = child.BusyError

// A PreloadError says which preload function has failed, and how; see forkserver.PreloadError.
type PreloadError = zygote.PreloadError

// Preload registers a function that the process which [ForkServer] copies runs once, before it is copied; see forkserver.Preload.
func Preload(name string, fn func() error) { zygote.Preload(name, fn) }

// ForkServerOptions are for the process which [ForkServer] copies. Nil and the zero value work.
type ForkServerOptions struct {
	// PreloadTimeout is how long each preload function may take; 0 means five minutes.
	PreloadTimeout time.Duration
	// HugePages asks the kernel to put what was preloaded into huge pages; see forkserver.ServerOptions.
	HugePages bool
}

// SetForkServerOptions holds for the next process that is made to be copied, which is the first if it is called before anything is started by ForkServer.
func SetForkServerOptions(o *ForkServerOptions) {
	if o == nil {
		o = &ForkServerOptions{}
	}
	zygote.Configure(zygote.Config(*o))
}
