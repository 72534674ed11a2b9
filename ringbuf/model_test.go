package ringbuf_test

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"pgregory.net/rapid"

	"github.com/fb2d3dbd/multiproc/ringbuf"
)

// spscModel is a ring, and beside it what it should hold.
type spscModel struct {
	mem      []byte
	all      *crowd
	token    uint32 // of the last participant
	pt, ct   uint32 // those of the producer and the consumer
	r        *ringbuf.SPSC
	p        *ringbuf.Producer
	c        *ringbuf.Consumer
	queue    [][]byte
	next     uint64 // id of the next message
	reserved []byte // what Reserve returned, or nil
	peeked   bool
	closed   bool // by the producer
}

func newSPSCModel(t *rapid.T) *spscModel {
	capacity := 64 << rapid.IntRange(0, 3).Draw(t, "capacity")
	index := rapid.OneOf(rapid.Uint64(), rapid.Uint64Range(0, 600), rapid.Uint64Range(^uint64(0)-600, ^uint64(0))).Draw(t, "index") &^ 7
	m := &spscModel{mem: make([]byte, ringbuf.SPSCSize(capacity)), all: &crowd{}, token: 2, pt: 1, ct: 2}
	var err error
	m.r, err = ringbuf.CreateSPSC(m.mem, m.all.one(1))
	wants(t, "CreateSPSC", err, nil)
	ringbuf.SetIndices(m.r, index, index)
	m.p, err = m.r.Producer()
	wants(t, "Producer", err, nil)
	r, err := ringbuf.OpenSPSC(m.mem, m.all.one(2))
	wants(t, "OpenSPSC", err, nil)
	m.c, err = r.Consumer()
	wants(t, "Consumer", err, nil)
	return m
}

// fits says what a put of n bytes must answer, from the indices alone.
func (m *spscModel) fits(n int) error {
	capacity := m.r.Cap()
	switch {
	case n > m.r.MaxMessage():
		return ringbuf.ErrTooLarge
	case m.closed:
		return ringbuf.ErrClosed
	}
	_, tail := ringbuf.Indices(m.r)
	need := ringbuf.MessageSize(n)
	if rest := capacity - int(tail%uint64(capacity)); rest < need {
		need += rest
	}
	if capacity-m.r.Len() < need {
		return ringbuf.ErrFull
	}
	return nil
}

func (m *spscModel) message(t *rapid.T) []byte {
	n := rapid.OneOf(rapid.IntRange(0, 24), rapid.IntRange(0, m.r.MaxMessage()+2)).Draw(t, "size")
	m.next++
	return content(m.next, n)
}

func wants(t *rapid.T, what string, err, want error) {
	t.Helper()
	if want == nil && err != nil || want != nil && !errors.Is(err, want) {
		t.Fatalf("%s: got %v, want %v", what, err, want)
	}
}

func (m *spscModel) put(t *rapid.T, wait bool) {
	msg := m.message(t)
	want := m.fits(len(msg))
	err := error(nil)
	if wait {
		if err = m.p.Put(ended(), msg); want == ringbuf.ErrFull {
			want = context.Canceled
		}
	} else {
		err = m.p.TryPut(msg)
	}
	m.reserved = nil
	wants(t, "put", err, want)
	if err == nil {
		m.queue = append(m.queue, msg)
	}
}

func (m *spscModel) putBatch(t *rapid.T) {
	var batch [][]byte
	for range rapid.IntRange(0, 6).Draw(t, "batch") {
		batch = append(batch, m.message(t))
	}
	n, err := m.p.PutBatch(ended(), batch)
	if len(batch) > 0 {
		m.reserved = nil
	}
	m.queue = append(m.queue, batch[:n]...)
	switch {
	case n == len(batch):
		wants(t, "PutBatch", err, nil)
	default:
		want := m.fits(len(batch[n]))
		if want == ringbuf.ErrFull {
			want = context.Canceled
		}
		if want == nil {
			t.Fatalf("PutBatch stopped at a message that fits: %v", err)
		}
		wants(t, "PutBatch", err, want)
	}
}

// reserve keeps the content to be written at Commit, so that what stands in the ring before does not matter.
func (m *spscModel) reserve(t *rapid.T) {
	msg := m.message(t)
	want := m.fits(len(msg))
	buf, err := m.p.TryReserve(len(msg))
	wants(t, "TryReserve", err, want)
	m.reserved = nil
	if err == nil {
		if len(buf) != len(msg) {
			t.Fatalf("TryReserve(%d) returned %d bytes", len(msg), len(buf))
		}
		copy(buf, msg)
		m.reserved = msg[:len(msg):len(msg)]
		if m.reserved == nil {
			m.reserved = []byte{}
		}
	}
}

func (m *spscModel) commit(t *rapid.T) {
	if m.reserved == nil {
		if m.p.Commit(0) == nil {
			t.Fatal("Commit without a reservation went well")
		}
		return
	}
	n := rapid.IntRange(0, len(m.reserved)).Draw(t, "commit")
	wants(t, "Commit", m.p.Commit(n), nil)
	m.queue = append(m.queue, m.reserved[:n])
	m.reserved = nil
}

// noMessage is what a try says when nothing is there.
func (m *spscModel) noMessage() error {
	if m.closed {
		return ringbuf.ErrClosed
	}
	return ringbuf.ErrEmpty
}

func (m *spscModel) first(t *rapid.T, what string, msg []byte, err error, none error) bool {
	if len(m.queue) == 0 {
		wants(t, what, err, none)
		return false
	}
	wants(t, what, err, nil)
	if !bytes.Equal(msg, m.queue[0]) {
		t.Fatalf("%s: got %d bytes %x, want %d bytes %x", what, len(msg), msg, len(m.queue[0]), m.queue[0])
	}
	return true
}

func (m *spscModel) get(t *rapid.T, wait bool) {
	var msg []byte
	var err error
	none := m.noMessage()
	if wait {
		msg, err = m.c.Get(ended(), nil)
		if none == ringbuf.ErrEmpty {
			none = context.Canceled
		}
	} else {
		msg, err = m.c.TryGet(nil)
	}
	if m.first(t, "get", msg, err, none) {
		m.queue = m.queue[1:]
	}
	m.peeked = false
}

func (m *spscModel) peek(t *rapid.T) {
	msg, err := m.c.TryPeek()
	m.peeked = m.first(t, "TryPeek", msg, err, m.noMessage())
}

func (m *spscModel) release(t *rapid.T) {
	wants(t, "Release", m.c.Release(), nil)
	if m.peeked {
		m.queue, m.peeked = m.queue[1:], false
	}
}

func (m *spscModel) getBatch(t *rapid.T) {
	limit := rapid.IntRange(1, 6).Draw(t, "limit")
	stop := rapid.IntRange(1, 8).Draw(t, "stop")
	mine := errors.New("mine")
	calls := 0
	n, err := m.c.GetBatch(ended(), limit, func(msg []byte) error {
		if calls >= len(m.queue) || !bytes.Equal(msg, m.queue[calls]) {
			t.Fatalf("GetBatch: message %d differs", calls)
		}
		if calls++; calls == stop {
			return mine
		}
		return nil
	})
	m.peeked = false
	if n != calls || n > limit {
		t.Fatalf("GetBatch returned %d after %d calls, limit %d", n, calls, limit)
	}
	m.queue = m.queue[n:]
	switch {
	case calls == stop:
		wants(t, "GetBatch", err, mine)
	case n == 0 && m.closed:
		wants(t, "GetBatch", err, ringbuf.ErrClosed)
	case n == 0:
		wants(t, "GetBatch", err, context.Canceled)
		if len(m.queue) != 0 {
			t.Fatal("GetBatch found nothing where something is")
		}
	case m.closed && len(m.queue) == 0 && err != nil: // it met the end behind a skip
		wants(t, "GetBatch", err, ringbuf.ErrClosed)
	default:
		wants(t, "GetBatch", err, nil)
	}
}

// replace kills one of the sides, and a successor takes its role: what was reserved is dropped, what was looked at comes
// again.
func (m *spscModel) replace(t *rapid.T, producer bool) {
	m.token++
	r, err := ringbuf.OpenSPSC(m.mem, m.all.one(m.token))
	wants(t, "OpenSPSC", err, nil)
	if producer {
		_, err = r.Producer()
		wants(t, "Producer beside a living one", err, ringbuf.ErrRoleTaken)
		m.all.kill(m.pt)
		p, err := r.Producer()
		if m.pt = m.token; m.closed {
			wants(t, "Producer of a closed ring", err, ringbuf.ErrClosed)
			return
		}
		wants(t, "Producer after a death", err, nil)
		m.p, m.reserved = p, nil
	} else {
		_, err = r.Consumer()
		wants(t, "Consumer beside a living one", err, ringbuf.ErrRoleTaken)
		m.all.kill(m.ct)
		m.c, err = r.Consumer()
		wants(t, "Consumer after a death", err, nil)
		m.ct, m.peeked = m.token, false
	}
}

// TestModelSPSC compares a ring with a slice of messages, over random calls of both sides, deaths and successors, on rings of
// 64 to 512 bytes, from random places, the last before 2^64 among them.
func TestModelSPSC(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newSPSCModel(t)
		t.Repeat(map[string]func(*rapid.T){
			"TryPut":   func(t *rapid.T) { m.put(t, false) },
			"Put":      func(t *rapid.T) { m.put(t, true) },
			"PutBatch": m.putBatch,
			"Reserve":  m.reserve,
			"Commit":   m.commit,
			"TryGet":   func(t *rapid.T) { m.get(t, false) },
			"Get":      func(t *rapid.T) { m.get(t, true) },
			"TryPeek":  m.peek,
			"Release":  m.release,
			"GetBatch": m.getBatch,
			"producer dies": func(t *rapid.T) {
				m.replace(t, true)
			},
			"consumer dies": func(t *rapid.T) {
				m.replace(t, false)
			},
			"Close": func(t *rapid.T) {
				if rapid.IntRange(0, 9).Draw(t, "really") == 0 {
					wants(t, "Close", m.p.Close(), nil)
					m.closed, m.reserved = true, nil
				}
			},
			"": func(t *rapid.T) {
				used := 0
				for _, msg := range m.queue {
					used += ringbuf.MessageSize(len(msg))
				}
				if n := m.r.Len(); n < used || n > m.r.Cap() {
					t.Fatalf("Len is %d; the messages alone take %d of %d", n, used, m.r.Cap())
				}
			},
		})
		for len(m.queue) > 0 {
			m.get(t, false)
		}
		m.get(t, false)
	})
}
