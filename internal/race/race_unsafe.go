//go:build race

// Package race tells the race detector of the happens-before edges that run through shared mappings. It tracks only
// the memory of Go's own heap, so a lock or a ring in a mapping would give it false alarms. Without the race tag
// everything here is empty.
package race

import (
	"runtime"
	"unsafe"
)

// Enabled reports whether the race detector is in this build.
const Enabled = true

// stand stands in for the words of mappings, by a hash of their address. Words that share a place get edges too many,
// which can hide a race and never invents one.
var stand [4096]uint64

func place(p unsafe.Pointer) unsafe.Pointer {
	h := uint64(uintptr(p)) * 0x9E3779B97F4A7C15
	return unsafe.Pointer(&stand[h>>52])
}

// Acquire is an edge from every earlier Release of the same word to what follows.
func Acquire[T any](word *T) { runtime.RaceAcquire(place(unsafe.Pointer(word))) }

// Release is an edge from what came before to every later Acquire of the same word.
func Release[T any](word *T) { runtime.RaceReleaseMerge(place(unsafe.Pointer(word))) }
