package ringbuf_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/fb2d3dbd/multiproc/internal/proctest"
	"github.com/fb2d3dbd/multiproc/ringbuf"
)

// TestQueueTooLarge is told at once, also when the queue is full, and leaves what a batch has put before.
func TestQueueTooLarge(t *testing.T) {
	q := newQueue(t, ringbuf.MPMCOptions{Capacity: 2, Bytes: 4096})
	big := make([]byte, q.MaxMessage()+1)
	wantErr(t, q.TryPut(big), ringbuf.ErrTooLarge)
	n, err := q.PutBatch(context.Background(), [][]byte{content(1, 8), content(2, 8), big})
	wantErr(t, err, ringbuf.ErrTooLarge)
	if n != 2 {
		t.Fatalf("put %d messages before the one that is too large, want 2", n)
	}
	wantErr(t, q.TryPut(big), ringbuf.ErrTooLarge)
	wantErr(t, q.Put(context.Background(), big), ringbuf.ErrTooLarge)
	for id := uint64(1); id <= 2; id++ {
		msg, err := q.TryGet(nil)
		ok(t, err)
		wantContent(t, msg, id, 8)
	}
	largest := make([]byte, q.MaxMessage())
	done := startCalls(1, func() error { return q.Put(proctest.Context(t), largest) })
	msg, err := q.Get(proctest.Context(t), nil)
	ok(t, err)
	ok(t, <-done)
	if len(msg) != len(largest) {
		t.Fatalf("the largest message came back with %d of %d bytes", len(msg), len(largest))
	}
}

// TestQueueCloseRace closes a queue while producers put: what was said to be put arrives, what was refused does not.
func TestQueueCloseRace(t *testing.T) {
	ctx := proctest.Context(t)
	for range scale(100) {
		q := newQueue(t, ringbuf.MPMCOptions{Capacity: 4, MessageSize: stampMax})
		const producers = 3
		var putting, getting sync.WaitGroup
		last := make([]uint64, producers)
		errs := make(chan error, producers+2)
		for s := range producers {
			putting.Go(func() {
				for seq := uint64(1); ; seq++ {
					err := q.Put(ctx, stamped(nil, uint64(s), seq))
					if err != nil {
						if !errors.Is(err, ringbuf.ErrClosed) {
							errs <- err
						}
						return
					}
					last[s] = seq
				}
			})
		}
		all := make([]tally, 2)
		for i := range all {
			getting.Go(func() {
				var err error
				if all[i], err = getAll(ctx, q); err != nil {
					errs <- err
				}
			})
		}
		proctest.Eventually(t, func() bool { n, _ := q.Len(); return n > 0 }, "something is put")
		ok(t, q.Close())
		putting.Wait()
		getting.Wait()
		select {
		case err := <-errs:
			t.Fatal(err)
		default:
		}
		for s, n := range last {
			got := uint64(0)
			for _, c := range all {
				got += uint64(len(c[uint64(s)]))
			}
			if got != n {
				t.Fatalf("of sender %d, %d messages were put and %d arrived", s, n, got)
			}
		}
	}
}

// TestQueueEmptyMessages carries messages without bytes: they count.
func TestQueueEmptyMessages(t *testing.T) {
	q := newQueue(t, ringbuf.MPMCOptions{Capacity: 5})
	n, err := q.PutBatch(context.Background(), [][]byte{nil, {}, []byte("x"), nil})
	ok(t, err)
	if l, _ := q.Len(); n != 4 || l != 4 {
		t.Fatalf("put %d, Len is %d", n, l)
	}
	msgs, err := q.GetBatch(context.Background(), 9)
	ok(t, err)
	if len(msgs) != 4 || string(msgs[2]) != "x" || len(msgs[0])+len(msgs[1])+len(msgs[3]) != 0 {
		t.Fatalf("got %q", msgs)
	}
	buf, err := q.TryGet([]byte("mine"))
	wantErr(t, err, ringbuf.ErrEmpty)
	if string(buf) != "mine" {
		t.Fatalf("an empty TryGet returned %q", buf)
	}
	ok(t, q.TryPut([]byte("!")))
	buf, err = q.TryGet(buf)
	ok(t, err)
	if string(buf) != "mine!" {
		t.Fatalf("TryGet appended to %q", buf)
	}
}
