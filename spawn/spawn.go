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
	"os"

	"github.com/fb2d3dbd/multiproc/internal/child"
)

// Errors of this package. They are matched with errors.Is.
var (
	// ErrNotInitialized says that a process was started before Init was called. Without Init the child would be another run of
	// main, which starts a child, which starts a child.
	ErrNotInitialized = child.ErrNotInitialized
	// ErrUnknownTarget says that a child of this program has no target of the name: it was registered too late or
	// not at all.
	ErrUnknownTarget = child.ErrUnknownTarget
	// ErrRunning says that a process has not ended yet.
	ErrRunning = child.ErrRunning
	// ErrNotChild says that a Process is of another's child: this process was forked from the one that started it.
	ErrNotChild = child.ErrNotChild
)

// A Process is a child that was started. Its methods may be called from any goroutine:
//
//	Name() string                       the process's name
//	PID() int                           its number
//	Done() <-chan struct{}              closed when it has ended and was reaped
//	Wait(ctx context.Context) error     until it has ended; nil after exit code 0, else an *ExitError, or ctx's error
//	ExitCode() (code int, exited bool)  the exit code, or the negative number of the signal that killed it
//	Alive() bool                        whether it has not ended
//	Signal(sig os.Signal) error         sends a signal
//	Interrupt() error                   asks it to end: the target's context is cancelled; a second one kills
//	Terminate() error                   SIGTERM
//	Kill() error                        SIGKILL
//	Close() error                       forgets it; an error that matches ErrRunning while it runs
type Process = child.Process

// An ExitError says how a process ended that did not end with exit code 0, or that did not run its target. It has these fields:
//
//	PID   int
//	Name  string
//	Code  int     // the exit code, 1 after an error or panic of the target; or the negative number of the signal that killed it
//	Text  string  // the target's error or panic, or what the Go runtime wrote when it died of a fatal error
//	Stack string  // the stack of a panic, or the rest of what the runtime wrote
type ExitError = child.ExitError

// A Target is a function that can be run in a child process, with an argument of type A. Several arguments are a struct.
//
// The argument is encoded: numbers, strings, slices, maps, pointers, structs with exported fields, interfaces holding
// registered types, whatever marshals itself to binary, and handles to shared objects (segments, values, arrays, queues,
// locks), open files, sockets and connections, which in the child refer to the same things.
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
	// Executable is the program to run instead of this one. It must register the same targets and call Init.
	Executable string
}

// Start runs the target in a new process. It returns when the process is on its way; what goes wrong in it, an unknown
// target included, is told by Wait. ctx bounds the start alone: its end later does not end the process.
func (t *Target[A]) Start(ctx context.Context, arg A, o *Options) (*Process, error) {
	defer child.Begin()()
	call, err := t.t.Encode(&arg)
	if err != nil {
		return nil, err
	}
	p, err := child.Spawn(ctx, call, (*child.Options)(o))
	call.End(err == nil)
	return p, err
}

// Init makes this program able to start processes. It is the first statement of main, and of TestMain in tests. In a
// child it runs the target and does not return; elsewhere it returns at once.
func Init() { child.Init() }

// ProcessName returns the name that this process was started under, or "" if it is no child.
func ProcessName() string { return child.Name() }

// ParentPID returns the number of the process that started this one as a child, or 0 if it is none.
func ParentPID() int { return child.ParentPID() }

// ActiveChildren returns the processes that this one has started and that still run.
func ActiveChildren() []*Process { return child.Children() }

// Underway returns nil if no child of this process is on its way, and else a function that reports whether one of those that are now still is; children that are
// started later do not count. A child is on its way when it was started, lives, and does not yet have its argument with the handles in it: what it is going to do with
// them nobody knows yet. It is for the options of that name in package ringbuf.
func Underway() (still func() bool) { return child.Underway() }
