package ringbuf_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/fb2d3dbd/multiproc/internal/proctest"
	"github.com/fb2d3dbd/multiproc/ringbuf"
	"github.com/fb2d3dbd/multiproc/shm"
	"github.com/fb2d3dbd/multiproc/spawn"
)

// newSegment returns a segment with a ring of this capacity in it, which the test closes.
func newSegment(t testing.TB, size int) *shm.Segment {
	t.Helper()
	seg, err := shm.New(&shm.Options{Size: size, Participants: 16})
	ok(t, err)
	t.Cleanup(func() { seg.Close() })
	return seg
}

// again opens a segment once more in this process, as another participant with another mapping.
func again(t testing.TB, seg *shm.Segment) *shm.Segment {
	t.Helper()
	b, err := seg.MarshalBinary()
	ok(t, err)
	s := new(shm.Segment)
	ok(t, s.UnmarshalBinary(b))
	t.Cleanup(func() { s.Close() })
	return s
}

func in(seg *shm.Segment) *ringbuf.SPSCOptions { return &ringbuf.SPSCOptions{Participants: seg} }

func manyIn(seg *shm.Segment) *ringbuf.MPMCOptions { return &ringbuf.MPMCOptions{Participants: seg} }

// TestOneMapping streams between goroutines through a mapping.
func TestOneMapping(t *testing.T) {
	seg := newSegment(t, ringbuf.SPSCSize(4096))
	_, p, c := sides(t, seg.Bytes(), in(seg), 0)
	stream(t, p, c, 20000, 600, 1)
}

// TestTwoMappings maps one memory twice, so that the sides share nothing but its bytes, not even addresses.
func TestTwoMappings(t *testing.T) {
	a := newSegment(t, ringbuf.SPSCSize(4096))
	b := again(t, a)
	ra, err := ringbuf.CreateSPSC(a.Bytes(), in(a))
	ok(t, err)
	rb, err := ringbuf.OpenSPSC(b.Bytes(), in(b))
	ok(t, err)
	p, err := ra.Producer()
	ok(t, err)
	c, err := rb.Consumer()
	ok(t, err)
	_, err = rb.Producer()
	wantErr(t, err, ringbuf.ErrRoleTaken)
	_, err = ra.Consumer()
	wantErr(t, err, ringbuf.ErrRoleTaken)
	stream(t, p, c, 20000, 600, 2)
}

// TestPeerLeaves closes the producer's segment without closing the ring: to the consumer that is a death.
func TestPeerLeaves(t *testing.T) {
	ctx := proctest.Context(t)
	a := newSegment(t, ringbuf.SPSCSize(4096))
	b := again(t, a)
	ra, err := ringbuf.CreateSPSC(a.Bytes(), in(a))
	ok(t, err)
	rb, err := ringbuf.OpenSPSC(b.Bytes(), in(b))
	ok(t, err)
	p, err := ra.Producer()
	ok(t, err)
	c, err := rb.Consumer()
	ok(t, err)
	ok(t, p.Put(ctx, content(1, 100)))
	done := make(chan error, 1)
	msg, err := c.Get(ctx, nil)
	ok(t, err)
	wantContent(t, msg, 1, 100)
	go func() { _, err := c.Get(ctx, nil); done <- err }()
	asleep(t, ringbuf.DataWord(rb))
	ok(t, a.Close())
	wantErr(t, <-done, ringbuf.ErrPeerDied)
	p, err = rb.Producer()
	ok(t, err)
	ok(t, p.TryPut(content(2, 10)))
	msg, err = c.Get(ctx, nil)
	ok(t, err)
	wantContent(t, msg, 2, 10)
}

type streamArg struct {
	Seg     *shm.Segment
	N       int
	Largest int
	Seed    uint64
	Wait    bool // for ever, holding the role
}

func (a streamArg) open() (*ringbuf.SPSC, error) { return ringbuf.OpenSPSC(a.Seg.Bytes(), in(a.Seg)) }

var produceTarget = spawn.NewTarget("ringbuf-produce", func(ctx context.Context, a streamArg) error {
	r, err := a.open()
	if err != nil {
		return err
	}
	p, err := r.Producer()
	if err != nil {
		return err
	}
	if err := produce(context.Background(), p, a.N, a.Largest, a.Seed); err != nil {
		return err
	}
	if a.Wait {
		<-ctx.Done()
	}
	return p.Close()
})

var consumeTarget = spawn.NewTarget("ringbuf-consume", func(ctx context.Context, a streamArg) error {
	r, err := a.open()
	if err != nil {
		return err
	}
	c, err := r.Consumer()
	if err != nil {
		return err
	}
	if err := consume(context.Background(), c, a.N, a.Largest, a.Seed); err != nil {
		return err
	}
	if a.Wait {
		<-ctx.Done()
		return nil
	}
	if _, err := c.Get(context.Background(), nil); !errors.Is(err, ringbuf.ErrClosed) {
		return fmt.Errorf("after the last message: %v", err)
	}
	return c.Close()
})

// messageCount is how many messages the processes exchange: a million, fewer under the race detector or with -short.
func messageCount() int {
	if n, err := strconv.Atoi(os.Getenv("RINGBUF_MESSAGES")); err == nil {
		return n
	}
	if raceEnabled || testing.Short() {
		return 100_000
	}
	return 1_000_000
}

// TestTwoProcesses sends a million messages of random sizes from one process to another, each checked byte by byte.
//
// Red when the tail is published before the message is written, and when the head is published before the message is read.
func TestTwoProcesses(t *testing.T) {
	ctx := proctest.Context(t)
	seg := newSegment(t, ringbuf.SPSCSize(1<<14))
	_, err := ringbuf.CreateSPSC(seg.Bytes(), in(seg))
	ok(t, err)
	arg := streamArg{Seg: seg, N: messageCount(), Largest: 300, Seed: 7}
	p, err := produceTarget.Start(ctx, arg, nil)
	ok(t, err)
	c, err := consumeTarget.Start(ctx, arg, nil)
	ok(t, err)
	ok(t, c.Wait(ctx))
	ok(t, p.Wait(ctx))
}

// TestProducerKilled kills a producer's process: the consumer takes what it had put, hears of the death, also when it is
// asleep, and goes on with a successor.
func TestProducerKilled(t *testing.T) {
	ctx := proctest.Context(t)
	for _, parked := range []bool{false, true} {
		seg := newSegment(t, ringbuf.SPSCSize(1<<14))
		r, err := ringbuf.CreateSPSC(seg.Bytes(), in(seg))
		ok(t, err)
		c, err := r.Consumer()
		ok(t, err)
		arg := streamArg{Seg: seg, N: 100, Largest: 60, Seed: 9, Wait: true}
		child, err := produceTarget.Start(ctx, arg, nil)
		ok(t, err)
		last := func() bool { _, tail := ringbuf.Indices(r); return int(tail) == streamed(t, arg) }
		if parked {
			ok(t, consume(ctx, c, arg.N, arg.Largest, arg.Seed))
			done := make(chan error, 1)
			go func() { _, err := c.Get(ctx, nil); done <- err }()
			asleep(t, ringbuf.DataWord(r))
			ok(t, child.Kill())
			wantErr(t, <-done, ringbuf.ErrPeerDied)
		} else {
			proctest.Eventually(t, last, "the child has put everything")
			_, err := r.Producer()
			wantErr(t, err, ringbuf.ErrRoleTaken)
			ok(t, child.Kill())
			_ = child.Wait(ctx)
			ok(t, consume(ctx, c, arg.N, arg.Largest, arg.Seed))
			_, err = c.Get(ctx, nil)
			wantErr(t, err, ringbuf.ErrPeerDied)
		}
		_ = child.Wait(ctx)
		p, err := r.Producer()
		ok(t, err)
		stream(t, p, c, 1000, 60, 10)
	}
}

// streamed returns the tail after everything that arg says was put into a ring large enough to need no wait.
func streamed(t *testing.T, arg streamArg) int {
	t.Helper()
	r, p, _ := newRing(t, 1<<14, 0)
	ok(t, produce(context.Background(), p, arg.N, arg.Largest, arg.Seed))
	_, tail := ringbuf.Indices(r)
	return int(tail)
}

// TestConsumerKilled kills a consumer's process while the producer waits for room.
func TestConsumerKilled(t *testing.T) {
	ctx := proctest.Context(t)
	seg := newSegment(t, ringbuf.SPSCSize(1<<12))
	r, err := ringbuf.CreateSPSC(seg.Bytes(), in(seg))
	ok(t, err)
	p, err := r.Producer()
	ok(t, err)
	arg := streamArg{Seg: seg, N: 500, Largest: 60, Seed: 11, Wait: true}
	child, err := consumeTarget.Start(ctx, arg, nil)
	ok(t, err)
	ok(t, produce(ctx, p, arg.N, arg.Largest, arg.Seed))
	proctest.Eventually(t, func() bool { return r.Len() == 0 }, "the child has taken everything")
	put := uint64(0)
	for ; p.TryPut(content(put, 50)) == nil; put++ {
	}
	done := make(chan error, 1)
	go func() { done <- p.Put(ctx, content(put, 50)) }()
	asleep(t, ringbuf.RoomWord(r))
	_, err = r.Consumer()
	wantErr(t, err, ringbuf.ErrRoleTaken)
	ok(t, child.Kill())
	wantErr(t, <-done, ringbuf.ErrPeerDied)
	_ = child.Wait(ctx)
	c, err := r.Consumer()
	ok(t, err)
	for id := range put {
		msg, err := c.Get(ctx, nil)
		ok(t, err)
		wantContent(t, msg, id, 50)
	}
	stream(t, p, c, 1000, 60, 12)
}

// TestStoppedPeer stops the producer's process: that is no death, and nothing is lost when it goes on.
func TestStoppedPeer(t *testing.T) {
	ctx := proctest.Context(t)
	seg := newSegment(t, ringbuf.SPSCSize(1<<10))
	r, err := ringbuf.CreateSPSC(seg.Bytes(), in(seg))
	ok(t, err)
	c, err := r.Consumer()
	ok(t, err)
	arg := streamArg{Seg: seg, N: 20000, Largest: 60, Seed: 13}
	child, err := produceTarget.Start(ctx, arg, nil)
	ok(t, err)
	proctest.Eventually(t, func() bool { return r.Len() > 100 }, "the child has begun")
	proctest.Stop(t, child.PID())
	_, err = r.Producer()
	wantErr(t, err, ringbuf.ErrRoleTaken)
	done := make(chan error, 1)
	go func() { done <- consume(ctx, c, arg.N, arg.Largest, arg.Seed) }()
	asleep(t, ringbuf.DataWord(r)) // everything is taken, the consumer waits for the stopped one
	word := atomic.LoadUint32(ringbuf.DataWord(r))
	proctest.Eventually(t, func() bool { return atomic.LoadUint32(ringbuf.DataWord(r)) != word }, "the consumer has slept, and looked whether its peer lives")
	proctest.Continue(t, child.PID())
	ok(t, <-done)
	ok(t, child.Wait(ctx))
}
