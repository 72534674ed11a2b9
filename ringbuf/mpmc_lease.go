package ringbuf

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/fb2d3dbd/multiproc/internal/fault"
	"github.com/fb2d3dbd/multiproc/internal/race"
)

// ErrNotHeld says that a message or a reservation is not, or no longer, in this process's hands.
var ErrNotHeld = errors.New("ringbuf: the message is not held: it was acknowledged, given back, committed or aborted already")

// A Reservation is memory of a queue in which one goroutine writes a message in place. It takes a slot until Commit or Abort.
type Reservation struct {
	q    *MPMC
	me   identity
	slot uint64
	buf  []byte
}

// Reserve returns n bytes of the queue's memory, waiting for some until ctx ends. Nobody sees what is written there before Commit;
// if this process dies first, they are free again.
func (q *MPMC) Reserve(ctx context.Context, n int) (*Reservation, error) {
	return q.reserve(ctx, n, new(Reservation)) // this is inlined: what a caller keeps to itself is on its stack
}

// TryReserve returns n bytes of the queue's memory, or ErrFull.
func (q *MPMC) TryReserve(n int) (*Reservation, error) {
	return q.tryReserve(n, new(Reservation))
}

// reserve makes r the reservation, and returns it.
func (q *MPMC) reserve(ctx context.Context, n int, r *Reservation) (*Reservation, error) {
	r, err := q.tryReserve(n, r)
	if err != ErrFull {
		return r, err
	}
	return q.reserveWait(ctx, n)
}

// reserveWait is Reserve that waits. What its closure knows of is on the heap.
func (q *MPMC) reserveWait(ctx context.Context, n int) (r *Reservation, err error) {
	err = q.waitRoom(ctx, func() error { r, err = q.TryReserve(n); return err })
	return r, err
}

func (q *MPMC) tryReserve(n int, r *Reservation) (*Reservation, error) {
	me, err := q.enter(hasPut)
	if err != nil {
		return nil, err
	}
	k, err := q.claim(me, n)
	if err != nil {
		return nil, err
	}
	buf := q.body(k)
	if n <= q.inline() {
		buf = buf[:n:n]
	} else if buf, err = q.space(k, atomic.LoadUint64(q.sizeOf(k))); err != nil {
		q.free(k) // somebody wrote over it
		return nil, err
	}
	*r = Reservation{q: q, me: me, slot: k, buf: buf}
	return r, q.usable(me.token)
}

// Bytes returns the memory to be written, nil after Commit or Abort.
func (r *Reservation) Bytes() []byte { return r.buf }

// Commit puts the first n of the bytes as one message, waiting until ctx ends while Capacity messages are in the queue; its errors are
// those of Put. When the wait ends without room, the reservation is still there; after ErrClosed it is given back.
func (r *Reservation) Commit(ctx context.Context, n int) error {
	err := r.TryCommit(n)
	if err != ErrFull {
		return err
	}
	waited := *r
	err = r.q.waitRoom(ctx, func() error { return waited.TryCommit(n) })
	*r = waited
	return err
}

// TryCommit puts the first n of the bytes as one message, or returns ErrFull and leaves the reservation as it is.
func (r *Reservation) TryCommit(n int) error {
	q := r.q
	if q == nil {
		return ErrNotHeld
	}
	if n < 0 || n > len(r.buf) {
		return fmt.Errorf("ringbuf: Commit of %d bytes; %d are reserved", n, len(r.buf))
	}
	if err := q.holds(r.me, r.slot, stateOwn, 0); err != nil {
		return err
	}
	size := q.sizeOf(r.slot)
	atomic.StoreUint64(size, atomic.LoadUint64(size)&^lengthMask|uint64(n))
	err := q.publish(r.me, r.slot)
	if err == ErrFull {
		// It may have announced a position that another took.
		atomic.StoreUint64(q.wordOf(r.slot), uint64(makeWord(stateOwn, r.me.id, 0)))
		return err
	}
	r.q, r.buf = nil, nil
	if err != nil {
		q.release(r.me, r.slot)
		return err
	}
	q.dataEvent.Notify(1)
	return q.usable(r.me.token)
}

// Abort gives the memory back. After Commit it does nothing.
func (r *Reservation) Abort() error {
	q := r.q
	if q == nil {
		return nil
	}
	r.q, r.buf = nil, nil
	if err := q.holds(r.me, r.slot, stateOwn, 0); err != nil {
		return err
	}
	q.release(r.me, r.slot)
	q.wakeProducers(1)
	return q.usable(r.me.token)
}

// holds checks that this process is still who it was, and still holds the slot.
func (q *MPMC) holds(me identity, k uint64, state, pos uint64) error {
	if err := q.usable(me.token); err != nil {
		return err
	}
	w := slotWord(atomic.LoadUint64(q.wordOf(k)))
	if w.state() != state || state != statePub && w.owner() != me.id || w.pos() != pos {
		return q.failed(me, ErrNotHeld)
	}
	return nil
}

// A Delivery is a message that was taken and is to be acknowledged. Until Ack or Nack it is in this process's hands; if the process
// dies first, it is handed out again.
type Delivery struct {
	q  *MPMC
	me identity
	held
}

// Receive takes the next message, to be read in place and acknowledged, waiting for one until ctx ends. Its errors are those of Get.
func (q *MPMC) Receive(ctx context.Context) (*Delivery, error) {
	return q.receive(ctx, new(Delivery)) // this is inlined: what a caller keeps to itself is on its stack
}

// TryReceive takes the next message, or returns ErrEmpty.
func (q *MPMC) TryReceive() (*Delivery, error) {
	return q.tryReceive(new(Delivery))
}

// receive makes d the delivery, and returns it.
func (q *MPMC) receive(ctx context.Context, d *Delivery) (*Delivery, error) {
	got, err := q.tryReceive(d)
	if err != ErrEmpty {
		return got, err
	}
	for w := (wait{q: q}); w.again(); {
		if got, err = q.tryReceive(d); err != ErrEmpty {
			w.ended()
			return got, err
		}
	}
	return q.receiveWait(ctx)
}

// receiveWait is Receive that waits for longer. What its closure knows of is on the heap.
func (q *MPMC) receiveWait(ctx context.Context) (d *Delivery, err error) {
	err = q.waitData(ctx, func() error { d, err = q.TryReceive(); return err })
	return d, err
}

func (q *MPMC) tryReceive(d *Delivery) (*Delivery, error) {
	me, err := q.enter(hasGot)
	if err != nil {
		return nil, err
	}
	h, err := q.take(me, anySize)
	if err != nil {
		return nil, err
	}
	q.wakeProducers(1) // its position is free, if not its slot
	*d = Delivery{q: q, me: me, held: h}
	return d, q.usable(me.token)
}

// DeadLetter takes a message that was set aside because it was delivered MaxDeliveries times and never acknowledged, or returns
// ErrEmpty. Ack disposes of it; Nack, and the death of this process, set it aside again.
func (q *MPMC) DeadLetter() (*Delivery, error) {
	me, err := q.enter(0)
	if err != nil {
		return nil, err
	}
	for k := range q.slots {
		w := q.wordOf(k)
		old := slotWord(atomic.LoadUint64(w))
		aside := old.state() == stateDlq || old.state() == stateOrp && q.exhausted(k)
		// After a failure another reader has the message now.
		if !aside || !atomic.CompareAndSwapUint64(w, uint64(old), uint64(makeWord(stateTak, me.id, old.pos()))) {
			continue
		}
		fault.Point("mpmc.dead.taken")
		h, err := q.open(me, k, old.pos())
		if err != nil {
			return nil, err
		}
		return &Delivery{q: q, me: me, held: h}, q.usable(me.token)
	}
	return nil, q.failed(me, ErrEmpty)
}

// Bytes returns the message in place, nil after Ack or Nack.
func (d *Delivery) Bytes() []byte { return d.msg }

// Deliveries says how many times the message was handed out, this time included.
func (d *Delivery) Deliveries() int { return d.deliveries }

// Ack says that the message is dealt with. Its memory is given back; nobody will get it again.
func (d *Delivery) Ack() error {
	q := d.q
	if err := d.end(); err != nil {
		return err
	}
	if w := slotWord(atomic.LoadUint64(q.wordOf(d.slot))); !w.heldBy(d.me.id, d.pos) {
		return q.failed(d.me, ErrNotHeld)
	}
	q.release(d.me, d.slot)
	q.wakeProducers(1)
	return q.usable(d.me.token)
}

// Nack gives the message back: it is handed out again, before those that wait.
func (d *Delivery) Nack() error {
	q := d.q
	if err := d.end(); err != nil {
		return err
	}
	w := q.wordOf(d.slot)
	for {
		old := slotWord(atomic.LoadUint64(w))
		if !old.heldBy(d.me.id, d.pos) {
			return q.failed(d.me, ErrNotHeld)
		}
		race.Release(w)
		if atomic.CompareAndSwapUint64(w, uint64(old), uint64(makeWord(stateOrp, 0, d.pos))) {
			break
		}
	}
	fault.Point("mpmc.nacked")
	q.orphaned()
	return q.usable(d.me.token)
}

// end takes the message out of the caller's hands.
func (d *Delivery) end() error {
	q := d.q
	if q == nil {
		return ErrNotHeld
	}
	d.q, d.msg = nil, nil
	return q.usable(d.me.token)
}

// heldBy reports whether the slot's message, taken from position p, is still in id's hands: nobody may have settled it yet.
func (w slotWord) heldBy(id, p uint64) bool {
	return w.pos() == p && (w.state() == statePub || w.state() == stateTak && w.owner() == id)
}

// orphaned tells everybody that something is to be handed out again.
func (q *MPMC) orphaned() {
	atomic.AddUint32(&q.hdr.gen, 1) // pairs with the load in take
	fault.Point("mpmc.orphaned")
	q.dataEvent.Notify(-1)
}
