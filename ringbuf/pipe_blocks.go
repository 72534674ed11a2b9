package ringbuf

import (
	"sync/atomic"

	"github.com/fb2d3dbd/multiproc/internal/fault"
)

// Blocks is where the ends of a pipe keep messages that are too large for the pipe's own memory. A block is a part of memory that all processes at the pipe share;
// its name means the same in all of them.
type Blocks interface {
	// Reserve makes a block of n bytes, which goes if this process dies before Publish.
	Reserve(n int) (BlockName, error)
	// Publish has the block live until it is freed.
	Publish(name BlockName) error
	// At returns the bytes of a block. Names that are none are an error.
	At(name BlockName) ([]byte, error)
	// Free gives a block back. It may be called again, by one who goes on where another has died in it: a name that was given back does nothing, and never
	// means a block that was made later.
	Free(name BlockName) error
}

// A BlockName names a block.
type BlockName = [32]byte

// A message that stands outside has a block, whose name stands in its slot, and besides some units of the arena, which are its ticket: there are only so many at
// a time.

// isOutside reports whether a message of n bytes gets a block of its own.
func (q *MPMC) isOutside(n int) bool { return q.blocks != nil && n > q.ticket() }

// ticket is the size of the largest message that stands in the arena of a queue that has blocks, and what one that does not takes of it.
func (q *MPMC) ticket() int { return max(1, int(q.unitCount)/4) << q.unitShift }

// space returns the memory of the message whose size word is given, in slot k.
func (q *MPMC) space(k, size uint64) ([]byte, error) {
	n := size & lengthMask
	switch {
	case size&largeFlag == 0:
		if n > uint64(q.inline()) || size&outsideFlag != 0 {
			return nil, q.corrupt("a message of %d bytes in a slot of %d", n, q.inline())
		}
		return q.body(k)[:n:n], nil
	case size&outsideFlag == 0:
		return q.run(k, n)
	case q.blocks == nil:
		return nil, q.corrupt("a message outside of a queue that has no blocks")
	}
	mem, err := q.blocks.At(q.blockOf(k))
	if err != nil || uint64(len(mem)) < n {
		return nil, q.corrupt("a message of %d bytes in a block of %d: %v", n, len(mem), err)
	}
	return mem[:n:n], nil
}

// blockOf reads the name in slot k.
func (q *MPMC) blockOf(k uint64) BlockName { return BlockName(q.body(k)) }

// claimBlock makes a block for a message of n bytes in slot k, which this process owns and which has its ticket. Its size word is written last: it says that there is a name.
func (q *MPMC) claimBlock(k uint64, n int) error {
	name, err := q.blocks.Reserve(n)
	if err != nil {
		return err
	}
	fault.Point("pipe.block.made")
	copy(q.body(k), name[:])
	fault.Point("pipe.block.named")
	atomic.StoreUint64(q.sizeOf(k), largeFlag|outsideFlag|deliveryOne|uint64(n)) // pairs with the load in freeBlock
	fault.Point("pipe.block.claimed")
	if err := q.blocks.Publish(name); err != nil { // from here on who repairs this process frees it
		return err
	}
	fault.Point("pipe.block.kept")
	return nil
}

// freeBlock gives the block of slot k back, if it has one. The slot is in OWN, and this process its owner or the repairer of its owner. A slot that was not used for a message
// outside since may still have the name of a former one: that names nothing any more.
func (q *MPMC) freeBlock(k uint64) {
	if q.blocks == nil {
		return
	}
	size := q.sizeOf(k)
	s := atomic.LoadUint64(size)
	if s&largeFlag == 0 || s&outsideFlag == 0 {
		return
	}
	_ = q.blocks.Free(q.blockOf(k)) // given back already, or written over: then there is nothing to give back
	fault.Point("pipe.block.freed")
	atomic.StoreUint64(size, s&^outsideFlag)
}

// freeBlocks gives the blocks of all slots back, of a queue that nobody uses any more.
func (q *MPMC) freeBlocks() {
	for k := range q.slots {
		q.freeBlock(k)
	}
}
