//go:build !linux

package torture

import "os"

// A Victim is a process that is stopped for a while.
type Victim interface{ Signal(sig os.Signal) error }

// Pause does nothing: there are no crash points here.
func Pause(p Victim) bool { return false }

// Resume does nothing.
func Resume(p Victim) {}
