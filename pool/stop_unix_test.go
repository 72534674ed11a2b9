//go:build unix

package pool_test

import (
	"os"
	"syscall"
)

func stopSelf() error { return syscall.Kill(os.Getpid(), syscall.SIGSTOP) }
