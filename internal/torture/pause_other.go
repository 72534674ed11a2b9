//go:build !linux

package torture

import "os"

// Pause does nothing: there are no crash points here.
func Pause(p interface{ Signal(sig os.Signal) error }) bool { return false }

// Resume does nothing.
func Resume(p interface{ Signal(sig os.Signal) error }) {}
