package ringbuf_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/fb2d3dbd/multiproc/ringbuf"
)

// A queueMachine is what a queue should hold: what was put and not taken, in order; what is to be handed out again, in no order; what is in hand; and
// what was set aside.
type queueMachine struct {
	handles  []*ringbuf.MPMC
	limit    int // of deliveries
	spares   int
	queue    [][]byte
	orphans  []*heldMessage
	aside    []*heldMessage
	inHand   []*heldMessage
	reserved []*ringbuf.Reservation
	closed   bool
	ended    bool // somebody was told so, and that nothing is left
	next     uint64
}

type heldMessage struct {
	msg        []byte
	deliveries int
	d          *ringbuf.Delivery
}

func (m *queueMachine) handle(t *rapid.T) *ringbuf.MPMC {
	return m.handles[rapid.IntRange(0, len(m.handles)-1).Draw(t, "handle")]
}

func (m *queueMachine) message(t *rapid.T) []byte {
	m.next++
	largest := m.handles[0].MaxMessage()
	n := rapid.OneOf(rapid.IntRange(0, 40), rapid.IntRange(0, largest+1)).Draw(t, "size")
	return content(m.next, n)
}

// put checks what a put of msg, which reserves first or not, said.
func (m *queueMachine) put(t *rapid.T, msg []byte, err, full error) {
	room := len(m.queue) < m.handles[0].Cap()
	switch {
	case err == nil && (m.closed || !room || len(msg) > m.handles[0].MaxMessage()):
		t.Fatalf("a put of %d bytes went well with %d messages in the queue, closed %v", len(msg), len(m.queue), m.closed)
	case err == nil:
		m.queue = append(m.queue, msg)
	case m.closed && (room || !errors.Is(err, ringbuf.ErrFull)):
		wants(t, "put after Close", err, ringbuf.ErrClosed)
	case len(msg) > m.handles[0].MaxMessage():
		wants(t, "put of too much", err, ringbuf.ErrTooLarge)
	case room && len(msg) <= 32 && m.slotsUsed() < m.handles[0].Cap()+m.spares:
		t.Fatalf("a put of %d bytes with %d messages and %d slots in use: %v", len(msg), len(m.queue), m.slotsUsed(), err)
	default:
		wants(t, "put", err, full)
	}
}

func (m *queueMachine) slotsUsed() int {
	return len(m.queue) + len(m.orphans) + len(m.aside) + len(m.inHand) + len(m.reserved)
}

// exhausted moves what may not be handed out any more aside.
func (m *queueMachine) exhausted() {
	m.orphans = slices.DeleteFunc(m.orphans, func(h *heldMessage) bool {
		if m.limit > 0 && h.deliveries >= m.limit {
			m.aside = append(m.aside, h)
			return true
		}
		return false
	})
}

// taken checks what a get said, and returns what was taken.
func (m *queueMachine) taken(t *rapid.T, msg []byte, err, empty error) *heldMessage {
	if err != nil {
		if len(m.orphans)+len(m.queue) > 0 {
			t.Fatalf("a get with %d messages in the queue and %d to be handed out again: %v", len(m.queue), len(m.orphans), err)
		}
		if m.closed {
			empty, m.ended = ringbuf.ErrClosed, true
		}
		wants(t, "get", err, empty)
		return nil
	}
	if len(m.orphans) > 0 {
		i := slices.IndexFunc(m.orphans, func(h *heldMessage) bool { return bytes.Equal(h.msg, msg) })
		if i < 0 {
			t.Fatalf("got %d bytes while %d messages were to be handed out again", len(msg), len(m.orphans))
		}
		h := m.orphans[i]
		m.orphans = slices.Delete(m.orphans, i, i+1)
		h.deliveries++
		return h
	}
	if len(m.queue) == 0 || !bytes.Equal(msg, m.queue[0]) {
		t.Fatalf("got a message of %d bytes that is not the first of %d", len(msg), len(m.queue))
	}
	m.queue = m.queue[1:]
	return &heldMessage{msg: msg, deliveries: 1}
}

// hold takes a delivery into the model's hands.
func (m *queueMachine) hold(t *rapid.T, h *heldMessage, d *ringbuf.Delivery) {
	h.msg, h.d = bytes.Clone(d.Bytes()), d
	if d.Deliveries() != h.deliveries {
		t.Fatalf("delivery %d of a message says that it is number %d", h.deliveries, d.Deliveries())
	}
	m.inHand = append(m.inHand, h)
}

func (m *queueMachine) drop(t *rapid.T) *heldMessage {
	if len(m.inHand) == 0 {
		t.Skip("nothing is in hand")
	}
	i := rapid.IntRange(0, len(m.inHand)-1).Draw(t, "which")
	h := m.inHand[i]
	m.inHand = slices.Delete(m.inHand, i, i+1)
	return h
}

func (m *queueMachine) actions() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"TryPut": func(t *rapid.T) { msg := m.message(t); m.put(t, msg, m.handle(t).TryPut(msg), ringbuf.ErrFull) },
		"Put": func(t *rapid.T) {
			msg := m.message(t)
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			m.put(t, msg, m.handle(t).Put(ctx, msg), context.Canceled)
		},
		"PutBatch": func(t *rapid.T) {
			batch := [][]byte{m.message(t), m.message(t), m.message(t)}
			n, err := m.handle(t).PutBatch(ended(), batch)
			for _, msg := range batch[:n] {
				m.put(t, msg, nil, nil)
			}
			if n < len(batch) {
				m.put(t, batch[n], err, context.Canceled)
			}
		},
		"TryReserve": func(t *rapid.T) {
			r, err := m.handle(t).TryReserve(rapid.IntRange(0, 600).Draw(t, "size"))
			if err == nil {
				m.reserved = append(m.reserved, r)
			} else if !errors.Is(err, ringbuf.ErrFull) && !errors.Is(err, ringbuf.ErrTooLarge) {
				wants(t, "TryReserve", err, ringbuf.ErrClosed)
			}
		},
		"TryCommit": func(t *rapid.T) {
			if len(m.reserved) == 0 {
				t.Skip("nothing is reserved")
			}
			r := m.reserved[0]
			m.next++
			msg := content(m.next, rapid.IntRange(0, len(r.Bytes())).Draw(t, "size"))
			err := r.TryCommit(copy(r.Bytes(), msg))
			if err == nil || !errors.Is(err, ringbuf.ErrFull) {
				m.reserved = m.reserved[1:]
				wants(t, "a second TryCommit", r.TryCommit(0), ringbuf.ErrNotHeld)
			}
			if err == nil && m.closed && !m.ended { // a reservation is a put under way
				m.queue = append(m.queue, msg)
				return
			}
			m.put(t, msg, err, ringbuf.ErrFull)
		},
		"Abort": func(t *rapid.T) {
			if len(m.reserved) > 0 {
				wants(t, "Abort", m.reserved[0].Abort(), nil)
				wants(t, "a second Abort", m.reserved[0].Abort(), nil)
				m.reserved = m.reserved[1:]
			}
		},
		"TryGet": func(t *rapid.T) {
			msg, err := m.handle(t).TryGet(nil)
			m.taken(t, msg, err, ringbuf.ErrEmpty)
		},
		"Get": func(t *rapid.T) {
			msg, err := m.handle(t).Get(ended(), nil)
			m.taken(t, msg, err, context.Canceled)
		},
		"TryGetInto": func(t *rapid.T) {
			buf := make([]byte, rapid.SampledFrom([]int{0, 10, 100, 300, 1000}).Draw(t, "room"))
			n, err := m.handle(t).TryGetInto(buf)
			if errors.Is(err, io.ErrShortBuffer) {
				stays := len(m.queue) > 0 && len(m.queue[0]) == n
				if len(m.orphans) > 0 {
					stays = slices.ContainsFunc(m.orphans, func(h *heldMessage) bool { return len(h.msg) == n })
				}
				if n <= len(buf) || !stays {
					t.Fatalf("a message of %d bytes is too long for %d, and is none that comes next", n, len(buf))
				}
				return
			}
			m.taken(t, buf[:n], err, ringbuf.ErrEmpty)
		},
		"GetBatch": func(t *rapid.T) {
			msgs, err := m.handle(t).GetBatch(ended(), 3)
			for _, msg := range msgs {
				m.taken(t, msg, nil, nil)
			}
			if len(msgs) == 0 {
				m.taken(t, nil, err, context.Canceled)
			}
		},
		"TryReceive": func(t *rapid.T) {
			d, err := m.handle(t).TryReceive()
			var msg []byte
			if err == nil {
				msg = d.Bytes()
			}
			if h := m.taken(t, msg, err, ringbuf.ErrEmpty); h != nil {
				m.hold(t, h, d)
			}
		},
		"Ack": func(t *rapid.T) {
			h := m.drop(t)
			wants(t, "Ack", h.d.Ack(), nil)
			wants(t, "a second Ack", h.d.Ack(), ringbuf.ErrNotHeld)
			wants(t, "Nack after Ack", h.d.Nack(), ringbuf.ErrNotHeld)
		},
		"Nack": func(t *rapid.T) {
			h := m.drop(t)
			wants(t, "Nack", h.d.Nack(), nil)
			m.orphans = append(m.orphans, h)
			m.exhausted()
		},
		"DeadLetter": func(t *rapid.T) {
			d, err := m.handle(t).DeadLetter()
			if len(m.aside) == 0 {
				wants(t, "DeadLetter", err, ringbuf.ErrEmpty)
				return
			}
			wants(t, "DeadLetter", err, nil)
			i := slices.IndexFunc(m.aside, func(h *heldMessage) bool { return bytes.Equal(h.msg, d.Bytes()) })
			if i < 0 {
				t.Fatal("a dead letter that was not set aside")
			}
			h := m.aside[i]
			m.aside = slices.Delete(m.aside, i, i+1)
			m.hold(t, h, d)
		},
		"Close": func(t *rapid.T) {
			if rapid.IntRange(0, 19).Draw(t, "really") == 0 {
				wants(t, "Close", m.handle(t).Close(), nil)
				m.closed = true
			}
		},
		"": m.check,
	}
}

func (m *queueMachine) check(t *rapid.T) {
	for _, q := range m.handles {
		n, err := q.Len()
		wants(t, "Len", err, nil)
		if n != len(m.queue)+len(m.orphans) {
			t.Fatalf("Len is %d, want %d and %d to be handed out again", n, len(m.queue), len(m.orphans))
		}
		if n, err = q.Unfinished(); err != nil || n != len(m.queue)+len(m.orphans)+len(m.inHand) {
			t.Fatalf("Unfinished is %d, %v, want %d, %d and %d in hand", n, err, len(m.queue), len(m.orphans), len(m.inHand))
		}
		if q.Closed() != m.closed {
			t.Fatalf("Closed is %v", q.Closed())
		}
		wants(t, "Check", q.Check(), nil)
	}
	if used := ringbuf.UsedSlots(m.handles[0]); len(used) != m.slotsUsed() {
		t.Fatalf("%d slots are in use, want %d: %x", len(used), m.slotsUsed(), used)
	}
}

// TestModelMPMC compares a queue with what it should hold, over random calls through two handles, from any place in its life.
func TestModelMPMC(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := ringbuf.MPMCOptions{
			Capacity: rapid.SampledFrom([]int{1, 2, 3, 10}).Draw(t, "capacity"), Spares: rapid.IntRange(1, 5).Draw(t, "spares"), MessageSize: 32,
			Bytes: rapid.SampledFrom([]int{0, 300, 2000}).Draw(t, "arena"), Members: 3, MaxDeliveries: rapid.IntRange(0, 2).Draw(t, "limit"),
		}
		size, err := ringbuf.MPMCSize(&o)
		wants(t, "MPMCSize", err, nil)
		mem := make([]byte, size)
		q1, err := ringbuf.CreateMPMC(mem, &o)
		wants(t, "CreateMPMC", err, nil)
		lap := rapid.SampledFrom([]uint64{0, 1, ringbuf.LastLap(q1) - 1, ringbuf.LastLap(q1), ringbuf.LastLap(q1) / 2}).Draw(t, "lap")
		ringbuf.SetPosition(q1, lap, uint64(rapid.IntRange(0, o.Capacity-1).Draw(t, "index")))
		q2, err := ringbuf.OpenMPMC(mem, nil)
		wants(t, "OpenMPMC", err, nil)
		m := &queueMachine{handles: []*ringbuf.MPMC{q1, q2}, limit: o.MaxDeliveries, spares: o.Spares}
		t.Repeat(m.actions())
	})
}
