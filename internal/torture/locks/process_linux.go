package locks

import (
	"syscall"

	"github.com/fb2d3dbd/multiproc/spawn"
)

// resume lets a process go on that may be stopped.
func resume(p *spawn.Process) { _ = p.Signal(syscall.SIGCONT) }
