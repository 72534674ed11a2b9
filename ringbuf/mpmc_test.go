package ringbuf_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"

	"github.com/fb2d3dbd/multiproc/internal/proctest"
	"github.com/fb2d3dbd/multiproc/ringbuf"
	"github.com/fb2d3dbd/multiproc/shm"
	"github.com/fb2d3dbd/multiproc/spawn"
)

// The tests of MPMC know only what its documentation says, not how it is made.

// newQueue makes a queue on the heap.
func newQueue(t testing.TB, o ringbuf.MPMCOptions) *ringbuf.MPMC {
	t.Helper()
	q, err := ringbuf.CreateMPMC(make([]byte, queueSize(t, o)), &o)
	ok(t, err)
	return q
}

// queueIn makes a queue in a segment of its own.
func queueIn(t testing.TB, o ringbuf.MPMCOptions) (*ringbuf.MPMC, *shm.Segment) {
	t.Helper()
	seg := newSegment(t, queueSize(t, o))
	o.Participants = seg
	q, err := ringbuf.CreateMPMC(seg.Bytes(), &o)
	ok(t, err)
	return q, seg
}

// openAgain opens the queue in a segment as another participant with another mapping.
func openAgain(t testing.TB, seg *shm.Segment) *ringbuf.MPMC {
	t.Helper()
	s := again(t, seg)
	q, err := ringbuf.OpenMPMC(s.Bytes(), manyIn(s))
	ok(t, err)
	return q
}

func queueSize(t testing.TB, o ringbuf.MPMCOptions) int {
	t.Helper()
	size, err := ringbuf.MPMCSize(&o)
	ok(t, err)
	return size
}

// A stamped message says who sent it and as which of its messages; the rest follows from that.
const (
	stampSize = 16
	stampMax  = stampSize + 90
)

func stamped(buf []byte, sender, seq uint64) []byte {
	buf = binary.LittleEndian.AppendUint64(buf[:0], sender)
	buf = binary.LittleEndian.AppendUint64(buf, seq)
	return append(buf, content(sender*1000003+seq, int((sender+seq)*31%90))...)
}

func readStamp(msg []byte) (sender, seq uint64, err error) {
	if len(msg) < stampSize {
		return 0, 0, fmt.Errorf("a message of %d bytes", len(msg))
	}
	sender, seq = binary.LittleEndian.Uint64(msg), binary.LittleEndian.Uint64(msg[8:])
	if !bytes.Equal(msg, stamped(nil, sender, seq)) {
		return 0, 0, fmt.Errorf("message %d of sender %d has other bytes than were put", seq, sender)
	}
	return sender, seq, nil
}

// A tally is what one consumer got: of each sender, the numbers, which must rise.
type tally map[uint64][]uint64

func (c tally) add(msg []byte) error {
	sender, seq, err := readStamp(msg)
	if err != nil {
		return err
	}
	if got := c[sender]; len(got) > 0 && got[len(got)-1] >= seq {
		return fmt.Errorf("message %d of sender %d came after %d", seq, sender, got[len(got)-1])
	}
	c[sender] = append(c[sender], seq)
	return nil
}

// wantAll checks that the tallies together have messages 1 to n of each sender, once.
func wantAll(t testing.TB, all []tally, senders, n int) {
	t.Helper()
	for s := range senders {
		times := make([]int, n+1)
		for _, c := range all {
			for _, seq := range c[uint64(s)] {
				if seq < 1 || seq > uint64(n) {
					t.Fatalf("message %d of sender %d was never put", seq, s)
				}
				times[seq]++
			}
		}
		for seq := 1; seq <= n; seq++ {
			if times[seq] != 1 {
				t.Fatalf("message %d of sender %d was delivered %d times", seq, s, times[seq])
			}
		}
	}
}

// putMany puts messages 1 to n of a sender, singly, by tries and in batches.
func putMany(ctx context.Context, q *ringbuf.MPMC, sender uint64, n int) error {
	var buf []byte
	for seq := 1; seq <= n; {
		switch {
		case seq%7 == 0:
			var batch [][]byte
			for ; len(batch) < 4 && seq <= n; seq++ {
				batch = append(batch, stamped(nil, sender, uint64(seq)))
			}
			if k, err := q.PutBatch(ctx, batch); err != nil || k != len(batch) {
				return fmt.Errorf("put a batch of %d: %d, %w", len(batch), k, err)
			}
			continue
		case seq%5 == 0:
			buf = stamped(buf, sender, uint64(seq))
			err := q.TryPut(buf)
			for ; errors.Is(err, ringbuf.ErrFull); err = q.TryPut(buf) {
				runtime.Gosched()
				if ctx.Err() != nil {
					return ctx.Err()
				}
			}
			if err != nil {
				return fmt.Errorf("try to put message %d: %w", seq, err)
			}
		default:
			buf = stamped(buf, sender, uint64(seq))
			if err := q.Put(ctx, buf); err != nil {
				return fmt.Errorf("put message %d: %w", seq, err)
			}
		}
		seq++
	}
	return nil
}

// getAll takes messages until the queue is closed and empty.
func getAll(ctx context.Context, q *ringbuf.MPMC) (tally, error) {
	got := tally{}
	var buf []byte
	for i := 0; ; i++ {
		var msgs [][]byte
		var err error
		switch i % 5 {
		case 0:
			msgs, err = q.GetBatch(ctx, 3)
			if err == nil && (len(msgs) == 0 || len(msgs) > 3) {
				err = fmt.Errorf("a batch of 3 has %d messages", len(msgs))
			}
		case 1:
			buf, err = q.TryGet(buf[:0])
			if errors.Is(err, ringbuf.ErrEmpty) {
				continue
			}
			msgs = [][]byte{buf}
		default:
			buf, err = q.Get(ctx, buf[:0])
			msgs = [][]byte{buf}
		}
		if errors.Is(err, ringbuf.ErrClosed) {
			return got, nil
		}
		if err != nil {
			return got, err
		}
		for _, msg := range msgs {
			if err := got.add(msg); err != nil {
				return got, err
			}
		}
	}
}

// crowded runs so many producers and consumers, each on the handle it is given, and checks that every message arrives once.
func crowded(t *testing.T, producers, consumers, n int, handle func() *ringbuf.MPMC) {
	t.Helper()
	ctx := proctest.Context(t)
	errs := make(chan error, producers+consumers)
	all := make([]tally, consumers)
	var putting, getting sync.WaitGroup
	for s := range producers {
		q := handle()
		putting.Go(func() { errs <- putMany(ctx, q, uint64(s), n) })
	}
	for i := range consumers {
		q := handle()
		getting.Go(func() {
			var err error
			all[i], err = getAll(ctx, q)
			errs <- err
		})
	}
	putting.Wait()
	q := handle()
	ok(t, q.Close())
	getting.Wait()
	for range producers + consumers {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if t.Failed() {
		return
	}
	wantAll(t, all, producers, n)
	if n, err := q.Len(); n != 0 || err != nil {
		t.Fatalf("Len of a drained queue is %d, %v", n, err)
	}
	wantErr(t, q.Put(ctx, nil), ringbuf.ErrClosed)
	_, err := q.Get(ctx, nil)
	wantErr(t, err, ringbuf.ErrClosed)
}

// TestQueueGoroutines has goroutines share one handle, on the heap, where the race detector sees all; and on handles, mappings
// and processors of their own.
func TestQueueGoroutines(t *testing.T) {
	for _, tc := range []struct{ producers, consumers, capacity, spares int }{
		{1, 1, 7, 0}, {4, 4, 5, 0}, {4, 4, 3, 8}, {1, 4, 1, 0}, {4, 1, 1, 4}, {8, 8, 1000, 0},
	} {
		t.Run(fmt.Sprintf("%dx%d/%d/%d", tc.producers, tc.consumers, tc.capacity, tc.spares), func(t *testing.T) {
			// Most messages are larger than a slot.
			q := newQueue(t, ringbuf.MPMCOptions{Capacity: tc.capacity, Spares: tc.spares, MessageSize: 32, Bytes: 8 << 10, Members: 8})
			crowded(t, tc.producers, tc.consumers, scale(2000), func() *ringbuf.MPMC { return q })
		})
	}
	t.Run("one processor", func(t *testing.T) {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
		q := newQueue(t, ringbuf.MPMCOptions{Capacity: 5, MessageSize: stampMax})
		crowded(t, 3, 3, scale(1000), func() *ringbuf.MPMC { return q })
	})
	t.Run("mappings", func(t *testing.T) {
		_, seg := queueIn(t, ringbuf.MPMCOptions{Capacity: 10, MessageSize: stampMax})
		crowded(t, 3, 3, scale(2000), func() *ringbuf.MPMC { return openAgain(t, seg) })
	})
}

type queueArg struct {
	Seg    *shm.Segment
	Sender uint64
	N      int
	Out    *shm.Array[uint64] // of a consumer: how many messages of each sender, and the sum of their numbers
	At     int
}

func (a queueArg) open() (*ringbuf.MPMC, error) {
	return ringbuf.OpenMPMC(a.Seg.Bytes(), manyIn(a.Seg))
}

var queuePut = spawn.NewTarget("ringbuf-queue-put", func(_ context.Context, a queueArg) error {
	q, err := a.open()
	if err != nil {
		return err
	}
	return putMany(context.Background(), q, a.Sender, a.N)
})

var queueGet = spawn.NewTarget("ringbuf-queue-get", func(_ context.Context, a queueArg) error {
	q, err := a.open()
	if err != nil {
		return err
	}
	got, err := getAll(context.Background(), q)
	if err != nil {
		return err
	}
	for sender, seqs := range got {
		sum := uint64(0)
		for _, seq := range seqs {
			sum += seq * seq
		}
		at := a.At + 2*int(sender)
		if err := errors.Join(a.Out.Set(at, uint64(len(seqs))), a.Out.Set(at+1, sum)); err != nil {
			return err
		}
	}
	return nil
})

// TestQueueProcesses has three processes put and three take, and checks the counts and the sums of squares of what arrived.
func TestQueueProcesses(t *testing.T) {
	ctx := proctest.Context(t)
	const sides = 3
	n := scale(20000)
	q, seg := queueIn(t, ringbuf.MPMCOptions{Capacity: 100, MessageSize: stampMax})
	results, err := shm.New(&shm.Options{Arena: 1 << 14, Participants: 16})
	ok(t, err)
	defer results.Close()
	out, err := shm.NewArray[uint64](results, sides*sides*2)
	ok(t, err)
	var putting, getting []*spawn.Process
	for i := range sides {
		arg := queueArg{Seg: seg, Sender: uint64(i), N: n, Out: out, At: i * sides * 2}
		p, err := queuePut.Start(ctx, arg, nil)
		ok(t, err)
		c, err := queueGet.Start(ctx, arg, nil)
		ok(t, err)
		putting, getting = append(putting, p), append(getting, c)
	}
	for _, p := range putting {
		ok(t, p.Wait(ctx))
	}
	ok(t, q.Close())
	for _, c := range getting {
		ok(t, c.Wait(ctx))
	}
	want := uint64(0)
	for seq := range uint64(n + 1) {
		want += seq * seq
	}
	for s := range sides {
		count, sum := uint64(0), uint64(0)
		for c := range sides {
			x, err := out.At(c*sides*2 + 2*s)
			ok(t, err)
			y, err := out.At(c*sides*2 + 2*s + 1)
			ok(t, err)
			count, sum = count+x, sum+y
		}
		if count != uint64(n) || sum != want {
			t.Fatalf("of sender %d, %d messages arrived, want %d; sum %d, want %d", s, count, n, sum, want)
		}
	}
}
