package shm

import (
	"fmt"
	"sync/atomic"

	"github.com/fb2d3dbd/multiproc/internal/fault"
)

// Collect frees what dead processes have left in the arena: what they had in hand, and the objects that they had reserved and not yet published. It returns how
// many blocks it has freed. An Alloc that finds no space does it by itself. It looks at every block, and harms nobody who allocates meanwhile.
func (s *Segment) Collect() (freed int, err error) {
	tok := s.token.Load()
	if tok == 0 {
		return 0, ErrClosed
	}
	alive := map[uint32]bool{0: true, tok: true}
	err = s.walk(func(off uint64, class int, b *block, st uint64) error {
		v, state, by := splitState(st)
		if state != blockHand && state != blockOwned {
			return nil
		}
		lives, known := alive[by]
		if !known {
			lives = s.Alive(by)
			alive[by] = lives
		}
		if lives {
			return nil
		}
		// If the block is on its way to the list or from it, it arrives first: then it is not the dead one's any more, or certainly not on the list.
		list := &s.hdr.free[class]
		if w := atomic.LoadUint64(list); underWay(w) {
			if err := s.help(list, class, w); err != nil {
				return err
			}
		}
		if !atomic.CompareAndSwapUint64(&b.state, st, makeState(v+1, blockHand, tok)) {
			return nil
		}
		fault.Point("arena.collecting")
		freed++
		return s.giveBack(off, class)
	})
	return freed, firstOf(err, s.check())
}

// walk calls fn with every block of the arena that was ever allocated, and the state that it was in.
func (s *Segment) walk(fn func(off uint64, class int, b *block, state uint64) error) error {
	bump := atomic.LoadUint64(&s.hdr.bump)
	end := bump & firstMask
	if s.looks { // the last block may not yet say of which class it is
		if end > uint64(s.lay.arena)/minBlock {
			return fmt.Errorf("shm: %w: the bump index is %#x", ErrCorrupt, bump)
		}
	} else if _, err := s.settle(bump); err != nil {
		return err
	}
	for at := uint64(0); at < end; {
		b := s.blockAt(at * minBlock)
		st, class := atomic.LoadUint64(&b.state), uint64(atomic.LoadUint32(&b.class))-1
		if st == 0 && at+1<<(bump>>bumpClass&63) == end {
			class = bump >> bumpClass & 63
		}
		if err := s.check(); err != nil {
			return err
		}
		if class >= classes || at+1<<class > end {
			return fmt.Errorf("shm: %w: the block at %#x is of size class %d", ErrCorrupt, at*minBlock, int64(class))
		}
		if err := fn(at*minBlock, int(class), b, st); err != nil {
			return err
		}
		at += 1 << class
	}
	return nil
}
