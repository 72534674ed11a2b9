//go:build !linux

package torture

import "github.com/fb2d3dbd/multiproc/spawn"

// Processes cannot be started here, so none is ever stopped.

func stopped(pid int) bool { return false }

func resume(p *spawn.Process) {}
