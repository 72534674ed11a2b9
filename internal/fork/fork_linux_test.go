//go:build amd64 && !race && !msan && !asan

package fork_test

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"github.com/fb2d3dbd/multiproc/internal/fork"
	"github.com/fb2d3dbd/multiproc/internal/proctest"
)

func need(t testing.TB) {
	t.Helper()
	if err := fork.Available(); errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	} else if err != nil {
		t.Fatal(err)
	}
}

// all is for a process that has the goroutines of package testing.
var all = fork.Options{Forkall: true}

func waitFor(t testing.TB, pid int) syscall.WaitStatus {
	t.Helper()
	var ws syscall.WaitStatus
	for {
		got, err := syscall.Wait4(pid, &ws, 0, nil)
		if err == syscall.EINTR {
			continue
		}
		if err != nil || got != pid {
			t.Fatalf("wait for %d: %d, %v", pid, got, err)
		}
		return ws
	}
}

// status forks and returns what became of the child.
func status(t testing.TB, child func() int) syscall.WaitStatus {
	t.Helper()
	pid, pidfd, err := fork.Fork(all, child)
	if err != nil {
		t.Fatal(err)
	}
	syscall.Close(pidfd)
	return waitFor(t, pid)
}

func TestVersion(t *testing.T) {
	for v, ok := range map[string]bool{
		"go1.26": true, "go1.26.8": true, "go1.26.0 X:nogreenteagc": true,
		"go1.25.9": false, "go1.27": false, "go1.260": false, "go1.2": false, "devel go1.26-abc": false, "go1.26.1 X:runtimesecret": false, "": false,
	} {
		if err := fork.Version(v); (err == nil) != ok || err != nil && !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%q: %v", v, err)
		}
	}
}

func TestExit(t *testing.T) {
	need(t)
	for code, child := range map[int]func() int{
		0:                func() int { return 0 },
		1:                func() int { return 1 },
		255:              func() int { return -1 },
		3:                func() int { os.Exit(3); return 0 },
		fork.FailedChild: func() int { quiet(); runtime.Goexit(); return 0 },
		2:                func() int { quiet(); panic("a child's panic, as a test wants it") },
	} {
		if ws := status(t, child); !ws.Exited() || ws.ExitStatus() != code {
			t.Errorf("status %#x, want code %d", int(ws), code)
		}
	}
	if ws := status(t, func() int { proctest.Suicide(); return 0 }); !ws.Signaled() || ws.Signal() != syscall.SIGKILL {
		t.Errorf("status %#x of one that killed itself", int(ws))
	}
}

// quiet sends what a child prints nowhere.
func quiet() {
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err == nil {
		err = errors.Join(syscall.Dup2(int(null.Fd()), 1), syscall.Dup2(int(null.Fd()), 2))
	}
	if err != nil {
		os.Exit(99)
	}
}

// A test binary has goroutines, which are named.
func TestRefusesBusy(t *testing.T) {
	need(t)
	var busy *fork.BusyError
	_, _, err := fork.Fork(fork.Options{}, func() int { return 0 })
	if !errors.As(err, &busy) || len(busy.Goroutines) == 0 || !strings.Contains(err.Error(), "testing.") {
		t.Errorf("%v", err)
	}
}

// quietProgram forks without Forkall, from whichever thread, and sees its goroutine alone.
var quietProgram = proctest.NewProgram("quiet", func() int {
	for code := range 5 {
		pid, pidfd, err := fork.Fork(fork.Options{}, func() int {
			if n := runtime.NumGoroutine(); n != 1 {
				fmt.Println(n, "goroutines")
			}
			return code
		})
		if err != nil {
			fmt.Println(err)
			return 1
		}
		syscall.Close(pidfd)
		var ws syscall.WaitStatus
		if _, err := syscall.Wait4(pid, &ws, 0, nil); err != nil || ws.ExitStatus() != code {
			fmt.Println(ws, err)
			return 1
		}
	}
	return 0
})

func TestQuiet(t *testing.T) {
	need(t)
	if out, err := quietProgram.Command(proctest.Context(t)).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("%v: %s", err, out)
	}
}

// siblingProgram forks children of its parent, and prints their pids.
var siblingProgram = proctest.NewProgram("sibling", func() int {
	pid, _, err := fork.Fork(fork.Options{Sibling: true}, func() int { return 17 })
	fmt.Println(pid)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
})

func TestSibling(t *testing.T) {
	need(t)
	out, err := siblingProgram.Command(proctest.Context(t)).CombinedOutput()
	var pid int
	if _, e := fmt.Sscan(string(out), &pid); err != nil || e != nil {
		t.Fatalf("%v, %v: %s", err, e, out)
	}
	if ws := waitFor(t, pid); ws.ExitStatus() != 17 {
		t.Errorf("status %#x", int(ws))
	}
}

func TestRefusesProfiler(t *testing.T) {
	need(t)
	if err := pprof.StartCPUProfile(io.Discard); err != nil {
		t.Fatal(err)
	}
	_, _, err := fork.Fork(all, func() int { return 0 })
	pprof.StopCPUProfile()
	var fact *fork.FactError
	if !errors.As(err, &fact) || fact.Fact != "profiler" {
		t.Errorf("while profiling: %v", err)
	}
	if ws := status(t, func() int { return 0 }); ws != 0 {
		t.Errorf("afterwards: status %#x", int(ws))
	}
}

// takenProgram has another handler for the signal that stops threads.
var takenProgram = proctest.NewProgram("taken", func() int {
	var action [4]uint64
	for _, call := range []struct{ sig, new, old uintptr }{
		{uintptr(syscall.SIGURG), 0, uintptr(unsafe.Pointer(&action))},
		{34, uintptr(unsafe.Pointer(&action)), 0},
	} {
		if _, _, e := syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, call.sig, call.new, call.old, 8, 0, 0); e != 0 {
			fmt.Println(e)
			return 1
		}
	}
	_, _, err := fork.Fork(fork.Options{}, func() int { return 0 })
	fmt.Println(err)
	return 0
})

// blockedProgram has a thread that blocks the signal.
var blockedProgram = proctest.NewProgram("blocked", func() int {
	ready := make(chan bool)
	go func() {
		runtime.LockOSThread()
		mask := uint64(1) << (34 - 1)
		syscall.RawSyscall6(syscall.SYS_RT_SIGPROCMASK, 0, uintptr(unsafe.Pointer(&mask)), 0, 8, 0, 0)
		close(ready)
		select {}
	}()
	<-ready
	_, _, err := fork.Fork(all, func() int { return 0 })
	fmt.Println(err)
	return 0
})

func TestRefusesSignal(t *testing.T) {
	need(t)
	for p, want := range map[*proctest.Program]string{takenProgram: "signal 34: device or resource busy", blockedProgram: "block it"} {
		out, err := p.Command(proctest.Context(t)).CombinedOutput()
		if err != nil || !strings.Contains(string(out), want) {
			t.Errorf("%v: %q does not say %q", err, out, want)
		}
	}
}

// Hooks run in every child and its children, before anything else.
func TestAtChild(t *testing.T) {
	need(t)
	parent, ran := os.Getpid(), 0
	fork.AtChild(func() {
		if os.Getpid() != parent {
			ran++
		}
	})
	ws := status(t, func() int {
		if ran != 1 {
			return 1
		}
		return int(status(t, func() int { return ran }).ExitStatus())
	})
	if ws.ExitStatus() != 2 || ran != 0 {
		t.Errorf("status %#x; in the parent it ran %d times", int(ws), ran)
	}
}

// No child draws the numbers of its parent or of another one.
func TestRandom(t *testing.T) {
	need(t)
	debug.SetGCPercent(debug.SetGCPercent(100))
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	seen := map[uint64]bool{}
	for range 30 {
		var b [8]byte
		if ws := status(t, func() int {
			x := rand.Uint64()
			syscall.Write(int(w.Fd()), (*[8]byte)(unsafe.Pointer(&x))[:])
			return 0
		}); ws != 0 {
			t.Fatalf("status %#x", int(ws))
		}
		if _, err := io.ReadFull(r, b[:]); err != nil {
			t.Fatal(err)
		}
		for _, x := range []uint64{*(*uint64)(unsafe.Pointer(&b)), rand.Uint64()} {
			if seen[x] {
				t.Errorf("%#x was drawn twice", x)
			}
			seen[x] = true
		}
	}
}

// Forks by several goroutines take turns.
func TestConcurrent(t *testing.T) {
	need(t)
	errs, parent := make(chan error), os.Getpid()
	for i := range 4 {
		go func() {
			for range 5 {
				if os.Getpid() != parent {
					select {} // a copy of this goroutine, in the child of another one
				}
				pid, pidfd, err := fork.Fork(all, func() int { return i })
				if err != nil {
					errs <- err
					return
				}
				syscall.Close(pidfd)
				var ws syscall.WaitStatus
				for {
					if _, err = syscall.Wait4(pid, &ws, 0, nil); os.Getpid() != parent {
						select {}
					} else if err != syscall.EINTR {
						break
					}
				}
				if err != nil || ws.ExitStatus() != i {
					errs <- fmt.Errorf("status %#x, %v", int(ws), err)
					return
				}
			}
			errs <- nil
		}()
	}
	for range 4 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

// staleTimers leaves threads that have a profiler's timer: each deletes its own when it next runs something, and these run nothing until the end.
func staleTimers() (stop func()) {
	if err := pprof.StartCPUProfile(io.Discard); err != nil {
		panic(err)
	}
	begun, end := make(chan bool), make(chan bool)
	for range 3 {
		go func() {
			runtime.LockOSThread()
			begun <- true
			<-end
			runtime.UnlockOSThread()
		}()
		<-begun
	}
	pprof.StopCPUProfile()
	if text, err := os.ReadFile("/proc/self/timers"); err != nil || len(text) == 0 {
		panic(fmt.Sprint("no timers: ", err))
	}
	return func() { close(end) }
}

// A child deletes the timers of its parent's profiler as its parent does.
func TestStaleTimers(t *testing.T) {
	need(t)
	defer staleTimers()()
	for range 20 {
		if ws := status(t, func() int {
			staleTimers()()
			return 0
		}); ws != 0 {
			t.Fatalf("status %#x", int(ws))
		}
	}
}

// Programs link also as a debugger wants them, unoptimized, when the chains of nosplit functions take most stack.
func TestUnoptimized(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a program")
	}
	out, err := exec.Command("go", "test", "-c", "-gcflags", "-N -l", "-o", os.DevNull, ".").CombinedOutput()
	if err != nil {
		t.Errorf("%v: %s", err, out)
	}
}
