package torture

import (
	"os"
	"syscall"
)

// A Victim is a process that is stopped for a while.
type Victim interface{ Signal(sig os.Signal) error }

// Pause stops a process, and reports whether it could.
func Pause(p Victim) bool { return p.Signal(syscall.SIGSTOP) == nil }

// Resume lets it go on.
func Resume(p Victim) { _ = p.Signal(syscall.SIGCONT) }
