package sys

import "syscall"

// The results of a futex call, by names that every platform has.
const (
	EAGAIN    = syscall.EAGAIN
	EINTR     = syscall.EINTR
	ETIMEDOUT = syscall.ETIMEDOUT
	ENOSYS    = syscall.ENOSYS
)
