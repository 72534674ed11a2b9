package ringbuf_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/fb2d3dbd/multiproc/ringbuf"
)

// TestSizes says how much memory a capacity takes, and what capacity memory gives.
func TestSizes(t *testing.T) {
	empty := ringbuf.SPSCSize(64) - 64
	for capacity, want := range map[int]int{
		-1: 0, 0: 0, 1: 64, 63: 64, 64: 64, 65: 128, 1000: 1024, 1 << 20: 1 << 20, 1<<20 + 1: 1 << 21,
		1 << 62: 0,
	} {
		if want != 0 {
			want += empty
		}
		if got := ringbuf.SPSCSize(capacity); got != want {
			t.Errorf("SPSCSize(%d) = %d, want %d", capacity, got, want)
		}
	}
	for n, want := range map[int]int{0: 8, 1: 16, 7: 16, 8: 16, 9: 24, 56: 64, 64: 72} {
		if got := ringbuf.MessageSize(n); got != want {
			t.Errorf("MessageSize(%d) = %d, want %d", n, got, want)
		}
	}
	for extra, want := range map[int]int{0: 64, 1: 64, 63: 64, 64: 128, 191: 128, 192: 256} {
		r, err := ringbuf.CreateSPSC(make([]byte, empty+64+extra), nil)
		ok(t, err)
		if r.Cap() != want || r.MaxMessage() != want-8 {
			t.Errorf("%d bytes beyond the smallest ring give a capacity of %d, messages of %d; want %d", extra, r.Cap(), r.MaxMessage(), want)
		}
	}
}

// A kind makes and opens rings of one kind, for tests of what they have in common.
type kind struct {
	name         string
	size         func(capacity int) int
	create, open func(mem []byte) error
}

// smallQueue is a queue that takes little memory and has all parts.
var smallQueue = ringbuf.MPMCOptions{Capacity: 3, Spares: 2, Members: 3, Bytes: 1024}

var kinds = []kind{
	{
		"SPSC", ringbuf.SPSCSize,
		func(mem []byte) error { _, err := ringbuf.CreateSPSC(mem, nil); return err },
		func(mem []byte) error { _, err := ringbuf.OpenSPSC(mem, nil); return err },
	},
	{
		"MPMC", func(int) int { n, _ := ringbuf.MPMCSize(&smallQueue); return n },
		func(mem []byte) error { _, err := ringbuf.CreateMPMC(mem, &smallQueue); return err },
		func(mem []byte) error { _, err := ringbuf.OpenMPMC(mem, nil); return err },
	},
}

// TestBadMemory offers memory that is too small or begins in the wrong place.
func TestBadMemory(t *testing.T) {
	for _, k := range kinds {
		whole := make([]byte, k.size(64)+8)
		for n := range k.size(64) {
			f := newFence(n)
			if k.create(f.mem) == nil {
				t.Fatalf("%s: %d bytes are enough, and %d are said to be needed", k.name, n, k.size(64))
			}
			if k.open(f.mem) == nil {
				t.Fatalf("%s: a ring was opened in %d bytes", k.name, n)
			}
			f.check(t)
		}
		for i := 1; i < 8; i++ {
			if k.create(whole[i:]) == nil || k.open(whole[i:]) == nil {
				t.Fatalf("%s: memory that begins at %d modulo 8 is taken", k.name, i)
			}
		}
		ok(t, k.create(whole))
		if k.create(nil) == nil || k.open(nil) == nil {
			t.Fatalf("%s: no memory is taken", k.name)
		}
	}
}

// TestForeignMemory opens what is no ring, or another's.
func TestForeignMemory(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 1))
	for i, k := range kinds {
		mem := make([]byte, k.size(4096))
		wantErr(t, k.open(mem), ringbuf.ErrForeign)
		for range 100 {
			for i := range mem {
				mem[i] = byte(rnd.Uint32())
			}
			wantErr(t, k.open(mem), ringbuf.ErrForeign)
		}
		other := kinds[1-i]
		mem = make([]byte, other.size(8192))
		ok(t, other.create(mem))
		wantErr(t, k.open(mem), ringbuf.ErrForeign)
	}
}

// TestDamagedHead flips every bit of the head, sets the size and the capacity to all kinds of values, and opens a ring in
// less memory than it was made in.
func TestDamagedHead(t *testing.T) {
	for _, k := range kinds {
		mem := make([]byte, k.size(256))
		ok(t, k.create(mem))
		good := bytes.Clone(mem)
		refused := func(what string, mem []byte) {
			t.Helper()
			if err := k.open(mem); !errors.Is(err, ringbuf.ErrForeign) && !errors.Is(err, ringbuf.ErrCorrupt) {
				t.Fatalf("%s: opened with %s: %v", k.name, what, err)
			}
		}
		for bit := range 32 * 8 {
			mem[bit/8] ^= 1 << (bit % 8)
			refused("a flipped bit", mem)
			mem[bit/8] ^= 1 << (bit % 8)
		}
		refused("8 bytes less", mem[:len(mem)-8])
		refused("an eighth less", mem[:len(mem)/8*7])
		ok(t, k.open(append(bytes.Clone(mem), 1, 2, 3)))
		ok(t, k.open(mem))
		if !bytes.Equal(mem, good) {
			t.Fatalf("%s: opening a ring changed it", k.name)
		}
	}
	mem := make([]byte, ringbuf.SPSCSize(256))
	for _, capacity := range []uint64{0, 1, 32, 64, 128, 255, 257, 512, 1 << 40, 1 << 63, ^uint64(0)} {
		ok(t, kinds[0].create(mem))
		binary.NativeEndian.PutUint64(mem[ringbuf.OffCapacity:], capacity)
		wantErr(t, kinds[0].open(mem), ringbuf.ErrCorrupt)
	}
}

// TestDamagedIndices offers indices that cannot be to whoever takes a role: it is refused as corrupt, as often as it is asked.
func TestDamagedIndices(t *testing.T) {
	for _, bad := range [][2]uint64{{0, 1}, {4, 4}, {0, 72}, {136, 0}, {1 << 63, 0}, {0, ^uint64(0)}, {7, 15}} {
		for range 2 {
			r, err := ringbuf.CreateSPSC(make([]byte, ringbuf.SPSCSize(64)), nil)
			ok(t, err)
			ringbuf.SetIndices(r, bad[0], bad[1])
			for range 2 {
				_, err = r.Producer()
				wantErr(t, err, ringbuf.ErrCorrupt)
			}
			for range 2 {
				if c, err := r.Consumer(); err == nil {
					_, err = c.TryGet(nil)
					wantErr(t, err, ringbuf.ErrCorrupt)
					break
				} else {
					wantErr(t, err, ringbuf.ErrCorrupt)
				}
			}
		}
	}
}

// TestDamagedLength puts every kind of wrong length in front of a message.
//
// Red when the length is not checked against what is there: bytes outside the ring would be handed out.
func TestDamagedLength(t *testing.T) {
	const capacity = 64
	for _, index := range []uint64{0, 40, ^uint64(0) - 23} {
		rest := capacity - index%capacity
		for _, v := range []uint64{
			9, 16, 17, rest - 7, rest, rest + 1, capacity - 8, capacity - 7, capacity - 1, capacity, capacity + 1, 1 << 31, 1<<32 + 8, 1 << 62, 1 << 63,
			1<<63 - 1, ^uint64(0) - 1, ^uint64(0) - 7, ^uint64(0) - 8, ^uint64(0) - 15, ringbuf.SkipMark,
		} {
			for _, warm := range []bool{false, true} {
				f := newFence(ringbuf.SPSCSize(capacity))
				at := index
				if warm {
					at -= 16 // one message before, by which the consumer knows of the next
				}
				r, p, c := sides(t, f.mem, nil, at)
				if warm {
					ok(t, p.TryPut(content(0, 8)))
				}
				ok(t, p.TryPut(content(1, 8)))
				if warm {
					_, err := c.TryGet(nil)
					ok(t, err)
				}
				ringbuf.SetLength(r, index, v)
				ringbuf.DropExpress(r)
				for range 2 {
					msg, err := c.TryGet(nil)
					if err == nil {
						t.Fatalf("a message of 8 bytes at %#x with the length %#x was taken as %d bytes", index, v, len(msg))
					}
					wantErr(t, err, ringbuf.ErrCorrupt)
					_, err = c.TryPeek()
					wantErr(t, err, ringbuf.ErrCorrupt)
					_, err = c.GetBatch(ended(), 2, nil)
					wantErr(t, err, ringbuf.ErrCorrupt)
				}
			}
		}
	}
}
