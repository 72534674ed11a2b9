//go:build linux && amd64 && !race && !msan && !asan

package fork

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Available returns nil where a process can be forked, and otherwise a [FactError] that names the fact which does not hold; it matches
// errors.ErrUnsupported where that is the platform, the build or the Go version. The first call runs the self-test, in
// a process of its own that is started from the running executable and ends before any main function does; it takes some ten milliseconds.
func Available() error {
	if err := facts(); err != nil {
		return err
	}
	return selfTest()
}

// Fork runs child in a copy of this process, and in the parent returns the copy's pid and a descriptor of it, close-on-exec. What child
// returns is the exit code (its low 8 bits): the copy leaves by exit_group(2), so nothing that os.Exit or the end of a main
// function would do happens there. A panic ends it as it ends any program.
//
// When Fork returns without an error the runtime of the child is complete. Otherwise there is no child: it is a *[BusyError],
// *[FactError] or *[StepError], and the parent is as it was.
func Fork(o Options, child func() int) (pid, pidfd int, err error) {
	if err := Available(); err != nil {
		return 0, -1, err
	}
	return fork(o, child)
}

// How long threads get to stop, in one try and in all. One that is about to end may wait for a lock whose holder has stopped
// already, so all are released in between.
const (
	firstBudget = 50 * time.Millisecond
	lastBudget  = time.Second
	maxTries    = 14
)

func fork(o Options, child func() int) (pid, pidfd int, err error) {
	if !o.Forkall {
		if err := alone(); err != nil {
			return 0, -1, err
		}
	}
	forkMu.Lock()
	f := &fk
	runtime.LockOSThread()
	pid, pidfd, err = f.run(o)
	inChild := f.child
	f.child = false
	forkMu.Unlock()
	runtime.UnlockOSThread()
	if inChild {
		leave(child)
	}
	return pid, pidfd, err
}

// run forks, and returns in the parent once the child has told that it is complete, and in the child.
func (f *forker) run(o Options) (pid, pidfd int, err error) {
	var status [2]int
	if err := pipe(status[:]); err != nil {
		return 0, -1, &StepError{Step: stepPipe.String(), Err: err}
	}
	f.statusR, f.statusW, f.socket = uintptr(status[0]), uintptr(status[1]), none
	defer func() {
		if !f.child {
			syscall.Close(status[0])
		}
	}()
	f.bind = o.DieWithThread
	flags := uintptr(syscall.SIGCHLD) | clonePidfd
	if o.Sibling {
		flags |= cloneParent
	}
	p, err := f.tries(func(budget uint64) (uintptr, bool) { return f.attempt(flags, budget) })
	if f.child {
		return 0, -1, nil
	}
	syscall.Close(status[1])
	if err != nil {
		return 0, -1, err
	}
	pid, pidfd = int(p), int(int32(f.pidfd))
	if err := await(status[0]); err != nil {
		if !o.Sibling {
			reap(pid)
		}
		syscall.Close(pidfd)
		return 0, -1, err
	}
	return pid, pidfd, nil
}

func pipe(p []int) error {
	if e := inject(stepPipe); e != 0 {
		return e
	}
	return syscall.Pipe2(p, syscall.O_CLOEXEC)
}

// tries prepares and calls attempt until the threads have stopped.
func (f *forker) tries(attempt func(budget uint64) (uintptr, bool)) (uintptr, error) {
	threads, regs := 0, 0
	budget := firstBudget
	var deaf []string // threads that block the stop signal, time and again: one that begins or ends does so for a moment
	for try := 0; ; try++ {
		if err := f.learn(threads, regs); err != nil {
			return 0, err
		}
		syscall.ForkLock.Lock()
		makeStack()
		r, ok := attempt(uint64(budget))
		syscall.ForkLock.Unlock()
		switch {
		case ok:
			return r, nil
		case f.failStep == stepNone && try < maxTries: // the stack was shrunk
		case f.grow && try < maxTries:
			threads, regs = 2*len(f.slots), 2*len(f.regs)
		case f.failStep == stepStop && f.failErrno == syscall.ETIMEDOUT && try < maxTries:
			now := blockers()
			if try > 0 {
				now = slices.DeleteFunc(now, func(tid string) bool { return !slices.Contains(deaf, tid) })
			}
			if deaf = now; try >= 4 && len(deaf) > 0 {
				return 0, &FactError{Fact: "signal 34", Err: fmt.Errorf("threads %s block it", strings.Join(deaf, ", "))}
			}
			time.Sleep(time.Millisecond)
			budget = min(2*budget, lastBudget)
		case f.failStep == stepLayout && f.failErrno == syscall.EAGAIN && try < maxTries:
			// A thread has just begun. It needs a processor for a few instructions, or the next signal meets it where it stands.
			time.Sleep(min(time.Millisecond<<try, lastBudget/4))
		default:
			return 0, f.failure()
		}
	}
}

func (f *forker) failure() error {
	switch f.failStep {
	case stepProfile:
		if f.failErrno == syscall.EBUSY {
			return &FactError{Fact: "profiler", Err: errors.New("the CPU profiler is on (ITIMER_PROF)")}
		}
	case stepLayout:
		return &FactError{Fact: "threads' m", Err: f.failErrno}
	case stepTimers:
		if f.failErrno == syscall.ERANGE {
			return &FactError{Fact: "timers", Err: fmt.Errorf("a POSIX timer has an ID of %d or more", maxTimers)}
		}
	}
	return &StepError{Step: f.failStep.String(), Err: f.failErrno}
}

// learn makes ready what a fork by this thread works with, with room for at least so many threads and registrations, and for twice as many
// as there are.
func (f *forker) learn(threads, regs int) error {
	if pid, err := os.Readlink("/proc/self"); err != nil || pid != fmt.Sprint(os.Getpid()) { // another pid namespace's has other numbers
		return &FactError{Fact: "/proc", Err: fmt.Errorf("it knows this process as %q, which has pid %d (%v)", pid, os.Getpid(), err)}
	}
	n, err := threadCount()
	if err == nil && inject(stepPrepare) != 0 {
		err = syscall.ENOMEM
	}
	if err != nil {
		return &StepError{Step: stepPrepare.String(), Err: err}
	}
	info, err := os.ReadFile(string(pathPoller[:len("/proc/self/fdinfo/")]) + fmt.Sprint(f.epfd))
	if err != nil {
		return &FactError{Fact: "poller's descriptors", Err: err}
	}
	f.makeRoom(max(threads, 2*n+32), max(regs, 2*strings.Count(string(info), "\n")+32), 2*len(info)+4096)
	f.grow, f.child, f.failStep = false, false, stepNone
	f.pid, f.tid = uint64(os.Getpid()), uint64(syscall.Gettid())
	_, f.me, f.meFS = self()
	f.mePend = ^uint64(0)
	if _, e := raw(syscall.SYS_SIGALTSTACK, 0, addr(&f.altstack[0]), 0, 0); e != 0 {
		return &StepError{Step: stepPrepare.String(), Err: e}
	}
	if !f.install() {
		return &StepError{Step: f.failStep.String(), Err: f.failErrno}
	}
	return nil
}

// attempt forks, once. It returns 0 and true in the child.
//
//go:nosplit
func (f *forker) attempt(flags uintptr, budget uint64) (pid uintptr, ok bool) {
	if !f.block() {
		return 0, false
	}
	if !f.roomy() || !via.stop(f, budget) {
		f.unblock()
		return 0, false
	}
	if via.check(f) && via.scene(f) {
		pid, ok = f.call(stepClone, syscall.SYS_CLONE, flags, 0, addr(&f.pidfd), 0)
		if ok && pid == 0 {
			via.revive(f)
			f.openGate()
			f.unblock()
			return 0, true
		}
	}
	via.release(f)
	f.unblock()
	return pid, ok
}

// await reads what the child reports. Its death ends the pipe.
func await(fd int) error {
	var b [8]byte
	for {
		n, err := syscall.Read(fd, b[:])
		if err == syscall.EINTR {
			continue
		}
		if e := inject(stepAwait); e != 0 {
			err = e
		}
		switch {
		case err != nil:
			return &StepError{Step: stepAwait.String(), Err: err}
		case n < len(b):
			return &StepError{Step: stepAwait.String(), Child: true, Err: io.EOF}
		}
		word := le64(b[:])
		if word == 0 {
			return nil
		}
		return &StepError{Step: step(word >> 32).String(), Child: true, Err: syscall.Errno(word & (1<<32 - 1))}
	}
}

// reap waits for a child that has failed, or makes it fail.
func reap(pid int) {
	_ = syscall.Kill(pid, syscall.SIGKILL) // it is ours, and not reaped yet
	for {
		if _, err := syscall.Wait4(pid, nil, 0, nil); err != syscall.EINTR {
			return
		}
	}
}

// leave runs what a child is for, and ends it.
func leave(child func() int) {
	code := FailedChild
	returned := false
	defer func() {
		if !returned {
			if r := recover(); r != nil {
				panic(r)
			}
		}
		for {
			raw(syscall.SYS_EXIT_GROUP, uintptr(code&0xff), 0, 0, 0)
		}
	}()
	runHooks()
	code = child()
	returned = true
}

// Notified returns the signals, 1<<0 for signal 1, among which are those that the parent of this process, which was forked, had asked os/signal for. It is
// nothing where the parent had asked for none.
func Notified() uint64 {
	forkMu.Lock()
	defer forkMu.Unlock()
	return fk.notified
}

func runHooks() {
	registry.Lock()
	hooks := registry.hooks
	registry.Unlock()
	for _, hook := range hooks {
		hook()
	}
}
