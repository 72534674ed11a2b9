package ringbuf

import (
	"context"
	"fmt"
	"io"
	"math"
	"sync/atomic"

	"github.com/fb2d3dbd/multiproc/internal/cpu"
)

// GetInto takes the next message into b, waiting for one until ctx ends, and returns its length. If b is too short for it the error matches [io.ErrShortBuffer], n is the
// length that is needed, and the message stays in the queue: the next Get has it, here or elsewhere. The other errors are those of Get.
func (q *MPMC) GetInto(ctx context.Context, b []byte) (n int, err error) {
	if n, err = q.TryGetInto(b); err != ErrEmpty {
		return n, err
	}
	for w := (wait{q: q}); w.again(); {
		if n, err = q.TryGetInto(b); err != ErrEmpty {
			w.ended()
			return n, err
		}
	}
	for err == ErrEmpty { // who waits for longer only looks: a closure that knew of b would keep it from the caller's stack
		if err := q.waitData(ctx, q.ready); err != nil {
			return 0, err
		}
		n, err = q.TryGetInto(b)
	}
	return n, err
}

// TryGetInto takes the next message into b and returns its length, as GetInto does, or returns ErrEmpty.
func (q *MPMC) TryGetInto(b []byte) (n int, err error) {
	me, err := q.enter(hasGot)
	if err != nil {
		return 0, err
	}
	h, err := q.take(me, uint64(len(b)))
	if err != nil {
		if short, ok := err.(*shortError); ok {
			n = short.length
			q.dataEvent.Notify(1) // the message is still there, and its wake-up may have come here
		}
		return n, err
	}
	n = cpu.Copy(b, h.msg)
	q.release(me, h.slot)
	q.wakeProducers(1)
	if n < len(h.msg) {
		return 0, q.corrupt("a message of %d bytes that said it had no more than %d", len(h.msg), n)
	}
	return n, q.usable(me.token)
}

// anySize is room for every message.
const anySize = math.MaxUint64

// A shortError says that the next message is longer than the room for it.
type shortError struct{ length, room int }

// Unwrap returns [io.ErrShortBuffer].
func (e *shortError) Unwrap() error { return io.ErrShortBuffer }

// Error tells the two lengths.
func (e *shortError) Error() string {
	return fmt.Sprintf("ringbuf: a message of %d bytes for a buffer of %d; it stays in the queue", e.length, e.room)
}

// tooLong returns nil if the message in slot k, which is nobody's yet, has at most room bytes, or a *shortError. One whose length cannot be is not too long: who takes it finds out.
func (q *MPMC) tooLong(k, room uint64) error {
	if room == anySize {
		return nil
	}
	size := atomic.LoadUint64(q.sizeOf(k))
	if n := size & lengthMask; n > room {
		if _, err := q.space(k, size); err == nil {
			return &shortError{length: int(n), room: int(room)}
		}
	}
	return nil
}
