package bench

import (
	"os"
	"syscall"
	"time"
	"unsafe"
)

// setPipeSize asks for a pipe of size bytes. A limit set by the administrator may forbid it; the default of 64 KiB then
// serves.
func setPipeSize(f *os.File, size int) {
	const setPipeSize = 1031 // F_SETPIPE_SZ
	_, _, _ = syscall.Syscall(syscall.SYS_FCNTL, f.Fd(), setPipeSize, uintptr(size))
}

// monotonic returns the nanoseconds of CLOCK_MONOTONIC, which all processes of the machine share; Go's own monotonic
// readings count from the start of the process.
func monotonic() int64 {
	const clockMonotonic = 1
	var ts syscall.Timespec
	if _, _, errno := syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, clockMonotonic, uintptr(unsafe.Pointer(&ts)), 0); errno != 0 {
		return time.Now().UnixNano()
	}
	return ts.Nano()
}
