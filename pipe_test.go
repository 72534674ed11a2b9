package multiproc_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/fb2d3dbd/multiproc"
	"github.com/fb2d3dbd/multiproc/internal/proctest"
)

func newPipe(t testing.TB, duplex bool) (a, b *multiproc.PipeEnd) {
	t.Helper()
	a, b, err := multiproc.Pipe(duplex)
	check(t, err)
	t.Cleanup(func() { a.Close(); b.Close() })
	return a, b
}

var pipeEcho = multiproc.NewTarget("pipeEcho", sendBack)

// sendBack sends back what it receives, until the end of the pipe.
func sendBack(ctx context.Context, end *multiproc.PipeEnd) error {
	for {
		msg, err := end.RecvBytes(ctx)
		if errors.Is(err, io.EOF) {
			return end.Close()
		}
		if err == nil {
			err = end.SendBytes(ctx, msg)
		}
		if err != nil {
			return err
		}
	}
}

// TestPipeConnection is CPython's _TestConnection.test_connection.
func TestPipeConnection(t *testing.T) {
	ctx := proctest.Context(t)
	a, b := newPipe(t, true)
	p := start(t, pipeEcho, b, nil)
	check(t, b.Close())

	type pipePoint struct{ X, Y int }
	for _, v := range []any{[]any{1, 2.25, nil}, 7, "text", nil, map[string]int{"a": 1}, pipePoint{3, 4}, &pipePoint{5, 6}} {
		check(t, a.Send(ctx, v))
		got, err := a.Recv(ctx)
		check(t, err)
		if !reflect.DeepEqual(got, v) {
			t.Errorf("sent %#v, received %#v", v, got)
		}
	}
	check(t, a.SendBytes(ctx, []byte("bytes")))
	got := must(a.RecvBytes(ctx))(t)
	if string(got) != "bytes" {
		t.Errorf("received %q", got)
	}

	buf := make([]byte, 100)
	long := bytes.Repeat([]byte("hello world"), 5)
	check(t, a.SendBytes(ctx, long))
	if n, err := a.RecvInto(ctx, buf); n != len(long) || err != nil || !bytes.Equal(buf[:n], long) {
		t.Errorf("received %d bytes into a buffer, %v", n, err)
	}
	check(t, a.SendBytes(ctx, long))
	if n, err := a.RecvInto(ctx, buf[30:]); n != len(long) || err != nil || !bytes.Equal(buf[30:][:n], long) {
		t.Errorf("received %d bytes into a part of a buffer, %v", n, err)
	}
	for _, n := range []int{40, 3000, 200 << 10} {
		long := bytes.Repeat([]byte("ab"), n)
		check(t, a.SendBytes(ctx, long))
		_, err := a.RecvInto(ctx, buf[:10])
		var short *multiproc.TooShortError
		if !errors.As(err, &short) || !bytes.Equal(short.Message, long) || short.Room != 10 {
			t.Errorf("a message of %d bytes for a buffer of 10: %v", len(long), err)
		}
	}
	check(t, a.SendBytes(ctx, long))
	_, err := a.RecvBytesLimit(ctx, 54)
	want(t, err, multiproc.ErrTooLarge)
	check(t, a.SendBytes(ctx, long))
	got = must(a.RecvBytesLimit(ctx, 55))(t)
	if !bytes.Equal(got, long) {
		t.Errorf("received %q", got)
	}

	if ready, err := a.TryPoll(); ready || err != nil {
		t.Errorf("ready: %v, %v", ready, err)
	}
	want(t, a.Poll(ended()), context.Canceled)
	_, err = a.TryRecv()
	want(t, err, multiproc.ErrEmpty)
	_, err = multiproc.TryRecv[int](a)
	want(t, err, multiproc.ErrEmpty)
	check(t, a.Send(ctx, nil))
	check(t, a.Poll(ctx))
	if v, err := a.Recv(ctx); v != nil || err != nil {
		t.Errorf("received %v, %v", v, err)
	}

	really := bytes.Repeat([]byte("X"), 16<<20)
	check(t, a.SendBytes(ctx, really))
	if got := must(a.RecvBytes(ctx))(t); !bytes.Equal(got, really) {
		t.Errorf("received %d other bytes", len(got))
	}
	check(t, a.SendBytes(ctx, nil))
	if got := must(a.RecvBytes(ctx))(t); got == nil || len(got) != 0 {
		t.Errorf("an empty message came as %#v", got)
	}
	check(t, a.Close())
	wait(t, p)
	want(t, a.Send(ctx, 1), os.ErrClosed)
	_, err = a.Recv(ctx)
	want(t, err, os.ErrClosed)
	want(t, a.Poll(ctx), os.ErrClosed)
	check(t, a.Close())
}

// TestPipeDuplexFalse is CPython's test_duplex_false.
func TestPipeDuplexFalse(t *testing.T) {
	ctx := proctest.Context(t)
	r, w := newPipe(t, false)
	if !r.Readable() || r.Writable() || w.Readable() || !w.Writable() {
		t.Error("the ends have the wrong directions")
	}
	check(t, w.Send(ctx, 1))
	if v, err := r.Recv(ctx); v != 1 || err != nil {
		t.Errorf("received %v, %v", v, err)
	}
	want(t, r.Send(ctx, 2), multiproc.ErrOneWay)
	_, err := w.Recv(ctx)
	want(t, err, multiproc.ErrOneWay)
	want(t, w.Poll(ctx), multiproc.ErrOneWay)
	_, err = r.FD()
	want(t, err, errors.ErrUnsupported)
}

// TestPipeSpawnClose is CPython's test_spawn_close: a handle that was given to a child can be closed at once.
func TestPipeSpawnClose(t *testing.T) {
	ctx := proctest.Context(t)
	for range 3 {
		a, b := newPipe(t, true)
		p := start(t, pipeEcho, b, nil)
		check(t, b.Close())
		check(t, a.SendBytes(ctx, []byte("hello")))
		if got := must(a.RecvBytes(ctx))(t); string(got) != "hello" {
			t.Errorf("received %q", got)
		}
		check(t, a.SendBytes(ctx, nil))
		must(a.RecvBytes(ctx))(t)
		check(t, a.Close())
		wait(t, p)
	}
}

// TestPipeStrings is CPython's _TestPoll: messages keep their bounds, the empty ones too, and poll sees each.
func TestPipeStrings(t *testing.T) {
	ctx := proctest.Context(t)
	a, b := newPipe(t, true)
	msgs := []string{"hello", "", "a", "b", "", "bye", "", "lop"}
	for _, m := range msgs {
		check(t, a.SendBytes(ctx, []byte(m)))
	}
	for _, m := range msgs {
		if ready, err := b.TryPoll(); !ready || err != nil {
			t.Fatalf("not ready: %v", err)
		}
		if got := must(b.TryRecvBytes())(t); string(got) != m {
			t.Errorf("received %q, want %q", got, m)
		}
	}
	if ready, err := b.TryPoll(); ready || err != nil {
		t.Errorf("an empty pipe is ready, %v", err)
	}
	check(t, a.Close())
	if ready, err := b.TryPoll(); !ready || err != nil {
		t.Errorf("the end of a pipe is not ready, %v", err)
	}
	_, err := b.TryRecvBytes()
	want(t, err, io.EOF)
	want(t, b.SendBytes(ctx, nil), multiproc.ErrPeerClosed)
}

var sitAndHold = multiproc.NewTarget("pipeHold", func(ctx context.Context, end *multiproc.PipeEnd) error {
	if err := end.Send(ctx, "here"); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
})

// TestPipeHolderKilled kills the only process that has an end: at the other, who waits is told.
func TestPipeHolderKilled(t *testing.T) {
	ctx := proctest.Context(t)
	a, b := newPipe(t, true)
	p := start(t, sitAndHold, b, nil)
	check(t, b.Close())
	if v, err := multiproc.Recv[string](ctx, a); v != "here" || err != nil {
		t.Fatalf("received %q, %v", v, err)
	}
	got := make(chan error)
	go func() { _, err := a.Recv(ctx); got <- err }()
	kill(t, p)
	want(t, <-got, io.EOF)
	want(t, a.Send(ctx, 1), multiproc.ErrPeerClosed)
}

var giveOn = multiproc.NewTarget("pipeGiveOn", func(ctx context.Context, end *multiproc.PipeEnd) error {
	if _, err := sitAndHold.Start(ctx, end, nil); err != nil {
		return err
	}
	if err := end.Close(); err != nil { // while the child is on its way
		return err
	}
	<-ctx.Done()
	return nil
})

// TestPipeGivenOn has a child give its end to a child of its own, and close it at once: the other end sees no end of the pipe before that one's.
func TestPipeGivenOn(t *testing.T) {
	ctx := proctest.Context(t)
	for range 5 {
		a, b := newPipe(t, true)
		p := start(t, giveOn, b, nil)
		check(t, b.Close())
		if v, err := multiproc.Recv[string](ctx, a); v != "here" || err != nil {
			t.Fatalf("received %q, %v", v, err)
		}
		if _, err := a.TryRecv(); !errors.Is(err, multiproc.ErrEmpty) {
			t.Fatalf("the grandchild is there: %v", err)
		}
		kill(t, p) // and the grandchild with it
		_, err := a.Recv(ctx)
		want(t, err, io.EOF)
	}
}

// TestPipeOverPipe is CPython's _TestPicklingConnections: an end is sent over another pipe.
func TestPipeOverPipe(t *testing.T) {
	ctx := proctest.Context(t)
	a, b := newPipe(t, true)
	c, d := newPipe(t, true)
	check(t, a.Send(ctx, d))
	got, err := multiproc.Recv[*multiproc.PipeEnd](ctx, b)
	check(t, err)
	check(t, d.Close())
	check(t, c.Send(ctx, "through"))
	if v, err := got.Recv(ctx); v != "through" || err != nil {
		t.Errorf("received %v, %v", v, err)
	}
	check(t, a.Send(ctx, got))
	check(t, got.Close()) // before it has arrived
	_, err = c.Recv(ctx)
	want(t, err, io.EOF)
	_, err = multiproc.Recv[*multiproc.PipeEnd](ctx, b)
	want(t, err, os.ErrClosed)
	want(t, a.Send(ctx, got), os.ErrClosed)
}

// TestPipeGarbage drops a handle: the end is closed when it was collected.
func TestPipeGarbage(t *testing.T) {
	a, b, err := multiproc.Pipe(true)
	check(t, err)
	check(t, b.Send(t.Context(), 1))
	runtime.KeepAlive(b)
	b = nil
	proctest.Eventually(t, func() bool {
		runtime.GC()
		_, err := a.TryRecv()
		return errors.Is(err, io.EOF)
	}, "a handle that is garbage is closed")
}

// TestPipeAgain makes many pipes one after the other: their memory is used again.
func TestPipeAgain(t *testing.T) {
	ctx := proctest.Context(t)
	seen := map[string]bool{}
	for i := range 200 {
		a, b, err := multiproc.Pipe(i%2 == 0)
		check(t, err)
		seen[string(must(a.MarshalBinary())(t)[:16])] = true
		check(t, b.Send(ctx, i))
		if v, err := a.Recv(ctx); v != i || err != nil {
			t.Fatalf("received %v, %v", v, err)
		}
		check(t, a.Close())
		check(t, b.Close())
	}
	if len(seen) > 100 {
		t.Errorf("200 pipes stand in %d places", len(seen))
	}
}

func TestPipeDeadline(t *testing.T) {
	ctx := proctest.Context(t)
	a, b := newPipe(t, true)
	check(t, a.SetDeadline(time.Now().Add(time.Millisecond)))
	_, err := a.Recv(ctx)
	want(t, err, os.ErrDeadlineExceeded)
	check(t, a.SetDeadline(time.Time{}))
	check(t, b.Send(ctx, 1))
	if v, err := a.Recv(ctx); v != 1 || err != nil {
		t.Errorf("received %v, %v", v, err)
	}
	r, _ := newPipe(t, false)
	check(t, r.SetDeadline(time.Now()))
}

func TestPipeMisuse(t *testing.T) {
	ctx := proctest.Context(t)
	var zero multiproc.PipeEnd
	want(t, zero.Send(ctx, 1), os.ErrClosed)
	_, err := zero.Recv(ctx)
	want(t, err, os.ErrClosed)
	check(t, zero.Close())
	if _, err := zero.MarshalBinary(); err == nil {
		t.Error("the zero PipeEnd has a handle")
	}
	a, b := newPipe(t, true)
	for _, bad := range [][]byte{nil, {1}, make([]byte, 37), append(must(a.MarshalBinary())(t)[:36], 2)} {
		if err := new(multiproc.PipeEnd).UnmarshalBinary(bad); err == nil {
			t.Errorf("the handle %x was opened", bad)
		}
	}
	if err := a.Send(ctx, make(chan int)); err == nil {
		t.Error("a channel was sent")
	}
	check(t, a.Send(ctx, 1))
	if _, err := multiproc.Recv[string](ctx, b); err == nil {
		t.Error("a number was received as a string")
	}
	if _, err := b.RecvBytesLimit(ctx, -1); err == nil {
		t.Error("a negative limit")
	}
	if _, _, err := multiproc.NewPipe(&multiproc.PipeOptions{Capacity: -1}); err == nil {
		t.Error("a pipe of -1 messages")
	}
	closeDefault(t)
	want(t, a.Send(ctx, 1), os.ErrClosed)
	_, err = a.Recv(ctx)
	want(t, err, os.ErrClosed)
	want(t, a.Poll(ctx), os.ErrClosed)
}

type shared struct {
	End  *multiproc.PipeEnd
	Me   int
	N    int
	Size int
}

// sharedMessage is message i of a sender.
func sharedMessage(me, i, size int) []byte {
	msg := bytes.Repeat([]byte{byte(me*31 + i)}, 16+(i*7919)%size)
	binary.LittleEndian.PutUint64(msg, uint64(me))
	binary.LittleEndian.PutUint64(msg[8:], uint64(i))
	return msg
}

var sendShared = multiproc.NewTarget("pipeSendShared", func(ctx context.Context, s shared) error {
	for i := range s.N {
		if err := s.End.SendBytes(ctx, sharedMessage(s.Me, i, s.Size)); err != nil {
			return err
		}
	}
	return nil
})

// TestPipeSendersKilled has processes send at one end and goroutines receive at the other, and kills senders in the middle of it: every message comes whole and once, and in order
// of each sender, also large ones that get a block.
func TestPipeSendersKilled(t *testing.T) {
	ctx := proctest.Context(t)
	const rounds, senders, size = 6, 3, 130 << 10
	a, b := newPipe(t, false)
	var procs []*multiproc.Process
	for me := range rounds * senders {
		procs = append(procs, start(t, sendShared, shared{b, me, 1 << 30, size}, nil))
		if len(procs)%senders > 0 {
			continue
		}
		last := map[uint64]int64{}
		var mu sync.Mutex
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				for range 100 {
					msg, err := a.RecvBytes(ctx)
					if err != nil {
						t.Error(err)
						return
					}
					if err := sharedCheck(msg, size); err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					last[binary.LittleEndian.Uint64(msg)]++
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		for _, p := range procs[len(procs)-senders:] {
			check(t, p.Kill())
		}
	}
	check(t, b.Close())
	for {
		msg, err := a.RecvBytes(ctx)
		if errors.Is(err, io.EOF) {
			break
		}
		check(t, err)
		check(t, sharedCheck(msg, size))
	}
}

func sharedCheck(msg []byte, size int) error {
	if len(msg) < 16 {
		return fmt.Errorf("a message of %d bytes", len(msg))
	}
	me, i := binary.LittleEndian.Uint64(msg), binary.LittleEndian.Uint64(msg[8:])
	if me > 1000 || !bytes.Equal(msg, sharedMessage(int(me), int(i), size)) {
		return fmt.Errorf("message %d of sender %d is torn", i, me)
	}
	return nil
}
