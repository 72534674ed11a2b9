package ringbuf

import (
	"fmt"
	"os"
	"sync/atomic"
	"unsafe"

	"github.com/fb2d3dbd/multiproc/internal/cpu"
	"github.com/fb2d3dbd/multiproc/internal/layout"
	"github.com/fb2d3dbd/multiproc/internal/sys"
)

var pipeMagic = layout.Magic("MPRBPIPE")

// pipeHeader stands first in the memory of a pipe; docs/design/pipe.md draws the whole.
type pipeHeader struct {
	head   layout.Head
	ways   uint32 // 1: from end 1 to end 0; 2: both
	places uint32
	queue  uint64 // bytes of a queue

	generation uint32 // another for each pipe that is made in the same memory
	_          [cpu.CacheLine - layout.HeadSize - 20]byte

	state [2]uint32 // of each end: generation:30 | endOpen or endClosed; 0 when the memory was closed in this process
	joins uint32    // openings, counted after the place was written
	top   uint32    // places that were ever used
	_     [cpu.CacheLine - 16]byte
}

const (
	pipeHeaderSize = 2 * cpu.CacheLine

	_ = -(unsafe.Sizeof(pipeHeader{}) ^ pipeHeaderSize)
	_ = -(unsafe.Offsetof(pipeHeader{}.ways) ^ 32)
	_ = -(unsafe.Offsetof(pipeHeader{}.queue) ^ 40)
	_ = -(unsafe.Offsetof(pipeHeader{}.generation) ^ 48)
	_ = -(unsafe.Offsetof(pipeHeader{}.state) ^ 128)
	_ = -(unsafe.Offsetof(pipeHeader{}.joins) ^ 136)
)

// What an end's state says beside the generation of the pipe that it is of: who is late with closing an end closes none of a later pipe.
//
//	open     → closed, CAS, by who has seen that nobody has the end
//	closed   → open, of another generation, by who makes a new pipe of the memory
const (
	endOpen   = 1
	endClosed = 2
	stateBits = 2

	lastGeneration = 1<<(32-stateBits) - 1
)

func endState(generation, state uint32) uint32 { return generation<<stateBits | state }

// pipeShape says where the parts of a pipe lie.
type pipeShape struct {
	ways, places int
	queue        int // bytes of a queue, a multiple of a cache line
	queueOff     int
	total        int
}

func newPipeShape(ways, places, queue int) pipeShape {
	up := func(n int) int { return (n + cpu.CacheLine - 1) &^ (cpu.CacheLine - 1) }
	s := pipeShape{ways: ways, places: places, queue: up(queue)}
	s.queueOff = up(pipeHeaderSize + 8*places)
	s.total = s.queueOff + ways*s.queue
	return s
}

func pipeHeaderOf(mem []byte) (*pipeHeader, error) {
	p := unsafe.Pointer(unsafe.SliceData(mem))
	if len(mem) < pipeHeaderSize {
		return nil, fmt.Errorf("ringbuf: %d bytes of memory; a pipe needs more than %d", len(mem), pipeHeaderSize)
	}
	if uintptr(p)&7 != 0 {
		return nil, fmt.Errorf("ringbuf: the memory must begin at a multiple of 8 bytes")
	}
	return (*pipeHeader)(p), nil
}

// read takes the shape from a header whose head was checked, every field once, and checks it against the size.
func (h *pipeHeader) read(size uint64) (s pipeShape, err error) {
	ways, places, queue := atomic.LoadUint32(&h.ways), atomic.LoadUint32(&h.places), atomic.LoadUint64(&h.queue)
	if ways < 1 || ways > 2 || places < 1 || places > maxMembers || queue > size {
		return s, fmt.Errorf("%w: a pipe of %d ways with %d places and queues of %d bytes", ErrCorrupt, ways, places, queue)
	}
	s = newPipeShape(int(ways), int(places), int(queue))
	if uint64(s.queue) != queue || uint64(s.total) != size {
		return s, fmt.Errorf("%w: the parts of the pipe add up to %d bytes, the head says %d", ErrCorrupt, s.total, size)
	}
	return s, nil
}

// placesOf returns the words of the places.
func (s *pipeShape) placesOf(mem []byte) []uint64 {
	return unsafe.Slice((*uint64)(unsafe.Pointer(&mem[pipeHeaderSize])), s.places)
}

// into returns the memory of the queue into an end.
func (s *pipeShape) into(mem []byte, end int) []byte {
	off := s.queueOff + end*s.queue
	return mem[off : off+s.queue : off+s.queue]
}

// wipe makes zeros of memory. Where it is mapped from a file, whole pages are given back.
func wipe(mem []byte) {
	page := os.Getpagesize()
	first := min(-int(uintptr(unsafe.Pointer(unsafe.SliceData(mem))))&(page-1), len(mem))
	last := first + (len(mem)-first)&^(page-1)
	if first == last || sys.Discard(mem[first:last]) != nil {
		clear(mem)
		return
	}
	clear(mem[:first])
	clear(mem[last:])
}
