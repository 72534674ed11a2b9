//go:build !fault || !unix

// Package fault names the instants at which a crash test kills or stops a process. In a normal build a [Point] is
// nothing and costs nothing; in a build with the tag "fault", where there are signals, it obeys the environment variable MULTIPROC_FAULT.
package fault

import "errors"

// Enabled reports whether this build has crash points.
const Enabled = false

// Arm returns an error: this build has no crash points.
func Arm(s string) error { return errors.New("fault: not built with the tag \"fault\"") }

// Notice does nothing.
func Notice(fn func(point string)) {}

// Follow does nothing.
func Follow(fn func(point string)) {}

// Point is a named instant between two accesses to shared memory.
func Point(name string) {}
