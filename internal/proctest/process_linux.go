package proctest

import (
	"os"
	"syscall"
	"testing"
)

// FDs returns the number of this process's open descriptors but for those of the runtime's poller.
func FDs(t testing.TB) int { return len(descriptors()) }

// Threads returns the number of threads of a process.
func Threads(t testing.TB, pid int) int { return threads(pid) }

// Running reports whether there is a process with this pid that has not ended: a zombie has.
func Running(t testing.TB, pid int) bool {
	p, ok := readProcess(pid)
	return ok && p.state != 'Z' && p.state != 'X'
}

// Stopped reports whether the process with this pid is stopped by a signal.
func Stopped(t testing.TB, pid int) bool {
	p, ok := readProcess(pid)
	return ok && p.state == 'T'
}

// Stop sends SIGSTOP to a process and returns when it stands still.
func Stop(t testing.TB, pid int) {
	t.Helper()
	Signal(t, pid, syscall.SIGSTOP)
	Eventually(t, func() bool { return Stopped(t, pid) }, "a process stops after SIGSTOP")
}

// Continue sends SIGCONT to a process.
func Continue(t testing.TB, pid int) {
	t.Helper()
	Signal(t, pid, syscall.SIGCONT)
}

// Signal sends a signal to a process that exists.
func Signal(t testing.TB, pid int, sig syscall.Signal) {
	t.Helper()
	if pid <= 1 { // to the kernel these stand for many processes
		t.Fatalf("send %v to process %d: that is no process of a test", sig, pid)
	}
	if err := syscall.Kill(pid, sig); err != nil {
		t.Fatalf("send %v to process %d: %v", sig, pid, err)
	}
}

// Suicide ends this process by SIGKILL: nothing of it is run any more, no deferred function and no buffer's flush.
func Suicide() {
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}
