package ringbuf

import (
	"fmt"
	"unsafe"

	"github.com/fb2d3dbd/multiproc/internal/cpu"
	"github.com/fb2d3dbd/multiproc/internal/layout"
)

// mpmcHeader stands before the ring of an [MPMC], which is laid out as an SPSC.
type mpmcHeader struct {
	head  layout.Head
	limit uint64 // messages, or 0 for as many as fit
	_     [cpu.CacheLine - layout.HeadSize - 8]byte

	putLock [4]byte // guards the producer's side
	_       [4]byte
	puts    uint64 // messages ever put
	_       [cpu.CacheLine - 16]byte

	getLock [4]byte // guards the consumer's side
	_       [4]byte
	gets    uint64 // messages ever taken
	_       [cpu.CacheLine - 16]byte
}

const (
	mpmcHeaderSize = 3 * cpu.CacheLine

	_ = -(unsafe.Sizeof(mpmcHeader{}) ^ mpmcHeaderSize)
	_ = -(unsafe.Offsetof(mpmcHeader{}.limit) ^ 32)
	_ = -(unsafe.Offsetof(mpmcHeader{}.putLock) ^ 128)
	_ = -(unsafe.Offsetof(mpmcHeader{}.getLock) ^ 256)
)

func mpmcHeaderAt(mem []byte) (*mpmcHeader, error) {
	p := unsafe.Pointer(unsafe.SliceData(mem))
	if len(mem) < mpmcHeaderSize+spscHeaderSize+MinCapacity {
		return nil, fmt.Errorf("ringbuf: %d bytes of memory; the smallest queue needs %d", len(mem), mpmcHeaderSize+spscHeaderSize+MinCapacity)
	}
	if uintptr(p)&7 != 0 {
		return nil, fmt.Errorf("ringbuf: the memory must begin at a multiple of 8 bytes")
	}
	return (*mpmcHeader)(p), nil
}
