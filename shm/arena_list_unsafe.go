package shm

import (
	"fmt"
	"math/bits"
	"sync/atomic"

	"github.com/fb2d3dbd/multiproc/internal/fault"
	"github.com/fb2d3dbd/multiproc/internal/owner"
)

// The head of a size class's list of free blocks, tag:15 | push:1 | number:12 | first:36, where first is a block's offset/64 + 1, or 0. Every change raises the
// tag. What is under way is written in the head, so that anybody can bring it to its end, and nobody who dies or stands still is ever the only
// one to know of a block.
//
//	idle(B)      B is the first                       → pop(n, B), by participant n, who gets B; push(A), by who has A in hand and has
//	                                                    written B into its next
//	pop(n, B)    B goes to n                          → idle(B's next), by anybody, after B was made hand(n)
//	push(A)      A is on the list, and still in hand  → idle(A), by anybody, after A was made free
const (
	firstMask   = 1<<36 - 1
	numberShift = 36
	numberMask  = 1<<12 - 1
	pushBit     = 1 << 48
	tagOne      = 1 << 49
)

func headNumber(w uint64) int { return int(w >> numberShift & numberMask) }

// nextHead returns a head with the next tag.
func nextHead(w, push, number, first uint64) uint64 {
	return (w&^(tagOne-1) + tagOne) | push | number<<numberShift | first
}

// underWay reports whether something is to be brought to its end.
func underWay(w uint64) bool { return w&(pushBit|numberMask<<numberShift) != 0 }

// The bump index, end/64:36 | class:6 | number:12 from the lowest bit on: where nothing was ever allocated, and of which class the last block before it is, which
// participant n has taken. Who moves it first sees to it that this block says so itself.
const (
	bumpClass  = 36
	bumpNumber = 42
)

// take takes a block of the class from its free list, or from the part of the arena that was never used. It is then in this process's hand.
func (s *Segment) take(tok uint32, class int) (uint64, error) {
	list := &s.hdr.free[class]
	for {
		w := atomic.LoadUint64(list)
		if err := s.check(); err != nil {
			return 0, err
		}
		if underWay(w) {
			if err := s.help(list, class, w); err != nil {
				return 0, err
			}
			continue
		}
		first := w & firstMask
		if first == 0 {
			return s.extend(tok, class)
		}
		pop := nextHead(w, 0, uint64(owner.Number(tok)), first)
		if !atomic.CompareAndSwapUint64(list, w, pop) {
			continue
		}
		fault.Point("arena.popping")
		if err := s.help(list, class, pop); err != nil {
			return 0, err
		}
		off := (first - 1) * minBlock
		st := atomic.LoadUint64(&s.blockAt(off).state)
		if _, state, by := splitState(st); state != blockHand || by != tok {
			return 0, firstOf(s.check(), s.badBlock(off, st))
		}
		return off, nil
	}
}

// help brings what the head w of a list says to its end, if it still says so.
func (s *Segment) help(list *uint64, class int, w uint64) error {
	off := (w&firstMask - 1) * minBlock
	if w&firstMask == 0 || off+uint64(minBlock)<<class > uint64(s.lay.arena) {
		return firstOf(s.check(), fmt.Errorf("shm: %w: the free list of blocks of %d bytes begins with %#x", ErrCorrupt, minBlock<<class, w))
	}
	b := s.blockAt(off)
	st := atomic.LoadUint64(&b.state)
	if atomic.LoadUint64(list) != w { // else st is from while it was under way
		return nil
	}
	v, state, _ := splitState(st)
	if w&pushBit != 0 {
		if state == blockHand {
			atomic.CompareAndSwapUint64(&b.state, st, makeState(v+1, blockFree, 0))
			fault.Point("arena.freed")
		}
		atomic.CompareAndSwapUint64(list, w, nextHead(w, 0, 0, w&firstMask))
		return nil
	}
	if state == blockFree {
		atomic.CompareAndSwapUint64(&b.state, st, makeState(v+1, blockHand, s.table.TokenOf(headNumber(w))))
		fault.Point("arena.given")
	}
	next := atomic.LoadUint64(&b.next) & firstMask // stays as long as the head is w
	atomic.CompareAndSwapUint64(list, w, nextHead(w, 0, 0, next))
	fault.Point("arena.popped")
	return nil
}

// push puts a block that this process has in hand on the list of its class.
func (s *Segment) push(off uint64, class int) error {
	list := &s.hdr.free[class]
	b := s.blockAt(off)
	for {
		w := atomic.LoadUint64(list)
		if err := s.check(); err != nil {
			return err
		}
		if underWay(w) {
			if err := s.help(list, class, w); err != nil {
				return err
			}
			continue
		}
		atomic.StoreUint64(&b.next, w&firstMask)
		linked := nextHead(w, pushBit, 0, off/minBlock+1)
		if atomic.CompareAndSwapUint64(list, w, linked) {
			fault.Point("arena.pushed")
			return firstOf(s.help(list, class, linked), s.check())
		}
	}
}

// extend takes a block from where nothing was ever allocated. What lies between the end and the next place that suits it becomes free blocks.
func (s *Segment) extend(tok uint32, class int) (uint64, error) {
	for {
		w := atomic.LoadUint64(&s.hdr.bump)
		end, err := s.settle(w)
		if err != nil {
			return 0, err
		}
		c := class
		if align := uint64(min(class, pageClass)); end&(1<<align-1) != 0 {
			c = bits.TrailingZeros64(end) // a block of this size ends at a better place
		}
		next := end + 1<<c
		if next > uint64(s.lay.arena)/minBlock {
			return 0, firstOf(s.check(), ErrNoSpace)
		}
		moved := next | uint64(c)<<bumpClass | uint64(owner.Number(tok))<<bumpNumber
		if !atomic.CompareAndSwapUint64(&s.hdr.bump, w, moved) {
			continue
		}
		fault.Point("arena.extended")
		if _, err := s.settle(moved); err != nil {
			return 0, err
		}
		off := end * minBlock
		st := atomic.LoadUint64(&s.blockAt(off).state)
		if _, state, by := splitState(st); state != blockHand || by != tok {
			return 0, firstOf(s.check(), s.badBlock(off, st))
		}
		if c == class {
			return off, nil
		}
		if err := s.push(off, c); err != nil {
			return 0, err
		}
	}
}

const pageClass = 6 // minBlock << pageClass is a page

// settle has the last block before the bump index w say of itself what the index says, and returns the end in units of minBlock.
func (s *Segment) settle(w uint64) (end uint64, err error) {
	end = w & firstMask
	class, number := w>>bumpClass&63, w>>bumpNumber
	if end == 0 && w == 0 {
		return 0, s.check()
	}
	if class >= classes || end < 1<<class || end > uint64(s.lay.arena)/minBlock || number > owner.Max {
		return 0, firstOf(s.check(), fmt.Errorf("shm: %w: the bump index is %#x", ErrCorrupt, w))
	}
	b := s.blockAt((end - 1<<class) * minBlock)
	if atomic.LoadUint64(&b.state) == 0 {
		atomic.StoreUint32(&b.class, uint32(class)+1) // whoever stores it stores the same
		atomic.CompareAndSwapUint64(&b.state, 0, makeState(1, blockHand, s.table.TokenOf(int(number))))
		fault.Point("arena.settled")
	}
	return end, s.check()
}
