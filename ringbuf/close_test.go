package ringbuf_test

import (
	"context"
	"errors"
	"runtime"
	"testing"

	"github.com/fb2d3dbd/multiproc/internal/proctest"
	"github.com/fb2d3dbd/multiproc/ringbuf"
)

// TestProducerClose ends the stream: the consumer takes what is there, in every way to take it, and then hears of the end.
func TestProducerClose(t *testing.T) {
	ctx := context.Background()
	_, p, c := newRing(t, 256, 200)
	for id := uint64(1); id <= 6; id++ {
		ok(t, p.TryPut(content(id, 20)))
	}
	ok(t, p.Close())
	ok(t, p.Close())

	wantErr(t, p.TryPut(nil), ringbuf.ErrClosed)
	wantErr(t, p.Put(ctx, nil), ringbuf.ErrClosed)
	_, err := p.TryReserve(1)
	wantErr(t, err, ringbuf.ErrClosed)
	_, err = p.Reserve(ctx, 1)
	wantErr(t, err, ringbuf.ErrClosed)
	_, err = p.PutBatch(ctx, [][]byte{nil})
	wantErr(t, err, ringbuf.ErrClosed)

	msg, err := c.TryGet(nil)
	ok(t, err)
	wantContent(t, msg, 1, 20)
	msg, err = c.Peek(ctx)
	ok(t, err)
	wantContent(t, msg, 2, 20)
	ok(t, c.Release())
	id := uint64(2)
	n, err := c.GetBatch(ctx, 2, func(msg []byte) error { id++; wantContent(t, msg, id, 20); return nil })
	ok(t, err)
	if n != 2 {
		t.Fatalf("got %d", n)
	}
	for msg, err := range c.All(ctx) {
		ok(t, err)
		id++
		wantContent(t, msg, id, 20)
	}
	if id != 6 {
		t.Fatalf("got %d of 6 messages", id)
	}
	for range 2 {
		_, err = c.TryGet(nil)
		wantErr(t, err, ringbuf.ErrClosed)
		_, err = c.Get(ctx, nil)
		wantErr(t, err, ringbuf.ErrClosed)
		_, err = c.Peek(ctx)
		wantErr(t, err, ringbuf.ErrClosed)
		_, err = c.GetBatch(ctx, 1, nil)
		wantErr(t, err, ringbuf.ErrClosed)
	}
	ok(t, c.Close())
}

// TestCloseBehindSkip closes a ring whose last record is a skip.
func TestCloseBehindSkip(t *testing.T) {
	_, p, c := newRing(t, 64, 0)
	ok(t, p.TryPut(content(1, 16)))
	wantErr(t, p.TryPut(make([]byte, 56)), ringbuf.ErrFull)
	ok(t, p.Close())
	msg, err := c.TryGet(nil)
	ok(t, err)
	wantContent(t, msg, 1, 16)
	_, err = c.TryGet(nil)
	wantErr(t, err, ringbuf.ErrClosed)
}

// TestConsumerClose ends every call of the producer, and those of the consumer itself.
func TestConsumerClose(t *testing.T) {
	ctx := context.Background()
	for warm := range 3 {
		_, p, c := newRing(t, 256, 0)
		for id := range uint64(warm) {
			ok(t, p.TryPut(content(id, 8)))
		}
		_, err := p.TryReserve(8)
		ok(t, err)
		if warm == 2 {
			_, err = c.TryPeek()
			ok(t, err)
		}
		ok(t, c.Close())
		ok(t, c.Close())
		wantErr(t, p.TryPut(nil), ringbuf.ErrClosed)
		wantErr(t, p.Put(ctx, nil), ringbuf.ErrClosed)
		_, err = p.TryReserve(1)
		wantErr(t, err, ringbuf.ErrClosed)
		_, err = p.Reserve(ctx, 1)
		wantErr(t, err, ringbuf.ErrClosed)
		_, err = p.PutBatch(ctx, [][]byte{nil})
		wantErr(t, err, ringbuf.ErrClosed)
		// The messages that are left are nobody's: what a Put of the producer said must stay true.
		_, err = c.TryGet(nil)
		wantErr(t, err, ringbuf.ErrClosed)
		_, err = c.Get(ctx, nil)
		wantErr(t, err, ringbuf.ErrClosed)
		_, err = c.TryPeek()
		wantErr(t, err, ringbuf.ErrClosed)
		_, err = c.Peek(ctx)
		wantErr(t, err, ringbuf.ErrClosed)
		wantErr(t, c.Release(), ringbuf.ErrClosed)
		_, err = c.GetBatch(ctx, 1, nil)
		wantErr(t, err, ringbuf.ErrClosed)
		for range c.All(ctx) {
			t.Fatal("All after Close ran its body")
		}
		ok(t, p.Close())
	}
}

// TestNothingLostAtClose has the producer put and close while the consumer looks: the consumer never hears of the end
// before it has the message.
//
// Red when the consumer reads the producer's state after the tail.
func TestNothingLostAtClose(t *testing.T) {
	mem := make([]byte, ringbuf.SPSCSize(64))
	begin, closed := make(chan *ringbuf.Producer), make(chan error)
	go func() {
		for p := range begin {
			err := p.TryPut([]byte("last"))
			closed <- errors.Join(err, p.Close())
		}
	}()
	defer close(begin)
	for range 4000 {
		_, p, c := sides(t, mem, nil, 0)
		begin <- p
		for {
			msg, err := c.TryGet(nil)
			if err == ringbuf.ErrEmpty {
				continue
			}
			if err != nil {
				t.Fatalf("the last message is lost: %v", err)
			}
			if string(msg) != "last" {
				t.Fatalf("got %q", msg)
			}
			break
		}
		ok(t, <-closed)
		_, err := c.TryGet(nil)
		wantErr(t, err, ringbuf.ErrClosed)
	}
}

// TestCloseWakes closes a ring on which the other side sleeps.
func TestCloseWakes(t *testing.T) {
	ctx := proctest.Context(t)
	t.Run("consumer", func(t *testing.T) {
		r, p, c := newRing(t, 64, 0)
		done := make(chan error, 1)
		go func() { _, err := c.Get(ctx, nil); done <- err }()
		asleep(t, ringbuf.DataWord(r))
		ok(t, p.Close())
		wantErr(t, <-done, ringbuf.ErrClosed)
	})
	t.Run("producer", func(t *testing.T) {
		r, p, c := newRing(t, 64, 0)
		ok(t, p.TryPut(make([]byte, 56)))
		done := make(chan error, 1)
		go func() { done <- p.Put(ctx, nil) }()
		asleep(t, ringbuf.RoomWord(r))
		ok(t, c.Close())
		wantErr(t, <-done, ringbuf.ErrClosed)
	})
}

// TestRoles gives each role to one at a time, until it is dead.
func TestRoles(t *testing.T) {
	mem := make([]byte, ringbuf.SPSCSize(64))
	var all crowd
	r1, err := ringbuf.CreateSPSC(mem, all.one(1))
	ok(t, err)
	r2, err := ringbuf.OpenSPSC(mem, all.one(2))
	ok(t, err)
	p1, err := r1.Producer()
	ok(t, err)
	for _, r := range []*ringbuf.SPSC{r1, r2} {
		_, err = r.Producer()
		wantErr(t, err, ringbuf.ErrRoleTaken)
	}
	c2, err := r2.Consumer()
	ok(t, err)
	for _, r := range []*ringbuf.SPSC{r1, r2} {
		_, err = r.Consumer()
		wantErr(t, err, ringbuf.ErrRoleTaken)
	}
	ok(t, p1.TryPut(content(1, 8)))
	ok(t, p1.TryPut(content(2, 8)))
	_, err = p1.TryReserve(8) // dies with its holder
	ok(t, err)
	all.kill(1)
	p2, err := r2.Producer() // both roles in one process are fine
	ok(t, err)
	ok(t, p2.TryPut(content(3, 8)))
	msg, err := c2.TryGet(nil)
	ok(t, err)
	wantContent(t, msg, 1, 8)
	msg, err = c2.TryPeek() // looked at, not taken
	ok(t, err)
	wantContent(t, msg, 2, 8)

	r3, err := ringbuf.OpenSPSC(mem, all.one(3))
	ok(t, err)
	_, err = r3.Consumer()
	wantErr(t, err, ringbuf.ErrRoleTaken)
	all.kill(2)
	c3, err := r3.Consumer()
	ok(t, err)
	for id := uint64(2); id <= 3; id++ {
		msg, err := c3.TryGet(nil)
		ok(t, err)
		wantContent(t, msg, id, 8)
	}
	_, err = c3.TryGet(nil)
	wantErr(t, err, ringbuf.ErrEmpty)
}

// TestRolesAfterClose offers the roles of a closed ring: what was closed stays closed, also after a death.
func TestRolesAfterClose(t *testing.T) {
	mem := make([]byte, ringbuf.SPSCSize(64))
	var all crowd
	r1, p1, c1 := sides(t, mem, all.one(1), 0)
	ok(t, p1.TryPut(content(1, 8)))
	ok(t, p1.Close())
	_, err := r1.Producer()
	wantErr(t, err, ringbuf.ErrRoleTaken)
	all.kill(1)
	r2, err := ringbuf.OpenSPSC(mem, all.one(2))
	ok(t, err)
	_, err = r2.Producer()
	wantErr(t, err, ringbuf.ErrClosed)
	c2, err := r2.Consumer() // the consumer's role is free, and the message still there
	ok(t, err)
	msg, err := c2.TryGet(nil)
	ok(t, err)
	wantContent(t, msg, 1, 8)
	_, err = c2.TryGet(nil)
	wantErr(t, err, ringbuf.ErrClosed)
	ok(t, c2.Close())
	all.kill(2)
	r3, err := ringbuf.OpenSPSC(mem, all.one(3))
	ok(t, err)
	_, err = r3.Consumer()
	wantErr(t, err, ringbuf.ErrClosed)
	runtime.KeepAlive(c1)
}

// TestRoleRace has many goroutines of as many participants ask for a role that is free, and for one whose holder is dead:
// one gets it.
func TestRoleRace(t *testing.T) {
	for round := range 50 {
		mem := make([]byte, ringbuf.SPSCSize(64))
		var all crowd
		first, err := ringbuf.CreateSPSC(mem, all.one(1))
		ok(t, err)
		if round%2 == 1 {
			_, err = first.Producer()
			ok(t, err)
			all.kill(1)
		}
		const n = 8
		errs := make(chan error, n)
		for i := range n {
			go func() {
				r, err := ringbuf.OpenSPSC(mem, all.one(uint32(i+2)))
				if err == nil {
					_, err = r.Producer()
				}
				errs <- err
			}()
		}
		won := 0
		for range n {
			if err := <-errs; err == nil {
				won++
			} else {
				wantErr(t, err, ringbuf.ErrRoleTaken)
			}
		}
		if won != 1 {
			t.Fatalf("%d participants have the producer's role", won)
		}
	}
}
