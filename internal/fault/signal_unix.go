//go:build fault && unix && !linux

package fault

import (
	"os"
	"syscall"
)

// raise sends sig to this process.
func raise(sig syscall.Signal) { _ = syscall.Kill(os.Getpid(), sig) }
