//go:build (!amd64 && !arm64) || race

package cpu

import "sync/atomic"

// StoreRelease64 stores v in *p; whoever loads v from it (atomically) sees all that was written before.
func StoreRelease64(p *uint64, v uint64) { atomic.StoreUint64(p, v) }

// StoreRelease32 stores v in *p, as [StoreRelease64] does.
func StoreRelease32(p *uint32, v uint32) { atomic.StoreUint32(p, v) }

// Pause passes a little time in a spin loop.
func Pause(n uint32) {
	var x uint32
	for range n {
		atomic.LoadUint32(&x) // not optimised away
	}
}

// Plain reports whether the release store leaves the fence out.
const Plain = false

// Ordered reports whether the CPU does loads in the order of the program, and stores too, without being asked.
const Ordered = false

// FetchForStore does nothing here: it would only have asked for the lines early.
func FetchForStore(p *byte, n uint64) {}
