package ringbuf_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/fb2d3dbd/multiproc/internal/cpu"
	"github.com/fb2d3dbd/multiproc/ringbuf"
)

// expressWord is the word that says that a message of n bytes is there, whose record is at pos.
func expressWord(pos, n uint64) uint64 { return pos<<5 | n<<1 | 1 }

func setExpress(mem []byte, i int, word uint64) {
	binary.NativeEndian.PutUint64(mem[ringbuf.OffExpress+128*i:], word)
}

// TestExpressTail has a producer die between the two stores that commit a message: the ring's tail does not count it, and its
// copy on the way says that it is there. It is, to everybody: the consumer takes it once, and the next producer goes on behind it.
//
// Red when a new producer goes on at the tail as it is stored.
func TestExpressTail(t *testing.T) {
	if !cpu.Ordered {
		t.Skip("messages go by the ring alone")
	}
	for _, index := range []uint64{0, 40, ^uint64(0) - 255} {
		for _, n := range []int{0, 1, 8, 55, 56, 57, 64, 119, 120} {
			for _, first := range []bool{false, true} { // whether the consumer takes it before there is a new producer
				t.Run(fmt.Sprintf("index=%#x/size=%d/first=%v", index, n, first), func(t *testing.T) {
					mem := make([]byte, ringbuf.SPSCSize(1024))
					all := &crowd{}
					r, err := ringbuf.CreateSPSC(mem, all.one(1))
					ok(t, err)
					ringbuf.SetIndices(r, index, index)
					p, err := r.Producer()
					ok(t, err)
					other, err := ringbuf.OpenSPSC(mem, all.one(2))
					ok(t, err)
					c, err := other.Consumer()
					ok(t, err)
					ok(t, p.TryPut(content(1, n)))
					_, tail := ringbuf.Indices(r)
					if want := index + uint64(ringbuf.MessageSize(n)); tail != want {
						t.Fatalf("the tail is %#x, want %#x", tail, want)
					}
					ringbuf.SetIndices(r, index, index) // the store that the producer did not come to
					all.kill(1)
					if got := r.Len(); got != ringbuf.MessageSize(n) {
						t.Errorf("Len is %d", got)
					}
					get := func(want []byte) {
						t.Helper()
						if got, err := c.TryGet(nil); err != nil || !bytes.Equal(got, want) {
							t.Fatalf("got %x, %v, want %x", got, err, want)
						}
					}
					if first {
						get(content(1, n))
						_, err := c.TryGet(nil)
						wantErr(t, err, ringbuf.ErrEmpty)
						if got := r.Len(); got != 0 {
							t.Errorf("Len is %d of an empty ring", got)
						}
					}
					heir, err := ringbuf.OpenSPSC(mem, all.one(3))
					ok(t, err)
					p, err = heir.Producer()
					ok(t, err)
					for i := range 4 {
						ok(t, p.TryPut(content(uint64(2+i), n)))
					}
					if !first {
						get(content(1, n))
					}
					for i := range 4 {
						get(content(uint64(2+i), n))
					}
					_, err = c.TryGet(nil)
					wantErr(t, err, ringbuf.ErrEmpty)
				})
			}
		}
	}
}

// TestExpressTailTwice has two producers, one after the other, die between the two stores that commit a message. The tail is never behind by more than
// the one message.
//
// Red when a new producer finds the message of the one before and does not store the tail behind it.
func TestExpressTailTwice(t *testing.T) {
	if !cpu.Ordered {
		t.Skip("messages go by the ring alone")
	}
	mem := make([]byte, ringbuf.SPSCSize(1024))
	all := &crowd{}
	r, err := ringbuf.CreateSPSC(mem, all.one(1))
	ok(t, err)
	other, err := ringbuf.OpenSPSC(mem, all.one(2))
	ok(t, err)
	c, err := other.Consumer()
	ok(t, err)
	get := func(id uint64) {
		t.Helper()
		if got, err := c.TryGet(nil); err != nil || !bytes.Equal(got, content(id, 64)) {
			t.Fatalf("got %x, %v", got, err)
		}
		_, err := c.TryGet(nil)
		wantErr(t, err, ringbuf.ErrEmpty)
	}
	id := uint64(0)
	for token := uint32(3); token < 7; token++ {
		heir, err := ringbuf.OpenSPSC(mem, all.one(token))
		ok(t, err)
		p, err := heir.Producer()
		ok(t, err)
		head, tail := ringbuf.Indices(r)
		if head != tail {
			t.Fatalf("the head is %#x, the tail %#x of a ring whose messages are all taken", head, tail)
		}
		id++
		ok(t, p.TryPut(content(id, 64)))
		ringbuf.SetIndices(r, head, tail) // the store that the producer did not come to
		all.kill(token)
		get(id)
	}
	heir, err := ringbuf.OpenSPSC(mem, all.one(7))
	ok(t, err)
	p, err := heir.Producer()
	ok(t, err)
	ok(t, p.TryPut(content(9, 64)))
	get(9)
}

// TestExpressOverwritten has the producer go on while the consumer copies a message that is on the way: the copy may hold parts of two
// messages, and is not used.
//
// Red when the consumer does not look at the other word afterwards.
func TestExpressOverwritten(t *testing.T) {
	if !cpu.Ordered {
		t.Skip("messages go by the ring alone")
	}
	mem := make([]byte, ringbuf.SPSCSize(1024))
	_, p, c := sides(t, mem, nil, 0)
	ok(t, p.TryPut(content(1, 64))) // in the first
	ok(t, p.TryPut(content(2, 64))) // in the second
	clear(mem[ringbuf.OffExpress+8:][:64])
	for i := range 2 {
		if got, err := c.TryGet(nil); err != nil || !bytes.Equal(got, content(uint64(1+i), 64)) {
			t.Fatalf("got %x, %v", got, err)
		}
	}
}

// TestExpressBehindSkip has a producer die while it puts a message at the beginning of a lap, whose end it has to skip: what it had not put
// must not come up when its successor has filled the lap to the end.
//
// Red when the word of the message is written although the skip is not published.
func TestExpressBehindSkip(t *testing.T) {
	mem := make([]byte, ringbuf.SPSCSize(256))
	all := &crowd{}
	r, err := ringbuf.CreateSPSC(mem, all.one(1))
	ok(t, err)
	p, err := r.Producer()
	ok(t, err)
	other, err := ringbuf.OpenSPSC(mem, all.one(2))
	ok(t, err)
	c, err := other.Consumer()
	ok(t, err)
	pass := func(p *ringbuf.Producer, n int) {
		t.Helper()
		ok(t, p.TryPut(content(1, n)))
		if got, err := c.TryGet(nil); err != nil || !bytes.Equal(got, content(1, n)) {
			t.Fatalf("got %x, %v", got, err)
		}
	}
	pass(p, 92)
	pass(p, 92) // 208 of 256
	ok(t, p.TryPut(content(2, 64)))
	ringbuf.SetIndices(r, 208, 208) // the store that the producer did not come to
	all.kill(1)
	heir, err := ringbuf.OpenSPSC(mem, all.one(3))
	ok(t, err)
	p, err = heir.Producer()
	ok(t, err)
	pass(p, 40) // to the end
	_, err = c.TryGet(nil)
	wantErr(t, err, ringbuf.ErrEmpty)
	if got := r.Len(); got != 0 {
		t.Errorf("Len is %d", got)
	}
	pass(p, 64)
}

// TestDamagedExpress writes words that cannot be: none of them leads out of the memory or makes a message of what is none.
func TestDamagedExpress(t *testing.T) {
	const capacity = 128
	for _, index := range []uint64{0, 64, 120} {
		for _, word := range []uint64{
			expressWord(index, 121), expressWord(index, 127), expressWord(index, capacity-index%capacity), expressWord(index+8, 8), expressWord(index-8, 8),
			expressWord(index, 8) &^ 1, ^uint64(0), 0, 1 << 63,
		} {
			for i := range 2 {
				f := newFence(ringbuf.SPSCSize(capacity))
				r, p, c := sides(t, f.mem, nil, index)
				setExpress(f.mem, i, word)
				_, err := c.TryGet(nil)
				wantErr(t, err, ringbuf.ErrEmpty)
				_, err = c.TryPeek()
				wantErr(t, err, ringbuf.ErrEmpty)
				if got := r.Len(); got != 0 {
					t.Errorf("Len is %d", got)
				}
				for id := range uint64(9) {
					ok(t, p.TryPut(content(id, 20)))
					got, err := c.TryGet(nil)
					ok(t, err)
					if !bytes.Equal(got, content(id, 20)) {
						t.Fatalf("got %x", got)
					}
				}
			}
		}
	}
}

// TestExpressAndRing mixes messages that go both ways with those that go by the ring alone.
func TestExpressAndRing(t *testing.T) {
	mem := make([]byte, ringbuf.SPSCSize(4096))
	_, p, c := sides(t, mem, nil, 0)
	var sent, seen uint64
	put := func(k uint64) {
		for range k {
			sent++
			n := int(sent*37) % 200
			if sent%5 == 0 {
				buf, err := p.TryReserve(n)
				ok(t, err)
				copy(buf, content(sent, n))
				ok(t, p.Commit(n))
			} else {
				ok(t, p.TryPut(content(sent, n)))
			}
		}
	}
	get := func(k uint64) {
		t.Helper()
		for range k {
			seen++
			want := content(seen, int(seen*37)%200)
			var got []byte
			var err error
			if seen%7 == 0 {
				got, err = c.TryPeek()
				got = bytes.Clone(got)
				ok(t, c.Release())
			} else {
				got, err = c.TryGet(nil)
			}
			if err != nil || !bytes.Equal(got, want) {
				t.Fatalf("message %d: got %x, %v, want %x", seen, got, err, want)
			}
		}
	}
	for round := range uint64(2000) {
		k := 1 + round*round%7
		put(k)
		get(k)
	}
}
