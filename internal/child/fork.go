package child

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/fb2d3dbd/multiproc/internal/fork"
	"github.com/fb2d3dbd/multiproc/internal/life"
	"github.com/fb2d3dbd/multiproc/internal/sys"
)

// CanFork returns why a process cannot be forked here, or nil.
func CanFork() error { return fork.Available() }

// A BusyError says that other goroutines run, so that a fork was refused.
type BusyError = fork.BusyError

// inherit is what became of this process's segments when it was forked.
var inherit error

func init() {
	fork.AtChild(func() { inherit = life.Forked() })
}

// DeclareBackground tells package fork which goroutines of this module may run during a fork.
var DeclareBackground = sync.OnceFunc(func() {
	for _, f := range life.BackgroundFunctions() {
		fork.AllowGoroutine(f)
	}
	// What os/signal has running for Notify, and the one that ends a context of NotifyContext: the child resets all of it.
	fork.AllowGoroutine("created by os/signal.")
})

// forking is held by the one whose fork is under way.
var forking sync.Mutex

// Fork runs a function in a copy of this process: the start method fork. The copy is made by the thread that starts processes, for the kernel to
// end the child with its parent and not with a thread of it.
func Fork(ctx context.Context, name string, run func(ctx context.Context) error, o *Options, forkall bool) (*Process, error) {
	if err := Check(ctx); err != nil {
		return nil, err
	}
	if err := fork.Available(); err != nil {
		return nil, err
	}
	if o != nil && o.Executable != "" {
		return nil, fmt.Errorf("multiproc: fork %q: Options.Executable is %q, and a fork runs no other program", name, o.Executable)
	}
	defer Begin()()
	p, err := NewParcel(name, o)
	if err != nil {
		return nil, err
	}
	defer p.Close()
	dir := -1
	if p.Options.Dir != "" {
		if dir, err = sys.OpenDir(p.Options.Dir); err != nil {
			return nil, fmt.Errorf("multiproc: fork %q: %w", p.Name, &os.PathError{Op: "chdir", Path: p.Options.Dir, Err: err})
		}
		defer sys.CloseFD(dir)
	}
	DeclareBackground()
	forking.Lock()
	defer forking.Unlock()
	if forkall { // otherwise a goroutine that is at work is one that is refused anyway
		if err := atWork(); err != nil {
			return nil, err
		}
	}
	f := &forked{parcel: p, dir: dir, parent: os.Getpid(), run: run}
	c, err := awaitFork(ctx, f, fork.Options{Forkall: forkall, DieWithThread: true})
	if err != nil {
		var busy *BusyError
		if errors.As(err, &busy) {
			return nil, busy
		}
		return nil, fmt.Errorf("multiproc: fork %q: %w", p.Name, err)
	}
	return c, nil
}

// awaitFork waits until the fork is done. Its caller may be running while a process forks, for it is the one that forks; in the child it waits for ever.
//
//go:noinline
func awaitFork(ctx context.Context, f *forked, o fork.Options) (c *Process, err error) {
	e := OnStarter(ctx, func() {
		life.Gate.Lock()
		pid, pidfd, e := fork.Fork(o, f.main)
		life.Gate.Unlock()
		if err = e; err != nil {
			return
		}
		var proc *os.Process
		if proc, err = os.FindProcess(pid); err == nil { // a child, so the number is still its own
			fd, _ := sys.AsProcess(pidfd)
			c = f.parcel.Adopt(proc, fd)
		}
	})
	return c, errors.Join(e, err)
}

// atWork refuses a fork while other goroutines are in the middle of calls on shared memory: what they do in the name of this process
// their copies would do once more.
func atWork() error {
	buf := make([]byte, 64<<10)
	for {
		n := runtime.Stack(buf, true)
		if n < len(buf) {
			buf = buf[:n]
			break
		}
		buf = make([]byte, 2*len(buf))
	}
	var busy []string
	_, others, _ := strings.Cut(string(buf), "\n\n") // the caller's is the first
	for g := range strings.SplitSeq(others, "\n\n") {
		if inSharedMemory(g) {
			busy = append(busy, g)
		}
	}
	if busy != nil {
		return &BusyError{Goroutines: busy}
	}
	return nil
}

func inSharedMemory(stack string) bool {
	for _, f := range life.BackgroundFunctions() {
		if strings.Contains(stack, f) {
			return false
		}
	}
	return strings.Contains(stack, "fb2d3dbd/multiproc/futex.") || strings.Contains(stack, "fb2d3dbd/multiproc/ringbuf.")
}

// forked is what the child of a fork is to do.
type forked struct {
	parcel *Parcel
	dir    int
	parent int
	run    func(ctx context.Context) error
}

// main is the child's: it returns the exit code.
func (f *forked) main() int {
	life.Gate.Unlock()
	forking.Unlock()         // the one who holds it waits for ever here
	runtime.UnlockOSThread() // as the goroutine that starts processes it was locked
	exit = syscall.Exit
	if os.Getppid() != f.parent { // and from now on the kernel kills this process with its parent
		return 1
	}
	p := f.parcel
	err := errors.Join(inherit, MarkTaken(p.Mail))
	become(&Orders{Name: p.Name, ParentPID: f.parent}, p.Mail)
	var fds [3]int
	for i, file := range p.Stdio {
		fds[i] = descriptorOf(file)
	}
	if err == nil {
		resetSignals()
		err = settle(fds, f.dir)
	}
	for _, kv := range p.Options.Env {
		if k, v, ok := strings.Cut(kv, "="); ok && err == nil {
			err = os.Setenv(k, v)
		}
	}
	if err != nil {
		return report(p.Mail, &Report{Text: err.Error()})
	}
	return finish(p.Mail, f.run)
}

func descriptorOf(f *os.File) int {
	fd := -1
	if rc, err := f.SyscallConn(); err == nil { // not Fd, which would have it block
		_ = rc.Control(func(n uintptr) { fd = int(n) })
	}
	return fd
}

// replaced keeps what os.Stdin and the others were: descriptors that are collected are closed.
var replaced []*os.File

// settle gives the child of a fork its standard files and its directory. fds that are negative stand for closed files, and a negative dir for no change.
func settle(fds [3]int, dir int) error {
	if dir >= 0 {
		if err := sys.ChangeDir(dir); err != nil {
			return os.NewSyscallError("fchdir", err)
		}
	}
	// First copies out of the way: any may be in the place of another.
	var copies [3]int
	for i, fd := range fds {
		copies[i] = -1
		if fd != i && fd >= 0 {
			c, err := sys.DupFD(fd)
			if err != nil {
				return os.NewSyscallError("dup", err)
			}
			copies[i] = c
		}
	}
	for i, std := range []**os.File{&os.Stdin, &os.Stdout, &os.Stderr} {
		if copies[i] < 0 {
			continue
		}
		if err := sys.DupOver(copies[i], i); err != nil {
			return os.NewSyscallError("dup3", err)
		}
		if err := sys.CloseFD(copies[i]); err != nil {
			return os.NewSyscallError("close", err)
		}
		replaced = append(replaced, *std)
		*std = os.NewFile(uintptr(i), [...]string{"/dev/stdin", "/dev/stdout", "/dev/stderr"}[i])
	}
	return nil
}

// resetSignals takes the handlers away that this process has of its parent, of the signals that the parent may have asked for or ignores. For each, two threads of the
// runtime take turns, so they are not all.
func resetSignals() {
	notified := fork.Notified()
	var all []os.Signal
	for n := range 64 {
		if s := syscall.Signal(n + 1); notified>>n&1 != 0 || signal.Ignored(s) {
			all = append(all, s)
		}
	}
	if all != nil { // which would be all
		signal.Reset(all...)
	}
}

// setEnviron makes the environment what env says. A copy of a zygote mostly has it already.
func setEnviron(env []string) (err error) {
	if slices.Equal(os.Environ(), env) {
		return nil
	}
	os.Clearenv()
	for _, kv := range env {
		if k, v, ok := strings.Cut(kv, "="); ok && k != "" {
			err = errors.Join(err, os.Setenv(k, v))
		}
	}
	return err
}

// Arrival is the order of the descriptors that a copy of a zygote is sent.
const (
	arrivalDir = iota
	arrivalStdin
	arrivalStdout
	arrivalStderr
	arrivalMail
	arrivalSegments
)

// ArrivalFDs is how many descriptors a copy of a zygote is sent beside those of segments.
const ArrivalFDs = arrivalSegments

// Arrive makes this process, a copy of a zygote, the child that it was made to be. fds are a directory, the standard files, the mailbox and the segments. It
// returns the exit code.
func Arrive(fds []int) int {
	if len(fds) < arrivalSegments {
		return fork.FailedChild
	}
	mailbox := os.NewFile(uintptr(fds[arrivalMail]), "mailbox")
	parent := sys.DieWithThread() // before the parent's number is asked for; this is the process's first thread, which never ends
	orders, err := TakeOrders(mailbox)
	if err != nil || parent != nil || os.Getppid() != orders.ParentPID {
		return fork.FailedChild
	}
	become(orders, mailbox)
	resetSignals()
	err = errors.Join(inherit, settle([3]int(fds[arrivalStdin:arrivalMail]), fds[arrivalDir]))
	for _, fd := range fds[:arrivalMail] {
		err = errors.Join(err, sys.CloseFD(fd))
	}
	err = errors.Join(err, setEnviron(orders.Env))
	if n, e := strconv.Atoi(os.Getenv("GOMAXPROCS")); e == nil && n > 0 { // the runtime has read it when the zygote began, with another value
		runtime.GOMAXPROCS(n)
	}
	if err == nil && len(fds) != arrivalSegments+orders.Segments {
		err = fmt.Errorf("%d segments were sent, %d announced", len(fds)-arrivalSegments, orders.Segments)
	}
	if err != nil {
		return report(mailbox, &Report{Text: err.Error()})
	}
	return carry(orders, mailbox, fds[arrivalSegments:], -1)
}

// Strays kills what the thread that starts processes is the parent of and nobody knows: copies of a zygote that died before it could
// tell of them, and that therefore never ran anything. No start by way of that zygote may be under way.
func Strays() error {
	var err error
	return errors.Join(OnStarter(context.Background(), func() {
		known := map[int]bool{} // first: whoever is waited for meanwhile is then in no list
		children.Range(func(k, _ any) bool {
			known[k.(*Process).pid] = true
			return true
		})
		var all []int
		if all, err = sys.ThreadChildren(); err != nil {
			return
		}
		for _, pid := range all {
			if !known[pid] {
				err = errors.Join(err, sys.KillChild(pid))
			}
		}
	}), err)
}
