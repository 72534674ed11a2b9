package pool

import (
	"syscall"

	"github.com/fb2d3dbd/multiproc"
)

// pause stops a process, and resume lets it go on.
func pause(p *multiproc.Process) bool { return p.Signal(syscall.SIGSTOP) == nil }

func resume(p *multiproc.Process) { _ = p.Signal(syscall.SIGCONT) }
