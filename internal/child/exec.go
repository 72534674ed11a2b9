package child

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"syscall"

	"github.com/fb2d3dbd/multiproc/internal/life"
	"github.com/fb2d3dbd/multiproc/internal/sys"
)

// The child finds its mailbox at descriptor 3 and the segments behind it; the environment variable tells it that it is a child.
const (
	envMark   = "MULTIPROC_CHILD"
	envValue  = "spawn/2" // the version of what the parent and the child agree on
	mailboxFD = 3
)

// Exec starts the call in a fresh process of the executable. more is added to its environment, and extra to its descriptors, behind those of the segments.
func Exec(ctx context.Context, p *Parcel, more []string, extra ...*os.File) (*Process, error) {
	defer p.Close()
	if sys.SelfExe == "" {
		return nil, fmt.Errorf("multiproc: %w", sys.Unsupported("starting a process with shared memory"))
	}
	pidfd := -1
	attr := &os.ProcAttr{
		Dir:   p.Options.Dir,
		Env:   p.Options.Environ(append(more, envMark+"="+envValue)...),
		Files: append(p.Files(), extra...),
		Sys:   &syscall.SysProcAttr{},
	}
	sys.DieWithParent(attr.Sys)
	sys.PidFD(attr.Sys, &pidfd)
	exe := p.Options.Executable
	if exe == "" {
		exe = sys.SelfExe // this very program, also when its file was replaced meanwhile
	}
	var c *Process
	err := errors.New("not started")
	if e := OnStarter(ctx, func() {
		var proc *os.Process
		if proc, err = os.StartProcess(exe, os.Args, attr); err == nil {
			fd, _ := sys.AsProcess(pidfd) // if there is none, Wait does, at the price of a thread
			c = p.Adopt(proc, fd)
		}
	}); e != nil {
		err = e
	}
	if err != nil {
		return nil, fmt.Errorf("multiproc: start %q: %w", p.Name, err)
	}
	return c, nil
}

// A startThread is the one thread that starts processes. The kernel ties "die with the parent" to the thread that made
// the child, not to its process (golang/go#27505); this thread lives as long as the process does.
type startThread struct {
	jobs chan func()
	life uint32
}

var starter struct {
	sync.Mutex
	*startThread
}

func theStarter() *startThread {
	starter.Lock()
	defer starter.Unlock()
	if s := starter.startThread; s != nil && s.life == life.Count() {
		return s
	}
	// In the child of a fork the old one may be what runs the child's function.
	s := &startThread{make(chan func()), life.Count()}
	starter.startThread = s
	go s.run()
	return s
}

func (s *startThread) run() {
	runtime.LockOSThread()
	for job := range s.jobs {
		job()
	}
}

// OnStarter runs job on the thread that starts processes, unless ctx ends before it has begun. Once it has begun it ends within a
// moment, and its outcome must be known.
func OnStarter(ctx context.Context, job func()) error {
	done := make(chan struct{})
	select {
	case theStarter().jobs <- func() { defer close(done); job() }:
		<-done
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Spawn starts the call in a fresh process of the executable: the start method spawn.
func Spawn(ctx context.Context, c *Call, o *Options) (*Process, error) {
	if err := Check(ctx); err != nil {
		return nil, err
	}
	p, err := c.Pack(o, nil)
	if err != nil {
		return nil, err
	}
	return Exec(ctx, p, nil)
}
