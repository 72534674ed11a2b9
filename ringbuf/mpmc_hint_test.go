package ringbuf_test

import (
	"testing"

	"github.com/fb2d3dbd/multiproc/ringbuf"
)

// A process that was stopped before it stored a hint stores it when it goes on, however many laps later: also after more than
// half of all laps, when the old position seems to be ahead.
func TestOldHints(t *testing.T) {
	const capacity, lap = 3, 4 // positions have two bits of index
	for _, ago := range []uint64{1, 2, 1 << 30, 1 << 31, 1<<31 + 1, 1<<32 - 2} {
		q := newQueue(t, ringbuf.MPMCOptions{Capacity: capacity})
		for i := range 3*capacity + 1 {
			ok(t, q.TryPut(content(uint64(i), 20)))
			_, err := q.TryGet(nil)
			ok(t, err)
		}
		tail, head := ringbuf.Hints(q)
		old := func(now uint64) uint64 { return (now - ago*lap) & (1<<34 - 1) }
		ringbuf.SetHints(q, old(tail), old(head))
		if n, err := q.Len(); n != 0 || err != nil {
			t.Fatalf("hints of %d laps ago: Len is %d, %v", ago, n, err)
		}
		for i := range capacity {
			ok(t, q.TryPut(content(uint64(i), 20)))
			ringbuf.SetHints(q, old(tail), old(head))
		}
		wantErr(t, q.TryPut(nil), ringbuf.ErrFull)
		for i := range capacity {
			msg, err := q.TryGet(nil)
			ok(t, err)
			wantContent(t, msg, uint64(i), 20)
			ringbuf.SetHints(q, old(tail), old(head))
		}
		_, err := q.TryGet(nil)
		wantErr(t, err, ringbuf.ErrEmpty)
		ok(t, q.Check())
		ok(t, q.Close())
		ringbuf.SetHints(q, old(tail), old(head))
		_, err = q.TryGet(nil)
		wantErr(t, err, ringbuf.ErrClosed)
	}
}
