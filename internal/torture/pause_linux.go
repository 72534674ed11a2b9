package torture

import (
	"os"
	"syscall"
)

// Pause stops a process, and reports whether it could.
func Pause(p interface{ Signal(sig os.Signal) error }) bool { return p.Signal(syscall.SIGSTOP) == nil }

// Resume lets it go on.
func Resume(p interface{ Signal(sig os.Signal) error }) { _ = p.Signal(syscall.SIGCONT) }
