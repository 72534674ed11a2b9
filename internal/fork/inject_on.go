//go:build fault

package fork

import "syscall"

// injected says which step fails, the nth time that it is come to, and how: with an errno, or by the death of the process.
var injected struct {
	step  step
	nth   int
	errno syscall.Errno // 0: it dies there
}

//go:nosplit
func inject(s step) syscall.Errno {
	if injected.step != s || s == stepNone {
		return 0
	}
	if injected.nth--; injected.nth != 0 {
		return 0
	}
	if injected.errno == 0 {
		pid, _, _ := syscall.RawSyscall(syscall.SYS_GETPID, 0, 0, 0)
		syscall.RawSyscall(syscall.SYS_KILL, pid, uintptr(syscall.SIGKILL), 0)
	}
	return injected.errno
}
