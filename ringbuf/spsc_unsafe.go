package ringbuf

import (
	"fmt"
	"unsafe"

	"github.com/fb2d3dbd/multiproc/futex"
	"github.com/fb2d3dbd/multiproc/internal/cpu"
	"github.com/fb2d3dbd/multiproc/internal/layout"
)

// spscHeader stands before the ring's data. What different sides write is a [cpu.CacheLine] apart.
type spscHeader struct {
	head     layout.Head
	capacity uint64
	_        [cpu.CacheLine - layout.HeadSize - 8]byte

	// Written by the producer.
	tail     uint64 // bytes ever published, skipped ones included; a release store commits a message
	producer uint32 // token of the process with the role, or 0
	_        [cpu.CacheLine - 12]byte

	// Written by the consumer.
	headIdx  uint64 // bytes ever taken; a release store gives their room back
	consumer uint32
	_        [cpu.CacheLine - 12]byte

	// Read by the producer at every message and seldom written: it stays in the producer's cache.
	data          uint32 // event count: the consumer sleeps on it
	consumerState uint32 // isOpen, or isClosed
	_             [cpu.CacheLine - 8]byte

	// Read by the consumer at every message and seldom written.
	room          uint32 // event count: the producer sleeps on it
	producerState uint32 // isOpen, or isClosed
	_             [cpu.CacheLine - 8]byte

	express [2]express // written by the producer, in turns
}

const (
	spscHeaderSize = 7 * cpu.CacheLine

	_ = -(unsafe.Sizeof(spscHeader{}) ^ spscHeaderSize)
	_ = -(unsafe.Offsetof(spscHeader{}.capacity) ^ 32)
	_ = -(unsafe.Offsetof(spscHeader{}.tail) ^ 128)
	_ = -(unsafe.Offsetof(spscHeader{}.headIdx) ^ 256)
	_ = -(unsafe.Offsetof(spscHeader{}.data) ^ 384)
	_ = -(unsafe.Offsetof(spscHeader{}.room) ^ 512)
	_ = -(unsafe.Offsetof(spscHeader{}.express) ^ 640)
	_ = -(unsafe.Sizeof(express{}) ^ cpu.CacheLine)
)

// The state of a side. Neither is 0, so that the zero pages which a closed segment leaves behind are told from both.
const (
	isOpen   uint32 = 0x4E45504F
	isClosed uint32 = 0x44534C43
)

// skipMark stands in the place of a length where the rest of the lap is not used, because the next message did not fit
// there in one piece.
const skipMark = ^uint64(0)

// ring is what a side knows of the memory. The data's address and size are its own copies: only the header is shared.
type ring struct {
	hdr  *spscHeader
	data []byte
	base unsafe.Pointer
	mask uint64
	who  futex.Participants
	self uint32

	dataEvent, roomEvent *futex.EventCount
}

func headerAt(mem []byte) (*spscHeader, error) {
	p := unsafe.Pointer(unsafe.SliceData(mem))
	if len(mem) < spscHeaderSize+MinCapacity {
		return nil, fmt.Errorf("ringbuf: %d bytes of memory; the smallest ring needs %d", len(mem), spscHeaderSize+MinCapacity)
	}
	if uintptr(p)&7 != 0 {
		return nil, fmt.Errorf("ringbuf: the memory must begin at a multiple of 8 bytes")
	}
	return (*spscHeader)(p), nil
}

// newRing views mem, whose header was checked, as a ring of this capacity.
func newRing(mem []byte, h *spscHeader, capacity int, who futex.Participants) (ring, error) {
	r := ring{hdr: h, data: mem[spscHeaderSize:][:capacity:capacity], mask: uint64(capacity - 1), who: who, self: who.Self()}
	r.base = unsafe.Pointer(unsafe.SliceData(r.data))
	if r.self == 0 {
		return ring{}, ErrClosed
	}
	var err error
	if r.dataEvent, err = futex.NewEventCount(layout.View(&h.data)); err != nil {
		return ring{}, err
	}
	r.roomEvent, err = futex.NewEventCount(layout.View(&h.room))
	return r, err
}

// at returns the address of index i in the data.
func (r *ring) at(i uint64) unsafe.Pointer { return unsafe.Add(r.base, i&r.mask) }

// length returns the word of the record at index i, which is a multiple of 8.
func (r *ring) length(i uint64) *uint64 {
	return (*uint64)(unsafe.Add(r.base, i&r.mask&^7))
}

// payload returns n bytes after the record head at index i. The caller has checked that they lie inside one lap.
func (r *ring) payload(i uint64, n int) []byte {
	at := i&r.mask + recordHead
	return r.data[at : at+uint64(n) : at+uint64(n)]
}
