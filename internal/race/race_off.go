//go:build !race

// Package race tells the race detector of the happens-before edges that run through shared mappings. It tracks only
// the memory of Go's own heap, so a lock or a ring in a mapping would give it false alarms. Without the race tag
// everything here is empty.
package race

// Enabled reports whether the race detector is in this build.
const Enabled = false

// Acquire is an edge from every earlier Release of the same word to what follows.
func Acquire[T any](word *T) {}

// Release is an edge from what came before to every later Acquire of the same word.
func Release[T any](word *T) {}
