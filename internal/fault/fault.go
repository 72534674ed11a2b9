//go:build !fault || !unix

// Package fault names the instants at which a crash test kills or stops a process. In a normal build a [Point] is
// nothing and costs nothing; in a build with the tag "fault", where there are signals, it obeys the environment variable MULTIPROC_FAULT.
package fault

// Enabled reports whether this build has crash points.
const Enabled = false

// Point is a named instant between two accesses to shared memory.
func Point(name string) {}
