package proctest

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

// A Tracee is a child that the calling thread runs one instruction at a time, by ptrace. What a process that is killed
// leaves behind is what shared memory holds at that instruction, so a test can look at the memory after each, or kill
// the child there in earnest.
type Tracee struct {
	t    testing.TB
	cmd  *exec.Cmd
	tid  int         // of the thread that is stepped
	tids []int       // of all
	idle *time.Timer // kills the child when no step ends for long
}

// Trace starts a child and stops it in its call of [Traced]. The files are its descriptors from 3 on. The goroutine must be
// locked to its thread and stay so. Where tracing is forbidden the test is skipped. The caller ends the child by Let or Kill.
func Trace(t testing.TB, p *Program, files []*os.File, args ...string) *Tracee {
	t.Helper()
	fromChild, told := pipe(t)
	goOn, toChild := pipe(t)
	defer fromChild.Close()
	defer toChild.Close()
	// No limit for the whole walk: how many steps a loaded machine carries out in a time, nobody knows.
	ctx, cancel := context.WithCancel(context.Background())
	x := &Tracee{t: t, cmd: p.Command(ctx, args...), idle: time.AfterFunc(patience, cancel)}
	t.Cleanup(func() {
		x.idle.Stop()
		cancel()
	})
	// A preemption of the stepped goroutine would move the rest of its steps elsewhere.
	x.cmd.Env = append(x.cmd.Env, "GODEBUG=asyncpreemptoff=1")
	x.cmd.ExtraFiles = append(slices.Clone(files), goOn, told)
	x.cmd.Stderr = os.Stderr
	err := x.cmd.Start()
	goOn.Close()
	told.Close()
	if err != nil {
		t.Fatal(err)
	}
	var tid [8]byte
	if _, err := io.ReadFull(fromChild, tid[:]); err != nil {
		x.Kill()
		t.Fatalf("the child to be traced did not come as far as Traced: %v", err)
	}
	x.tid = int(binary.NativeEndian.Uint64(tid[:]))
	// The other threads stand still all the time: among them is the scheduler's watch, which would have the goroutine make
	// way for others every few hundred instructions.
	for {
		tids := x.threads()
		if !slices.ContainsFunc(tids, func(tid int) bool { return !slices.Contains(x.tids, tid) }) {
			break
		}
		for _, tid := range tids {
			if slices.Contains(x.tids, tid) {
				continue
			}
			if err := syscall.PtraceAttach(tid); err == syscall.ESRCH {
				continue
			} else if err != nil {
				x.Kill()
				t.Skipf("cannot trace a child here: %v", err)
			}
			x.wait(tid)
			if tid != x.tid && !x.asleep(tid) {
				if err := syscall.PtraceDetach(tid); err != nil {
					t.Fatal(err)
				}
				runtime.Gosched()
				continue
			}
			x.tids = append(x.tids, tid)
		}
	}
	if _, err := toChild.Write([]byte{1}); err != nil {
		x.Kill()
		t.Fatal(err)
	}
	return x
}

func pipe(t testing.TB) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	return r, w
}

// asleep reports whether a thread that stands does so in a system call in which idle threads of the runtime sleep. Elsewhere it
// might hold a lock of the runtime, and the stepped one would wait for it for ever.
func (x *Tracee) asleep(tid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/syscall", x.cmd.Process.Pid, tid))
	if err != nil {
		return true // this kernel does not say
	}
	number, _, _ := strings.Cut(string(b), " ")
	n, err := strconv.Atoi(number)
	return err == nil && (n == syscall.SYS_FUTEX || n == syscall.SYS_NANOSLEEP || n == syscall.SYS_EPOLL_PWAIT)
}

// Traced is called by a child of [Trace] that was given n files, before what shall be stepped through. It ends garbage
// collection, and returns when the tracer has come. The goroutine stays on the thread that called: the others stand still.
func Traced(n int) error {
	debug.SetGCPercent(-1)
	runtime.LockOSThread()
	var tid [8]byte
	var goOn [1]byte
	binary.NativeEndian.PutUint64(tid[:], uint64(syscall.Gettid()))
	// Not locked any more: a goroutine that is, and makes way for others, waits for another thread to hand the processor back. And
	// not by ordinary system calls: the scheduler would give the processor to another thread meanwhile, and that one may be made
	// to stand still with it. Nothing here lets the scheduler in, so the thread stays the one that is told.
	runtime.UnlockOSThread()
	_, _, errno := syscall.RawSyscall(syscall.SYS_WRITE, uintptr(3+n+1), uintptr(unsafe.Pointer(&tid)), 8)
	for done := errno != 0; !done; {
		_, _, errno = syscall.RawSyscall(syscall.SYS_READ, uintptr(3+n), uintptr(unsafe.Pointer(&goOn)), 1)
		done = errno != syscall.EINTR
	}
	if errno != 0 {
		return fmt.Errorf("tell the tracer, and wait for it: %w", errno)
	}
	return nil
}

func (x *Tracee) threads() (tids []int) {
	x.t.Helper()
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", x.cmd.Process.Pid))
	if err != nil {
		x.t.Fatal(err)
	}
	for _, e := range entries {
		if tid, err := strconv.Atoi(e.Name()); err == nil {
			tids = append(tids, tid)
		}
	}
	return tids
}

// wait waits until a thread stands.
func (x *Tracee) wait(tid int) {
	x.t.Helper()
	var ws syscall.WaitStatus
	for {
		_, err := syscall.Wait4(tid, &ws, syscall.WALL, nil)
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			x.t.Fatal(err)
		}
		if !ws.Stopped() {
			x.t.Fatalf("the traced child ended: %v", ws)
		}
		return
	}
}

// Step lets the child carry out one instruction. A signal that comes is dropped.
func (x *Tracee) Step() {
	x.t.Helper()
	x.idle.Reset(patience)
	if err := syscall.PtraceSingleStep(x.tid); err != nil {
		x.t.Fatal(err)
	}
	x.wait(x.tid)
}

// Let lets the child go on by itself to its end, which must be a good one.
func (x *Tracee) Let() {
	x.t.Helper()
	x.idle.Reset(patience)
	for _, tid := range x.tids {
		if tid != x.tid {
			if err := syscall.PtraceDetach(tid); err != nil {
				x.t.Fatal(err)
			}
		}
	}
	if err := syscall.PtraceDetach(x.tid); err != nil { // last: it ends the process
		x.t.Fatal(err)
	}
	if err := x.cmd.Wait(); err != nil {
		x.t.Fatal(err)
	}
}

// Kill kills the child where it stands, and returns when it has gone.
func (x *Tracee) Kill() {
	_ = x.cmd.Process.Kill()
	for _, tid := range x.tids {
		var ws syscall.WaitStatus
		for tid != x.cmd.Process.Pid { // the first thread's end is that of the process
			if _, err := syscall.Wait4(tid, &ws, syscall.WALL, nil); err != syscall.EINTR && (err != nil || ws.Signaled() || ws.Exited()) {
				break
			}
		}
	}
	_ = x.cmd.Wait()
}
