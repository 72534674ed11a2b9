package ringbuf_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/fb2d3dbd/multiproc/ringbuf"
	"github.com/fb2d3dbd/multiproc/shm"
)

var _ ringbuf.Blocks = shm.Blocks{}

// newPipe makes a pipe on the heap.
func newPipe(t testing.TB, o ringbuf.PipeOptions) (a, b *ringbuf.PipeEnd) {
	t.Helper()
	size, err := ringbuf.PipeSize(&o)
	ok(t, err)
	a, b, err = ringbuf.CreatePipe(make([]byte, size), &o)
	ok(t, err)
	return a, b
}

// pipeIn returns the options of a pipe in a segment.
func pipeIn(seg *shm.Segment) *ringbuf.PipeOptions {
	return &ringbuf.PipeOptions{Participants: seg, Blocks: seg.Blocks()}
}

// pipeSegment makes a pipe in the user's bytes of a segment.
func pipeSegment(t testing.TB, o ringbuf.PipeOptions) (seg *shm.Segment, a, b *ringbuf.PipeEnd) {
	t.Helper()
	size, err := ringbuf.PipeSize(&o)
	ok(t, err)
	seg, err = shm.New(&shm.Options{Size: size, Arena: 256 << 20, Participants: 32})
	ok(t, err)
	t.Cleanup(func() { seg.Close() })
	o.Participants, o.Blocks = seg, seg.Blocks()
	a, b, err = ringbuf.CreatePipe(seg.Bytes(), &o)
	ok(t, err)
	return seg, a, b
}

func TestPipe(t *testing.T) {
	ctx := context.Background()
	a, b := newPipe(t, ringbuf.PipeOptions{})
	for _, end := range [][2]*ringbuf.PipeEnd{{a, b}, {b, a}} {
		from, to := end[0], end[1]
		if ready, err := to.TryPoll(); ready || err != nil {
			t.Fatalf("an empty pipe is ready: %v, %v", ready, err)
		}
		_, err := to.TryGet(nil)
		wantErr(t, err, ringbuf.ErrEmpty)
		wantErr(t, to.Poll(ended()), context.Canceled)
		for n := range 5 {
			ok(t, from.Put(ctx, content(uint64(n), n*200)))
		}
		ok(t, to.Poll(ctx))
		for n := range 5 {
			msg, err := to.Get(ctx, nil)
			ok(t, err)
			wantContent(t, msg, uint64(n), n*200)
		}
	}
	ok(t, a.TryPut([]byte("last")))
	ok(t, a.Close())
	ok(t, a.Close())
	if !a.Closed() || b.Closed() {
		t.Fatal("not the one end is closed, or the other too")
	}
	wantErr(t, a.Put(ctx, nil), ringbuf.ErrClosed)
	_, err := a.Get(ctx, nil)
	wantErr(t, err, ringbuf.ErrClosed)
	wantErr(t, a.Poll(ctx), ringbuf.ErrClosed)
	wantErr(t, b.Put(ctx, nil), ringbuf.ErrPeerDied)
	wantErr(t, b.TryPut(nil), ringbuf.ErrPeerDied)
	ok(t, b.Poll(ctx))
	ok(t, b.View(ctx, func(msg []byte) error {
		if string(msg) != "last" {
			return fmt.Errorf("got %q", msg)
		}
		return nil
	}))
	for range 2 {
		ok(t, b.Poll(ctx))
		_, err = b.Get(ctx, nil)
		wantErr(t, err, io.EOF)
		_, err = b.TryGet(nil)
		wantErr(t, err, io.EOF)
		wantErr(t, b.View(ctx, nil), io.EOF)
	}
	ok(t, b.Close())
}

func TestPipeOneWay(t *testing.T) {
	ctx := context.Background()
	r, w := newPipe(t, ringbuf.PipeOptions{OneWay: true})
	if !r.CanGet() || r.CanPut() || w.CanGet() || !w.CanPut() {
		t.Fatal("the ends have the wrong directions")
	}
	wantErr(t, r.Put(ctx, nil), ringbuf.ErrOneWay)
	_, err := w.Get(ctx, nil)
	wantErr(t, err, ringbuf.ErrOneWay)
	wantErr(t, w.Poll(ctx), ringbuf.ErrOneWay)
	ok(t, w.Put(ctx, []byte("x")))
	ok(t, w.Close())
	msg, err := r.Get(ctx, nil)
	ok(t, err)
	if string(msg) != "x" {
		t.Fatalf("got %q", msg)
	}
	_, err = r.Get(ctx, nil)
	wantErr(t, err, io.EOF)
}

// TestPipeCloseWakes closes a handle while goroutines wait on it, and the other end's last handle while they wait for it.
func TestPipeCloseWakes(t *testing.T) {
	for _, own := range []bool{true, false} {
		a, b := newPipe(t, ringbuf.PipeOptions{Capacity: 1})
		ok(t, a.Put(t.Context(), nil))
		errs := make(chan error, 3)
		go func() { errs <- a.Put(context.Background(), nil) }()
		go func() { _, err := a.Get(context.Background(), nil); errs <- err }()
		go func() { errs <- a.Poll(context.Background()) }()
		for range 100 {
			if n, _, err := b.Waiting(); n > 1 || err != nil {
				t.Fatal(n, err)
			}
		}
		if own {
			ok(t, a.Close())
		} else {
			ok(t, b.Close())
		}
		for range 3 {
			err := <-errs
			if own {
				wantErr(t, err, ringbuf.ErrClosed)
			} else if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, ringbuf.ErrPeerDied) {
				t.Fatal(err)
			}
		}
	}
}

// TestPipeHolders opens ends several times, also as other participants: an end is closed by the last that closes it or dies.
func TestPipeHolders(t *testing.T) {
	ctx := context.Background()
	o := ringbuf.PipeOptions{}
	size, err := ringbuf.PipeSize(&o)
	ok(t, err)
	mem, c := make([]byte, size), &crowd{}
	one := func(token uint32) *ringbuf.PipeOptions {
		return &ringbuf.PipeOptions{Participants: member{c, token}}
	}
	a, b, err := ringbuf.CreatePipe(mem, one(1))
	ok(t, err)
	open := func(token uint32, end int) *ringbuf.PipeEnd {
		t.Helper()
		e, err := ringbuf.OpenPipe(mem, end, one(token))
		ok(t, err)
		return e
	}
	b2, b3, b4, b5 := open(1, 1), open(2, 1), open(3, 1), open(1, 1)
	open(2, 1) // and is never closed
	for _, e := range []*ringbuf.PipeEnd{b, b2, b3} {
		ok(t, e.Close())
		wantErr(t, e.TryPut(nil), ringbuf.ErrClosed) // and gives nothing up again
		_, err := a.Get(ended(), nil)
		wantErr(t, err, context.Canceled)
	}
	ok(t, b4.Put(ctx, []byte("x")))
	ok(t, b4.Close())
	ok(t, a.Put(ctx, nil))
	c.kill(2)
	_, err = b5.Get(ctx, nil)
	ok(t, err)
	ok(t, b5.Close())
	msg, err := a.Get(ctx, nil)
	ok(t, err)
	if string(msg) != "x" {
		t.Fatalf("got %q", msg)
	}
	_, err = a.Get(ctx, nil)
	wantErr(t, err, io.EOF)
	wantErr(t, a.Put(ctx, nil), ringbuf.ErrPeerDied)
	if _, err := ringbuf.OpenPipe(mem, 1, one(4)); !errors.Is(err, ringbuf.ErrClosed) {
		t.Fatalf("opening an end that was closed: %v", err)
	}
	a2 := open(4, 0)
	ok(t, a2.Close())
	ok(t, a.Close())
}

// TestPipeUnderway closes the last handle while somebody is on its way who is going to open the end.
func TestPipeUnderway(t *testing.T) {
	ctx := context.Background()
	o := ringbuf.PipeOptions{}
	size, err := ringbuf.PipeSize(&o)
	ok(t, err)
	mem := make([]byte, size)
	var mu sync.Mutex
	coming := true
	o.Underway = func() func() bool {
		return func() bool { mu.Lock(); defer mu.Unlock(); return coming }
	}
	a, b, err := ringbuf.CreatePipe(mem, &o)
	ok(t, err)
	ok(t, b.Close())
	_, err = a.Get(ended(), nil)
	wantErr(t, err, context.Canceled)
	late, err := ringbuf.OpenPipe(mem, 1, nil)
	ok(t, err)
	mu.Lock()
	coming = false
	mu.Unlock()
	ok(t, late.Put(ctx, []byte("late")))
	_, err = a.Get(ctx, nil)
	ok(t, err)
	ok(t, late.Close())
	_, err = a.Get(ctx, nil)
	wantErr(t, err, io.EOF)
}

// TestPipeLarge sends messages of all sizes, those that get a block of their own included, and finds everything given back.
func TestPipeLarge(t *testing.T) {
	ctx := context.Background()
	seg, a, b := pipeSegment(t, ringbuf.PipeOptions{})
	sizes := []int{0, 1, 223, 224, 225, 2048, 2049, 96<<10 - 1, 96 << 10, 96<<10 + 1, 1 << 20, 5<<20 + 3, 0, 100 << 20, 7}
	big := bytes.Repeat(noise, 1+(100<<20)/len(noise))
	done := make(chan error, 1)
	go func() {
		for i, n := range sizes {
			if err := a.Put(ctx, big[i:][:n]); err != nil {
				done <- err
				return
			}
		}
		done <- a.Close()
	}()
	for i, n := range sizes {
		msg, err := b.Get(ctx, nil)
		ok(t, err)
		if !bytes.Equal(msg, big[i:][:n]) {
			t.Fatalf("message %d of %d bytes came as %d other ones", i, n, len(msg))
		}
	}
	ok(t, <-done)
	_, err := b.Get(ctx, nil)
	wantErr(t, err, io.EOF)
	ok(t, ringbuf.PipeDrained(b))
	_ = seg
}

// TestPipeBlocksAreFew has a sender of blocks wait for the receiver.
func TestPipeBlocksAreFew(t *testing.T) {
	_, a, b := pipeSegment(t, ringbuf.PipeOptions{})
	n := 0
	for ; n < 100; n++ {
		err := a.TryPut(make([]byte, 200<<10))
		if errors.Is(err, ringbuf.ErrFull) {
			break
		}
		ok(t, err)
	}
	if n < 1 || n > 4 {
		t.Fatalf("%d large messages wait in the pipe", n)
	}
	for range n {
		_, err := b.TryGet(nil)
		ok(t, err)
	}
	ok(t, ringbuf.PipeDrained(a))
}

func TestPipeRemake(t *testing.T) {
	ctx := context.Background()
	o := ringbuf.PipeOptions{}
	size, err := ringbuf.PipeSize(&o)
	ok(t, err)
	mem, c := make([]byte, size), &crowd{}
	o.Participants = member{c, 1}
	a, b, err := ringbuf.CreatePipe(mem, &o)
	ok(t, err)
	other := &ringbuf.PipeOptions{Participants: member{c, 2}, Generation: a.Generation()}
	theirs, err := ringbuf.OpenPipe(mem, 1, other)
	ok(t, err)
	for i := range 10 {
		ok(t, a.Put(ctx, content(1, 20+300*i)))
	}
	refused := func() {
		t.Helper()
		if _, _, remade, err := a.Remake(&o); remade || err != nil {
			t.Fatalf("a pipe in use was made anew, %v", err)
		}
	}
	refused()
	ok(t, a.Close())
	refused()
	ok(t, b.Close())
	refused()
	msg, err := theirs.Get(ctx, nil)
	ok(t, err)
	wantContent(t, msg, 1, 20)
	c.kill(2)
	a2, b2, remade, err := a.Remake(&o)
	ok(t, err)
	if !remade {
		t.Fatal("the pipe was not made anew")
	}
	for _, late := range []uint32{1, 3} {
		other.Participants = member{c, late}
		if _, err := ringbuf.OpenPipe(mem, 1, other); !errors.Is(err, ringbuf.ErrClosed) {
			t.Fatalf("a handle of the former pipe: %v", err)
		}
	}
	if ready, err := b2.TryPoll(); ready || err != nil {
		t.Fatalf("a new pipe is ready: %v, %v", ready, err)
	}
	ok(t, a2.Put(ctx, content(2, 500)))
	msg, err = b2.Get(ctx, nil)
	ok(t, err)
	wantContent(t, msg, 2, 500)
	ok(t, a2.Close())
	_, err = b2.Get(ctx, nil)
	wantErr(t, err, io.EOF)
	ok(t, b2.Close())
	if _, _, remade, err := a.Remake(&o); remade || err != nil {
		t.Fatalf("a handle of the former pipe makes a third: %v", err)
	}
	_, _, remade, err = a2.Remake(&o)
	if !remade || err != nil {
		t.Fatalf("the pipe was not made anew again: %v", err)
	}
}

// TestPipeRemakeBlocks makes a pipe anew again and again in which large messages wait, more of them in all than the arena holds.
func TestPipeRemakeBlocks(t *testing.T) {
	const large, each, arena = 1 << 20, 3, 8 << 20
	size, err := ringbuf.PipeSize(nil)
	ok(t, err)
	seg, err := shm.New(&shm.Options{Size: size, Arena: arena, Participants: 4})
	ok(t, err)
	defer seg.Close()
	a, b, err := ringbuf.CreatePipe(seg.Bytes(), pipeIn(seg))
	for range 2 * arena / (each * large) {
		ok(t, err)
		for range each {
			ok(t, a.TryPut(make([]byte, large)))
		}
		ok(t, a.Close())
		ok(t, b.Close())
		var remade bool
		if a, b, remade, err = a.Remake(pipeIn(seg)); err == nil && !remade {
			t.Fatal("the pipe was not made anew")
		}
	}
	ok(t, err)
	n, err := a.Repair()
	if n != 0 || err != nil {
		t.Errorf("Repair says %d, %v", n, err)
	}
	ok(t, a.Check())
	ok(t, a.Close())
	ok(t, b.Close())
	wantErr(t, a.Check(), ringbuf.ErrClosed)
	_, err = a.Repair()
	wantErr(t, err, ringbuf.ErrClosed)
	ok(t, seg.Check())
}

func TestPipeBadOptions(t *testing.T) {
	for _, o := range []ringbuf.PipeOptions{{Capacity: -1}, {Bytes: -1}, {Bytes: 10}, {Capacity: 1 << 20}, {Bytes: 1 << 60}} {
		if n, err := ringbuf.PipeSize(&o); err == nil {
			t.Errorf("%+v takes %d bytes", o, n)
		}
		if _, _, err := ringbuf.CreatePipe(make([]byte, 1<<16), &o); err == nil {
			t.Errorf("a pipe of %+v was made", o)
		}
	}
	a, _ := newPipe(t, ringbuf.PipeOptions{Bytes: 4096})
	wantErr(t, a.Put(t.Context(), make([]byte, 5000)), ringbuf.ErrTooLarge)
	if _, err := ringbuf.OpenPipe(make([]byte, 4096), 0, nil); !errors.Is(err, ringbuf.ErrForeign) {
		t.Errorf("no pipe opens as one: %v", err)
	}
	if _, err := ringbuf.OpenPipe(make([]byte, 4096), 2, nil); err == nil {
		t.Error("there is a third end")
	}
}

// TestPipeDeadline sets deadlines before and during waits.
func TestPipeDeadline(t *testing.T) {
	ctx := context.Background()
	a, b := newPipe(t, ringbuf.PipeOptions{Capacity: 1})
	past, never := time.Now().Add(-time.Hour), time.Time{}
	ok(t, a.SetGetDeadline(past))
	_, err := a.Get(ctx, nil)
	wantErr(t, err, os.ErrDeadlineExceeded)
	wantErr(t, a.Poll(ctx), os.ErrDeadlineExceeded)
	ok(t, a.Put(ctx, nil)) // the other direction has another
	ok(t, a.SetPutDeadline(past))
	wantErr(t, a.Put(ctx, nil), os.ErrDeadlineExceeded)
	wantErr(t, a.Put(ctx, make([]byte, 1000)), os.ErrDeadlineExceeded)
	ok(t, b.Put(ctx, []byte("there")))
	_, err = a.Get(ctx, nil) // what need not wait is done
	ok(t, err)
	ok(t, a.SetGetDeadline(never))
	done := make(chan error)
	go func() { _, err := a.Get(ctx, nil); done <- err }()
	ok(t, a.SetGetDeadline(time.Now().Add(time.Millisecond)))
	wantErr(t, <-done, os.ErrDeadlineExceeded)
	ok(t, a.SetGetDeadline(never))
	ok(t, b.Put(ctx, []byte("later")))
	_, err = a.Get(ctx, nil)
	ok(t, err)
	ok(t, a.SetGetDeadline(time.Now().Add(time.Hour)))
	ok(t, a.Close())
	wantErr(t, a.SetGetDeadline(never), ringbuf.ErrClosed)
	_, err = b.Get(ctx, nil)
	ok(t, err)
	_, err = b.Get(ctx, nil)
	wantErr(t, err, io.EOF)
}
