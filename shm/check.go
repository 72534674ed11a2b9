package shm

import (
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"

	"github.com/fb2d3dbd/multiproc/internal/owner"
)

// Check looks through the whole segment and returns an error that matches ErrCorrupt and says what cannot be, or nil. What it asks for holds at every instant,
// whoever has died or stands still, and wherever: the blocks tile the arena, each is on the list of its class or somebody's, and every participant's
// record is one. It is for tests and for tools. Others that change the segment meanwhile can make it see what never was, so it looks again before it
// says so.
func (s *Segment) Check() (err error) {
	for range checkLooks {
		if err = s.checkOnce(); err == nil || !errors.Is(err, ErrCorrupt) {
			break
		}
		runtime.Gosched()
	}
	return firstOf(s.check(), err)
}

const checkLooks = 10

func (s *Segment) corrupt(format string, args ...any) error {
	return fmt.Errorf("shm: %w: %s", ErrCorrupt, fmt.Sprintf(format, args...))
}

func (s *Segment) checkOnce() error {
	if total, err := s.hdr.head.Check(magic, uint64(len(s.mem))); err != nil || total != uint64(s.lay.total) {
		return s.corrupt("the head says %d bytes, mapped are %d (%v)", total, s.lay.total, err)
	}
	if s.hdr.id != s.id || s.id == 0 {
		return s.corrupt("the segment was %#x and is %#x now", s.id, s.hdr.id)
	}
	for _, p := range s.table.All() {
		if p.PID == 0 {
			return s.corrupt("participant %#x has no pid", p.Token)
		}
	}
	// Lists first, then blocks: what is on a list by then and free when it was looked at cannot be missed.
	listed := map[uint64]int{} // offsets of those on a list, and their class
	for class := range s.hdr.free {
		if err := s.checkList(class, listed); err != nil {
			return err
		}
	}
	err := s.walk(func(off uint64, class int, b *block, st uint64) error {
		on, isOn := listed[off]
		delete(listed, off)
		return s.checkBlock(off, class, b, st, isOn, on)
	})
	if err != nil {
		return err
	}
	for off, class := range listed {
		return s.corrupt("the list of class %d leads to %#x, where no block begins", class, off)
	}
	return nil
}

func (s *Segment) checkList(class int, listed map[uint64]int) error {
	w := atomic.LoadUint64(&s.hdr.free[class])
	length := uint64(minBlock) << class
	for at := w & firstMask; at != 0; {
		off := (at - 1) * minBlock
		if off+length > uint64(s.lay.arena) {
			return s.corrupt("the list of class %d leads to %#x, beyond the arena", class, off)
		}
		if _, twice := listed[off]; twice {
			return s.corrupt("the block at %#x is on a list twice", off)
		}
		listed[off] = class
		b := s.blockAt(off)
		if _, state, _ := splitState(atomic.LoadUint64(&b.state)); state != blockFree && !(at == w&firstMask && underWay(w)) {
			return s.corrupt("the block at %#x is on the list of class %d and in state %d", off, class, state)
		}
		at = atomic.LoadUint64(&b.next) & firstMask
	}
	if atomic.LoadUint64(&s.hdr.free[class]) != w {
		return s.corrupt("the list of class %d does not stand still", class)
	}
	return nil
}

func (s *Segment) checkBlock(off uint64, class int, b *block, st uint64, isOn bool, on int) error {
	v, state, by := splitState(st)
	size := b.size
	switch {
	case isOn && on != class:
		return s.corrupt("the block at %#x, of class %d, is on the list of class %d", off, class, on)
	case st == 0:
		return nil // the last, and nobody has begun with it
	case state == blockFree && !isOn:
		return s.corrupt("the block at %#x, of class %d, is free and on no list", off, class)
	case (state == blockFree || state == blockUsed) != (by == 0):
		return s.corrupt("the block at %#x is in state %d and participant %#x's", off, state, by)
	case by != 0 && owner.Number(by) > s.lay.participants:
		return s.corrupt("the block at %#x is participant %#x's", off, by)
	case (state == blockOwned || state == blockUsed) && (size > uint64(s.lay.arena) || classOf(size) != class):
		return s.corrupt("the block at %#x, of class %d, has an object of %d bytes (version %d)", off, class, size, v)
	}
	return nil
}
