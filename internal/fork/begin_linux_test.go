//go:build amd64 && !race && !msan && !asan

package fork_test

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"
	"unsafe"

	"github.com/fb2d3dbd/multiproc/internal/fork"
	"github.com/fb2d3dbd/multiproc/internal/proctest"
)

var (
	top  uint64 // of a thread's stack
	code [32]byte
)

// A thread that carries its ID to its m, as the instructions of runtime.minit do, is told from one that does not yet, or no more.
func TestCarries(t *testing.T) {
	const tid = 202 // which is also the number of the call of a futex
	code = [32]byte{16: 0x0f, 17: 0x05}
	const called, again = 18, 16
	for _, c := range []struct {
		at       string
		rax, top uint64
		rip      int
		want     bool
	}{
		{"before the call", syscall.SYS_GETTID, 0, again, false},
		{"after the call", tid, 0, called, true},
		{"after the return", tid, 0xc000<<32 | tid, called + 8, true},
		{"with m in RAX", 0xc000_0000, 0xc000<<32 | tid, called + 8, true},
		{"in a wait", ^uint64(syscall.EINTR) + 1, 0x45a3f0, called, false},
		{"in a wait that is called again", syscall.SYS_FUTEX, 0x45a3f0, again, false},
	} {
		top = c.top
		if got := fork.Carries(tid, c.rax, &top, uintptr(unsafe.Pointer(&code[c.rip]))); got != c.want {
			t.Errorf("%s: %v", c.at, got)
		}
	}
}

func TestRests(t *testing.T) {
	const pid, futex = 4711, 202
	code = [32]byte{16: 0x0f, 17: 0x05} // a system call among other instructions
	const called, again = 18, 16        // where it has been called, and where it is yet to be
	interrupted := ^uint64(syscall.EINTR) + 1
	for _, c := range []struct {
		at   string
		rax  uint64
		rip  int
		want bool
	}{
		{"a wait that was interrupted", interrupted, called, true},
		{"a wait that is called again", futex, again, true},
		{"after getpid", pid, called, false},
		{"before tgkill", syscall.SYS_TGKILL, again, false},
		{"elsewhere", interrupted, called + 2, false},
	} {
		if got := fork.Rests(pid, c.rax, uintptr(unsafe.Pointer(&code[c.rip]))); got != c.want {
			t.Errorf("%s: %v", c.at, got)
		}
	}
}

// beginProgram forks while a thread begins, time and again. Its goroutine cannot be stopped but by a signal, and the child stops the world.
var beginProgram = proctest.NewProgram("begin", func() int {
	for range 20 {
		var stop atomic.Bool
		go func() {
			runtime.LockOSThread() // for good, so that another thread has to be made for the next
			for !stop.Load() {
			}
			select {}
		}()
		pid, pidfd, err := fork.Fork(all, func() int { runtime.GC(); return 0 })
		stop.Store(true)
		if err != nil {
			fmt.Println(err)
			return 1
		}
		syscall.Close(pidfd)
		var ws syscall.WaitStatus
		for {
			if _, err = syscall.Wait4(pid, &ws, 0, nil); err != syscall.EINTR {
				break
			}
		}
		if err != nil || ws != 0 {
			fmt.Println(err, ws)
			return 1
		}
	}
	return 0
})

// Every thread is held for a while when it has just been told its ID, as the machine does now and then. A child whose thread had taken the ID of its parent's never stopped
// its world again. Most runs meet one, not all; TestCarries is what always does.
func TestThreadsBegin(t *testing.T) {
	need(t)
	path, err := exec.LookPath("strace")
	if err != nil {
		t.Skip(err)
	}
	trace := []string{path, "-f", "-qq", "-o", os.DevNull, "-e", "trace=gettid", "-e", "inject=gettid:delay_exit=30000:when=2"} // the first is clone's
	if out, err := exec.Command(path, append(trace[1:], "true")...).CombinedOutput(); err != nil {
		t.Skipf("strace: %v: %s", err, out)
	}
	cmd := beginProgram.Command(proctest.Context(t))
	cmd.Env = append(cmd.Env, "GOMAXPROCS=2")
	cmd.Path, cmd.Args = path, append(trace, cmd.Path)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) } // what is traced would live on
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}
