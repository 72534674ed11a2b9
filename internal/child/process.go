package child

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/fb2d3dbd/multiproc/internal/life"
	"github.com/fb2d3dbd/multiproc/internal/sys"
)

// A Process is a child that was started, by whichever method. Its methods may be called from any goroutine.
type Process struct {
	name    string
	pid     int
	os      *os.Process
	fd      *sys.ProcessFD // its end can be waited for without a thread; nil where it cannot
	mail    *os.File       // the mailbox, open until done
	done    chan struct{}
	ready   atomic.Bool // it has its argument
	exit    *ExitError  // set before done is closed; nil after exit code 0
	life    uint32      // of the process that started it
	service bool        // it is no child that a user has started
}

// Adopt makes a Process of a child that was started with the mailbox of p, and has it waited for. fd may be nil.
func (p *Parcel) Adopt(proc *os.Process, fd *sys.ProcessFD) *Process {
	c := &Process{
		name: p.Name, pid: proc.Pid, os: proc, fd: fd, mail: p.Mail,
		done: make(chan struct{}), life: life.Count(), service: p.Service,
	}
	p.Mail = nil
	children.Store(c, nil)
	go c.reap()
	return c
}

// An ExitError says how a process ended that did not end with exit code 0, or that did not run its target.
type ExitError struct {
	PID  int
	Name string
	// Code is the exit code, 1 after an error or panic of the target; or the negative number of the signal that killed
	// the process.
	Code int
	// Text is the target's error or panic, or the first lines that the Go runtime wrote when it died of a fatal error.
	Text string
	// Stack is the stack of a panic, or the rest of what the runtime wrote.
	Stack string
}

// Error describes the end in one line, and the text brought back from the child.
func (e *ExitError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "process %q (pid %d): ", e.Name, e.PID)
	if e.Code < 0 {
		fmt.Fprintf(&b, "killed by signal %d (%v)", -e.Code, syscall.Signal(-e.Code))
	} else {
		fmt.Fprintf(&b, "exit code %d", e.Code)
	}
	if e.Text != "" {
		b.WriteString(": " + e.Text)
	}
	return b.String()
}

// Name returns the process's name.
func (p *Process) Name() string { return p.name }

// PID returns the process's number. It stays the same after the end, when the kernel may give it to another.
func (p *Process) PID() int { return p.pid }

// Done is closed when the process has ended and was reaped.
func (p *Process) Done() <-chan struct{} { return p.done }

// Wait waits until the process has ended or ctx ends. It returns nil after exit code 0, an *ExitError after any other end,
// and ctx.Err() if the process still runs. Any number of goroutines may wait, as often as they like. In a process that was forked from the
// one that started p it returns an error that matches ErrNotChild.
func (p *Process) Wait(ctx context.Context) error {
	if p.life != life.Count() {
		return fmt.Errorf("process %q (pid %d): %w", p.name, p.pid, ErrNotChild)
	}
	select {
	case <-p.done:
	default:
		select {
		case <-p.done:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if p.exit != nil {
		return p.exit
	}
	return nil
}

// ExitCode returns the exit code, or the negative number of the signal that killed the process; exited is false while it runs.
func (p *Process) ExitCode() (code int, exited bool) {
	select {
	case <-p.done:
	default:
		return 0, false
	}
	if p.exit != nil {
		return p.exit.Code, true
	}
	return 0, true
}

// Alive reports whether the process has not ended.
func (p *Process) Alive() bool {
	_, exited := p.ExitCode()
	return !exited
}

// Signal sends a signal to the process. An error that matches os.ErrProcessDone says that it has ended.
func (p *Process) Signal(sig os.Signal) error {
	if p.life != life.Count() {
		return fmt.Errorf("process %q (pid %d): %w", p.name, p.pid, ErrNotChild)
	}
	select {
	case <-p.done:
		return os.ErrProcessDone
	default:
		return p.os.Signal(sig)
	}
}

// Interrupt asks the target to end: its context is cancelled. A second one kills it, unless it handles the signal.
func (p *Process) Interrupt() error { return p.Signal(os.Interrupt) }

// Terminate ends the process with SIGTERM, which kills it unless the target handles the signal.
func (p *Process) Terminate() error { return p.Signal(syscall.SIGTERM) }

// Kill ends the process with SIGKILL. What it holds in shared memory is repaired by whoever needs it next.
func (p *Process) Kill() error { return p.Signal(os.Kill) }

// Close forgets the process. It returns an error that matches ErrRunning while the process runs; nothing is left to be
// freed when it has ended.
func (p *Process) Close() error {
	if p.Alive() {
		return fmt.Errorf("%w: process %q (pid %d): wait for it or kill it before Close", ErrRunning, p.name, p.pid)
	}
	return nil
}

// reap waits for the end, reads the mailbox and closes it.
func (p *Process) reap() {
	if p.fd != nil {
		_ = p.fd.Wait() // if it cannot wait, Wait does, at the price of a thread
		p.fd.Close()
	}
	state, err := p.os.Wait()
	life.Gate.RLock()
	defer life.Gate.RUnlock()
	if p.life != life.Count() {
		return // this is the copy of a goroutine, in a process that is not the parent
	}
	e := &ExitError{PID: p.pid, Name: p.name}
	switch ws, ok := sysStatus(state); {
	case err != nil:
		e.Code, e.Text = 1, fmt.Sprintf("its exit status is lost: %v (does the program wait for all children by itself?)", err)
	case ok && ws.Signaled():
		e.Code = -int(ws.Signal())
	default:
		e.Code = state.ExitCode()
	}
	idle := e.Code >= 0 && !OrdersTaken(p.mail)
	if e.Code != 0 || idle {
		if r := ReadReport(p.mail); r != nil {
			e.Text, e.Stack = r.Text, r.Stack
		} else if idle && e.Text == "" {
			e.Text = "it ended without running the target: the first statement of its main must be a call of Init"
		}
		p.exit = e
	}
	p.mail.Close()
	children.Delete(p)
	close(p.done)
}

// disown is for the copy of a Process in the child of a fork: the descriptors go, and the goroutine that waits.
func (p *Process) disown() {
	if p.fd != nil {
		p.fd.Close()
	}
	_ = p.os.Release() // of a descriptor alone
	p.mail.Close()
}

func sysStatus(s *os.ProcessState) (ws syscall.WaitStatus, ok bool) {
	if s == nil {
		return ws, false
	}
	ws, ok = s.Sys().(syscall.WaitStatus)
	return ws, ok
}

func init() {
	life.Background("internal/child.(*Process).reap")
	life.Background("internal/child.(*Parcel).Adopt.gowrap1") // the same, before it has run: so the compiler calls what a go statement begins with
	life.Background("internal/child.(*startThread).run")
	life.Background("internal/child.awaitFork")
	life.OnFork(life.Processes, func() error {
		disownChildren()
		return nil
	})
}

var children sync.Map // *Process → nothing: those that run

// Begin says that a start is under way; end says that it is over.
func Begin() (end func()) {
	l := new(launch)
	launches.Store(l, nil)
	return func() {
		launches.Delete(l)
		l.over.Store(true)
	}
}

// Children returns the processes that this one has started and that still run.
func Children() []*Process {
	var all []*Process
	children.Range(func(k, _ any) bool {
		if p := k.(*Process); !p.service {
			all = append(all, p)
		}
		return true
	})
	return all
}

// disownChildren is for the child of a fork, which has none.
func disownChildren() {
	children.Range(func(k, _ any) bool {
		k.(*Process).disown()
		return true
	})
	children.Clear()
	launches.Clear()
}
