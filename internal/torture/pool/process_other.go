//go:build !linux

package pool

import "github.com/fb2d3dbd/multiproc"

// pause does nothing: there are no crash points here.
func pause(p *multiproc.Process) bool { return false }

func resume(p *multiproc.Process) {}
