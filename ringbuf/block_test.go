package ringbuf_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fb2d3dbd/multiproc/internal/proctest"
	"github.com/fb2d3dbd/multiproc/ringbuf"
)

// asleep returns when somebody has announced in an event count that it is going to sleep.
func asleep(t testing.TB, word *uint32) {
	t.Helper()
	proctest.Eventually(t, func() bool { return atomic.LoadUint32(word)&1 != 0 }, "somebody goes to sleep")
}

// blockingCalls are the ways to wait on either side. Each comes with a ring on which it has to wait, and how to end that.
var blockingCalls = []struct {
	name string
	room bool
	call func(ctx context.Context, p *ringbuf.Producer, c *ringbuf.Consumer) error
}{
	{"Put", true, func(ctx context.Context, p *ringbuf.Producer, _ *ringbuf.Consumer) error {
		return p.Put(ctx, []byte("x"))
	}},
	{"Reserve", true, func(ctx context.Context, p *ringbuf.Producer, _ *ringbuf.Consumer) error {
		if _, err := p.Reserve(ctx, 1); err != nil {
			return err
		}
		return p.Commit(1)
	}},
	{"PutBatch", true, func(ctx context.Context, p *ringbuf.Producer, _ *ringbuf.Consumer) error {
		_, err := p.PutBatch(ctx, [][]byte{[]byte("x")})
		return err
	}},
	{"Get", false, func(ctx context.Context, _ *ringbuf.Producer, c *ringbuf.Consumer) error {
		_, err := c.Get(ctx, nil)
		return err
	}},
	{"Peek", false, func(ctx context.Context, _ *ringbuf.Producer, c *ringbuf.Consumer) error {
		if _, err := c.Peek(ctx); err != nil {
			return err
		}
		return c.Release()
	}},
	{"GetBatch", false, func(ctx context.Context, _ *ringbuf.Producer, c *ringbuf.Consumer) error {
		_, err := c.GetBatch(ctx, 3, func([]byte) error { return nil })
		return err
	}},
	{"All", false, func(ctx context.Context, _ *ringbuf.Producer, c *ringbuf.Consumer) error {
		for _, err := range c.All(ctx) {
			return err
		}
		return nil
	}},
}

// eachBlocked runs end while each blocking call is parked, and hands its error to check.
func eachBlocked(t *testing.T, participants func() (mem []byte, o *ringbuf.SPSCOptions), run func(t *testing.T, b blocked)) {
	for _, tc := range blockingCalls {
		t.Run(tc.name, func(t *testing.T) {
			mem, o := participants()
			r, p, c := sides(t, mem, o, 0)
			word := ringbuf.DataWord(r)
			if tc.room {
				for p.TryPut(make([]byte, 24)) == nil {
				}
				word = ringbuf.RoomWord(r)
			}
			ctx, cancel := context.WithCancel(proctest.Context(t))
			defer cancel()
			done := make(chan error, 1)
			go func() { done <- tc.call(ctx, p, c) }()
			asleep(t, word)
			run(t, blocked{r, p, c, tc.room, cancel, done})
		})
	}
}

type blocked struct {
	r      *ringbuf.SPSC
	p      *ringbuf.Producer
	c      *ringbuf.Consumer
	room   bool
	cancel context.CancelFunc
	done   <-chan error
}

func onHeap() ([]byte, *ringbuf.SPSCOptions) { return make([]byte, ringbuf.SPSCSize(64)), nil }

// TestBlockedWakes parks each side and gives it what it waits for.
func TestBlockedWakes(t *testing.T) {
	eachBlocked(t, onHeap, func(t *testing.T, b blocked) {
		if b.room {
			_, err := b.c.TryGet(nil)
			ok(t, err)
		} else {
			ok(t, b.p.TryPut(nil))
		}
		ok(t, <-b.done)
	})
}

// TestBlockedCancel cancels the context of each call while it is parked. Nothing was put or taken, and the ring goes on.
func TestBlockedCancel(t *testing.T) {
	eachBlocked(t, onHeap, func(t *testing.T, b blocked) {
		b.cancel()
		wantErr(t, <-b.done, context.Canceled)
		if b.room {
			for range 2 {
				msg, err := b.c.TryGet(nil)
				ok(t, err)
				if len(msg) != 24 {
					t.Fatalf("got %d bytes", len(msg))
				}
			}
		}
		_, err := b.c.TryGet(nil)
		wantErr(t, err, ringbuf.ErrEmpty)
		ok(t, b.p.TryPut(content(1, 8)))
		msg, err := b.c.TryGet(nil)
		ok(t, err)
		wantContent(t, msg, 1, 8)
	})
}

// TestDeadline lets each call's deadline pass, before it and while it waits.
func TestDeadline(t *testing.T) {
	for _, tc := range blockingCalls {
		for _, d := range []time.Duration{-time.Hour, 0, time.Microsecond, 3 * time.Millisecond} {
			_, p, c := newRing(t, 64, 0)
			if tc.room {
				ok(t, p.TryPut(make([]byte, 56)))
			}
			ctx, cancel := context.WithTimeout(context.Background(), d)
			err := tc.call(ctx, p, c)
			cancel()
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("%s with %v left: %v", tc.name, d, err)
			}
		}
	}
}

// TestPeerDiesWhileBlocked proves the other side's death to each parked call.
func TestPeerDiesWhileBlocked(t *testing.T) {
	for _, tc := range blockingCalls {
		t.Run(tc.name, func(t *testing.T) {
			ctx := proctest.Context(t)
			var all crowd
			mem := make([]byte, ringbuf.SPSCSize(64))
			r1, err := ringbuf.CreateSPSC(mem, all.one(1))
			ok(t, err)
			r2, err := ringbuf.OpenSPSC(mem, all.one(2))
			ok(t, err)
			p, err := r1.Producer()
			ok(t, err)
			c, err := r2.Consumer()
			ok(t, err)
			word := ringbuf.DataWord(r1)
			if tc.room {
				ok(t, p.TryPut(make([]byte, 56)))
				word = ringbuf.RoomWord(r1)
			}
			done := make(chan error, 1)
			go func() { done <- tc.call(ctx, p, c) }()
			asleep(t, word)
			if tc.room {
				all.kill(2)
			} else {
				all.kill(1)
			}
			wantErr(t, <-done, ringbuf.ErrPeerDied)
			// The ring is whole: a successor takes the role, and the call goes well.
			r3, err := ringbuf.OpenSPSC(mem, all.one(3))
			ok(t, err)
			go func() { done <- tc.call(ctx, p, c) }()
			if tc.room {
				c, err := r3.Consumer()
				ok(t, err)
				msg, err := c.Get(ctx, nil)
				ok(t, err)
				if len(msg) != 56 {
					t.Fatalf("the successor got %d bytes", len(msg))
				}
			} else {
				p, err := r3.Producer()
				ok(t, err)
				ok(t, p.TryPut(nil))
			}
			if err := <-done; !errors.Is(err, ringbuf.ErrPeerDied) { // it may have looked before the successor came
				ok(t, err)
			}
		})
	}
}

// TestDeadProducersMessages takes what the dead had put before it says that it died.
func TestDeadProducersMessages(t *testing.T) {
	var all crowd
	mem := make([]byte, ringbuf.SPSCSize(128))
	r1, err := ringbuf.CreateSPSC(mem, all.one(1))
	ok(t, err)
	r2, err := ringbuf.OpenSPSC(mem, all.one(2))
	ok(t, err)
	p, err := r1.Producer()
	ok(t, err)
	c, err := r2.Consumer()
	ok(t, err)
	for id := uint64(1); id <= 3; id++ {
		ok(t, p.TryPut(content(id, 8)))
	}
	all.kill(1)
	ctx := proctest.Context(t)
	for id := uint64(1); id <= 3; id++ {
		msg, err := c.Get(ctx, nil)
		ok(t, err)
		wantContent(t, msg, id, 8)
	}
	_, err = c.Get(ctx, nil)
	wantErr(t, err, ringbuf.ErrPeerDied)
	_, err = c.TryGet(nil) // a try asks nobody
	wantErr(t, err, ringbuf.ErrEmpty)
}

// TestAbsentPeer waits for a side that nobody has taken yet: that is no death.
func TestAbsentPeer(t *testing.T) {
	r, err := ringbuf.CreateSPSC(make([]byte, ringbuf.SPSCSize(64)), nil)
	ok(t, err)
	c, err := r.Consumer()
	ok(t, err)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	_, err = c.Get(ctx, nil)
	wantErr(t, err, context.DeadlineExceeded)
	p, err := r.Producer()
	ok(t, err)
	ok(t, p.TryPut(nil))
	_, err = c.Get(context.Background(), nil)
	ok(t, err)
}

// stream sends n messages of random sizes from one goroutine to another, in all ways, and checks each.
func stream(t *testing.T, p *ringbuf.Producer, c *ringbuf.Consumer, n, largest int, seed uint64) {
	t.Helper()
	ctx := proctest.Context(t)
	done := make(chan error, 1)
	go func() { done <- errors.Join(produce(ctx, p, n, largest, seed), p.Close()) }()
	err := consume(ctx, c, n, largest, seed)
	if err != nil {
		_ = c.Close() // the producer must not wait for this consumer
	}
	if e := <-done; e != nil {
		t.Error(e)
	}
	ok(t, err)
	_, err = c.Get(ctx, nil)
	wantErr(t, err, ringbuf.ErrClosed)
}

// produce puts messages 0 to n-1, whose sizes follow from the seed, by all the producer's calls.
func produce(ctx context.Context, p *ringbuf.Producer, n, largest int, seed uint64) error {
	sizes := rand.New(rand.NewPCG(seed, 0))
	how := rand.New(rand.NewPCG(seed, 1))
	for id := 0; id < n; {
		msg := content(uint64(id), sizes.IntN(largest+1))
		switch how.IntN(8) {
		case 0:
			buf, err := p.Reserve(ctx, min(len(msg)+how.IntN(9), largest))
			if err != nil {
				return fmt.Errorf("reserve message %d: %w", id, err)
			}
			copy(buf, msg)
			if err := p.Commit(len(msg)); err != nil {
				return err
			}
			id++
		case 1:
			batch := [][]byte{msg}
			for len(batch) < 5 && id+len(batch) < n {
				batch = append(batch, content(uint64(id+len(batch)), sizes.IntN(largest+1)))
			}
			if k, err := p.PutBatch(ctx, batch); err != nil || k != len(batch) {
				return fmt.Errorf("put a batch of %d at message %d: %d, %w", len(batch), id, k, err)
			}
			id += len(batch)
		default:
			if err := p.Put(ctx, msg); err != nil {
				return fmt.Errorf("put message %d: %w", id, err)
			}
			id++
		}
	}
	return nil
}

// consume takes and checks what produce put, by all the consumer's calls.
func consume(ctx context.Context, c *ringbuf.Consumer, n, largest int, seed uint64) error {
	sizes := rand.New(rand.NewPCG(seed, 0))
	how := rand.New(rand.NewPCG(seed, 2))
	id := 0
	check := func(msg []byte) error {
		want := content(uint64(id), sizes.IntN(largest+1))
		if !bytes.Equal(msg, want) {
			return fmt.Errorf("message %d has %d bytes, others than the %d that were put", id, len(msg), len(want))
		}
		id++
		return nil
	}
	var buf []byte
	for id < n {
		var err error
		switch how.IntN(8) {
		case 0:
			var msg []byte
			if msg, err = c.Peek(ctx); err == nil {
				err = errors.Join(check(msg), c.Release())
			}
		case 1:
			_, err = c.GetBatch(ctx, 5, check)
		default:
			if buf, err = c.Get(ctx, buf[:0]); err == nil {
				err = check(buf)
			}
		}
		if err != nil {
			return fmt.Errorf("message %d: %w", id, err)
		}
	}
	return nil
}

// TestStream is one goroutine sending to another over rings from tiny to roomy, on the heap, where the race detector sees
// every byte.
func TestStream(t *testing.T) {
	for _, capacity := range []int{64, 256, 4096, 1 << 16} {
		t.Run(fmt.Sprint(capacity), func(t *testing.T) {
			_, p, c := newRing(t, capacity, ^uint64(0)-4095)
			stream(t, p, c, 20000, min(capacity-ringbuf.RecordHead, 600), uint64(capacity))
		})
	}
}

// TestOneProcessor runs both sides on one processor: who waits lets the other run.
func TestOneProcessor(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	_, p, c := newRing(t, 256, 0)
	stream(t, p, c, 5000, 100, 3)
}

// TestPingPong sends one message to and fro, so that each side waits for each message.
func TestPingPong(t *testing.T) {
	ctx := proctest.Context(t)
	_, p1, c1 := newRing(t, 64, 0)
	_, p2, c2 := newRing(t, 64, 0)
	const rounds = 2000
	done := make(chan error, 1)
	go func() {
		var buf []byte
		for range rounds {
			var err error
			if buf, err = c1.Get(ctx, buf[:0]); err == nil {
				err = p2.Put(ctx, buf)
			}
			if err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	for id := range uint64(rounds) {
		ok(t, p1.Put(ctx, content(id, 16)))
		msg, err := c2.Get(ctx, nil)
		ok(t, err)
		wantContent(t, msg, id, 16)
	}
	ok(t, <-done)
}

// TestSlowSides makes one side sleep for each message, so that parking and waking are what is tested.
func TestSlowSides(t *testing.T) {
	ctx := proctest.Context(t)
	for _, room := range []bool{false, true} {
		r, p, c := newRing(t, 64, 0)
		done := make(chan error, 1)
		const n = 50
		put := func() error {
			for id := range uint64(n) {
				if !room {
					asleep(t, ringbuf.DataWord(r))
				}
				if err := p.Put(ctx, content(id, 40)); err != nil {
					return err
				}
			}
			return nil
		}
		get := func() error {
			for id := range uint64(n) {
				if room && id < n-1 {
					asleep(t, ringbuf.RoomWord(r))
				}
				msg, err := c.Get(ctx, nil)
				if err != nil {
					return err
				}
				if !bytes.Equal(msg, content(id, 40)) {
					return fmt.Errorf("message %d has other bytes", id)
				}
			}
			return nil
		}
		if room {
			go func() { done <- put() }()
			ok(t, get())
		} else {
			go func() { done <- get() }()
			ok(t, put())
		}
		ok(t, <-done)
	}
}
