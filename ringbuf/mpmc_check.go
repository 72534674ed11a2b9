package ringbuf

import (
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
)

// Check looks through the whole queue and returns an error that matches ErrCorrupt and says what cannot be, or nil. What it asks for
// holds at every instant, whoever has died or stands still and wherever: every cell is where the head and the tail say, every slot is
// free or its owner is a member, every message in a cell has a slot and its bytes, and every unit of the arena belongs to one slot that is in
// use. It is for tests and for tools, and reads all of the queue: others that change it meanwhile can make it see what never was, so it looks
// again before it says so.
func (q *MPMC) Check() error {
	me, err := q.enter(0)
	if err != nil {
		return err
	}
	for range checkLooks {
		if err = q.checkOnce(me); err == nil || !errors.Is(err, ErrCorrupt) {
			break
		}
		runtime.Gosched()
	}
	return err
}

// checkLooks is how often Check looks before it believes what it sees.
const checkLooks = 10

func (q *MPMC) checkOnce(me identity) error {
	c := checker{q: q, shown: map[uint64]uint64{}, units: make([]uint64, q.slots)}
	for _, step := range []func() error{c.cells, c.countUnits, c.slots} {
		if err := step(); err != nil {
			return q.failed(me, err)
		}
	}
	return q.usable(me.token)
}

type checker struct {
	q     *MPMC
	shown map[uint64]uint64 // slots in FULL cells, and their positions
	units []uint64          // how many are each slot's
}

func (c *checker) cells() error {
	q := c.q
	h, err := q.head()
	t, e := q.tail()
	if err := errors.Join(err, e); err != nil {
		return err
	}
	n := q.distance(h, t)
	if n > q.n {
		return q.corrupt("the head is at %#x and the tail at %#x in a queue of %d", h, t, q.n)
	}
	p := h
	for i := range q.n {
		e := cell(atomic.LoadUint64(q.cellOf(q.index(p))))
		isFull, k := e.owner() == full, e.slot()
		end := isFull && k == endSlot
		switch {
		case e.lap() != q.lap(p):
			return q.corrupt("cell %d is %#x, and position %#x is between the head %#x and the end of its lap", q.index(p), uint64(e), p, h)
		case end && (i != n || atomic.LoadUint32(&q.hdr.state) != isClosed):
			return q.corrupt("cell %d is the end, the head is at %#x and the tail at %#x", q.index(p), h, t)
		case !end && isFull != (i < n):
			return q.corrupt("cell %d is %#x, the head is at %#x and the tail at %#x", q.index(p), uint64(e), h, t)
		case !end && (isFull || e.owner() != 0) && k >= q.slots:
			return q.corrupt("cell %d is %#x, and there are %d slots", q.index(p), uint64(e), q.slots)
		}
		if isFull && !end {
			if other, twice := c.shown[k]; twice {
				return q.corrupt("slot %d is at the positions %#x and %#x", k, other, p)
			}
			c.shown[k] = p
		}
		p = q.next(p)
	}
	return nil
}

func (c *checker) countUnits() error {
	for i := range c.q.units {
		switch u := uint64(atomic.LoadUint32(&c.q.units[i])); {
		case u > c.q.slots:
			return c.q.corrupt("unit %d is slot %d's of %d", i, u-1, c.q.slots)
		case u > 0:
			c.units[u-1]++
		}
	}
	return nil
}

func (c *checker) slots() error {
	q := c.q
	for k := range q.slots {
		w := slotWord(atomic.LoadUint64(q.wordOf(k)))
		p, queued := c.shown[k]
		if queued && (w.state() != statePub || w.pos() != p) {
			return q.corrupt("slot %d is %#x, and it is at position %#x", k, uint64(w), p)
		}
		if err := c.slot(k, w, queued); err != nil {
			return fmt.Errorf("%w; slot %d is %#x", err, k, uint64(w))
		}
	}
	return nil
}

func (c *checker) slot(k uint64, w slotWord, queued bool) error {
	q := c.q
	holder, holds := w.owner(), false // who answers for the slot; whether there is a message in it
	switch w.state() {
	case stateFree:
		if w != 0 {
			return q.corrupt("a free slot has an owner or a position")
		}
		if c.units[k] != 0 {
			return q.corrupt("a free slot has %d units", c.units[k])
		}
		return nil
	case stateOwn:
	case stateTak:
		holds = true
	case stateOrp, stateDlq:
		if holder != 0 {
			return q.corrupt("an orphan has an owner")
		}
		holds = true
	case statePub:
		p, ok := q.sane(w.pos())
		if !ok {
			return q.corrupt("a position that there is not")
		}
		e := cell(atomic.LoadUint64(q.cellOf(q.index(p))))
		taken := e.owner() != full && e.lap() == q.lap(q.after(p)) && e.slot() == k
		if taken {
			holder = e.owner()
		}
		holds = queued || taken
	default:
		return q.corrupt("no state")
	}
	if !queued && w.state() != stateOrp && w.state() != stateDlq {
		if holder == 0 || holder > uint64(q.memberMax) || q.members.Free(int(holder)) {
			return q.corrupt("its owner, number %d, is nobody's", holder)
		}
	}
	if !holds {
		return nil // how far its owner has come with it is nobody's business
	}
	size := atomic.LoadUint64(q.sizeOf(k))
	if size&outsideFlag != 0 {
		if _, err := q.space(k, size); err != nil {
			return err
		}
		size = size&^(outsideFlag|lengthMask) | uint64(q.ticket())
	}
	if size&largeFlag == 0 {
		if n := size & lengthMask; n > uint64(q.inline()) || c.units[k] != 0 {
			return q.corrupt("%d bytes and %d units in a slot of %d bytes", n, c.units[k], q.inline())
		}
		return nil
	}
	if _, err := q.run(k, size&lengthMask); err != nil {
		return err
	}
	r := atomic.LoadUint64(q.runWord(k))
	first, count := r&(1<<32-1), r>>32
	for i := first; i < first+count; i++ {
		if u := uint64(atomic.LoadUint32(&q.units[i])); u != k+1 {
			return q.corrupt("unit %d of its message is %d", i, u)
		}
	}
	if c.units[k] != count {
		return q.corrupt("it has %d units, its message %d", c.units[k], count)
	}
	return nil
}
