package ringbuf_test

import (
	"context"
	"errors"
	"testing"

	"github.com/fb2d3dbd/multiproc/ringbuf"
)

// TestCommitFewer reserves much and commits little: the next message follows at once.
func TestCommitFewer(t *testing.T) {
	for _, index := range []uint64{0, 120, ^uint64(0) - 7, ^uint64(0) - 63} {
		r, p, c := newRing(t, 128, index)
		for id := uint64(1); id <= 40; id++ {
			n := int(id % 30)
			buf, err := p.TryReserve(56)
			if errors.Is(err, ringbuf.ErrFull) { // the rest of the lap is being skipped
				_, err = c.TryPeek()
				wantErr(t, err, ringbuf.ErrEmpty)
				buf, err = p.TryReserve(56)
			}
			ok(t, err)
			copy(buf, content(id, 56))
			want := ringbuf.MessageSize(n)
			if _, tail := ringbuf.Indices(r); 128-tail%128 < 64 { // what was reserved stands in the next lap
				want += int(128 - tail%128)
			}
			ok(t, p.Commit(n))
			if r.Len() != want {
				t.Fatalf("a message of %d bytes took %d bytes of the ring, want %d", n, r.Len(), want)
			}
			msg, err := c.TryPeek()
			ok(t, err)
			wantContent(t, msg, id, n)
			ok(t, c.Release())
		}
	}
}

// TestReservationUnseen holds a reservation that nobody sees before Commit, that a second one replaces, and that a put,
// a batch or the end of the producer drops.
func TestReservationUnseen(t *testing.T) {
	ctx := context.Background()
	r, p, c := newRing(t, 128, 0)
	empty := func() {
		t.Helper()
		if _, err := c.TryGet(nil); !errors.Is(err, ringbuf.ErrEmpty) || r.Len() != 0 {
			t.Fatalf("an uncommitted reservation is seen: %v, %d bytes", err, r.Len())
		}
	}
	buf, err := p.Reserve(ctx, 40)
	ok(t, err)
	copy(buf, content(1, 40))
	empty()
	buf, err = p.TryReserve(16) // drops the first
	ok(t, err)
	copy(buf, content(2, 16))
	empty()
	ok(t, p.Commit(16))
	msg, err := c.TryGet(nil)
	ok(t, err)
	wantContent(t, msg, 2, 16)

	drops := map[string]func() error{
		"TryPut":   func() error { return p.TryPut(content(3, 8)) },
		"Put":      func() error { return p.Put(ctx, content(3, 8)) },
		"PutBatch": func() error { _, err := p.PutBatch(ctx, [][]byte{content(3, 8)}); return err },
	}
	for name, put := range drops {
		for range 3 { // by the common and the long way
			_, err = p.TryReserve(8)
			ok(t, err)
			ok(t, put())
			if err := p.Commit(8); err == nil {
				t.Fatalf("a reservation outlived a %s: the ring now holds a message that nobody wrote", name)
			}
			msg, err = c.TryGet(nil)
			ok(t, err)
			wantContent(t, msg, 3, 8)
			empty()
		}
	}
	_, err = p.TryReserve(100)
	if !errors.Is(err, ringbuf.ErrFull) { // it skipped: the consumer has to look first
		ok(t, err)
	}
	_, err = c.TryGet(nil)
	wantErr(t, err, ringbuf.ErrEmpty)
	_, err = p.TryReserve(100)
	ok(t, err)
	ok(t, p.Close())
	if err := p.Commit(100); err == nil {
		t.Fatal("a reservation was committed after Close")
	}
	_, err = c.TryGet(nil)
	wantErr(t, err, ringbuf.ErrClosed)
}

// TestReservationAfterRefusal reserves, then asks for something that is refused, which skips the rest of the lap, and tries
// to commit the first: it stands no more where it was.
func TestReservationAfterRefusal(t *testing.T) {
	_, p, c := newRing(t, 64, 48)
	_, err := p.TryReserve(8)
	ok(t, err)
	_, err = p.TryReserve(56)
	wantErr(t, err, ringbuf.ErrFull)
	if err := p.Commit(8); err == nil {
		t.Fatal("a reservation was committed after its room had been skipped")
	}
	_, err = c.TryGet(nil)
	wantErr(t, err, ringbuf.ErrEmpty)
	ok(t, p.TryPut(content(1, 56)))
	msg, err := c.TryGet(nil)
	ok(t, err)
	wantContent(t, msg, 1, 56)
}

// TestCommitMisuse commits what was not reserved.
func TestCommitMisuse(t *testing.T) {
	_, p, c := newRing(t, 128, 0)
	for _, n := range []int{0, 1, -1, 1 << 40} {
		if err := p.Commit(n); err == nil {
			t.Fatalf("Commit(%d) without a reservation is no error", n)
		}
	}
	_, err := p.TryReserve(8)
	ok(t, err)
	for _, n := range []int{9, -1, -1 << 62} {
		if err := p.Commit(n); err == nil {
			t.Fatalf("Commit(%d) of a reservation of 8 is no error", n)
		}
	}
	ok(t, p.Commit(0))
	if err := p.Commit(0); err == nil {
		t.Fatal("a second Commit is no error")
	}
	_, err = p.TryReserve(200)
	wantErr(t, err, ringbuf.ErrTooLarge)
	if err := p.Commit(1); err == nil {
		t.Fatal("Commit after a refused reservation is no error")
	}
	msg, err := c.TryGet(nil)
	ok(t, err)
	if len(msg) != 0 {
		t.Fatalf("got %d bytes", len(msg))
	}
	_, err = c.TryGet(nil)
	wantErr(t, err, ringbuf.ErrEmpty)
}

// TestPeek peeks often, releases once, and releases without having peeked.
//
// Red when the head is published before the message was read: the producer then gets room that is still being read.
func TestPeek(t *testing.T) {
	ctx := context.Background()
	r, p, c := newRing(t, 64, 40)
	ok(t, c.Release()) // nothing to release
	if head, _ := ringbuf.Indices(r); head != 40 {
		t.Fatalf("a Release without a Peek moved the head to %d", head)
	}
	ok(t, p.TryPut(content(1, 8)))
	ok(t, p.TryPut(content(2, 30)))
	ok(t, c.Release())
	first, err := c.TryPeek()
	ok(t, err)
	wantContent(t, first, 1, 8)
	for range 3 {
		again, err := c.Peek(ctx)
		ok(t, err)
		if &again[0] != &first[0] || len(again) != len(first) {
			t.Fatal("a second Peek returned something else")
		}
		if head, _ := ringbuf.Indices(r); head != 40 {
			t.Fatal("Peek moved the head")
		}
		wantErr(t, p.TryPut(nil), ringbuf.ErrFull) // 16 for the message, 8 skipped and 40 for the second
	}
	msg, err := c.TryGet(nil) // takes the one that was peeked at
	ok(t, err)
	wantContent(t, msg, 1, 8)
	second, err := c.Peek(ctx)
	ok(t, err)
	wantContent(t, second, 2, 30)
	ok(t, c.Release())
	ok(t, c.Release())
	_, err = c.TryPeek()
	wantErr(t, err, ringbuf.ErrEmpty)
	if r.Len() != 0 {
		t.Fatalf("%d bytes are left", r.Len())
	}
}

// TestPeekedStays overfills a ring while a message is being looked at: its bytes do not change until Release.
func TestPeekedStays(t *testing.T) {
	_, p, c := newRing(t, 128, 64)
	ok(t, p.TryPut(content(1, 40)))
	msg, err := c.TryPeek()
	ok(t, err)
	for id := uint64(2); ; id++ {
		if err := p.TryPut(content(id, 8)); err != nil {
			wantErr(t, err, ringbuf.ErrFull)
			break
		}
	}
	wantContent(t, msg, 1, 40)
	ok(t, c.Release())
	ok(t, p.TryPut(content(9, 8)))
}
