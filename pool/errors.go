package pool

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"

	"github.com/fb2d3dbd/multiproc"
	"github.com/fb2d3dbd/multiproc/internal/failure"
)

// Errors of this package. They are matched with errors.Is.
var (
	// ErrClosed says that the pool takes no more calls: Close or Terminate was called. It matches os.ErrClosed.
	ErrClosed = multiproc.ErrClosed
	// ErrTerminated says that the pool was terminated before the task had ended.
	ErrTerminated = errors.New("pool: terminated")
	// ErrWorkerDied says that a worker died with the task in its hands; see [WorkerDiedError].
	ErrWorkerDied = errors.New("pool: the worker died")
	// ErrPoison says of a task that every worker that took it up has died, and more than one has.
	ErrPoison = errors.New("pool: the task kills its workers")
	// ErrBroken says that the pool has given up: worker after worker died before it was ready.
	ErrBroken = errors.New("pool: broken: workers die at start again and again")
	// ErrMemory says that the task's worker exceeded the memory limit.
	ErrMemory = errors.New("pool: the worker exceeded its memory limit")
	// ErrTimeout says that the task exceeded CallOptions.Timeout and did not end within the grace, so that its worker was ended. It matches
	// context.DeadlineExceeded.
	ErrTimeout error = timeoutError{}
	// ErrOpen says that Join was called before Close or Terminate.
	ErrOpen = errors.New("pool: still open: Close or Terminate it before Join")
	// ErrEncoding says that an argument or a result could not be sent: its encoding failed, or it is larger than Options.Bytes. It may have been run.
	ErrEncoding = errors.New("pool: the value cannot be sent")
	// ErrCorrupt says that what stands in the pool's memory cannot be.
	ErrCorrupt = multiproc.ErrCorrupt
)

// An error of a pool may be on its way to another process: a task may have a pool of its own, and a manager's client uses one of its server's.
func init() {
	for name, err := range map[string]error{
		"ErrTerminated": ErrTerminated, "ErrWorkerDied": ErrWorkerDied, "ErrPoison": ErrPoison, "ErrBroken": ErrBroken, "ErrMemory": ErrMemory, "ErrTimeout": ErrTimeout,
		"ErrOpen": ErrOpen, "ErrEncoding": ErrEncoding,
	} {
		failure.Register("pool."+name, err)
	}
	multiproc.Register[WorkerDiedError]()
}

// A pool starts workers at any time, from a process in which goroutines of its own wait on shared memory, and such a process cannot be forked. Workers that begin with
// what was prepared once are those of multiproc.ForkServer.
var errFork = fmt.Errorf("pool: workers cannot be started by the method fork, for a pool has goroutines of its own: set Options.Process.Method to forkserver or spawn: %w", errors.ErrUnsupported)

// A TaskError says which task failed. Err is what its function returned (a [RemoteError]), a [WorkerDiedError], or why it was not run or not
// finished.
type TaskError struct {
	Func     string // name of the function
	Index    int    // number of the task in its call, from 0
	Attempts int    // how often it was begun and did not end; 1 or 0 without retries
	Err      error
}

func (e *TaskError) Error() string {
	if errors.Is(e.Err, ErrWorkerDied) && e.Attempts > 1 {
		return fmt.Sprintf("pool: task %d of %q has killed %d workers: %v", e.Index, e.Func, e.Attempts, e.Err)
	}
	return fmt.Sprintf("pool: task %d of %q: %v", e.Index, e.Func, e.Err)
}

// Unwrap returns the cause.
func (e *TaskError) Unwrap() error { return e.Err }

// Is reports whether target is ErrPoison and the task is one.
func (e *TaskError) Is(target error) bool {
	return target == ErrPoison && e.Attempts > 1 && errors.Is(e.Err, ErrWorkerDied)
}

// A WorkerDiedError says how the worker died that had the task in its hands. It matches [ErrWorkerDied].
type WorkerDiedError struct {
	Worker string // name of the process
	PID    int
	Signal syscall.Signal // that killed it, or 0
	Code   int            // exit code, if no signal killed it
	Text   string         // what it said: a panic of another goroutine, a fatal error
	Stack  string
}

func (e *WorkerDiedError) Error() string {
	how := fmt.Sprintf("exit code %d", e.Code)
	if e.Signal != 0 {
		how = fmt.Sprintf("killed by signal %d (%v)", int(e.Signal), e.Signal)
	}
	if e.Text != "" {
		how += ": " + e.Text
	}
	return fmt.Sprintf("worker %q (pid %d) died: %s", e.Worker, e.PID, how)
}

// Is reports whether target is ErrWorkerDied.
func (e *WorkerDiedError) Is(target error) bool { return target == ErrWorkerDied }

// A RemoteError is an error that a task's function returned, or its panic. Err is the error itself, or the first of those that it wraps, where one can travel: a registered
// type (see multiproc.Register), a registered sentinel (see multiproc.RegisterError), or a well-known value such as context.Canceled, io.EOF or fs.ErrNotExist. It has these fields:
//
//	Text  string
//	Type  string  // of the error, or of the panic's value
//	Panic bool
//	Stack string  // of a panic
//	Err   error   // the error itself, or nil
type RemoteError = failure.Error

// timeoutError is ErrTimeout.
type timeoutError struct{}

func (timeoutError) Error() string { return "pool: the task exceeded its time-out" }

func (timeoutError) Is(target error) bool { return target == context.DeadlineExceeded }

// A MapError lists the tasks of a call that failed, by their numbers.
type MapError struct {
	Tasks []*TaskError
	// NotBegun is how many tasks were never handed to the pool, because the call's context ended or the pool did; Cause is why.
	NotBegun int
	Cause    error
}

func (e *MapError) Error() string {
	var b strings.Builder
	if len(e.Tasks) > 0 {
		b.WriteString(e.Tasks[0].Error())
	}
	if n := len(e.Tasks) - 1; n > 0 {
		fmt.Fprintf(&b, " (and %d more failed)", n)
	}
	if e.NotBegun > 0 {
		if b.Len() > 0 {
			b.WriteString("; ")
		}
		fmt.Fprintf(&b, "pool: %d tasks were not begun: %v", e.NotBegun, e.Cause)
	}
	return b.String()
}

// Unwrap returns the tasks' errors and the cause.
func (e *MapError) Unwrap() []error {
	var all []error
	for _, t := range e.Tasks {
		all = append(all, t)
	}
	if e.Cause != nil {
		all = append(all, e.Cause)
	}
	return all
}
