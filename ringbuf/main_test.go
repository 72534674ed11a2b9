package ringbuf_test

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/fb2d3dbd/multiproc/internal/proctest"
	"github.com/fb2d3dbd/multiproc/ringbuf"
)

func TestMain(m *testing.M) { proctest.Main(m) }

// noise is what messages are made of: any two places in it differ.
var noise = func() []byte {
	b := make([]byte, 1<<16)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}()

// content returns the n bytes of message id, n <= 32 KiB, not to be changed.
func content(id uint64, n int) []byte {
	at := int(id * 0x9E3779B97F4A7C15 >> 49) // below 32 Ki
	return noise[at:][:n:n]
}

// wantContent fails the test if msg is not message id of n bytes.
func wantContent(t testing.TB, msg []byte, id uint64, n int) {
	if len(msg) != n {
		t.Helper()
		t.Fatalf("message %d has %d bytes, want %d", id, len(msg), n)
	}
	if !bytes.Equal(msg, content(id, n)) {
		t.Helper()
		t.Fatalf("message %d of %d bytes came with other bytes", id, n)
	}
}

func wantErr(t testing.TB, err, want error) {
	if !errors.Is(err, want) {
		t.Helper()
		t.Fatalf("got error %v, want %v", err, want)
	}
}

func ok(t testing.TB, err error) {
	if err != nil {
		t.Helper() // only now: it is slow
		t.Fatal(err)
	}
}

// ended is a context that has ended.
func ended() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// newRing makes a ring on the heap whose indices start at index, with both its sides.
func newRing(t testing.TB, capacity int, index uint64) (*ringbuf.SPSC, *ringbuf.Producer, *ringbuf.Consumer) {
	t.Helper()
	return sides(t, make([]byte, ringbuf.SPSCSize(capacity)), nil, index)
}

func sides(t testing.TB, mem []byte, o *ringbuf.SPSCOptions, index uint64) (*ringbuf.SPSC, *ringbuf.Producer, *ringbuf.Consumer) {
	t.Helper()
	r, err := ringbuf.CreateSPSC(mem, o)
	ok(t, err)
	ringbuf.SetIndices(r, index, index)
	p, err := r.Producer()
	ok(t, err)
	c, err := r.Consumer()
	ok(t, err)
	return r, p, c
}

// scale returns n, or a part of it under the race detector, which makes everything slower.
func scale(n int) int {
	if raceEnabled {
		return max(1, n/5)
	}
	return n
}

// A fence is memory with a margin on both sides that nobody may write to.
type fence struct{ all, mem []byte }

const margin = 64

func newFence(size int) *fence {
	f := &fence{all: bytes.Repeat([]byte{0xEE}, size+2*margin)}
	f.mem = f.all[margin:][:size:size]
	clear(f.mem)
	return f
}

func (f *fence) check(t testing.TB) {
	t.Helper()
	for _, m := range [][]byte{f.all[:margin], f.all[margin+len(f.mem):]} {
		for i := range m {
			if m[i] != 0xEE {
				t.Fatal("a byte beside the ring's memory was written")
			}
		}
	}
}

// crowd is a set of participants some of whom are dead.
type crowd struct {
	mu   sync.Mutex
	dead map[uint32]bool
}

func (c *crowd) kill(token uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead == nil {
		c.dead = map[uint32]bool{}
	}
	c.dead[token] = true
}

// one returns the options of the participant with this token.
func (c *crowd) one(token uint32) *ringbuf.SPSCOptions {
	return &ringbuf.SPSCOptions{Participants: member{c, token}}
}

// many is one for a queue.
func (c *crowd) many(token uint32) *ringbuf.MPMCOptions {
	return &ringbuf.MPMCOptions{Participants: member{c, token}}
}

type member struct {
	*crowd
	token uint32
}

func (m member) Self() uint32 { return m.token }

func (m member) Alive(token uint32) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return !m.dead[token]
}
