//go:build !linux && !darwin

package ringbuf_test

import "testing"

// unwatched says that the race detector does not watch what guarded returns.
const unwatched = false

// guarded returns zeroed memory.
func guarded(t testing.TB, size int) []byte { return make([]byte, size) }
