package ringbuf_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/fb2d3dbd/multiproc/internal/proctest"
	"github.com/fb2d3dbd/multiproc/ringbuf"
)

// Participants of one piece of memory, of whom the test says who is dead.

// crowdQueue makes a queue whose first member is token 1.
func crowdQueue(t *testing.T, o ringbuf.MPMCOptions) (*ringbuf.MPMC, func(token uint32) *ringbuf.MPMC, *crowd) {
	t.Helper()
	c := &crowd{}
	mem := make([]byte, queueSize(t, o))
	o.Participants = member{c, 1}
	q, err := ringbuf.CreateMPMC(mem, &o)
	ok(t, err)
	return q, func(token uint32) *ringbuf.MPMC {
		q, err := ringbuf.OpenMPMC(mem, c.many(token))
		ok(t, err)
		return q
	}, c
}

// TestQueueSettles has puts pass a consumer that has taken a message and not yet said so in its slot, and then kills it.
//
// Red when a put, in the common or the long way, fills the cell that names the consumer without settling the slot first.
func TestQueueSettles(t *testing.T) {
	for _, fast := range []bool{true, false} {
		q, open, c := crowdQueue(t, ringbuf.MPMCOptions{Capacity: 2, Spares: 4, Members: 4})
		put := func(id uint64) {
			t.Helper()
			if fast {
				ok(t, q.TryPut(content(id, 8)))
			} else {
				_, err := q.PutBatch(context.Background(), [][]byte{content(id, 8)})
				ok(t, err)
			}
		}
		r, err := q.TryReserve(8) // so that message 1 is in a slot that is not beside its cell
		ok(t, err)
		put(1)
		ok(t, r.Abort())
		_, err = open(2).TryReceive()
		ok(t, err)
		for id := uint64(2); id <= 4; id++ {
			put(id)
			msg, err := q.TryGet(nil)
			ok(t, err)
			wantContent(t, msg, id, 8)
		}
		ok(t, q.Check())
		c.kill(2)
		n, err := q.Repair()
		ok(t, err)
		if l, _ := q.Len(); n != 1 || l != 1 {
			t.Fatalf("fast %v: buried %d, and %d messages are to be handed out again", fast, n, l)
		}
		d, err := q.TryReceive()
		ok(t, err)
		wantContent(t, d.Bytes(), 1, 8)
		if d.Deliveries() != 2 {
			t.Fatalf("delivery %d", d.Deliveries())
		}
		ok(t, d.Ack())
		ok(t, q.Check())
	}
}

// TestQueuePeersGone waits for a message that only the dead could put, and for room that only the dead could make.
func TestQueuePeersGone(t *testing.T) {
	ctx := proctest.Context(t)
	q, open, c := crowdQueue(t, ringbuf.MPMCOptions{Capacity: 2, Spares: 2, Members: 8})
	_, err := q.TryGet(nil)
	wantErr(t, err, ringbuf.ErrEmpty)
	producer := open(2)
	ok(t, producer.Put(ctx, content(1, 8)))
	c.kill(2)
	msg, err := q.Get(ctx, nil)
	ok(t, err)
	wantContent(t, msg, 1, 8)
	_, err = q.Get(ctx, nil)
	wantErr(t, err, ringbuf.ErrPeerDied)
	_, err = q.Receive(ctx)
	wantErr(t, err, ringbuf.ErrPeerDied)
	ok(t, open(3).Put(ctx, content(2, 8))) // the queue is whole
	_, err = q.Get(ctx, nil)
	ok(t, err)
	p4 := open(4)
	ok(t, p4.TryPut(nil))
	ok(t, p4.TryPut(nil))
	ok(t, q.CloseRead())
	_, err = q.TryGet(nil)
	wantErr(t, err, ringbuf.ErrClosed)
	c.kill(3)
	wantErr(t, p4.Put(ctx, nil), ringbuf.ErrPeerDied)
	wantErr(t, p4.Join(ctx), ringbuf.ErrPeerDied)
	ok(t, p4.CloseWrite())
	wantErr(t, p4.TryPut(nil), ringbuf.ErrClosed)
}

// TestQueueLastWords has the last producer die between a consumer's last look and its finding that nobody is left, many times: what
// it put comes first.
func TestQueueLastWords(t *testing.T) {
	ctx := proctest.Context(t)
	q, open, c := crowdQueue(t, ringbuf.MPMCOptions{Capacity: 4, Members: 8})
	_, err := q.TryGet(nil)
	wantErr(t, err, ringbuf.ErrEmpty)
	for round := range uint32(30) {
		tok := round + 2
		p := open(tok)
		ok(t, p.TryPut(content(1, 8)))
		_, err := q.TryGet(nil)
		ok(t, err)
		done := startCalls(1, func() error { _, err := q.Get(ctx, nil); return err })
		ok(t, p.TryPut(content(2, 8)))
		c.kill(tok)
		ok(t, <-done)
		_, err = q.Get(ctx, nil)
		wantErr(t, err, ringbuf.ErrPeerDied)
	}
}

// TestQueueMembersFull fills the table of members, has one too many, and takes the numbers of the dead again.
func TestQueueMembersFull(t *testing.T) {
	const members = 1000
	c := &crowd{}
	o := ringbuf.MPMCOptions{Capacity: 10, Spares: 400, Members: members, Participants: member{c, 1}}
	mem := make([]byte, queueSize(t, o))
	q, err := ringbuf.CreateMPMC(mem, &o)
	ok(t, err)
	for tok := uint32(2); tok <= members; tok++ {
		p, err := ringbuf.OpenMPMC(mem, c.many(tok))
		ok(t, err)
		ok(t, p.TryPut(content(uint64(tok), 8)))
		if tok%3 == 0 {
			d, err := p.TryReceive()
			ok(t, err)
			wantContent(t, d.Bytes(), uint64(tok), 8)
		} else {
			_, err = p.TryGet(nil)
			ok(t, err)
		}
	}
	if _, err = ringbuf.OpenMPMC(mem, c.many(members+1)); err == nil {
		t.Fatal("one more than Members was let in")
	}
	for tok := uint32(2); tok <= members; tok += 2 {
		c.kill(tok)
	}
	for tok := uint32(members + 1); tok <= members+500; tok++ {
		_, err := ringbuf.OpenMPMC(mem, c.many(tok))
		ok(t, err)
	}
	ok(t, q.Check())
	n, err := q.Len()
	ok(t, err)
	if want := members / 6; n != want {
		t.Fatalf("%d messages of the dead are to be handed out again, want %d", n, want)
	}
}

// TestQueueFamilies lets many participants come, work and die at once, each number used by many of them in turn.
func TestQueueFamilies(t *testing.T) {
	ctx := proctest.Context(t)
	q, open, c := crowdQueue(t, ringbuf.MPMCOptions{Capacity: 1000, Members: 5})
	var wg sync.WaitGroup
	var mu sync.Mutex
	token, left := uint32(1), map[uint64]bool{}
	errs := make(chan error, 4)
	for range 4 {
		wg.Go(func() {
			for i := range scale(100) {
				mu.Lock()
				token++
				tok := token
				p := open(tok)
				left[uint64(tok)] = true
				mu.Unlock()
				err := p.Put(ctx, content(uint64(tok), 8))
				var d *ringbuf.Delivery
				if err == nil {
					d, err = p.Receive(ctx)
				}
				if err == nil && i%2 == 0 { // else it dies with it in hand
					msg := string(d.Bytes())
					mu.Lock()
					for id := range left {
						if msg == string(content(id, 8)) {
							delete(left, id)
						}
					}
					mu.Unlock()
					err = d.Ack()
				}
				if err != nil {
					errs <- fmt.Errorf("participant %d: %w", tok, err)
					return
				}
				c.kill(tok)
			}
			errs <- nil
		})
	}
	wg.Wait()
	for range 4 {
		ok(t, <-errs)
	}
	_, err := q.Repair()
	ok(t, err)
	for {
		msg, err := q.TryGet(nil)
		if errors.Is(err, ringbuf.ErrEmpty) {
			break
		}
		ok(t, err)
		for id := range left {
			if string(msg) == string(content(id, 8)) {
				delete(left, id)
			}
		}
	}
	if len(left) > 0 {
		t.Fatalf("%d messages are lost", len(left))
	}
	ok(t, q.Check())
	if used := ringbuf.UsedSlots(q); len(used) > 0 {
		t.Fatalf("slots are not free: %x", used)
	}
}
