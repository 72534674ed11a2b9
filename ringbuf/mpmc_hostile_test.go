package ringbuf_test

import (
	"context"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/fb2d3dbd/multiproc/ringbuf"
)

// hostileCalls makes every call of a queue once, none of which may wait.
func hostileCalls(q *ringbuf.MPMC) error {
	ctx := ended()
	var errs []error
	say := func(err error) {
		if !isAllowed(err) && !errors.Is(err, ringbuf.ErrNotHeld) {
			errs = append(errs, err)
		}
	}
	say(q.TryPut(noise[:20]))
	say(q.TryPut(noise[:400]))
	_, err := q.PutBatch(ctx, [][]byte{noise[:30], noise[:300]})
	say(err)
	r, err := q.TryReserve(300)
	say(err)
	if err == nil {
		say(r.TryCommit(200))
		say(r.Abort())
	}
	_, err = q.Len()
	say(err)
	_, err = q.Unfinished()
	say(err)
	say(q.Check())
	d, err := q.TryReceive()
	say(err)
	if err == nil {
		touch(d.Bytes())
		say(d.Nack())
	}
	d, err = q.TryReceive()
	say(err)
	if err == nil {
		touch(d.Bytes())
		say(d.Ack())
	}
	msg, err := q.TryGet(nil)
	say(err)
	touch(msg)
	_, err = q.GetBatch(ctx, 3)
	say(err)
	d, err = q.DeadLetter()
	say(err)
	if err == nil {
		say(d.Ack())
	}
	_, err = q.Repair()
	say(err)
	return errors.Join(errs...)
}

// TestHostileEveryWord writes every kind of value over every word of a queue that has messages in all places, one at a time, and calls
// everything.
func TestHostileEveryWord(t *testing.T) {
	watch(t, "a call on a queue one of whose words was written over")
	o := ringbuf.MPMCOptions{Capacity: 3, Spares: 2, MessageSize: 32, Bytes: 1024, Members: 3, MaxDeliveries: 2}
	size := queueSize(t, o)
	mem := guarded(t, size)
	q, err := ringbuf.CreateMPMC(mem, &o)
	ok(t, err)
	for _, n := range []int{20, 400, 8} {
		ok(t, q.TryPut(noise[:n]))
	}
	_, err = q.TryReceive()
	ok(t, err)
	d, err := q.TryReceive()
	ok(t, err)
	ok(t, d.Nack())
	good := append([]byte(nil), mem...)
	words := 0
	for at := 0; at < size-1024+16; at += 8 { // the arena is but bytes
		old := binary.NativeEndian.Uint64(good[at:])
		for _, v := range []uint64{
			0, 1, ^uint64(0), old + 1, old - 1, old ^ 1<<63, old ^ 1<<48, old ^ 1<<60, old ^ 1<<32, old ^ 1<<20, old << 1, 1 << 63, 4094 << 20, 4095 << 20,
			1<<32 | 1, 2 << 60, 3 << 60, 4 << 60, 5 << 60, 2<<60 | 1<<48 | 2, 7,
		} {
			copy(mem, good)
			binary.NativeEndian.PutUint64(mem[at:], v)
			q, err := ringbuf.OpenMPMC(mem, nil)
			if err != nil {
				allowed(t, err)
				continue
			}
			words++
			if err := hostileCalls(q); err != nil {
				t.Fatalf("with %#x at %d instead of %#x: %v", v, at, old, err)
			}
		}
	}
	t.Logf("%d damaged queues could be opened", words)
}

// TestHostileCircle sets the laps of three cells to thirds of all laps: each is ahead of the one before it, for ever.
func TestHostileCircle(t *testing.T) {
	watch(t, "a call on a queue whose laps lead in a circle")
	q := newQueue(t, ringbuf.MPMCOptions{Capacity: 3, Members: 2})
	third := ringbuf.LastLap(q) / 3
	for i := range uint64(3) {
		ringbuf.SetCell(q, i, i*third+5)
	}
	for range 2 {
		for _, call := range []func() error{
			func() error { return q.TryPut(nil) },
			func() error { _, err := q.TryGet(nil); return err },
			func() error { _, err := q.Len(); return err },
			q.Check,
			func() error { return q.Put(context.Background(), nil) },
		} {
			wantErr(t, call(), ringbuf.ErrCorrupt)
			hostileReturns.Add(1)
		}
	}
}

// TestQueueBadOptions makes queues that cannot be.
func TestQueueBadOptions(t *testing.T) {
	for _, o := range []ringbuf.MPMCOptions{
		{Capacity: -1}, {Spares: -1}, {Members: -1}, {Members: 4095}, {MaxDeliveries: -1}, {MaxDeliveries: 1 << 15}, {MessageSize: -1}, {Bytes: -1},
		{Capacity: 1 << 20}, {Capacity: 1 << 19, Spares: 1 << 19}, {MessageSize: 1 << 31}, {Bytes: 1 << 60},
	} {
		if n, err := ringbuf.MPMCSize(&o); err == nil {
			t.Errorf("%+v takes %d bytes", o, n)
		}
		if _, err := ringbuf.CreateMPMC(make([]byte, 1<<16), &o); err == nil {
			t.Errorf("a queue of %+v was made", o)
		}
	}
}

// TestQueueCapacities fills and drains queues of all kinds of capacity at all kinds of places in their life, past the last lap too.
func TestQueueCapacities(t *testing.T) {
	for _, capacity := range []int{1, 2, 3, 10, 1000} {
		for _, back := range []uint64{0, 1, 2} {
			q := newQueue(t, ringbuf.MPMCOptions{Capacity: capacity, MessageSize: 64, Members: 2})
			ringbuf.SetPosition(q, ringbuf.LastLap(q)-back, uint64(capacity-1))
			put, got := uint64(0), uint64(0)
			for range 4 {
				for n := range capacity {
					if l, err := q.Len(); l != n || err != nil {
						t.Fatalf("Len is %d, %v, want %d", l, err, n)
					}
					put++
					ok(t, q.TryPut(content(put, int(put%65))))
				}
				wantErr(t, q.TryPut(nil), ringbuf.ErrFull)
				ok(t, q.Check())
				for range capacity {
					got++
					msg, err := q.TryGet(nil)
					ok(t, err)
					wantContent(t, msg, got, int(got%65))
				}
				_, err := q.TryGet(nil)
				wantErr(t, err, ringbuf.ErrEmpty)
			}
		}
	}
}
