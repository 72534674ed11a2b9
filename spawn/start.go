package spawn

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/fb2d3dbd/multiproc/internal/child"
	"github.com/fb2d3dbd/multiproc/internal/sys"
	"github.com/fb2d3dbd/multiproc/shm"
)

// The child finds its mailbox at descriptor 3 and the segments behind it; the environment variable tells it that it is a child.
const (
	envMark   = "MULTIPROC_CHILD"
	envValue  = "spawn/1" // the version of what the parent and the child agree on
	mailboxFD = 3
)

var started atomic.Int64 // processes, for their names

// segmentSet collects the segments that handles in an argument belong to.
type segmentSet struct{ all []*shm.Segment }

func (s *segmentSet) add(v any) {
	h, ok := v.(interface{ Segment() *shm.Segment })
	if !ok || h.Segment() == nil {
		return
	}
	for _, have := range s.all {
		if have.ID() == h.Segment().ID() {
			return
		}
	}
	s.all = append(s.all, h.Segment())
}

// start starts a process that runs the target with the encoded argument.
func start(ctx context.Context, target string, arg []byte, segs []*shm.Segment, o *Options) (*Process, error) {
	if !initialized.Load() || os.Getenv(envMark) != "" {
		return nil, ErrNotInitialized
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if sys.SelfExe == "" {
		return nil, fmt.Errorf("spawn: %w", sys.Unsupported("starting a process with shared memory"))
	}
	if o == nil {
		o = &Options{}
	}
	name := o.Name
	if name == "" {
		name = target + "-" + strconv.FormatInt(started.Add(1), 10)
	}
	orders := child.Orders{Target: target, Name: name, ParentPID: os.Getpid(), Arg: arg}
	if d := shm.HasDefault(); d != nil {
		orders.Default = d.ID()
		set := segmentSet{all: segs}
		set.add(d)
		segs = set.all
	}
	orders.Segments = len(segs)

	files := []*os.File{or(o.Stdin, os.Stdin), or(o.Stdout, os.Stdout), or(o.Stderr, os.Stderr)}
	own := len(files)
	defer func() {
		for _, f := range files[own:] {
			f.Close()
		}
	}()
	fd, err := sys.Scratch("multiproc-mailbox")
	if err != nil {
		return nil, fmt.Errorf("spawn: %w", err)
	}
	mailbox := os.NewFile(uintptr(fd), "mailbox")
	if err := child.WriteOrders(mailbox, &orders); err != nil {
		mailbox.Close()
		return nil, fmt.Errorf("spawn: write the child's orders: %w", err)
	}
	files = append(files[:mailboxFD:mailboxFD], mailbox)
	own = len(files) // the mailbox stays open here
	for _, s := range segs {
		fd, err := s.Export()
		if err != nil {
			mailbox.Close()
			return nil, fmt.Errorf("spawn: %w", err)
		}
		files = append(files, os.NewFile(uintptr(fd), "segment"))
	}

	pidfd := -1
	attr := &os.ProcAttr{
		Dir:   o.Dir,
		Env:   environment(o),
		Files: files,
		Sys:   &syscall.SysProcAttr{},
	}
	sys.DieWithParent(attr.Sys)
	sys.PidFD(attr.Sys, &pidfd)
	exe := o.Executable
	if exe == "" {
		exe = sys.SelfExe // this very program, also when its file was replaced meanwhile
	}
	proc, err := starter().start(ctx, exe, os.Args, attr)
	if err != nil {
		mailbox.Close()
		return nil, fmt.Errorf("spawn: start %q: %w", name, err)
	}
	p := &Process{name: name, pid: proc.Pid, os: proc, mail: mailbox, done: make(chan struct{})}
	children.Store(p, nil)
	go p.reap(func() {
		if pidfd >= 0 {
			_ = sys.WaitReadable(pidfd) // if it cannot wait, Wait does, at the price of a thread
		}
	})
	return p, nil
}

// environment returns the child's: of two settings of one variable the last holds.
func environment(o *Options) []string {
	cmd := exec.Cmd{Dir: o.Dir, Env: append(append(os.Environ(), o.Env...), envMark+"="+envValue)}
	return cmd.Environ()
}

func or(f, def *os.File) *os.File {
	if f != nil {
		return f
	}
	return def
}

// A startThread is the one thread that starts processes. The kernel ties "die with the parent" to the thread that made
// the child, not to its process (golang/go#27505); this thread lives as long as the process does.
type startThread struct{ jobs chan func() }

var starter = sync.OnceValue(func() *startThread {
	s := &startThread{jobs: make(chan func())}
	go func() {
		runtime.LockOSThread()
		for job := range s.jobs {
			job()
		}
	}()
	return s
})

func (s *startThread) start(ctx context.Context, exe string, args []string, attr *os.ProcAttr) (*os.Process, error) {
	var p *os.Process
	err := errors.New("not started")
	done := make(chan struct{})
	job := func() {
		p, err = os.StartProcess(exe, args, attr)
		close(done)
	}
	select {
	case s.jobs <- job:
		<-done // once it is begun it ends within a moment, and its outcome must be known
		return p, err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
