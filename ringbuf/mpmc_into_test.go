package ringbuf_test

import (
	"context"
	"errors"
	"io"
	"sync"
	"testing"

	"github.com/fb2d3dbd/multiproc/internal/proctest"
	"github.com/fb2d3dbd/multiproc/ringbuf"
)

var intoSizes = []int{0, 1, 96, 97, 4000, 4096, 9000}

// TestGetInto takes messages of every kind into room of just their size, and into too little of it: then they stay, in their order, and nothing is written.
func TestGetInto(t *testing.T) {
	q := newQueue(t, ringbuf.MPMCOptions{Capacity: 16, Bytes: 64 << 10, MaxDeliveries: 1})
	for i, n := range intoSizes {
		ok(t, q.TryPut(content(uint64(i), n)))
	}
	buf := make([]byte, 10000)
	for i, n := range intoSizes {
		for range 3 { // more often than it may be delivered
			for _, room := range []int{n - 1, n / 2, 0} {
				if room < 0 || room >= n {
					continue
				}
				clear(buf)
				got, err := q.TryGetInto(buf[:room])
				wantErr(t, err, io.ErrShortBuffer)
				if got != n {
					t.Fatalf("a message of %d bytes for a buffer of %d is said to need %d", n, room, got)
				}
				got, err = q.GetInto(ended(), buf[:room])
				wantErr(t, err, io.ErrShortBuffer)
				if got != n || buf[0] != 0 {
					t.Fatalf("a message of %d bytes is said to need %d, and wrote %d", n, got, buf[0])
				}
			}
		}
		if left, err := q.Len(); left != len(intoSizes)-i || err != nil {
			t.Fatalf("%d messages are left, want %d: %v", left, len(intoSizes)-i, err)
		}
		clear(buf)
		got, err := q.TryGetInto(buf[:n+i%2])
		ok(t, err)
		wantContent(t, buf[:got], uint64(i), n)
		if buf[n] != 0 {
			t.Fatalf("wrote behind a message of %d bytes", n)
		}
	}
	_, err := q.TryGetInto(buf)
	wantErr(t, err, ringbuf.ErrEmpty)
	_, err = q.GetInto(ended(), buf)
	wantErr(t, err, context.Canceled)
	ok(t, q.Close())
	_, err = q.GetInto(context.Background(), buf)
	wantErr(t, err, ringbuf.ErrClosed)
	if used := len(ringbuf.UsedSlots(q)); used != 0 {
		t.Errorf("%d slots are in use", used)
	}
}

// TestGetIntoOrphan takes what was given back, which comes first: too short a buffer leaves it where it is, and is no delivery.
func TestGetIntoOrphan(t *testing.T) {
	q := newQueue(t, ringbuf.MPMCOptions{Bytes: 64 << 10, MaxDeliveries: 2})
	for id, n := range []int{5000, 10} {
		ok(t, q.TryPut(content(uint64(id), n)))
	}
	d, err := q.TryReceive()
	ok(t, err)
	ok(t, d.Nack())
	buf := make([]byte, 5000)
	for range 5 {
		n, err := q.TryGetInto(buf[:100])
		wantErr(t, err, io.ErrShortBuffer)
		if n != 5000 {
			t.Fatalf("it is said to need %d bytes", n)
		}
	}
	for id, want := range []int{5000, 10} {
		n, err := q.TryGetInto(buf)
		ok(t, err)
		wantContent(t, buf[:n], uint64(id), want)
	}
}

// TestGetIntoPassesOn has some who wait with too little room, and one with enough: a wake-up that goes to one of the others is not lost.
func TestGetIntoPassesOn(t *testing.T) {
	ctx := proctest.Context(t)
	for range scale(50) {
		q := newQueue(t, ringbuf.MPMCOptions{Bytes: 64 << 10})
		const small = 3
		var wg sync.WaitGroup
		errs := make(chan error, small+1)
		for range small {
			wg.Go(func() {
				_, err := q.GetInto(ctx, make([]byte, 10))
				if errors.Is(err, io.ErrShortBuffer) || errors.Is(err, ringbuf.ErrClosed) { // the large one may have been faster
					err = nil
				}
				errs <- err
			})
		}
		got := make(chan error, 1)
		go func() {
			n, err := q.GetInto(ctx, make([]byte, 300))
			if err == nil && n != 300 {
				err = errors.New("another message")
			}
			got <- err
		}()
		ok(t, q.Put(ctx, content(1, 300)))
		ok(t, <-got)
		ok(t, q.Close())
		wg.Wait()
		for range small {
			ok(t, <-errs)
		}
	}
}

// TestGetIntoNone allocates nothing.
func TestGetIntoNone(t *testing.T) {
	q := newQueue(t, ringbuf.MPMCOptions{Bytes: 64 << 10})
	msg := content(1, 5000)
	ok(t, q.TryPut(msg))
	_, err := q.TryGetInto(msg) // the first looks for orphans, and calls the caretaker
	ok(t, err)
	var failed error
	allocs := testing.AllocsPerRun(100, func() {
		buf := make([]byte, 5000)
		failed = errors.Join(failed, q.TryPut(msg))
		_, err := q.TryGetInto(buf)
		failed = errors.Join(failed, err)
	})
	ok(t, failed)
	if allocs != 0 {
		t.Errorf("a message has cost %v allocations", allocs)
	}
}
