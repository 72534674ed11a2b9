package ringbuf_test

import (
	"bytes"
	"context"
	"fmt"
	"testing"

	"github.com/fb2d3dbd/multiproc/ringbuf"
)

// TestEverySize sends a message of every length from every place in small rings, by the copying and by the lease calls.
//
// Red when a record that does not fit into the rest of the lap is not skipped, when the skip is not taken as one, when a size is
// rounded wrongly, and when a byte beside the ring is touched.
func TestEverySize(t *testing.T) {
	for _, capacity := range []int{64, 128, 256} {
		t.Run(fmt.Sprint(capacity), func(t *testing.T) {
			f := newFence(ringbuf.SPSCSize(capacity))
			for start := 0; start < capacity; start += 8 {
				for n := 0; n <= capacity-ringbuf.RecordHead; n++ {
					r, p, c := sides(t, f.mem, nil, uint64(start))
					if n > r.MaxMessage() {
						t.Fatalf("MaxMessage is %d in a ring of %d", r.MaxMessage(), capacity)
					}
					for id := uint64(1); id <= 3; id++ {
						putGet(t, p, c, id, n, id == 2)
					}
					if r.Len() != 0 {
						t.Fatalf("start %d, size %d: %d bytes are left in a drained ring", start, n, r.Len())
					}
				}
				f.check(t)
			}
		})
	}
}

// putGet sends one message through a ring that is empty. A message that does not fit because the rest of the lap has to be
// skipped first fits as soon as the consumer has looked.
func putGet(t *testing.T, p *ringbuf.Producer, c *ringbuf.Consumer, id uint64, n int, lease bool) {
	t.Helper()
	put := func() error {
		if !lease {
			return p.TryPut(content(id, n))
		}
		buf, err := p.TryReserve(n)
		if err != nil {
			return err
		}
		if len(buf) != n || cap(buf) != n {
			t.Fatalf("a reservation of %d bytes has length %d, capacity %d", n, len(buf), cap(buf))
		}
		copy(buf, content(id, n))
		return p.Commit(n)
	}
	err := put()
	if err == ringbuf.ErrFull {
		_, err = c.TryGet(nil)
		wantErr(t, err, ringbuf.ErrEmpty)
		err = put()
	}
	if err != nil {
		t.Fatalf("put %d bytes into an empty ring: %v", n, err)
	}
	if lease {
		msg, err := c.TryPeek()
		ok(t, err)
		wantContent(t, msg, id, n)
		if cap(msg) != n {
			t.Fatalf("a message of %d bytes has capacity %d: an append would write into the ring", n, cap(msg))
		}
		ok(t, c.Release())
	} else {
		msg, err := c.TryGet(nil)
		ok(t, err)
		wantContent(t, msg, id, n)
	}
	_, err = c.TryGet(nil)
	wantErr(t, err, ringbuf.ErrEmpty)
}

// TestFillAndDrain keeps a ring at every level of filling, over several laps, from places all around the wrap of the
// indices at 2^64 and around the ends of laps.
//
// Red when indices are compared instead of their distances, and when a put takes room that was not given back.
func TestFillAndDrain(t *testing.T) {
	const capacity = 128
	var starts []uint64
	for d := uint64(0); d <= 2*capacity; d += 8 {
		starts = append(starts, -d, 1<<32-d, 5*capacity-d)
	}
	f := newFence(ringbuf.SPSCSize(capacity))
	for _, start := range starts {
		for level := range 9 {
			r, p, c := sides(t, f.mem, nil, start)
			put, got := uint64(0), uint64(0)
			size := func(id uint64) int { return int(id * 7 % 41) }
			drain := func(to uint64) {
				for put-got > to {
					msg, err := c.TryGet(nil)
					ok(t, err)
					got++
					wantContent(t, msg, got, size(got))
				}
			}
			for head, _ := ringbuf.Indices(r); head-start < 3*capacity; head, _ = ringbuf.Indices(r) {
				err := p.TryPut(content(put+1, size(put+1)))
				if err == ringbuf.ErrFull {
					if put == got {
						_, err = c.TryGet(nil) // takes the skipped rest
						wantErr(t, err, ringbuf.ErrEmpty)
						continue
					}
					drain(put - got - 1)
					continue
				}
				ok(t, err)
				put++
				drain(uint64(level))
			}
			drain(0)
			f.check(t)
		}
	}
}

// TestLastRecordBeforeWrap has a record end exactly at index 2^64 while the ring has no room for it.
func TestLastRecordBeforeWrap(t *testing.T) {
	_, p, c := newRing(t, 64, ^uint64(0)-79)
	for id := uint64(1); id <= 3; id++ {
		ok(t, p.TryPut(content(id, 8)))
	}
	wantErr(t, p.TryPut(content(4, 24)), ringbuf.ErrFull)
	for id := uint64(1); id <= 3; id++ {
		msg, err := c.TryGet(nil)
		ok(t, err)
		wantContent(t, msg, id, 8)
	}
	ok(t, p.TryPut(content(4, 24)))
	msg, err := c.TryGet(nil)
	ok(t, err)
	wantContent(t, msg, 4, 24)
}

// TestSkipAlone publishes the skipped rest of a lap without a message behind it: a put that fails for want of room does.
// The consumer gives it back although it found no message, or the put would never succeed.
//
// Red when TryPeek does not check for skips, or keeps them to itself.
func TestSkipAlone(t *testing.T) {
	r, p, c := newRing(t, 64, 8)
	wantErr(t, p.TryPut(make([]byte, 56)), ringbuf.ErrFull)
	if r.Len() != 56 {
		t.Fatalf("%d bytes of the ring are taken, want the 56 that were skipped", r.Len())
	}
	_, err := c.TryPeek()
	wantErr(t, err, ringbuf.ErrEmpty)
	if r.Len() != 0 {
		t.Fatalf("%d bytes of the ring are taken, want 0", r.Len())
	}
	ok(t, p.TryPut(content(1, 56)))
	msg, err := c.TryGet(nil)
	ok(t, err)
	wantContent(t, msg, 1, 56)
}

// TestSkipBehindMessages has the consumer meet a skip with more messages behind it, in every way to take messages.
func TestSkipBehindMessages(t *testing.T) {
	takes := map[string]func(c *ringbuf.Consumer) ([]byte, error){
		"Get":  func(c *ringbuf.Consumer) ([]byte, error) { return c.Get(ended(), nil) },
		"Peek": func(c *ringbuf.Consumer) ([]byte, error) { defer c.Release(); return c.Peek(ended()) },
		"GetBatch": func(c *ringbuf.Consumer) (out []byte, err error) {
			_, err = c.GetBatch(ended(), 1, func(msg []byte) error { out = bytes.Clone(msg); return nil })
			return out, err
		},
	}
	for name, take := range takes {
		t.Run(name, func(t *testing.T) {
			_, p, c := newRing(t, 128, 0)
			ok(t, p.TryPut(content(1, 60))) // 72 bytes, then 56 that 60 bytes do not fit into
			msg, err := take(c)
			ok(t, err)
			wantContent(t, bytes.Clone(msg), 1, 60)
			ok(t, p.TryPut(content(2, 60)))
			wantErr(t, p.TryPut(content(3, 1)), ringbuf.ErrFull)
			msg, err = take(c)
			ok(t, err)
			if !bytes.Equal(msg, content(2, 60)) {
				t.Fatalf("got %x", msg)
			}
			ok(t, p.TryPut(content(3, 1)))
		})
	}
}

// TestTry tells full and empty from everything else, and leaves the caller's buffer alone.
func TestTry(t *testing.T) {
	r, p, c := newRing(t, 64, 0)
	buf, err := c.TryGet([]byte("abc"))
	wantErr(t, err, ringbuf.ErrEmpty)
	if string(buf) != "abc" {
		t.Fatalf("an empty TryGet returned %q", buf)
	}
	_, err = c.TryPeek()
	wantErr(t, err, ringbuf.ErrEmpty)
	for id := uint64(1); id <= 4; id++ {
		if r.Len() != int(id-1)*16 {
			t.Fatalf("Len is %d after %d messages of 16 bytes", r.Len(), id-1)
		}
		ok(t, p.TryPut(content(id, 5)))
	}
	wantErr(t, p.TryPut(nil), ringbuf.ErrFull)
	_, err = p.TryReserve(0)
	wantErr(t, err, ringbuf.ErrFull)
	buf, err = c.TryGet(buf)
	ok(t, err)
	wantContent(t, buf[3:], 1, 5)
	if string(buf[:3]) != "abc" {
		t.Fatalf("TryGet changed what was in the buffer: %q", buf)
	}
	ok(t, p.TryPut(nil))
	for id := uint64(2); id <= 4; id++ {
		msg, err := c.Get(context.Background(), nil)
		ok(t, err)
		wantContent(t, msg, id, 5)
	}
	msg, err := c.TryGet(buf[:0])
	ok(t, err)
	if len(msg) != 0 {
		t.Fatalf("an empty message came with %d bytes", len(msg))
	}
}

// TestTooLarge asks for more than ever fits, at once and not after a wait, and leaves the ring as it was.
func TestTooLarge(t *testing.T) {
	ctx := context.Background()
	_, p, c := newRing(t, 64, 8)
	big := make([]byte, 57)
	wantErr(t, p.TryPut(big), ringbuf.ErrTooLarge)
	wantErr(t, p.Put(ctx, big), ringbuf.ErrTooLarge)
	for _, n := range []int{57, 1 << 40, -1, -1 << 62} {
		_, err := p.TryReserve(n)
		wantErr(t, err, ringbuf.ErrTooLarge)
		_, err = p.Reserve(ctx, n)
		wantErr(t, err, ringbuf.ErrTooLarge)
	}
	n, err := p.PutBatch(ctx, [][]byte{{1}, {2}, big, {3}})
	wantErr(t, err, ringbuf.ErrTooLarge)
	if n != 2 {
		t.Fatalf("PutBatch put %d messages before the one that is too large, want 2", n)
	}
	for want := byte(1); want <= 2; want++ {
		msg, err := c.TryGet(nil)
		ok(t, err)
		if len(msg) != 1 || msg[0] != want {
			t.Fatalf("got %v, want [%d]", msg, want)
		}
	}
	_, err = c.TryGet(nil)
	wantErr(t, err, ringbuf.ErrEmpty)
}

// TestNotify simulates a sleeper on either side, in the word that it sleeps on, and finds it notified by every call that
// gives it something. The sleeper would also wake after a while without: no test of outcomes alone shows it.
//
// Red when a publication is not followed by Notify.
func TestNotify(t *testing.T) {
	ctx := context.Background()
	type sides struct {
		p *ringbuf.Producer
		c *ringbuf.Consumer
	}
	calls := []struct {
		name string
		room bool // the producer is the sleeper
		call func(s sides) error
	}{
		{"TryPut", false, func(s sides) error { return s.p.TryPut([]byte("x")) }},
		{"Put", false, func(s sides) error { return s.p.Put(ctx, []byte("x")) }},
		{"Commit", false, func(s sides) error {
			if _, err := s.p.TryReserve(1); err != nil {
				return err
			}
			return s.p.Commit(1)
		}},
		{"PutBatch", false, func(s sides) error { _, err := s.p.PutBatch(ctx, [][]byte{{1}, {2}}); return err }},
		{"Producer.Close", false, func(s sides) error { return s.p.Close() }},
		{"TryGet", true, func(s sides) error { _, err := s.c.TryGet(nil); return err }},
		{"Get", true, func(s sides) error { _, err := s.c.Get(ctx, nil); return err }},
		{"Release", true, func(s sides) error {
			if _, err := s.c.TryPeek(); err != nil {
				return err
			}
			return s.c.Release()
		}},
		{"GetBatch", true, func(s sides) error {
			_, err := s.c.GetBatch(ctx, 2, func([]byte) error { return nil })
			return err
		}},
		{"GetBatch that fails", true, func(s sides) error {
			_, err := s.c.GetBatch(ctx, 2, func([]byte) error { return ringbuf.ErrTooLarge })
			if err == ringbuf.ErrTooLarge {
				return nil
			}
			return fmt.Errorf("got %v", err)
		}},
		{"All", true, func(s sides) error {
			for _, err := range s.c.All(ctx) {
				return err
			}
			return nil
		}},
		{"Consumer.Close", true, func(s sides) error { return s.c.Close() }},
	}
	for _, tc := range calls {
		for warm := range 3 { // the first put and get of a ring take another path than the next
			t.Run(fmt.Sprintf("%s/%d", tc.name, warm), func(t *testing.T) {
				r, p, c := newRing(t, 1024, 0)
				word := ringbuf.DataWord(r)
				if tc.room {
					word = ringbuf.RoomWord(r)
				}
				for range 3 {
					ok(t, p.TryPut([]byte("warm")))
				}
				for range warm {
					_, err := c.TryGet(nil)
					ok(t, err)
				}
				const asleep = 1
				*word = asleep
				ok(t, tc.call(sides{p, c}))
				if *word == asleep {
					t.Fatal("the sleeper was not notified")
				}
			})
		}
	}
}
