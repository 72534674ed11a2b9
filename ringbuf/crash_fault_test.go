//go:build fault && linux

package ringbuf_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/fb2d3dbd/multiproc/internal/cpu"
	"github.com/fb2d3dbd/multiproc/internal/fault"
	"github.com/fb2d3dbd/multiproc/internal/proctest"
	"github.com/fb2d3dbd/multiproc/ringbuf"
	"github.com/fb2d3dbd/multiproc/shm"
	"github.com/fb2d3dbd/multiproc/spawn"
)

// What stands in the ledger of a producer or a consumer of an SPSC ring.
const (
	began    = iota // id of the last message that a put was called for
	returned        // id of the last message whose put, get or release has returned
	seen            // id of the last message that Peek or GetBatch has shown
	call            // which call is under way
	ledgerSize
)

const (
	callGet = iota
	callPeek
	callBatch
)

type sideArg struct {
	Seg    *shm.Segment
	Ledger ledger
	Fault  string
	N      uint64 // ids are 1 to N
}

// crashLetter makes message id of a stream. Some are longer than what is put and taken in one piece.
func crashLetter(buf []byte, id uint64) []byte {
	buf = stamped(buf, 0, id)
	if id%5 == 1 {
		buf = append(buf, content(id, 150)...)
	}
	return buf
}

func readCrashLetter(msg []byte) (id uint64, err error) {
	if len(msg) < stampSize {
		return 0, fmt.Errorf("a message of %d bytes", len(msg))
	}
	if id = binary.LittleEndian.Uint64(msg[8:]); !bytes.Equal(msg, crashLetter(nil, id)) {
		return 0, fmt.Errorf("message %d has other bytes than were put", id)
	}
	return id, nil
}

var crashProduce = spawn.NewTarget("ringbuf-crash-produce", func(_ context.Context, a sideArg) error {
	defer tellSeen(a.Fault)
	if err := fault.Arm(a.Fault); err != nil {
		return err
	}
	r, err := ringbuf.OpenSPSC(a.Seg.Bytes(), in(a.Seg))
	if err != nil {
		return err
	}
	p, err := r.Producer()
	if err != nil {
		return err
	}
	ctx := context.Background()
	for id := uint64(1); id <= a.N; id++ {
		switch {
		case id%7 == 0:
			note(a.Ledger, began, id)
			buf, err := p.Reserve(ctx, len(crashLetter(nil, id)))
			if err != nil {
				return err
			}
			crashLetter(buf, id)
			err = p.Commit(len(buf))
			if err != nil {
				return err
			}
		case id%7 == 3 && id+2 <= a.N:
			note(a.Ledger, began, id+2)
			if _, err := p.PutBatch(ctx, [][]byte{crashLetter(nil, id), crashLetter(nil, id+1), crashLetter(nil, id+2)}); err != nil {
				return err
			}
			id += 2
		default:
			note(a.Ledger, began, id)
			if err := p.Put(ctx, crashLetter(nil, id)); err != nil {
				return err
			}
		}
		note(a.Ledger, returned, id)
	}
	return p.Close()
})

var crashConsume = spawn.NewTarget("ringbuf-crash-consume", func(_ context.Context, a sideArg) error {
	defer tellSeen(a.Fault)
	if err := fault.Arm(a.Fault); err != nil {
		return err
	}
	r, err := ringbuf.OpenSPSC(a.Seg.Bytes(), in(a.Seg))
	if err != nil {
		return err
	}
	c, err := r.Consumer()
	if err != nil {
		return err
	}
	ctx := context.Background()
	oneByOne := strings.Contains(a.Fault, expressPoint)
	id, buf := uint64(0), make([]byte, 0, 256)
	check := func(msg []byte) error {
		seq, err := readCrashLetter(msg)
		if err == nil && seq != id+1 {
			err = fmt.Errorf("message %d came after %d", seq, id)
		}
		id = seq
		return err
	}
	for i := 0; ; i++ {
		var err error
		for oneByOne && r.Len() == 0 && !ringbuf.ProducerClosed(r) {
			runtime.Gosched()
		}
		switch i % 5 {
		case 0:
			note(a.Ledger, call, callPeek)
			var msg []byte
			if msg, err = c.Peek(ctx); err == nil {
				if err = check(msg); err == nil {
					note(a.Ledger, seen, id)
					err = c.Release()
				}
			}
		case 1:
			note(a.Ledger, call, callBatch)
			_, err = c.GetBatch(ctx, 3, func(msg []byte) error {
				err := check(msg)
				note(a.Ledger, seen, id)
				return err
			})
		default:
			note(a.Ledger, call, callGet)
			room := buf
			if i%5 == 2 { // the message makes its own
				room = nil
			}
			var msg []byte
			if msg, err = c.Get(ctx, room[:0]); err == nil {
				err = check(msg)
				note(a.Ledger, seen, id)
			}
		}
		if errors.Is(err, ringbuf.ErrClosed) {
			break
		}
		if err != nil {
			return err
		}
		note(a.Ledger, returned, id)
	}
	if id != a.N {
		return fmt.Errorf("the stream ended after message %d of %d", id, a.N)
	}
	return c.Close()
})

const (
	crashMessages = 120
	smallRing     = 512 // much less than the messages take

	// expressPoint begins the names of the points where a consumer takes a message that is on its way beside the ring. It surely passes them
	// only when there is never more than one.
	expressPoint = "spsc.get.express"
)

func crashRing(t *testing.T, capacity int) (*ringbuf.SPSC, sideArg) {
	t.Helper()
	seg := newSegment(t, ringbuf.SPSCSize(capacity))
	r, err := ringbuf.CreateSPSC(seg.Bytes(), in(seg))
	ok(t, err)
	return r, sideArg{Seg: seg, Ledger: newLedger(t, ledgerSize), N: crashMessages}
}

// drain takes messages, which must be first, first+1, ..., until there are no more, and returns the last and why.
func drain(ctx context.Context, c *ringbuf.Consumer, first uint64) (last uint64, err error) {
	last = first - 1
	for {
		msg, err := c.Get(ctx, nil)
		if err != nil {
			return last, err
		}
		seq, err := readCrashLetter(msg)
		if err != nil {
			return last, err
		}
		if seq != last+1 {
			return last, fmt.Errorf("message %d came after %d", seq, last)
		}
		last = seq
	}
}

// taken waits until all was taken that was put, when point is to be passed one by one.
func taken(ctx context.Context, r *ringbuf.SPSC, point string) {
	for strings.HasPrefix(point, expressPoint) && r.Len() > 0 && ctx.Err() == nil {
		runtime.Gosched()
	}
}

// fill puts messages first to last, and calls between before each. The death of the consumer is waited out: somebody will take its role.
func fill(ctx context.Context, p *ringbuf.Producer, first, last uint64, between ...func()) error {
	for id := first; id <= last; {
		for _, f := range between {
			f()
		}
		err := p.Put(ctx, crashLetter(nil, id))
		if err == nil {
			id++
		} else if !errors.Is(err, ringbuf.ErrPeerDied) {
			return fmt.Errorf("put message %d: %w", id, err)
		}
	}
	return p.Close()
}

// TestCrashSPSC kills and stops the producer and the consumer at each point.
func TestCrashSPSC(t *testing.T) {
	h := hits{}
	for _, side := range []struct {
		name       string
		target     *spawn.Target[sideArg]
		kill, stop func(t *testing.T, point string, pass int) bool
	}{
		{"producer", crashProduce, killProducer, stopProducer},
		{"consumer", crashConsume, killConsumer, stopConsumer},
	} {
		for _, point := range sidePoints(t, side.target) {
			for _, pass := range passes {
				t.Run(fmt.Sprintf("%s/kill/%s/%d", side.name, point, pass), func(t *testing.T) {
					if side.kill(t, point, pass) {
						h[point] = true
					} else if pass == 1 {
						t.Error("the process was not killed")
					}
				})
				t.Run(fmt.Sprintf("%s/stop/%s/%d", side.name, point, pass), func(t *testing.T) {
					if !side.stop(t, point, pass) && pass == 1 {
						t.Error("the process did not stop")
					}
				})
			}
		}
	}
	h.wantAll(t, slices.DeleteFunc(proctest.Points(t, "spsc."), func(s string) bool {
		return !cpu.Ordered && (strings.Contains(s, ".express.") || strings.Contains(s, ".fast."))
	}))
}

// sidePoints runs a side undisturbed and returns the points that it passes.
func sidePoints(t *testing.T, target *spawn.Target[sideArg]) []string {
	t.Helper()
	ctx := proctest.Context(t)
	r, arg := crashRing(t, smallRing)
	child, seen := startSeeing(t, target, arg)
	if target == crashProduce {
		c, err := r.Consumer()
		ok(t, err)
		last, err := drain(ctx, c, 1)
		wantErr(t, err, ringbuf.ErrClosed)
		if last != arg.N {
			t.Fatalf("got %d of %d", last, arg.N)
		}
	} else {
		p, err := r.Producer()
		ok(t, err)
		ok(t, fill(ctx, p, 1, arg.N))
	}
	names := seen()
	ok(t, child.Wait(ctx))
	names = slices.DeleteFunc(names, func(s string) bool { return !strings.HasPrefix(s, "spsc.") || strings.HasPrefix(s, expressPoint) })
	if target == crashConsume && cpu.Ordered {
		names = append(names, slices.DeleteFunc(proctest.Points(t, "spsc."), func(s string) bool { return !strings.HasPrefix(s, expressPoint) })...)
	}
	return names
}

// killProducer: all messages whose put had returned arrive, once and in order; of the put under way, none, or some of a batch's first.
// A successor goes on.
func killProducer(t *testing.T, point string, pass int) bool {
	ctx := proctest.Context(t)
	r, arg := crashRing(t, smallRing)
	c, err := r.Consumer()
	ok(t, err)
	arg.Fault = fmt.Sprintf("kill:%s:%d", point, pass)
	child, err := crashProduce.Start(ctx, arg, nil)
	ok(t, err)
	last, err := drain(ctx, c, 1)
	killed := wasKilled(t, child)
	proctest.Dead(t, arg.Seg)
	if killed && strings.HasPrefix(point, "spsc.role.") && last == 0 && errors.Is(err, ringbuf.ErrPeerDied) {
		// as below
	} else if !killed || point == "spsc.put.closed" {
		wantErr(t, err, ringbuf.ErrClosed)
		if last != arg.N {
			t.Fatalf("got %d of %d", last, arg.N)
		}
		_, err = r.Producer()
		wantErr(t, err, ringbuf.ErrClosed)
		return killed
	}
	wantErr(t, err, ringbuf.ErrPeerDied)
	low, high := read(t, arg.Ledger, returned), read(t, arg.Ledger, began)
	switch point {
	case "spsc.put.fast.written", "spsc.put.whole.written", "spsc.put.express.written", "spsc.role.claimed", "spsc.role.tail":
		high = low // nothing was committed
	case "spsc.put.fast.published", "spsc.put.whole.published", "spsc.put.express.published":
		low = high // it was
	case "spsc.put.written", "spsc.put.copied", "spsc.put.skipped":
		if high == low+1 { // no batch, part of which may have been committed when it met the end of the room
			high = low
		}
	}
	if last < low || last > high {
		t.Fatalf("killed at %s: %d puts had returned, %d had begun, the last message is %d; want %d to %d",
			point, read(t, arg.Ledger, returned), read(t, arg.Ledger, began), last, low, high)
	}
	p, err := r.Producer()
	ok(t, err)
	done := make(chan error, 1)
	go func() { done <- fill(ctx, p, last+1, last+50) }()
	end, err := drain(ctx, c, last+1)
	wantErr(t, err, ringbuf.ErrClosed)
	ok(t, <-done)
	if end != last+50 {
		t.Fatalf("the successor put 50 messages after %d; the last is %d", last, end)
	}
	return true
}

// killConsumer: the successor gets the message after the last that was released. A message whose Release, or Get, had not
// been stored comes again; one whose had been does not, although the call had not returned.
func killConsumer(t *testing.T, point string, pass int) bool {
	ctx := proctest.Context(t)
	r, arg := crashRing(t, smallRing)
	p, err := r.Producer()
	ok(t, err)
	done := make(chan error, 1)
	go func() { done <- fill(ctx, p, 1, arg.N, func() { taken(ctx, r, point) }) }()
	arg.Fault = fmt.Sprintf("kill:%s:%d", point, pass)
	child, err := crashConsume.Start(ctx, arg, nil)
	ok(t, err)
	if !wasKilled(t, child) {
		ok(t, <-done)
		return false
	}
	proctest.Dead(t, arg.Seg)
	if point == "spsc.get.closed" {
		ok(t, <-done) // the child closes after the end of the stream
		_, err = r.Consumer()
		wantErr(t, err, ringbuf.ErrClosed)
		return true
	}
	ret, shown, kind := read(t, arg.Ledger, returned), read(t, arg.Ledger, seen), read(t, arg.Ledger, call)
	low, high := ret+1, ret+1
	switch point {
	case "spsc.get.fast.released", "spsc.get.whole.released", "spsc.get.express.released":
		low, high = ret+2, ret+2
	case "spsc.get.released":
		if kind == callGet { // or it gave back no more than a skipped rest of a lap
			high = ret + 2
		} else {
			low, high = shown+1, shown+1
		}
	}
	c, err := r.Consumer()
	ok(t, err)
	first := low
	if msg, err := c.Peek(ctx); err == nil {
		first, err = readCrashLetter(msg)
		ok(t, err)
	} else {
		wantErr(t, err, ringbuf.ErrClosed)
		first = arg.N + 1
	}
	if first < low || first > high {
		t.Fatalf("killed at %s in call %d: message %d had been shown and %d returned; the successor got %d, want %d to %d",
			point, kind, shown, ret, first, low, high)
	}
	last, err := drain(ctx, c, first)
	wantErr(t, err, ringbuf.ErrClosed)
	ok(t, <-done)
	if last != arg.N {
		t.Fatalf("got up to %d of %d", last, arg.N)
	}
	return true
}

// stopProducer: everything whose put had returned is there to be taken while the producer stands still, the consumer then
// waits and is told of no death, and when the producer goes on nothing is missing.
func stopProducer(t *testing.T, point string, pass int) bool {
	ctx := proctest.Context(t)
	r, arg := crashRing(t, smallRing)
	c, err := r.Consumer()
	ok(t, err)
	arg.Fault = fmt.Sprintf("stop:%s:%d", point, pass)
	child, err := crashProduce.Start(ctx, arg, nil)
	ok(t, err)
	short, cancel := context.WithCancel(ctx)
	var last uint64
	done := make(chan error, 1)
	go func() {
		n, err := drain(short, c, 1)
		last = n
		done <- err
	}()
	stopped := awaitStop(t, child)
	if stopped {
		idle(t, ringbuf.DataWord(r), done)
	}
	cancel()
	drained := <-done
	if stopped && point != "spsc.put.closed" {
		wantErr(t, drained, context.Canceled)
		if ret := read(t, arg.Ledger, returned); last < ret {
			t.Fatalf("%d puts have returned, the last message is %d", ret, last)
		}
		_, err = r.Producer()
		wantErr(t, err, ringbuf.ErrRoleTaken)
	}
	if stopped {
		proctest.Continue(t, child.PID())
	}
	last, err = drain(ctx, c, last+1)
	wantErr(t, err, ringbuf.ErrClosed)
	if last != arg.N {
		t.Fatalf("got %d of %d", last, arg.N)
	}
	if wasKilled(t, child) {
		t.Fatal("the producer was killed")
	}
	return stopped
}

// stopConsumer: the producer fills the ring and then waits, is told of no death, and when the consumer goes on it misses
// nothing.
func stopConsumer(t *testing.T, point string, pass int) bool {
	ctx := proctest.Context(t)
	capacity := smallRing
	if point == "spsc.get.looked" && pass == 1 {
		// Everything is put and the ring closed while the consumer stands between its look at the producer's state and its
		// look at the tail. Red when it looks in the other order.
		capacity = 1 << 14
	}
	r, arg := crashRing(t, capacity)
	p, err := r.Producer()
	ok(t, err)
	arg.Fault = fmt.Sprintf("stop:%s:%d", point, pass)
	child, err := crashConsume.Start(ctx, arg, nil)
	ok(t, err)
	done := make(chan error, 1)
	go func() {
		for id := uint64(1); id <= arg.N; id++ {
			if err := p.Put(ctx, crashLetter(nil, id)); err != nil {
				done <- fmt.Errorf("put message %d: %w", id, err)
				return
			}
			taken(ctx, r, point)
		}
		done <- p.Close()
	}()
	stopped := awaitStop(t, child)
	if stopped {
		if !strings.HasPrefix(point, expressPoint) {
			idle(t, ringbuf.RoomWord(r), done)
		}
		_, err = r.Consumer()
		wantErr(t, err, ringbuf.ErrRoleTaken)
		proctest.Continue(t, child.PID())
	}
	ok(t, <-done)
	if wasKilled(t, child) {
		t.Fatal("the consumer was killed")
	}
	return stopped
}
