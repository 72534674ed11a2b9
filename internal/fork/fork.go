package fork

import (
	"fmt"
	"strings"
	"sync"
)

// Options of a [Fork]. The zero value is the safe one.
type Options struct {
	// Forkall forks although other goroutines of the program exist. They continue in the child as well as in the parent:
	// accept loops accept in both, buffers are flushed twice, what has a lock in shared memory gives it back twice. Without it,
	// such a fork is refused with a [BusyError].
	Forkall bool
	// Sibling makes the child a child of this process's parent (CLONE_PARENT), which gets its SIGCHLD and its status. The
	// caller cannot wait for it, but for a pidfd to become readable. The kernel refuses it to the init of a pid namespace, with EINVAL.
	Sibling bool
	// DieWithThread has the kernel kill the child when the thread ends that made it (PR_SET_PDEATHSIG), which is to be one that lasts as long as its
	// process. The child has to look whether its parent still lives.
	DieWithThread bool
}

// FreezeOptions of a [Freeze].
type FreezeOptions struct {
	// Socket is a blocking descriptor of a SOCK_SEQPACKET socket, whose peer is this process's parent. A child
	// closes it before it goes on.
	Socket  int
	MaxData int // bytes of data that a request may have, up to MaxRequestData
	MaxFDs  int // descriptors that it may have, up to MaxRequestFDs
	// HugePages asks the kernel to put the heap into huge pages first. It takes seconds a gigabyte, once, and makes the
	// forks of large heaps several times faster. Nothing comes of it where the kernel cannot.
	HugePages bool
	// Procs is what GOMAXPROCS is set to before the process is frozen: a zygote is best started with GOMAXPROCS=1, which saves threads that each child would
	// have to make. 0 leaves it alone, -1 is what a new process would have, which follows the number of CPUs.
	Procs int
}

// Limits of a request: what one message on a socket can be told to hold, and what the kernel passes at a time (SCM_MAX_FD).
const (
	MaxRequestData = 1 << 20
	MaxRequestFDs  = 253
)

// A Request is what the asker sent to a zygote.
type Request struct {
	ID   uint64
	Data []byte
	FDs  []int // close-on-exec, and the child's to close
}

// A BusyError says that other goroutines run, so that a fork that continues all of them was refused.
type BusyError struct {
	Goroutines []string // the stack of each, as runtime.Stack prints it
}

func (e *BusyError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "fork: %d other goroutines run, which would continue in the child too:", len(e.Goroutines))
	for _, g := range e.Goroutines {
		head, rest, _ := strings.Cut(g, "\n")
		top, _, _ := strings.Cut(rest, "\n")
		fmt.Fprintf(&b, "\n\t%s %s", strings.TrimSuffix(head, ":"), top)
		if _, by, ok := strings.Cut(g, "created by "); ok {
			by, _, _ = strings.Cut(by, "\n")
			fmt.Fprintf(&b, ", created by %s", by)
		}
	}
	return b.String()
}

// A FactError says that something does not hold that a fork depends on, so that none was tried. It matches
// errors.ErrUnsupported where the platform, the build or the Go version is the reason.
type FactError struct {
	Fact string // as docs/design/fork.md names it
	Err  error
}

func (e *FactError) Error() string { return fmt.Sprintf("fork: %s: %v", e.Fact, e.Err) }
func (e *FactError) Unwrap() error { return e.Err }

// A StepError says which step of a fork failed. The parent is as it was; the child, if there was one already, has ended without
// having run anything of the program.
type StepError struct {
	Step  string // as docs/design/fork.md names it
	Child bool   // it failed in the child
	Err   error  // a syscall.Errno, or io.EOF where the child died
}

func (e *StepError) Error() string {
	if e.Child {
		return fmt.Sprintf("fork: in the child: %s: %v", e.Step, e.Err)
	}
	return fmt.Sprintf("fork: %s: %v", e.Step, e.Err)
}
func (e *StepError) Unwrap() error { return e.Err }

// FailedChild is the exit code of a child that could not be completed, or whose function called runtime.Goexit.
const FailedChild = 125

var registry struct {
	sync.Mutex
	hooks   []func()
	allowed []string
}

// AtChild registers a function that every child of this process, and their children, run after the runtime is complete and before
// anything of the caller's, in the order of registration. It is for what a copy of a process has to do over: to give up
// places that are its parent's, and take its own.
func AtChild(hook func()) {
	registry.Lock()
	defer registry.Unlock()
	registry.hooks = append(registry.hooks, hook)
}

// AllowGoroutine declares goroutines that may run when a process forks without Forkall, because they mind neither being continued
// in the child nor what they then find there. part is compared with the stack that runtime.Stack prints, such
// as "created by example.com/pkg.start".
func AllowGoroutine(part string) {
	registry.Lock()
	defer registry.Unlock()
	registry.allowed = append(registry.allowed, part)
}
