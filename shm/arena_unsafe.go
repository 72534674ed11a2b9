package shm

import (
	"fmt"
	"math/bits"
	"sync/atomic"
	"unsafe"

	"github.com/fb2d3dbd/multiproc/internal/fault"
	"github.com/fb2d3dbd/multiproc/internal/sys"
)

// block stands in front of every object. Blocks tile the arena from its beginning up to where nothing was ever allocated. A block belongs to one size class
// for ever; its bytes are a power of two.
type block struct {
	state uint64
	class uint32 // plus one; written before state leaves 0
	kind  uint32
	size  uint64 // bytes asked for
	next  uint64 // of a free block: the next one's offset/64 + 1, or 0
}

// The state of a block, version:32 | state:2 | token:30. Every change but that of publish raises the version, and a Ref carries the version of its object.
//
//	0          never used, and not yet of a class      → hand(1, n), by anybody, for the n that has moved the bump index over it
//	free       on the list of its class                → hand(v+1, n), by anybody, for the n that is taking it from the list
//	hand(n)    n prepares it for use or for the list   → owned or used, by n; free, by anybody, when it is on the list again;
//	                                                     hand(v+1, m), by m, who has proof that n is dead
//	owned(n)   an object that n has told nobody of     → used, with the same version, by Publish; hand(v+1, n), by Free;
//	                                                     hand(v+1, m), by m, who has proof that n is dead
//	used       an object                               → hand(v+1, n), by Free
const (
	blockFree uint64 = iota
	blockHand
	blockOwned
	blockUsed

	blockTokenMask = 1<<30 - 1
	blockShift     = 30
	blockVersion   = 32
)

func makeState(version uint32, state uint64, token uint32) uint64 {
	return uint64(version)<<blockVersion | state<<blockShift | uint64(token)
}

func splitState(w uint64) (version uint32, state uint64, token uint32) {
	return uint32(w >> blockVersion), w >> blockShift & 3, uint32(w) & blockTokenMask
}

const (
	minBlock   = 64
	smallHead  = 32  // payload offset in blocks below largeBlock
	largeHead  = 128 // payload offset in others, and their alignment: nobody shares a cache line with them
	largeBlock = 256
	punchBlock = 64 << 10 // from here on freed memory is given back to the kernel

	_ = -(unsafe.Sizeof(block{}) ^ smallHead)
	_ = -(unsafe.Offsetof(block{}.class) ^ 8)
	_ = -(unsafe.Offsetof(block{}.next) ^ 24)
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

// payload returns the bytes of the block at off that an object can take.
func (s *Segment) payload(off uint64, class int) []byte {
	return s.mem[uint64(s.lay.arenaOff)+off+payloadOff(class):][:uint64(minBlock)<<class-payloadOff(class)]
}

// Alloc takes size bytes of zeros from the arena, aligned to 32 bytes, from 128 bytes on to 128. It is lock-free: a process that dies or stands still in it
// keeps nobody from it, and what the dead had in hand is collected. The object lives until it is freed. ErrNoSpace says that the arena is full.
func (s *Segment) Alloc(kind Kind, size int) (Ref, error) { return s.alloc(kind, size, blockUsed) }

// Reserve is [Segment.Alloc] for an object that is to be told of to others only when it is complete: until Publish it is this process's own, and
// collected when that dies. Others who get its Ref can use it as long as it lives.
func (s *Segment) Reserve(kind Kind, size int) (Ref, error) { return s.alloc(kind, size, blockOwned) }

func (s *Segment) alloc(kind Kind, size int, state uint64) (Ref, error) {
	tok := s.token.Load()
	if tok == 0 {
		return Ref{}, ErrClosed
	}
	if size < 0 || size > s.lay.arena {
		return Ref{}, fmt.Errorf("%d bytes asked for: %w", size, ErrNoSpace)
	}
	class := classOf(uint64(size))
	off, err := s.take(tok, class)
	if err == ErrNoSpace {
		if n, e := s.Collect(); e != nil || n == 0 {
			return Ref{}, firstOf(e, err)
		}
		off, err = s.take(tok, class)
	}
	if err != nil {
		return Ref{}, err
	}
	b := s.blockAt(off)
	w := atomic.LoadUint64(&b.state)
	v, _, _ := splitState(w)
	b.kind, b.size = uint32(kind), uint64(size)
	if v != 1 && minBlock<<class < punchBlock { // of others the memory was given back
		clear(s.payload(off, class))
	}
	fault.Point("arena.filled")
	if state == blockUsed {
		tok = 0
	}
	if !atomic.CompareAndSwapUint64(&b.state, w, makeState(v+1, state, tok)) {
		return Ref{}, firstOf(s.check(), s.badBlock(off, w))
	}
	fault.Point("arena.made")
	return Ref{Segment: s.id, Offset: off, Size: uint64(size), Generation: v + 1, Kind: kind}, s.check()
}

// firstOf returns the first error that is one.
func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *Segment) badBlock(off, state uint64) error {
	return fmt.Errorf("shm: %w: the block at %#x is in state %#x", ErrCorrupt, off, state)
}

// Publish says that an object which Reserve has made is complete: from here on it lives until it is freed, whoever dies.
func (s *Segment) Publish(r Ref) error {
	for {
		b, w, err := s.find(r)
		if err != nil {
			return err
		}
		v, state, _ := splitState(w)
		if state == blockUsed || atomic.CompareAndSwapUint64(&b.state, w, makeState(v, blockUsed, 0)) {
			return s.check()
		}
	}
}

// Free gives an object back. No process may use it any more; a Ref to it is refused from now on, here and elsewhere. Freeing
// twice is an error.
func (s *Segment) Free(r Ref) error {
	tok := s.token.Load()
	for {
		b, w, err := s.find(r)
		if err != nil {
			return err
		}
		if atomic.CompareAndSwapUint64(&b.state, w, makeState(r.Generation+1, blockHand, tok)) {
			break
		}
		if err := s.check(); err != nil {
			return err
		}
	}
	fault.Point("arena.freeing")
	return s.giveBack(r.Offset, classOf(r.Size))
}

// giveBack puts a block that this process has in hand on its list, empty.
func (s *Segment) giveBack(off uint64, class int) error {
	if length := int64(minBlock) << class; length >= punchBlock {
		// The first page holds the block's head and stays. Where the memory cannot be given back, zeros are written. It is
		// named by its address: a descriptor's number may be another file's when the segment is closed meanwhile.
		at := int64(s.lay.arenaOff) + int64(off)
		if err := sys.Discard(s.mem[at+pageSize : at+length]); err != nil {
			clear(s.mem[at+pageSize : at+length])
		}
		clear(s.mem[at+largeHead : at+pageSize])
	}
	fault.Point("arena.cleared")
	return s.push(off, class)
}

func stale(r Ref) error {
	return fmt.Errorf("shm: the object of the handle {offset %#x, kind %d, generation %d} was freed", r.Offset, r.Kind, r.Generation)
}

// find checks that r names an object of this segment that is in use, and returns its block and the block's state.
func (s *Segment) find(r Ref) (*block, uint64, error) {
	if err := s.check(); err != nil {
		return nil, 0, err
	}
	if r.Segment != s.id {
		return nil, 0, fmt.Errorf("shm: the handle belongs to segment %#x, this one is %#x", r.Segment, s.id)
	}
	arena := uint64(s.lay.arena)
	if r.Offset%minBlock != 0 || r.Size > arena || r.Offset > arena || r.Offset+uint64(minBlock)<<classOf(r.Size) > arena {
		return nil, 0, fmt.Errorf("shm: %w: no object can be at {offset %#x, size %d, generation %d}", ErrCorrupt, r.Offset, r.Size, r.Generation)
	}
	b := s.blockAt(r.Offset)
	w, class, kind, size := atomic.LoadUint64(&b.state), b.class, b.kind, b.size
	if err := s.check(); err != nil {
		return nil, 0, err
	}
	if v, state, _ := splitState(w); v != r.Generation || state != blockOwned && state != blockUsed {
		return nil, 0, stale(r)
	}
	if class != uint32(classOf(r.Size))+1 && Kind(kind) == r.Kind && size == r.Size {
		return nil, 0, fmt.Errorf("shm: %w: an object of %d bytes in a block of size class %d", ErrCorrupt, size, int(class)-1)
	}
	if Kind(kind) != r.Kind || size != r.Size {
		return nil, 0, fmt.Errorf("shm: the handle says kind %d and %d bytes, the object is of kind %d with %d bytes", r.Kind, r.Size, kind, size)
	}
	return b, w, nil
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
	if _, _, err := s.find(r); err != nil {
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
