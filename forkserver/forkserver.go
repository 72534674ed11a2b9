// Package forkserver starts functions of this program in processes that are warm already: a server process, the zygote, is started once, runs what
// was registered with [Preload], and is then copied for every start. What it has loaded, seconds of initialisation or gigabytes of it, the copies
// have from their first instruction, and share the memory until they write to it.
//
// A [Target] is a function registered under a name in a package-level variable; [Init] is the first statement of main and of TestMain:
//
//	var greet = forkserver.NewTarget("greet", func(ctx context.Context, name string) error {
//		fmt.Println("hello", name)
//		return nil
//	})
//
//	func main() {
//		forkserver.Init()
//		p, err := greet.Start(context.Background(), "bob", nil)
//		if err == nil {
//			err = p.Wait(context.Background())
//		}
//	}
//
// The children are children of the process that asks for them, as those of package spawn are: they have their own exit status, may be signalled and
// waited for, and never outlive it. They do outlive the zygote. Each process that starts others has a zygote of its own; it is started with the first
// of them, started again when it has died, and ends with its process.
//
// # What a child has from where
//
// From the zygote, as it was when it had preloaded: memory, and what the kernel keeps for a process (umask, limits, priority). From the call of Start: argument,
// standard files, working directory, environment with GOMAXPROCS. The Go runtime has read its other variables (GOGC, GOMEMLIMIT, GODEBUG) when the zygote started;
// a target that wants other settings makes them by runtime/debug. Children draw numbers that differ from crypto/rand, and may draw the same ones from
// math/rand.
//
// Memory that is written to is no longer shared, and the garbage collector writes: it marks small objects inside the pages that they stand in. What is to
// stay shared for long is best kept in few large objects without pointers ([]byte, []float64), or in package shm.
//
// It needs Linux on amd64, and a build without cgo and race detector. Elsewhere everything that starts a process returns an error that matches
// errors.ErrUnsupported: use package spawn there.
package forkserver

import (
	"context"
	"os"
	"time"

	"github.com/fb2d3dbd/multiproc/internal/child"
	"github.com/fb2d3dbd/multiproc/internal/zygote"
)

// Errors of this package. They are matched with errors.Is.
var (
	// ErrNotInitialized says that a process was started before Init was called.
	ErrNotInitialized = child.ErrNotInitialized
	// ErrUnknownTarget says that this program has no target of the name, or registered it too late.
	ErrUnknownTarget = child.ErrUnknownTarget
	// ErrRunning says that a process has not ended yet.
	ErrRunning = child.ErrRunning
	// ErrNotChild says that a Process is of another's child: this process was forked from the one that started it.
	ErrNotChild = child.ErrNotChild
	// ErrZygoteDied says that the zygote has died while it was asked, and again when it was started anew. The process was not started.
	ErrZygoteDied = zygote.ErrDied
	// ErrTooManySegments says that the handles in an argument belong to more segments than one request can carry.
	ErrTooManySegments = zygote.ErrTooManySegments
)

// A Process is a child that was started; see spawn.Process for its methods.
type Process = child.Process

// An ExitError says how a process ended that did not end with exit code 0; see spawn.ExitError for its fields.
type ExitError = child.ExitError

// A PreloadError says that the zygote could not be made: what a preload function returned, how it panicked, or that it took too long. No process
// was started. The next Start tries again. It has these fields:
//
//	Name  string  // of the function; "" when it is none of theirs
//	Text  string
//	Stack string  // of a panic, or where the function stood when its time was over
type PreloadError = zygote.PreloadError

// A Target is a function that can be run in a child process, with an argument of type A, which is encoded as that of a spawn.Target.
type Target[A any] struct{ t *child.Target[A] }

// NewTarget registers fn under name, for use in a package-level variable. The name must be unique in the program; a second
// registration panics. In the child, ctx ends when the child receives an interrupt (SIGINT), and fn's error becomes
// exit code 1 with its text.
func NewTarget[A any](name string, fn func(ctx context.Context, arg A) error) *Target[A] {
	return &Target[A]{child.NewTarget(name, fn)}
}

// Name returns the name that the target is registered under.
func (t *Target[A]) Name() string { return t.t.Name() }

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
}

// Start runs the target in a new process, a copy of the zygote. It returns when the process runs; what goes wrong in the target is told by Wait. ctx bounds the
// start alone, the preload functions included when it is the first. If it ends while the process is being made, the process is killed.
//
// Any number may be started at a time. When the zygote dies meanwhile, the start is tried once more with a new one, if the process has certainly
// not run: each start runs its target once, or returns an error.
func (t *Target[A]) Start(ctx context.Context, arg A, o *Options) (*Process, error) {
	defer child.Begin()()
	call, err := t.t.Encode(&arg)
	if err != nil {
		return nil, err
	}
	if o == nil {
		o = &Options{}
	}
	p, err := zygote.Start(ctx, call, &child.Options{Name: o.Name, Stdin: o.Stdin, Stdout: o.Stdout, Stderr: o.Stderr, Env: o.Env, Dir: o.Dir})
	call.End(err == nil)
	return p, err
}

// Init makes this program able to start processes. It is the first statement of main, and of TestMain in tests. In a
// child it runs the target and does not return; elsewhere it returns at once.
func Init() { child.Init() }

// Available returns nil where processes can be started by this package. Otherwise the error says why not, and matches errors.ErrUnsupported where the
// platform or the build is the reason.
func Available() error { return zygote.Available() }

// Preload has every zygote run fn once, before it is copied, in the order of registration. It is called in package-level variables or init functions; a second
// registration of a name panics. An error, a panic, or that it takes longer than ServerOptions.PreloadTimeout, is told by the Start that needed the zygote,
// as a [PreloadError].
//
// When fn returns, the goroutines that it has started must have ended: a copy would go on with them. The zygote has one processor (GOMAXPROCS=1),
// its children as many as any process.
func Preload(name string, fn func() error) { zygote.Preload(name, fn) }

// ServerOptions are for making zygotes. Nil and the zero value work.
type ServerOptions struct {
	// PreloadTimeout is how long each preload function may take; 0 means five minutes.
	PreloadTimeout time.Duration
	// HugePages asks the kernel to put what was preloaded into huge pages. It takes seconds a gigabyte, once, and makes every start several times
	// faster when the zygote has hundreds of megabytes.
	HugePages bool
}

// SetServerOptions says how zygotes are made from now on. One that runs already stays as it is; see [Stop].
func SetServerOptions(o *ServerOptions) {
	if o == nil {
		o = &ServerOptions{}
	}
	zygote.Configure(zygote.Config(*o))
}

// EnsureRunning starts the zygote, if it does not run, and waits until it has preloaded. Start does so by itself: this is for whoever wants the first start to
// be as fast as the others.
func EnsureRunning(ctx context.Context) error { return zygote.EnsureRunning(ctx) }

// Stop ends the zygote, if there is one, and returns when it has gone. Its children go on. The next Start makes a new one.
func Stop() error { return zygote.Stop() }
