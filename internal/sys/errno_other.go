//go:build !linux

package sys

import "syscall"

// The results of a futex call, by names that every platform has. The numbers only need to differ: no call returns the
// first three here.
const (
	EAGAIN    = syscall.Errno(0x20000001)
	EINTR     = syscall.Errno(0x20000002)
	ETIMEDOUT = syscall.Errno(0x20000003)
	ENOSYS    = syscall.Errno(0x20000004)
)
