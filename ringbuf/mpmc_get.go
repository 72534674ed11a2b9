package ringbuf

import (
	"context"
	"fmt"
	"iter"
	"sync/atomic"

	"github.com/fb2d3dbd/multiproc/internal/cpu"
	"github.com/fb2d3dbd/multiproc/internal/fault"
	"github.com/fb2d3dbd/multiproc/internal/race"
)

// Get appends the next message to buf and returns it, waiting for one until ctx ends. ErrClosed comes when the queue is closed
// and empty, ErrPeerDied when it is empty and every process that could put into it is gone.
func (q *MPMC) Get(ctx context.Context, buf []byte) ([]byte, error) {
	out, how := q.getFast(buf)
	if how == allDone {
		return out, nil
	}
	out, err := q.getSlow(how, buf, out)
	if err != ErrEmpty {
		return out, err
	}
	msg, err := q.getWait(ctx)
	return append(buf, msg...), err
}

// getWait waits for a message. It has no buffer: one that a closure knows of could not be on the caller's stack.
func (q *MPMC) getWait(ctx context.Context) (msg []byte, err error) {
	w := wait{q: q}
	for w.again() {
		out, how := q.getFast(nil)
		if how == notDone {
			continue
		}
		w.ended()
		if how == allDone {
			return out, nil
		}
		return q.getSlow(how, nil, out)
	}
	err = q.waitData(ctx, func() error { msg, err = q.TryGet(nil); return err })
	return msg, err
}

// TryGet appends the next message to buf and returns it, or ErrEmpty.
func (q *MPMC) TryGet(buf []byte) ([]byte, error) {
	out, how := q.getFast(buf)
	if how == allDone {
		return out, nil
	}
	return q.getSlow(how, buf, out)
}

// getSlow does what getFast, which returned out, has left to do.
func (q *MPMC) getSlow(how fast, buf, out []byte) ([]byte, error) {
	if how == damaged {
		return buf, q.corrupt("a message whose size is none")
	}
	if how == notDone {
		me, err := q.enter(hasGot)
		if err != nil {
			return buf, err
		}
		h, err := q.take(me, anySize)
		if err != nil {
			return buf, err
		}
		out = appendMessage(buf, h.msg)
		q.release(me, h.slot)
	}
	q.wakeProducers(1)
	return out, q.here()
}

// GetBatch waits for a message until ctx ends and returns it with those that follow, up to limit in all, each in memory of
// its own. They are given up by the queue together, at the end: a process that dies before leaves all of them to others.
func (q *MPMC) GetBatch(ctx context.Context, limit int) ([][]byte, error) {
	if limit < 1 {
		return nil, fmt.Errorf("ringbuf: a batch of %d messages", limit)
	}
	out, err := q.tryGetBatch(limit)
	if err == ErrEmpty {
		err = q.waitData(ctx, func() error { out, err = q.tryGetBatch(limit); return err })
	}
	return out, err
}

func (q *MPMC) tryGetBatch(limit int) ([][]byte, error) {
	me, err := q.enter(hasGot)
	if err != nil {
		return nil, err
	}
	var out [][]byte
	var slots []uint64
	for len(out) < limit {
		h, e := q.take(me, anySize)
		if e != nil {
			err = e
			break
		}
		out = append(out, append(make([]byte, 0, len(h.msg)), h.msg...))
		slots = append(slots, h.slot)
	}
	if len(out) == 0 {
		return nil, err // or else it comes again at the next call
	}
	for _, k := range slots {
		q.release(me, k)
	}
	q.wakeProducers(len(out))
	return out, q.usable(me.token)
}

// All ranges over copies of the messages as they come, until the queue is closed and empty. Another error is the last that the loop
// sees.
func (q *MPMC) All(ctx context.Context) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for {
			msg, err := q.Get(ctx, nil)
			if err == ErrClosed || !yield(msg, err) || err != nil {
				return
			}
		}
	}
}

// held is a message that this process has taken.
type held struct {
	slot       uint64
	pos        uint64
	msg        []byte // in place
	deliveries int
}

// take takes the next message of at most room bytes, one that is to be handed out again first. A longer one stays where it is, and the error is a *shortError.
func (q *MPMC) take(me identity, room uint64) (held, error) {
	for {
		gen := atomic.LoadUint32(&q.hdr.gen) // pairs with the add after an orphan was made
		if gen != q.seen.Load() {
			if h, err := q.takeOrphan(me, gen, room); err != ErrEmpty {
				return h, err
			}
		}
		h, err := q.takeNext(me, room)
		if err == ErrEmpty && atomic.LoadUint32(&q.hdr.gen) != gen {
			continue // an orphan was made while the last message was taken: the queue need not have been empty at any instant
		}
		if err == ErrClosed {
			return q.takeLast(me, room)
		}
		return h, err
	}
}

// takeLast looks behind the end of a closed queue: what the dead had in hand is still to come.
func (q *MPMC) takeLast(me identity, room uint64) (held, error) {
	if _, err := q.bury(me.token); err != nil {
		return held{}, q.failed(me, err)
	}
	h, err := q.takeOrphan(me, atomic.LoadUint32(&q.hdr.gen), room)
	if err == ErrEmpty {
		err = q.failed(me, ErrClosed)
	}
	return h, err
}

// takeNext takes the message at the head.
func (q *MPMC) takeNext(me identity, room uint64) (held, error) {
	var w walk
	for ok := w.begin(&q.positions, &q.hdr.headPos); ok; {
		h := w.pos
		i := q.index(h)
		c := q.cellOf(i)
		e := cell(atomic.LoadUint64(c)) // pairs with the compare-and-swap in publish
		k := e.slot()
		switch isFull := e.owner() == full; {
		case isFull && k == endSlot:
			return held{}, q.failed(me, ErrClosed)
		case q.relate(e, h) != sameLap:
			ok = w.on(q.afterTaken(e, i))
		case !isFull:
			if err := q.empty(me, c, e, h); err != nil {
				return held{}, err
			}
			ok = w.on(h)
		case k >= q.slots:
			return held{}, q.corrupt("cell %d is %#x", i, uint64(e))
		default:
			if err := q.tooLong(k, room); err != nil {
				if cell(atomic.LoadUint64(c)) == e { // so it was the message's own length
					return held{}, q.failed(me, err)
				}
				ok = w.on(h)
				continue
			}
			fault.Point("mpmc.get.found")
			if atomic.CompareAndSwapUint64(c, uint64(e), uint64(makeCell((e.lap()+1)&q.lapMask, me.id, k))) { // the get
				race.Acquire(c)
				fault.Point("mpmc.get.taken")
				cpu.StoreRelease64(&q.hdr.headPos, q.next(h))
				fault.Point("mpmc.get.hinted")
				return q.open(me, k, h)
			}
			ok = w.on(h)
		}
	}
	return held{}, q.corrupt("no cell is the head's in a queue of %d; it is said to be at %#x", q.n, w.pos)
}

// empty decides what an empty cell at the head means. It returns nil to look again. In a closed queue it puts the end into the cell:
// puts that began before the close come before it, or fail on it.
func (q *MPMC) empty(me identity, c *uint64, e cell, h uint64) error {
	if state := atomic.LoadUint32(&q.hdr.state); state == isOpen {
		return q.failed(me, ErrEmpty)
	} else if state != isClosed {
		return q.corrupt("the queue is in state %#x", state)
	}
	fault.Point("mpmc.get.ending")
	if err := q.settle(e, h); err != nil {
		return err
	}
	if !atomic.CompareAndSwapUint64(c, uint64(e), uint64(makeCell(e.lap(), full, endSlot))) {
		return nil
	}
	fault.Point("mpmc.get.ended")
	q.dataEvent.Notify(-1)
	return q.failed(me, ErrClosed)
}

// open views the message in slot k, which this process has taken from position p.
func (q *MPMC) open(me identity, k, p uint64) (held, error) {
	size := atomic.LoadUint64(q.sizeOf(k)) // read once, then checked
	h := held{slot: k, pos: p, deliveries: deliveriesOf(size)}
	var err error
	if h.msg, err = q.space(k, size); err != nil {
		q.free(k) // nobody can make anything of it
		return held{}, q.failed(me, err)
	}
	return h, nil
}

// takeOrphan takes a message that is to be handed out again, or returns ErrEmpty. gen is from before the search.
func (q *MPMC) takeOrphan(me identity, gen uint32, room uint64) (held, error) {
	if q.due.Load() && q.due.Swap(false) {
		if _, err := q.bury(me.token); err != nil {
			return held{}, err
		}
		gen = atomic.LoadUint32(&q.hdr.gen)
	}
	q.care()
	for k := range q.slots {
		w := q.wordOf(k)
		old := slotWord(atomic.LoadUint64(w))
		for old.state() == stateOrp {
			next := makeWord(stateTak, me.id, old.pos())
			dead := q.exhausted(k)
			if dead {
				next = makeWord(stateDlq, 0, old.pos())
			} else if err := q.tooLong(k, room); err != nil {
				now := slotWord(atomic.LoadUint64(w))
				if now == old {
					return held{}, q.failed(me, err)
				}
				old = now
				continue
			}
			fault.Point("mpmc.orphan.found")
			if !atomic.CompareAndSwapUint64(w, uint64(old), uint64(next)) {
				old = slotWord(atomic.LoadUint64(w))
				continue
			}
			if dead {
				fault.Point("mpmc.orphan.aside")
				break
			}
			race.Acquire(w)
			fault.Point("mpmc.orphan.taken")
			size := q.sizeOf(k)
			if s := atomic.LoadUint64(size); deliveriesOf(s) < maxDeliveries {
				atomic.StoreUint64(size, s+deliveryOne)
			}
			return q.open(me, k, old.pos())
		}
	}
	q.seen.Store(gen) // what was made an orphan later has raised it since
	if q.due.Load() {
		q.lookAgain() // the caretaker has come meanwhile, and its own word was overwritten
	}
	return held{}, ErrEmpty
}

// exhausted reports whether the message in slot k was handed out as often as it may be.
func (q *MPMC) exhausted(k uint64) bool {
	return q.limit > 0 && deliveriesOf(atomic.LoadUint64(q.sizeOf(k))) >= q.limit
}

// wakeProducers wakes n of those who wait for room, and who waits for the end of all work.
func (q *MPMC) wakeProducers(n int) {
	if atomic.LoadUint64(q.hdr.waiting())&(1|1<<32) == 0 { // pairs with the barrier of those who are about to sleep
		return
	}
	if q.units != nil {
		n = -1 // the first may wait for more room than this
	}
	q.roomEvent.Notify(n)
	q.doneEvent.Notify(-1)
}

// waitData waits until try says something else than ErrEmpty.
func (q *MPMC) waitData(ctx context.Context, try func() error) error {
	return q.wait(ctx, q.dataEvent, ErrEmpty, noPut, try)
}
