package ringbuf

import (
	"fmt"
	"math/bits"
	"sync/atomic"
	"unsafe"

	"github.com/fb2d3dbd/multiproc/internal/cpu"
	"github.com/fb2d3dbd/multiproc/internal/layout"
)

// mpmcHeader stands first in the memory of an [MPMC]; docs/design/queue.md draws the whole.
type mpmcHeader struct {
	head          layout.Head
	capacity      uint32 // cells
	slots         uint32
	stride        uint32 // bytes of a slot
	members       uint32
	units         uint32
	unitShift     uint32 // log2 of a unit's bytes
	maxDeliveries uint32
	_             uint32
	_             [cpu.CacheLine - layout.HeadSize - 32]byte

	tail uint64 // hint: a position that is not after the next to be put
	_    [cpu.CacheLine - 8]byte

	headPos uint64 // hint: a position that is not after the next to be taken
	_       [cpu.CacheLine - 8]byte

	// Read at every call and seldom written.
	data  uint32 // event count: consumers sleep on it
	gen   uint32 // raised when a message is to be handed out again
	state uint32 // isOpen, isClosed; 0 when the memory was closed in this process
	_     [cpu.CacheLine - 12]byte

	room   uint32 // event count: producers sleep on it
	done   uint32 // event count: who waits until all is acknowledged
	joined uint32 // processes that have ever joined
	top    uint32 // highest member number that was ever used
	_      [cpu.CacheLine - 16]byte
}

const (
	mpmcHeaderSize = 5 * cpu.CacheLine
	slotHead       = 32
	minStride      = 64

	_ = -(unsafe.Sizeof(mpmcHeader{}) ^ mpmcHeaderSize)
	_ = -(unsafe.Offsetof(mpmcHeader{}.capacity) ^ 32)
	_ = -(unsafe.Offsetof(mpmcHeader{}.maxDeliveries) ^ 56)
	_ = -(unsafe.Offsetof(mpmcHeader{}.tail) ^ 128)
	_ = -(unsafe.Offsetof(mpmcHeader{}.headPos) ^ 256)
	_ = -(unsafe.Offsetof(mpmcHeader{}.data) ^ 384)
	_ = -(unsafe.Offsetof(mpmcHeader{}.state) ^ 392)
	_ = -(unsafe.Offsetof(mpmcHeader{}.room) ^ 512)
	_ = -(unsafe.Offsetof(mpmcHeader{}.done) ^ 516)
)

// geometry says where the parts of a queue lie; all of it follows from six numbers of the header.
type geometry struct {
	positions
	slots     uint64
	stride    uint64
	memberMax int
	unitCount uint64
	unitShift uint8

	membersOff, unitsOff, slotsOff, arenaOff, total int
}

func (g *geometry) place() {
	up := func(n int) int { return (n + cpu.CacheLine - 1) &^ (cpu.CacheLine - 1) }
	g.membersOff = mpmcHeaderSize
	g.unitsOff = up(g.membersOff + 8*g.memberMax)
	g.slotsOff = up(g.unitsOff + 4*int(g.unitCount))
	g.arenaOff = up(g.slotsOff + int(g.slots*g.stride))
	g.total = g.arenaOff + int(g.unitCount)<<g.unitShift
}

// inline is the size of the largest message that stands in its slot.
func (g *geometry) inline() int { return int(g.stride) - slotHead }

// largest is the size of the largest message.
func (g *geometry) largest() int { return max(g.inline(), int(g.unitCount)<<g.unitShift) }

func headerOf(mem []byte) (*mpmcHeader, error) {
	p := unsafe.Pointer(unsafe.SliceData(mem))
	if len(mem) < mpmcHeaderSize {
		return nil, fmt.Errorf("ringbuf: %d bytes of memory; a queue needs more than %d", len(mem), mpmcHeaderSize)
	}
	if uintptr(p)&7 != 0 {
		return nil, fmt.Errorf("ringbuf: the memory must begin at a multiple of 8 bytes")
	}
	return (*mpmcHeader)(p), nil
}

// write puts the geometry into the header.
func (h *mpmcHeader) write(g *geometry, maxDeliveries int) {
	h.capacity, h.slots, h.stride = uint32(g.n), uint32(g.slots), uint32(g.stride)
	h.members, h.units, h.unitShift = uint32(g.memberMax), uint32(g.unitCount), uint32(g.unitShift)
	h.maxDeliveries, h.state = uint32(maxDeliveries), isOpen
	h.head.Publish(mpmcMagic, uint64(g.total))
}

// read takes the geometry from a header whose head was checked, every field once, and checks it against the size.
func (h *mpmcHeader) read(size uint64) (g geometry, maxDeliveries int, err error) {
	c, m, s, n, u, us, md := h.capacity, h.slots, h.stride, h.members, h.units, h.unitShift, h.maxDeliveries
	if st := atomic.LoadUint32(&h.state); st != isOpen && st != isClosed {
		return g, 0, fmt.Errorf("%w: a queue in state %#x", ErrCorrupt, st)
	}
	if c < 1 || m <= c || m > maxSlots || s < minStride || s%minStride != 0 || n < 1 || n > maxMembers ||
		u > maxUnits || us > maxUnitShift || md > maxDeliveries16 || uint64(m)*uint64(s) > size || uint64(u)<<us > size {
		return g, 0, fmt.Errorf("%w: a queue of %d cells, %d slots of %d bytes, %d members, %d units of 2^%d bytes", ErrCorrupt, c, m, s, n, u, us)
	}
	g = geometry{positions: newPositions(int(c)), slots: uint64(m), stride: uint64(s), memberMax: int(n), unitCount: uint64(u), unitShift: uint8(us)}
	g.place()
	if uint64(g.total) != size {
		return g, 0, fmt.Errorf("%w: the parts of the queue add up to %d bytes, the head says %d", ErrCorrupt, g.total, size)
	}
	return g, int(md), nil
}

const (
	maxUnits        = 1 << 20
	maxUnitShift    = 30 + 2*(bits.UintSize/64)
	maxDeliveries16 = maxDeliveries
)

// parts are the addresses of a queue's parts in this process.
type parts struct {
	hdr   *mpmcHeader
	slot0 unsafe.Pointer
	units []uint32
	arena []byte
	mem   []byte // keeps them reachable
}

func (g *geometry) parts(mem []byte) (p parts, members []uint64) {
	p = parts{hdr: (*mpmcHeader)(unsafe.Pointer(unsafe.SliceData(mem))), slot0: unsafe.Pointer(&mem[g.slotsOff]), mem: mem}
	members = unsafe.Slice((*uint64)(unsafe.Pointer(&mem[g.membersOff])), g.memberMax)
	if g.unitCount > 0 {
		p.units = unsafe.Slice((*uint32)(unsafe.Pointer(&mem[g.unitsOff])), g.unitCount)
		p.arena = mem[g.arenaOff:g.total:g.total]
	}
	return p, members
}

// The words of slot i, which the caller has checked to be less than the number of slots.

func (q *MPMC) cellOf(i uint64) *uint64 { return (*uint64)(unsafe.Add(q.slot0, i*q.stride)) }
func (q *MPMC) wordOf(i uint64) *uint64 { return (*uint64)(unsafe.Add(q.slot0, i*q.stride+8)) }
func (q *MPMC) sizeOf(i uint64) *uint64 { return (*uint64)(unsafe.Add(q.slot0, i*q.stride+16)) }

// body returns the bytes of slot i that a message can take.
func (q *MPMC) body(i uint64) []byte {
	return unsafe.Slice((*byte)(unsafe.Add(q.slot0, i*q.stride+slotHead)), q.stride-slotHead)
}

// runWord is where a slot says which units its large message has.
func (q *MPMC) runWord(i uint64) *uint64 { return (*uint64)(unsafe.Add(q.slot0, i*q.stride+24)) }

// waiting returns the room and the done event's words in one load: each in its half, whichever.
func (h *mpmcHeader) waiting() *uint64 { return (*uint64)(unsafe.Pointer(&h.room)) }
