package ringbuf

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/fb2d3dbd/multiproc/internal/cpu"
	"github.com/fb2d3dbd/multiproc/internal/fault"
	"github.com/fb2d3dbd/multiproc/internal/race"
)

// Put copies msg into the queue, waiting for room until ctx ends. When it returns nil the message will be delivered, whatever
// happens to this process. ErrClosed says that the queue is closed, ErrTooLarge that msg can never fit, and ErrPeerDied that there is no room and
// every process that could make some, by taking, is gone.
func (q *MPMC) Put(ctx context.Context, msg []byte) error {
	how := q.putFast(msg)
	if how == allDone {
		return nil
	}
	err := q.putSlow(how, msg)
	if err != ErrFull {
		return err
	}
	kept := slices.Clone(msg) // what a closure knows of could not be on the caller's stack
	return q.waitRoom(ctx, func() error { return q.TryPut(kept) })
}

// TryPut copies msg into the queue, or returns ErrFull: there are Capacity messages in it, or the messages that are being put or
// were taken and not yet acknowledged have left no slot, or no room in the arena.
func (q *MPMC) TryPut(msg []byte) error {
	how := q.putFast(msg)
	if how == allDone {
		return nil
	}
	return q.putSlow(how, msg)
}

// putSlow does what putFast has left to do.
func (q *MPMC) putSlow(how fast, msg []byte) error {
	if how == notDone {
		me, err := q.enter(hasPut)
		if err != nil {
			return err
		}
		if err := q.put(me, msg); err != nil {
			return err
		}
	}
	q.dataEvent.Notify(1)
	return q.here()
}

// put puts msg and wakes nobody.
func (q *MPMC) put(me identity, msg []byte) error {
	k, err := q.claim(me, len(msg))
	if err != nil {
		return err
	}
	if len(msg) <= q.inline() {
		copy(q.body(k), msg)
	} else if mem, err := q.space(k, atomic.LoadUint64(q.sizeOf(k))); err == nil {
		cpu.Copy(mem, msg)
	} else {
		q.free(k) // somebody wrote over it
		return err
	}
	if err := q.publish(me, k); err != nil {
		q.release(me, k)
		return err
	}
	return nil
}

// PutBatch puts messages in order and waits for room until ctx ends; others' messages may come between them. It wakes consumers once for
// as many as find room. It returns how many it put; err says why not all.
func (q *MPMC) PutBatch(ctx context.Context, msgs [][]byte) (int, error) {
	n := 0
	some := func() error {
		me, err := q.enter(hasPut)
		if err != nil {
			return err
		}
		first := n
		for n < len(msgs) && err == nil {
			if err = q.put(me, msgs[n]); err == nil {
				n++
			}
		}
		if n > first {
			q.dataEvent.Notify(n - first)
		}
		if e := q.usable(me.token); e != nil {
			return e
		}
		return err
	}
	for {
		err := some()
		if err == ErrFull {
			err = q.waitRoom(ctx, some)
		}
		if err != ErrFull {
			return n, err
		}
	}
}

// claim takes a slot for a message of n bytes, and the units that it needs. Its size word is written.
func (q *MPMC) claim(me identity, n int) (k uint64, err error) {
	if atomic.LoadUint32(&q.hdr.state) != isOpen {
		return 0, q.failed(me, ErrClosed)
	}
	large := n > q.inline()
	outside := large && q.isOutside(n)
	if n < 0 || large && !outside && n > q.largest() {
		return 0, fmt.Errorf("ringbuf: message %w: %d bytes; the queue takes up to %d", ErrTooLarge, n, q.largest())
	}
	t, _, err := q.locate() // a full queue is found out before anything is touched
	if err != nil {
		return 0, q.failed(me, err)
	}
	k, ok := q.claimSlot(me, q.index(t))
	if !ok && q.mayBury() {
		if _, err := q.bury(me.token); err != nil {
			return 0, q.failed(me, err)
		}
		k, ok = q.claimSlot(me, q.index(t))
	}
	if !ok {
		return 0, q.failed(me, ErrFull)
	}
	if !large {
		*q.sizeOf(k) = deliveryOne | uint64(n)
		return k, nil
	}
	need := n
	if outside {
		need = q.ticket()
	}
	first, count, err := q.claimUnits(k, need)
	if err != nil && q.mayBury() {
		if _, err = q.bury(me.token); err == nil {
			first, count, err = q.claimUnits(k, need)
		}
	}
	if err != nil {
		q.free(k)
		return 0, q.failed(me, err)
	}
	*q.sizeOf(k) = largeFlag | deliveryOne | uint64(need)
	*q.runWord(k) = first | count<<32
	if outside {
		if err := q.claimBlock(k, n); err != nil {
			q.release(me, k)
			return 0, q.failed(me, err)
		}
	}
	return k, nil
}

// failed puts ErrClosed before what a call has found in memory that was closed meanwhile.
func (q *MPMC) failed(me identity, err error) error {
	if e := q.usable(me.token); e != nil {
		return e
	}
	return err
}

const neighbours = 4 // slots of the next positions that a put tries before it searches

// claimSlot makes a free slot this process's own: best the one beside the cell of the position that the message is going to have.
func (q *MPMC) claimSlot(me identity, home uint64) (k uint64, ok bool) {
	own := uint64(makeWord(stateOwn, me.id, 0))
	k = home
	for range neighbours {
		if w := q.wordOf(k); atomic.LoadUint64(w) == 0 && atomic.CompareAndSwapUint64(w, 0, own) { // pairs with the release of its last holder
			race.Acquire(w)
			fault.Point("mpmc.put.claimed")
			return k, true
		}
		if k++; k >= q.n {
			k = 0
		}
	}
	k = uint64(q.cursor.Load())
	for range q.slots {
		if k >= q.slots {
			k = 0
		}
		if w := q.wordOf(k); atomic.LoadUint64(w) == 0 && atomic.CompareAndSwapUint64(w, 0, own) {
			race.Acquire(w)
			q.cursor.Store(uint32(k) + 1)
			fault.Point("mpmc.put.searched")
			return k, true
		}
		k++
	}
	return 0, false
}

// locate finds the position that is to be put next, and its cell, which is EMPTY. It returns ErrFull or ErrClosed when there is none.
func (q *MPMC) locate() (t uint64, e cell, err error) {
	var w walk
	for ok := w.begin(&q.positions, &q.hdr.tail); ok; ok = w.on(q.afterPut(e, q.index(w.pos))) {
		e = cell(atomic.LoadUint64(q.cellOf(q.index(w.pos))))
		isFull := e.owner() == full
		if isFull && e.slot() == endSlot {
			return 0, 0, ErrClosed
		}
		switch q.relate(e, w.pos) {
		case sameLap:
			if !isFull {
				return w.pos, e, nil
			}
		case lapBefore:
			if isFull {
				return 0, 0, ErrFull
			}
		}
	}
	return 0, 0, q.corrupt("no cell is the tail's in a queue of %d; it is said to be at %#x", q.n, w.pos)
}

// publish puts the message in slot k, which this process owns, at the tail. After an error it still does.
func (q *MPMC) publish(me identity, k uint64) error {
	w := q.wordOf(k)
	for {
		fault.Point("mpmc.put.written")
		t, e, err := q.locate()
		if err == nil {
			err = q.settle(e, t)
		}
		if err != nil {
			return q.failed(me, err)
		}
		fault.Point("mpmc.put.located")
		// The position is chosen after the slot was claimed, and its cell is not filled before its last slot is settled: so PUB tells
		// a repairer whether the message was put.
		cpu.StoreRelease64(w, uint64(makeWord(statePub, me.id, t))) // pairs with the loads of who settles and repairs
		fault.Point("mpmc.put.announced")
		c := q.cellOf(q.index(t))
		race.Release(c)
		if atomic.CompareAndSwapUint64(c, uint64(e), uint64(makeCell(q.lap(t), full, k))) { // the put; pairs with the load in take
			fault.Point("mpmc.put.published")
			cpu.StoreRelease64(&q.hdr.tail, q.next(t))
			fault.Point("mpmc.put.hinted")
			return nil
		}
	}
}

// settle brings the slot that was taken from position t a lap ago, as cell e says, out of PUB, if its holder has not done so: the
// cell is about to lose the name of the holder.
func (q *MPMC) settle(e cell, t uint64) error {
	c, k := e.owner(), e.slot()
	if c == 0 {
		return nil
	}
	if k >= q.slots {
		return q.corrupt("cell %d is %#x", q.index(t), uint64(e))
	}
	w := q.wordOf(k)
	p := q.before(t)
	if old := slotWord(atomic.LoadUint64(w)); old.state() == statePub && old.pos() == p {
		fault.Point("mpmc.settle")
		atomic.CompareAndSwapUint64(w, uint64(old), uint64(makeWord(stateTak, c, p)))
	}
	return nil
}

// release gives a slot that this process owns back, with its units. Nobody else may change its word meanwhile but to settle it.
func (q *MPMC) release(me identity, k uint64) {
	if q.units != nil && atomic.LoadUint64(q.sizeOf(k))&largeFlag != 0 {
		cpu.StoreRelease64(q.wordOf(k), uint64(makeWord(stateOwn, me.id, 0))) // the acknowledgement, if it was a message that was taken
		fault.Point("mpmc.release.emptied")
		q.freeBlock(k)
		q.freeUnits(k)
	}
	q.free(k)
}

func (q *MPMC) free(k uint64) {
	w := q.wordOf(k)
	race.Release(w)
	cpu.StoreRelease64(w, 0) // pairs with the compare-and-swap in claimSlot: our reads are over
	fault.Point("mpmc.released")
}

// waitRoom waits until try says something else than ErrFull.
func (q *MPMC) waitRoom(ctx context.Context, try func() error) error {
	for w := (wait{q: q}); w.again(); {
		if err := try(); err != ErrFull {
			return err
		}
	}
	return q.wait(ctx, q.roomEvent, ErrFull, noGet, try)
}
