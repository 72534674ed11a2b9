package sys

import (
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The operations without FUTEX_PRIVATE_FLAG: the word may be shared between processes.
const (
	futexWait = 0
	futexWake = 1
)

// FutexWait sleeps while *word == val, until it is woken or d has passed (d <= 0: no limit). The errors are 0 (woken,
// perhaps spuriously), EAGAIN (the word had changed), ETIMEDOUT and EINTR. It blocks an operating system thread.
func FutexWait(word *uint32, val uint32, d time.Duration) syscall.Errno {
	var ts *unix.Timespec
	if d > 0 {
		t := unix.NsecToTimespec(int64(d))
		ts = &t
	}
	_, _, errno := unix.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(word)), futexWait, uintptr(val),
		uintptr(unsafe.Pointer(ts)), 0, 0)
	return errno
}

// FutexWake wakes up to n sleepers of word and returns how many it woke.
func FutexWake(word *uint32, n int) (int, syscall.Errno) {
	r, _, errno := unix.RawSyscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(word)), futexWake, uintptr(n), 0, 0, 0)
	return int(r), errno
}

// Futex reports whether this platform has futexes on shared memory.
const Futex = true
