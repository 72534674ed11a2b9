package queue

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"github.com/fb2d3dbd/multiproc/internal/torture"
	"github.com/fb2d3dbd/multiproc/ringbuf"
	"github.com/fb2d3dbd/multiproc/shm"
)

// A worker is one goroutine of one process that uses a queue and writes down what it does.
type worker struct {
	q     *ringbuf.MPMC
	first *ringbuf.MPMC // as the process has opened it
	seg   *shm.Segment
	again *shm.Segment // as which a joiner has opened seg
	books *torture.Books
	lane  *torture.Lane
	rng   *rand.Rand
	sizes sizes
	limit int
	held  []*ringbuf.Delivery
	ids   []uint64 // of those held
	next  uint64   // a message that found no room
	spent bool     // there are no ids left
}

// errEnd says that the queue is closed.
var errEnd = errors.New("the queue has ended")

const patience = 5 * time.Millisecond // of a blocking call

// soft returns nil for what a call may say at any time: no room, no message.
func (w *worker) soft(err error) error {
	switch {
	case err == nil, errors.Is(err, ringbuf.ErrFull), errors.Is(err, ringbuf.ErrEmpty), errors.Is(err, context.DeadlineExceeded),
		errors.Is(err, context.Canceled), errors.Is(err, ringbuf.ErrPeerDied):
		return nil
	case errors.Is(err, ringbuf.ErrClosed):
		return errEnd
	}
	return err
}

func (w *worker) id() uint64 {
	id := w.next
	w.next = 0
	if id == 0 {
		if id = w.lane.ID(); id == 0 {
			w.spent = true
		}
	}
	return id
}

// keep keeps a message for the next put, which found no room now. A large one is given up: it might never find any.
func (w *worker) keep(id uint64) {
	if w.sizes.large(id) {
		w.lane.Drop(id)
		return
	}
	w.next = id
}

// put puts one message by call.
func (w *worker) put(call func(id uint64) error) error {
	id := w.id()
	if id == 0 {
		return nil
	}
	w.lane.Put(id, 1)
	err := call(id)
	if err == nil {
		w.lane.PutDone(1)
		return nil
	}
	w.lane.PutDone(0)
	err = w.soft(err)
	if err == nil {
		w.keep(id)
	} else {
		w.lane.Drop(id)
	}
	return err
}

func (w *worker) tryPut() error {
	return w.put(func(id uint64) error { return w.q.TryPut(w.sizes.make(id)) })
}

// waitPut puts and waits for room for a moment.
func (w *worker) waitPut(ctx context.Context, d time.Duration) error {
	return w.put(func(id uint64) error {
		ctx, cancel := context.WithTimeout(ctx, d)
		defer cancel()
		return w.q.Put(ctx, w.sizes.make(id))
	})
}

// reserve writes a message in place.
func (w *worker) reserve() error {
	return w.put(func(id uint64) error {
		r, err := w.q.TryReserve(w.sizes.length(id))
		if err != nil {
			return err
		}
		w.sizes.write(r.Bytes(), id)
		n := len(r.Bytes())
		if err := r.TryCommit(n); !errors.Is(err, ringbuf.ErrFull) {
			return err
		}
		if err := r.Abort(); err != nil {
			return err
		}
		return ringbuf.ErrFull
	})
}

// scratch reserves memory and gives it back.
func (w *worker) scratch() error {
	n := w.sizes.Inline
	if w.rng.IntN(2) == 0 {
		n = w.sizes.Large
	}
	r, err := w.q.TryReserve(n)
	if err != nil {
		return w.soft(err)
	}
	clear(r.Bytes())
	return w.soft(r.Abort())
}

func (w *worker) putBatch(ctx context.Context) error {
	if w.next != 0 {
		return w.tryPut() // it comes before the others
	}
	n := 2 + w.rng.IntN(4)
	first := w.lane.Run(n)
	if first == 0 {
		w.spent = true
		return nil
	}
	msgs := make([][]byte, n)
	for i := range msgs {
		msgs[i] = w.sizes.make(first + uint64(i))
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	w.lane.Put(first, n)
	done, err := w.q.PutBatch(ctx, msgs)
	w.lane.PutDone(done)
	for i := done; i < n; i++ {
		w.lane.Drop(first + uint64(i))
	}
	return w.soft(err)
}

// look checks a message and returns its id, 0 if it is not to be trusted.
func (w *worker) look(msg []byte) uint64 {
	id, err := w.sizes.check(msg)
	if err != nil {
		w.books.Problem(torture.Corrupt, "%v", err)
		return 0
	}
	return id
}

// land gets a message by copy, to where the books can see it: appended, or into room that may be too short for it.
func (w *worker) land() error {
	msg := w.lane.Land()
	var err error
	if w.rng.IntN(2) == 0 {
		msg, err = w.q.TryGet(msg)
	} else {
		var n int
		if msg = msg[:cap(msg)]; w.rng.IntN(3) == 0 {
			msg = msg[:w.rng.IntN(len(msg))]
		}
		if n, err = w.q.TryGetInto(msg); errors.Is(err, io.ErrShortBuffer) {
			w.lane.LandDone(0) // it has stayed
			return nil
		}
		msg = msg[:n]
	}
	if err != nil {
		w.lane.LandDone(0)
		return w.soft(err)
	}
	w.lane.LandDone(w.look(msg))
	return nil
}

// blind gets messages by calls of which the books learn only when they have returned.
func (w *worker) blind(ctx context.Context, d time.Duration) error {
	n := 1 + w.rng.IntN(3)
	w.lane.Blind(n)
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	msgs, err := w.q.GetBatch(ctx, n)
	ids := make([]uint64, len(msgs))
	for i, m := range msgs {
		ids[i] = w.look(m)
	}
	w.lane.BlindDone(ids...)
	return w.soft(err)
}

// hold takes a message and keeps it.
func (w *worker) hold(d *ringbuf.Delivery, err error, aside bool) error {
	if err != nil {
		return w.soft(err)
	}
	id := w.look(d.Bytes())
	switch n := d.Deliveries(); {
	case n < 1, w.limit > 0 && n > w.limit, aside && n < w.limit:
		w.books.Problem(torture.Corrupt, "message %d comes as delivery %d of at most %d", id, n, w.limit)
	}
	w.lane.Take(id, d.Deliveries(), aside)
	w.held, w.ids = append(w.held, d), append(w.ids, id)
	return nil
}

// drop acknowledges a message that it holds, or gives it back.
func (w *worker) drop(back bool) error {
	if len(w.held) == 0 {
		return nil
	}
	i := w.rng.IntN(len(w.held))
	d, id := w.held[i], w.ids[i]
	last := len(w.held) - 1
	w.held[i], w.ids[i] = w.held[last], w.ids[last]
	w.held, w.ids = w.held[:last], w.ids[:last]
	w.lane.Finish(id, back)
	var err error
	if back {
		err = d.Nack()
	} else {
		err = d.Ack()
	}
	if err == nil {
		w.lane.Finished(id, !back)
		return nil
	}
	if errors.Is(err, ringbuf.ErrNotHeld) {
		return fmt.Errorf("message %d, which this process held: %w", id, err)
	}
	return w.soft(err)
}

func (w *worker) dropAll() error {
	for len(w.held) > 0 {
		if err := w.drop(false); err != nil {
			return err
		}
	}
	return nil
}
