package shm

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"sync/atomic"
	"unsafe"

	"github.com/fb2d3dbd/multiproc/internal/fault"
	"github.com/fb2d3dbd/multiproc/internal/sys"
)

// A Kind says what an object in an arena is, so that a handle to one thing is not taken for another.
type Kind uint16

// The kinds that this module uses. Programs that allocate objects of their own number them from KindUser.
const (
	KindValue Kind = iota + 1
	KindArray
	KindMutex
	KindQueue
	KindRWMutex
	KindRLock
	KindSemaphore
	KindBoundedSemaphore
	KindCond
	KindEvent
	KindBarrier
	KindMatrix
	KindStruct
	KindCell

	KindUser Kind = 1 << 8
)

// A Ref names an object in a segment; it means the same in every process that has the segment open. The zero Ref names
// nothing.
type Ref struct {
	Segment    uint64 // the segment's ID
	Offset     uint64 // of the block, in the arena
	Size       uint64 // bytes asked for
	Generation uint32 // of the block: a freed block's has moved on
	Kind       Kind
}

const refSize = 32

// AppendBinary appends the Ref's 32 bytes to b.
func (r Ref) AppendBinary(b []byte) ([]byte, error) {
	b = binary.LittleEndian.AppendUint64(b, r.Segment)
	b = binary.LittleEndian.AppendUint64(b, r.Offset)
	b = binary.LittleEndian.AppendUint64(b, r.Size)
	b = binary.LittleEndian.AppendUint32(b, r.Generation)
	return binary.LittleEndian.AppendUint32(b, uint32(r.Kind)), nil
}

// MarshalBinary returns the Ref's 32 bytes.
func (r Ref) MarshalBinary() ([]byte, error) { return r.AppendBinary(nil) }

// UnmarshalBinary reads a Ref from its 32 bytes. What it names is checked when it is used.
func (r *Ref) UnmarshalBinary(b []byte) error {
	if len(b) != refSize {
		return fmt.Errorf("shm: a handle has %d bytes, not %d", refSize, len(b))
	}
	*r = Ref{
		Segment:    binary.LittleEndian.Uint64(b),
		Offset:     binary.LittleEndian.Uint64(b[8:]),
		Size:       binary.LittleEndian.Uint64(b[16:]),
		Generation: binary.LittleEndian.Uint32(b[24:]),
		Kind:       Kind(binary.LittleEndian.Uint32(b[28:])),
	}
	return nil
}

// block stands in front of every object. A block belongs to one size class for ever; its bytes are a power of two.
//
//	generation   even: free; odd: in use. Raised by one by who allocates and who frees.
type block struct {
	generation uint32
	class      uint16
	kind       uint16
	size       uint64 // bytes asked for
	next       uint64 // of a free block: the next one's offset/64 + 1, or 0
}

const (
	minBlock   = 64
	smallHead  = 32  // payload offset in blocks below largeBlock
	largeHead  = 128 // payload offset in others, and their alignment: nobody shares a cache line with them
	largeBlock = 256
	punchBlock = 64 << 10 // from here on freed memory is given back to the kernel

	_ = uint(smallHead - unsafe.Sizeof(block{}))
)

func payloadOff(class int) uint64 {
	if minBlock<<class >= largeBlock {
		return largeHead
	}
	return smallHead
}

// classOf returns the size class for n bytes of payload.
func classOf(n uint64) int {
	if n+smallHead <= largeBlock/2 { // it fits into a block with a small head
		return max(0, bits.Len64(n+smallHead-1)-6)
	}
	return max(2, bits.Len64(n+largeHead-1)-6)
}

func (s *Segment) blockAt(off uint64) *block {
	return (*block)(unsafe.Pointer(&s.mem[uint64(s.lay.arenaOff)+off]))
}

// Alloc takes size bytes of zeros from the arena, aligned to 32 bytes, from 128 bytes on to 128. It is lock-free; a
// process that dies in it can leave one block unused until the segment ends, and harms nobody. ErrNoSpace says that the arena is full.
func (s *Segment) Alloc(kind Kind, size int) (Ref, error) {
	if size < 0 || size > s.lay.arena {
		if err := s.check(); err != nil {
			return Ref{}, err
		}
		return Ref{}, fmt.Errorf("%d bytes asked for: %w", size, ErrNoSpace)
	}
	class := classOf(uint64(size))
	off, err := s.pop(class)
	if err != nil {
		return Ref{}, err
	}
	b := s.blockAt(off)
	b.class, b.kind, b.size = uint16(class), uint16(kind), uint64(size)
	fault.Point("arena.filled")
	g := atomic.AddUint32(&b.generation, 1)
	ref := Ref{Segment: s.id, Offset: off, Size: uint64(size), Generation: g, Kind: kind}
	return ref, s.check()
}

// pop takes a block of the class from its free list, or from the part of the arena that was never used.
func (s *Segment) pop(class int) (uint64, error) {
	list := &s.hdr.free[class]
	length := uint64(minBlock) << class
	for {
		head := atomic.LoadUint64(list)
		if err := s.check(); err != nil {
			return 0, err
		}
		first := head & offMask
		if first == 0 {
			break
		}
		off := (first - 1) * minBlock
		if off+length > uint64(s.lay.arena) {
			return 0, fmt.Errorf("shm: %w: free list of blocks of %d bytes", ErrCorrupt, length)
		}
		// The block may be taken and used by another meanwhile; next is then nonsense and the tag has moved on.
		next := atomic.LoadUint64(&s.blockAt(off).next)
		if atomic.CompareAndSwapUint64(list, head, (head&^offMask+tagOne)|next&offMask) {
			fault.Point("arena.popped")
			payload := s.mem[uint64(s.lay.arenaOff)+off+payloadOff(class):][:length-payloadOff(class)]
			if length < punchBlock {
				clear(payload)
			}
			return off, nil
		}
	}
	for {
		at := atomic.LoadUint64(&s.hdr.bump)
		if err := s.check(); err != nil {
			return 0, err
		}
		off := (at + min(length, pageSize) - 1) &^ (min(length, pageSize) - 1)
		if at > uint64(s.lay.arena) || off+length > uint64(s.lay.arena) {
			return 0, ErrNoSpace
		}
		if atomic.CompareAndSwapUint64(&s.hdr.bump, at, off+length) {
			return off, nil
		}
	}
}

const (
	offMask = 1<<36 - 1
	tagOne  = 1 << 36
)

// Free gives an object back. No process may use it any more; a Ref to it is refused from now on, here and elsewhere. Freeing
// twice is an error.
func (s *Segment) Free(r Ref) error {
	b, err := s.find(r)
	if err != nil {
		return err
	}
	if !atomic.CompareAndSwapUint32(&b.generation, r.Generation, r.Generation+1) {
		if err := s.check(); err != nil {
			return err
		}
		return stale(r)
	}
	fault.Point("arena.freed")
	class := int(b.class)
	if err := s.check(); err != nil {
		return err
	}
	if class >= classes || class != classOf(r.Size) {
		return fmt.Errorf("shm: %w: block of size class %d", ErrCorrupt, class)
	}
	length := int64(minBlock) << class
	if length >= punchBlock {
		// The first page holds the block's head and stays. Where the memory cannot be given back, zeros are written. It is
		// named by its address: a descriptor's number may be another file's when the segment is closed meanwhile.
		off := int64(s.lay.arenaOff) + int64(r.Offset)
		if err := sys.Discard(s.mem[off+pageSize : off+length]); err != nil {
			clear(s.mem[off+pageSize : off+length])
		}
		clear(s.mem[off+largeHead : off+pageSize])
	}
	list := &s.hdr.free[class]
	for {
		head := atomic.LoadUint64(list)
		atomic.StoreUint64(&b.next, head&offMask)
		if atomic.CompareAndSwapUint64(list, head, (head&^offMask+tagOne)|(r.Offset/minBlock+1)) {
			return s.check()
		}
	}
}

func stale(r Ref) error {
	return fmt.Errorf("shm: the object of the handle {offset %#x, kind %d, generation %d} was freed", r.Offset, r.Kind, r.Generation)
}

// find checks that r names an object of this segment that is in use.
func (s *Segment) find(r Ref) (*block, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	if r.Segment != s.id {
		return nil, fmt.Errorf("shm: the handle belongs to segment %#x, this one is %#x", r.Segment, s.id)
	}
	arena := uint64(s.lay.arena)
	if r.Offset%minBlock != 0 || r.Size > arena || r.Offset > arena || r.Generation&1 == 0 ||
		r.Offset+uint64(minBlock)<<classOf(r.Size) > arena {
		return nil, fmt.Errorf("shm: %w: no object can be at {offset %#x, size %d, generation %d}", ErrCorrupt, r.Offset, r.Size, r.Generation)
	}
	b := s.blockAt(r.Offset)
	g, kind, size := atomic.LoadUint32(&b.generation), b.kind, b.size
	if err := s.check(); err != nil {
		return nil, err
	}
	if g != r.Generation {
		return nil, stale(r)
	}
	if Kind(kind) != r.Kind || size != r.Size {
		return nil, fmt.Errorf("shm: the handle says kind %d and %d bytes, the object is of kind %d with %d bytes", r.Kind, r.Size, kind, size)
	}
	return b, nil
}

// At returns the bytes of the object that r names, after checking that it is one of this segment, in use, and of this kind.
func (s *Segment) At(r Ref, kind Kind) ([]byte, error) {
	s.exposed.Store(true)
	return s.at(r, kind)
}

func (s *Segment) at(r Ref, kind Kind) ([]byte, error) {
	if r.Kind != kind {
		return nil, fmt.Errorf("shm: the handle is of kind %d, want %d", r.Kind, kind)
	}
	if _, err := s.find(r); err != nil {
		return nil, err
	}
	off := uint64(s.lay.arenaOff) + r.Offset + payloadOff(classOf(r.Size))
	return s.mem[off : off+r.Size : off+r.Size], nil
}

// Resolve finds the open segment that r belongs to, and the object's bytes in it.
func Resolve(r Ref, kind Kind) (*Segment, []byte, error) {
	s, err := Lookup(r.Segment)
	if err != nil {
		return nil, nil, err
	}
	mem, err := s.At(r, kind)
	return s, mem, err
}
