package ringbuf_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/fb2d3dbd/multiproc/internal/proctest"
	"github.com/fb2d3dbd/multiproc/ringbuf"
)

func messages(n, modulus int) [][]byte {
	var all [][]byte
	for i := range n {
		all = append(all, content(uint64(i), i*13%modulus))
	}
	return all
}

// TestPutBatchLarger puts a batch many times the size of the ring while a consumer takes it in batches and singly.
func TestPutBatchLarger(t *testing.T) {
	ctx := proctest.Context(t)
	for _, index := range []uint64{0, 72, ^uint64(0) - 1023} {
		_, p, c := newRing(t, 256, index)
		msgs := messages(2000, 200)
		done := make(chan error, 1)
		go func() {
			n, err := p.PutBatch(ctx, msgs)
			if err == nil && n != len(msgs) {
				err = fmt.Errorf("PutBatch put %d of %d", n, len(msgs))
			}
			done <- errors.Join(err, p.Close())
		}()
		got := 0
		take := func(msg []byte) error {
			if !bytes.Equal(msg, msgs[got]) {
				return fmt.Errorf("message %d has %d other bytes", got, len(msg))
			}
			got++
			return nil
		}
		for {
			limit := 1 + got%5
			before := got
			n, err := c.GetBatch(ctx, limit, take)
			if n != got-before || n > limit {
				t.Fatalf("GetBatch of up to %d says %d, called fn %d times", limit, n, got-before)
			}
			if errors.Is(err, ringbuf.ErrClosed) {
				break
			}
			ok(t, err)
			if n == 0 {
				t.Fatal("GetBatch returned nothing and no error")
			}
			if got%3 == 0 {
				if msg, err := c.TryGet(nil); err == nil {
					ok(t, take(msg))
				}
			}
		}
		ok(t, <-done)
		if got != len(msgs) {
			t.Fatalf("got %d of %d messages", got, len(msgs))
		}
	}
}

// TestPutBatchStops ends a batch in the middle: what it says it put is there, and no more.
func TestPutBatchStops(t *testing.T) {
	_, p, c := newRing(t, 64, 0)
	n, err := p.PutBatch(context.Background(), nil)
	ok(t, err)
	if n != 0 {
		t.Fatalf("an empty batch put %d", n)
	}
	n, err = p.PutBatch(ended(), messages(10, 8))
	wantErr(t, err, context.Canceled)
	if n != 4 { // 8 bytes for the empty one and 16 for each of the others; the rest of 8 is too short
		t.Fatalf("put %d messages into 64 bytes, want 4", n)
	}
	for i := range n {
		msg, err := c.TryGet(nil)
		ok(t, err)
		wantContent(t, msg, uint64(i), i*13%8)
	}
	_, err = c.TryGet(nil)
	wantErr(t, err, ringbuf.ErrEmpty)
}

// TestGetBatch takes what is there, up to a limit, and does not wait for more.
func TestGetBatch(t *testing.T) {
	ctx := context.Background()
	for _, index := range []uint64{0, 104, ^uint64(0) - 23} {
		r, p, c := newRing(t, 128, index)
		for _, limit := range []int{0, -1} {
			n, err := c.GetBatch(ctx, limit, nil)
			if n != 0 || err == nil {
				t.Fatalf("a batch of %d: %d, %v", limit, n, err)
			}
		}
		ids := []uint64{1, 2, 3, 4, 5, 6}
		for _, id := range ids {
			ok(t, p.TryPut(content(id, 8)))
		}
		var got []uint64
		head, _ := ringbuf.Indices(r)
		fn := func(msg []byte) error {
			id := uint64(len(got) + 1)
			wantContent(t, msg, id, 8)
			if h, _ := ringbuf.Indices(r); h != head {
				t.Fatal("a message of a batch was released before the batch ended")
			}
			got = append(got, id)
			return nil
		}
		n, err := c.GetBatch(ctx, 4, fn)
		if n != 4 || err != nil {
			t.Fatalf("got %d, %v", n, err)
		}
		head, _ = ringbuf.Indices(r)
		n, err = c.GetBatch(ctx, 4, fn)
		if n != 2 || err != nil {
			t.Fatalf("got %d, %v", n, err)
		}
		n, err = c.GetBatch(ended(), 4, fn)
		wantErr(t, err, context.Canceled)
		if n != 0 || r.Len() != 0 {
			t.Fatalf("got %d, %d bytes are left", n, r.Len())
		}
	}
}

// TestGetBatchSkip has a batch end at a skip with nothing behind it: that is the end of the batch and no error.
func TestGetBatchSkip(t *testing.T) {
	r, p, c := newRing(t, 128, 0)
	ok(t, p.TryPut(content(1, 40)))
	ok(t, p.TryPut(content(2, 30)))
	wantErr(t, p.TryPut(content(3, 100)), ringbuf.ErrFull)
	n, err := c.GetBatch(ended(), 9, func([]byte) error { return nil })
	if n != 2 || err != nil || r.Len() != 0 {
		t.Fatalf("got %d, %v, %d bytes are left", n, err, r.Len())
	}
}

// TestGetBatchError ends a batch by an error of fn, whatever it is: the message it was called for is taken, the next is not.
func TestGetBatchError(t *testing.T) {
	mine := errors.New("mine")
	for _, want := range []error{mine, ringbuf.ErrEmpty, ringbuf.ErrClosed, ringbuf.ErrFull} {
		for at := 1; at <= 3; at++ {
			_, p, c := newRing(t, 128, 0)
			for id := uint64(1); id <= 3; id++ {
				ok(t, p.TryPut(content(id, 8)))
			}
			calls := 0
			n, err := c.GetBatch(context.Background(), 9, func([]byte) error {
				if calls++; calls == at {
					return want
				}
				return nil
			})
			if n != at || err != want {
				t.Fatalf("fn failed with %v at message %d: GetBatch says %d, %v", want, at, n, err)
			}
			msg, err := c.TryGet(nil)
			if at == 3 {
				wantErr(t, err, ringbuf.ErrEmpty)
				continue
			}
			ok(t, err)
			wantContent(t, msg, uint64(at+1), 8)
		}
	}
}

// TestGetBatchPanic has fn panic: what the batch had taken is not released, nor lost to this consumer's successor.
func TestGetBatchPanic(t *testing.T) {
	r, p, c := newRing(t, 128, 0)
	for id := uint64(1); id <= 3; id++ {
		ok(t, p.TryPut(content(id, 8)))
	}
	func() {
		defer func() { _ = recover() }()
		calls := 0
		_, _ = c.GetBatch(context.Background(), 9, func([]byte) error {
			if calls++; calls == 2 {
				panic("fn")
			}
			return nil
		})
	}()
	if head, _ := ringbuf.Indices(r); head != 0 {
		t.Fatal("a batch was released in part")
	}
	msg, err := c.TryGet(nil) // the one that fn panicked at
	ok(t, err)
	wantContent(t, msg, 2, 8)
}

// TestAll ranges over messages: until the end of the stream, until the loop breaks, until an error.
func TestAll(t *testing.T) {
	ctx := proctest.Context(t)
	_, p, c := newRing(t, 128, 112)
	msgs := messages(100, 60)
	go func() {
		_, _ = p.PutBatch(ctx, msgs)
		p.Close()
	}()
	i := 0
	for msg, err := range c.All(ctx) {
		ok(t, err)
		if !bytes.Equal(msg, msgs[i]) {
			t.Fatalf("message %d differs", i)
		}
		if i++; i == 50 {
			break
		}
	}
	for msg, err := range c.All(ctx) { // goes on behind the one at which the first loop broke
		ok(t, err)
		if !bytes.Equal(msg, msgs[i]) {
			t.Fatalf("message %d differs", i)
		}
		i++
	}
	if i != len(msgs) {
		t.Fatalf("got %d of %d", i, len(msgs))
	}

	_, p, c = newRing(t, 128, 0)
	ok(t, p.TryPut([]byte("x")))
	var errs []error
	for _, err := range c.All(ended()) {
		errs = append(errs, err)
	}
	if len(errs) != 2 || errs[0] != nil || !errors.Is(errs[1], context.Canceled) {
		t.Fatalf("a loop over one message and a cancelled context got %v", errs)
	}
}
