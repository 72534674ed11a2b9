//go:build !race

package cpu

// StoreRelease64 stores v in *p; whoever loads v from it (atomically) sees all that was written before.
//
//go:noescape
func StoreRelease64(p *uint64, v uint64)

// StoreRelease32 stores v in *p, as [StoreRelease64] does.
//
//go:noescape
func StoreRelease32(p *uint32, v uint32)

// Pause tells the CPU n times that this is a spin loop.
//
//go:noescape
func Pause(n uint32)

// Plain reports whether the release store leaves the fence out.
const Plain = true

// Ordered reports whether the CPU does loads in the order of the program, and stores too, without being asked.
const Ordered = false

// FetchForStore asks for the cache lines of n bytes from p on, in steps of 64 bytes and one at least, to be stored to soon. It does not wait for them, and what
// they hold does not change; a step may be into memory that is not there.
//
//go:noescape
func FetchForStore(p *byte, n uint64)
