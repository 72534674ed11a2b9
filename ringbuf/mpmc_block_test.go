package ringbuf_test

import (
	"context"
	"runtime"
	"testing"
	"time"

	"github.com/fb2d3dbd/multiproc/internal/proctest"
	"github.com/fb2d3dbd/multiproc/ringbuf"
)

// TestQueueBlocks waits for room, by the capacity and by bytes, and for messages; ends waits by contexts; wakes them by their
// reasons and by Close.
func TestQueueBlocks(t *testing.T) {
	full := map[string]func(t *testing.T) *ringbuf.MPMC{
		"messages": func(t *testing.T) *ringbuf.MPMC {
			q := newQueue(t, ringbuf.MPMCOptions{Capacity: 7})
			for range 7 {
				ok(t, q.TryPut(content(1, 50)))
			}
			return q
		},
		"bytes": func(t *testing.T) *ringbuf.MPMC {
			q := newQueue(t, ringbuf.MPMCOptions{Capacity: 100, MessageSize: 32, Bytes: 2048})
			for q.TryPut(content(1, 50)) == nil {
			}
			return q
		},
	}
	for name, make := range full {
		t.Run("full by "+name, func(t *testing.T) {
			q := make(t)
			wantErr(t, q.TryPut(content(2, 50)), ringbuf.ErrFull)
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Millisecond)
			wantErr(t, q.Put(ctx, content(2, 50)), context.DeadlineExceeded)
			n, err := q.PutBatch(ctx, [][]byte{content(2, 50)})
			wantErr(t, err, context.DeadlineExceeded)
			cancel()
			if n != 0 {
				t.Fatalf("put %d into a full queue", n)
			}
			before, err := q.Len()
			ok(t, err)
			done := startCalls(4, func() error { return q.Put(proctest.Context(t), content(2, 50)) })
			for range 4 {
				if _, err := q.Get(proctest.Context(t), nil); err != nil {
					t.Fatal(err)
				}
			}
			for range 4 {
				ok(t, <-done)
			}
			after, err := q.Len()
			ok(t, err)
			if after != before {
				t.Fatalf("%d messages after as many puts as gets, %d before", after, before)
			}
			cctx, stop := context.WithCancel(context.Background())
			done = startCalls(3, func() error { return q.Put(cctx, content(2, 50)) })
			stop()
			for range 3 {
				wantErr(t, <-done, context.Canceled)
			}
			done = startCalls(3, func() error { return q.Put(proctest.Context(t), content(2, 50)) })
			ok(t, q.Close())
			for range 3 {
				wantErr(t, <-done, ringbuf.ErrClosed)
			}
		})
	}
	t.Run("empty", func(t *testing.T) {
		q := newQueue(t, ringbuf.MPMCOptions{Capacity: 10})
		_, err := q.TryGet(nil)
		wantErr(t, err, ringbuf.ErrEmpty)
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Millisecond)
		_, err = q.Get(ctx, nil)
		wantErr(t, err, context.DeadlineExceeded)
		_, err = q.GetBatch(ctx, 3)
		wantErr(t, err, context.DeadlineExceeded)
		cancel()
		for _, n := range []int{0, -1} {
			if _, err := q.GetBatch(context.Background(), n); err == nil {
				t.Fatalf("a batch of %d is no error", n)
			}
		}
		done := startCalls(4, func() error { _, err := q.Get(proctest.Context(t), nil); return err })
		for range 4 {
			ok(t, q.Put(context.Background(), content(1, 8)))
		}
		for range 4 {
			ok(t, <-done)
		}
		cctx, stop := context.WithCancel(context.Background())
		done = startCalls(3, func() error { _, err := q.GetBatch(cctx, 2); return err })
		stop()
		for range 3 {
			wantErr(t, <-done, context.Canceled)
		}
		done = startCalls(3, func() error { _, err := q.Get(proctest.Context(t), nil); return err })
		ok(t, q.Close())
		ok(t, q.Close())
		for range 3 {
			wantErr(t, <-done, ringbuf.ErrClosed)
		}
	})
}

// TestQueueNotAbandonedDuringRepair: while a survivor mends what the last producer left, who waits for a message goes on waiting: the
// dead one may have held it.
//
// Red when a member under repair counts as one that is gone.
func TestQueueNotAbandonedDuringRepair(t *testing.T) {
	q, seg := queueIn(t, ringbuf.MPMCOptions{Capacity: 5})
	_, err := q.TryGet(nil) // this process and the other survivor are seen to take only
	wantErr(t, err, ringbuf.ErrEmpty)
	other := openAgain(t, seg)
	_, err = other.TryGet(nil)
	wantErr(t, err, ringbuf.ErrEmpty)

	dying := again(t, seg)
	last, err := ringbuf.OpenMPMC(dying.Bytes(), manyIn(dying))
	ok(t, err)
	ok(t, last.TryPut([]byte("held")))
	_, err = last.TryReceive()
	ok(t, err)
	ok(t, dying.Close())

	claimed, goOn, done := make(chan bool), make(chan bool), make(chan error, 1)
	go func() {
		_, err := ringbuf.BurySlowly(other, func() {
			close(claimed)
			<-goOn
		})
		done <- err
	}()
	<-claimed
	ok(t, ringbuf.IdleGet(q))
	close(goOn)
	ok(t, <-done)
	msg, err := q.Get(proctest.Context(t), nil)
	ok(t, err)
	if string(msg) != "held" {
		t.Errorf("got %q", msg)
	}
	wantErr(t, ringbuf.IdleGet(q), ringbuf.ErrPeerDied)
	_, err = q.Get(proctest.Context(t), nil)
	wantErr(t, err, ringbuf.ErrPeerDied)
}

// startCalls runs n calls in goroutines and gives them a chance to go to sleep.
func startCalls(n int, call func() error) <-chan error {
	done := make(chan error, n)
	for range n {
		go func() { done <- call() }()
	}
	for range 100 {
		runtime.Gosched()
	}
	return done
}
