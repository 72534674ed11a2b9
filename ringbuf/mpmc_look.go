package ringbuf

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/fb2d3dbd/multiproc/internal/fault"
)

// Len returns the number of messages that wait in the queue at one instant within the call: those of Put that were not taken, and
// those that are to be handed out again.
func (q *MPMC) Len() (int, error) {
	me, err := q.enter(0)
	if err != nil {
		return 0, err
	}
	for {
		t, err := q.tail()
		if err != nil {
			return 0, q.failed(me, err)
		}
		h, err := q.head()
		if err != nil {
			return 0, q.failed(me, err)
		}
		again, err := q.tail()
		if err != nil {
			return 0, q.failed(me, err)
		}
		if t != again {
			continue
		}
		// The tail stood still while the head was found, so both held at that instant.
		n := q.distance(h, t)
		if n > q.n {
			return 0, q.corrupt("%d messages in a queue of %d", n, q.n)
		}
		return int(n) + q.orphans(), q.usable(me.token)
	}
}

// tail returns the position that is to be put next, in a full and in a closed queue too.
func (q *MPMC) tail() (t uint64, err error) {
	var w walk
	for ok := w.begin(&q.positions, &q.hdr.tail); ok; {
		i := q.index(w.pos)
		e := cell(atomic.LoadUint64(q.cellOf(i)))
		isEnd := e.owner() == full && e.slot() == endSlot
		isPut := e.owner() == full && !isEnd
		switch q.relate(e, w.pos) {
		case sameLap:
			if !isPut {
				return w.pos, nil
			}
		case lapBefore:
			if isPut {
				return w.pos, nil
			}
		}
		if isEnd {
			ok = w.on(q.at(e.lap(), i))
		} else {
			ok = w.on(q.afterPut(e, i))
		}
	}
	return 0, q.corrupt("no cell is the tail's in a queue of %d; it is said to be at %#x", q.n, w.pos)
}

// head returns the position that is to be taken next.
func (q *MPMC) head() (h uint64, err error) {
	var w walk
	for ok := w.begin(&q.positions, &q.hdr.headPos); ok; {
		i := q.index(w.pos)
		e := cell(atomic.LoadUint64(q.cellOf(i)))
		if q.relate(e, w.pos) == sameLap {
			return w.pos, nil // full: it is the next; empty, or the end: so is the queue
		}
		ok = w.on(q.afterTaken(e, i))
	}
	return 0, q.corrupt("no cell is the head's in a queue of %d; it is said to be at %#x", q.n, w.pos)
}

// orphans counts the messages that are to be handed out again.
func (q *MPMC) orphans() (n int) {
	if atomic.LoadUint32(&q.hdr.gen) == q.seen.Load() {
		return 0
	}
	for k := range q.slots {
		if slotWord(atomic.LoadUint64(q.wordOf(k))).state() == stateOrp && !q.exhausted(k) {
			n++
		}
	}
	return n
}

var errUnfinished = errors.New("ringbuf: not everything is acknowledged") // for Join alone

// Unfinished returns the number of messages that were put and are not yet acknowledged: those that wait and those in somebody's hands.
// Those set aside as dead letters do not count. One that is put during the call may be counted or not.
func (q *MPMC) Unfinished() (int, error) {
	me, err := q.enter(0)
	if err != nil {
		return 0, err
	}
	n := 0
	for k := range q.slots {
		w := slotWord(atomic.LoadUint64(q.wordOf(k)))
		switch w.state() {
		case stateTak:
			n++
		case stateOrp:
			if !q.exhausted(k) {
				n++
			}
		case statePub:
			p, ok := q.sane(w.pos())
			if !ok {
				return 0, q.corrupt("slot %d is %#x", k, uint64(w))
			}
			e := cell(atomic.LoadUint64(q.cellOf(q.index(p))))
			queued := e.owner() == full && e.lap() == q.lap(p)
			taken := e.owner() != full && e.lap() == q.lap(q.after(p))
			// A cell that has moved on since says nothing of an older word: then the slot is looked at again, as unfinished.
			if e.slot() == k && (queued || taken) || slotWord(atomic.LoadUint64(q.wordOf(k))) != w {
				n++
			}
		}
	}
	return n, q.usable(me.token)
}

// Join waits until every message that was put before the call is acknowledged, or set aside as a dead letter, or ctx ends. ErrPeerDied says
// that some are not and every process that could take them is gone.
func (q *MPMC) Join(ctx context.Context) error {
	return q.wait(ctx, q.doneEvent, errUnfinished, noGet, func() error {
		n, err := q.Unfinished()
		if n > 0 {
			err = errUnfinished
		}
		return err
	})
}

// Close ends the queue for everybody: puts return ErrClosed from now on, gets take what is there and then return ErrClosed. A put that
// is under way in another process or goroutine succeeds, and is delivered, or returns ErrClosed. A second Close does nothing.
func (q *MPMC) Close() error {
	me, err := q.enter(0)
	if err != nil {
		return err
	}
	atomic.StoreUint32(&q.hdr.state, isClosed)
	fault.Point("mpmc.closed")
	q.dataEvent.Notify(-1)
	q.roomEvent.Notify(-1)
	return q.usable(me.token)
}

// Closed reports whether the queue was closed.
func (q *MPMC) Closed() bool { return atomic.LoadUint32(&q.hdr.state) == isClosed }

// CloseWrite says that this process will put nothing more; its puts return ErrClosed. When all processes that could put are dead or have
// said so, a get of the empty queue returns ErrPeerDied instead of waiting.
func (q *MPMC) CloseWrite() error { return q.leave(noPut) }

// CloseRead says that this process will take nothing more; its gets return ErrClosed.
func (q *MPMC) CloseRead() error { return q.leave(noGet) }

func (q *MPMC) leave(side uint64) error {
	if _, err := q.enter(side); err != nil {
		return err
	}
	q.dataEvent.Notify(-1)
	q.roomEvent.Notify(-1)
	return nil
}
