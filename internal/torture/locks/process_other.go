//go:build !linux

package locks

import "github.com/fb2d3dbd/multiproc/spawn"

// resume does nothing: there are no crash points to stop at.
func resume(p *spawn.Process) {}
