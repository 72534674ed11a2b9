package conn_test

import (
	"context"
	"errors"
	"io"
	"os"
	"testing"
	"time"

	"github.com/fb2d3dbd/multiproc/conn"
	"github.com/fb2d3dbd/multiproc/internal/proctest"
)

// sizes are those at which something changes: the empty message, CPython's 16 KiB, the packet's limit, the first room of a stream's message.
var sizes = []int{0, 1, 3, 4, 5, 100, 16383, 16384, 16385, 65535, 65536, 65537, 1<<20 - 1, 1 << 20, 1<<20 + 1, 3<<20 + 17}

func TestBytes(t *testing.T) {
	each(t, func(t *testing.T, a, b *conn.Conn) {
		ctx := proctest.Context(t)
		sent := make(chan error, 1)
		go func() {
			for _, n := range sizes {
				if err := a.SendBytes(ctx, pattern(n)); err != nil {
					sent <- err
					return
				}
			}
			sent <- nil
		}()
		for _, n := range sizes {
			same(t, must(b.RecvBytes(ctx))(t), pattern(n))
		}
		check(t, <-sent)
	})
}

func TestRecvInto(t *testing.T) {
	each(t, func(t *testing.T, a, b *conn.Conn) {
		ctx := proctest.Context(t)
		for _, n := range []int{0, 1, 100, 5000, 70000} {
			for _, room := range []int{0, 1, n, n + 1, n - 1, n / 2} {
				if room < 0 {
					continue
				}
				sent := make(chan error, 1)
				go func() { sent <- a.SendBytes(ctx, pattern(n)) }()
				buf := make([]byte, room)
				k, err := b.RecvInto(ctx, buf)
				check(t, <-sent)
				if room >= n {
					check(t, err)
					same(t, buf[:k], pattern(n))
					continue
				}
				short, ok := errors.AsType[*conn.TooShortError](err)
				if !ok || short.Room != room || !errors.Is(err, io.ErrShortBuffer) {
					t.Fatalf("%d bytes into %d: %d, %v", n, room, k, err)
				}
				same(t, short.Message, pattern(n))
			}
		}
	})
}

// TestRecvIntoOne takes messages one by one into room for several, when all have come.
func TestRecvIntoOne(t *testing.T) {
	each(t, func(t *testing.T, a, b *conn.Conn) {
		ctx := proctest.Context(t)
		for n := range 20 {
			check(t, a.SendBytes(ctx, pattern(n)))
		}
		buf := make([]byte, 4096)
		for n := range 20 {
			k, err := b.RecvInto(ctx, buf)
			check(t, err)
			same(t, buf[:k], pattern(n))
		}
	})
}

func TestEOF(t *testing.T) {
	each(t, func(t *testing.T, a, b *conn.Conn) {
		ctx := proctest.Context(t)
		check(t, a.SendBytes(ctx, []byte("last")))
		check(t, a.Close())
		check(t, b.Poll(ctx))
		same(t, must(b.RecvBytes(ctx))(t), []byte("last"))
		for range 3 {
			_, err := b.RecvBytes(ctx)
			want(t, err, io.EOF)
		}
		ready, err := b.TryPoll()
		if !ready || err != nil {
			t.Errorf("TryPoll at the end: %v, %v", ready, err)
		}
		for { // a stream's first sends may go nowhere
			if err := b.SendBytes(ctx, pattern(1000)); err != nil {
				if !errors.Is(err, conn.ErrPeerClosed) && !errors.Is(err, conn.ErrBroken) && !errors.Is(err, io.EOF) {
					t.Logf("send to nobody: %v", err)
				}
				break
			}
		}
		check(t, a.Close())
		_, err = a.RecvBytes(ctx)
		want(t, err, os.ErrClosed)
		want(t, a.SendBytes(ctx, nil), os.ErrClosed)
		_, err = a.TryPoll()
		want(t, err, os.ErrClosed)
		want(t, a.Poll(ctx), os.ErrClosed)
		_, err = a.Recv(ctx)
		want(t, err, os.ErrClosed)
	})
}

// A receive that is given up takes nothing from the next.
func TestCancelReceive(t *testing.T) {
	each(t, func(t *testing.T, a, b *conn.Conn) {
		for range 20 {
			ctx, cancel := context.WithCancel(proctest.Context(t))
			got := make(chan error, 1)
			go func() {
				_, err := b.RecvBytes(ctx)
				got <- err
			}()
			cancel()
			want(t, <-got, context.Canceled)
			_, err := b.TryRecvBytes()
			want(t, err, conn.ErrEmpty)
			ready, err := b.TryPoll()
			if ready || err != nil {
				t.Fatalf("TryPoll: %v, %v", ready, err)
			}
		}
		ctx := proctest.Context(t)
		check(t, a.SendBytes(ctx, []byte("x")))
		same(t, must(b.RecvBytes(ctx))(t), []byte("x"))
	})
}

func TestDeadline(t *testing.T) {
	each(t, func(t *testing.T, a, b *conn.Conn) {
		ctx := proctest.Context(t)
		check(t, b.SetReadDeadline(time.Now().Add(time.Millisecond)))
		_, err := b.RecvBytes(ctx)
		want(t, err, os.ErrDeadlineExceeded)
		_, err = b.RecvBytes(ctx)
		want(t, err, os.ErrDeadlineExceeded)
		check(t, b.SetDeadline(time.Time{}))
		check(t, a.SendBytes(ctx, []byte("x")))
		same(t, must(b.RecvBytes(ctx))(t), []byte("x"))
		// It wakes those who wait already.
		got := make(chan error, 1)
		go func() {
			_, err := b.RecvBytes(ctx)
			got <- err
		}()
		check(t, b.SetReadDeadline(time.Now()))
		want(t, <-got, os.ErrDeadlineExceeded)
	})
}

func TestCloseWakes(t *testing.T) {
	each(t, func(t *testing.T, a, b *conn.Conn) {
		ctx := proctest.Context(t)
		got := make(chan error)
		for range 3 {
			go func() {
				_, err := b.RecvBytes(ctx)
				got <- err
			}()
			go func() { got <- b.Poll(ctx) }()
		}
		check(t, b.Close())
		for range 6 {
			want(t, <-got, os.ErrClosed)
		}
	})
}

type job struct {
	N    int
	Name string
	More []any
}

func TestValues(t *testing.T) {
	each(t, func(t *testing.T, a, b *conn.Conn) {
		ctx := proctest.Context(t)
		check(t, a.Send(ctx, 42))
		check(t, a.Send(ctx, nil))
		check(t, a.Send(ctx, []any{42, nil, "hello"}))
		check(t, a.Send(ctx, job{7, "seven", []any{1.5}}))
		check(t, a.Send(ctx, &job{8, "eight", nil}))
		check(t, a.Send(ctx, "not an int"))
		if n := must(conn.Recv[int](ctx, b))(t); n != 42 {
			t.Errorf("got %d", n)
		}
		if v := must(b.Recv(ctx))(t); v != nil {
			t.Errorf("got %v", v)
		}
		if v := must(conn.Recv[[]any](ctx, b))(t); len(v) != 3 || v[0] != 42 || v[1] != nil || v[2] != "hello" {
			t.Errorf("got %v", v)
		}
		if j := must(conn.Recv[job](ctx, b))(t); j.N != 7 || j.Name != "seven" || j.More[0] != 1.5 {
			t.Errorf("got %v", j)
		}
		if j := must(conn.Recv[job](ctx, b))(t); j.N != 8 {
			t.Errorf("got %v", j)
		}
		if _, err := conn.Recv[int](ctx, b); err == nil {
			t.Error("a string was received as an int")
		}
		if err := a.Send(ctx, func() {}); err == nil {
			t.Error("a function was sent")
		}
		check(t, a.TrySend("x"))
		check(t, b.Poll(ctx))
		if s := must(conn.TryRecv[string](b))(t); s != "x" {
			t.Errorf("got %q", s)
		}
		_, err := conn.TryRecv[string](b)
		want(t, err, conn.ErrEmpty)
	})
}

func TestOneWay(t *testing.T) {
	r, w, err := conn.Pipe(false)
	check(t, err)
	defer r.Close()
	defer w.Close()
	ctx := proctest.Context(t)
	check(t, w.SendBytes(ctx, []byte("x")))
	same(t, must(r.RecvBytes(ctx))(t), []byte("x"))
	want(t, r.SendBytes(ctx, nil), conn.ErrOneWay)
	want(t, r.TrySend(1), conn.ErrOneWay)
	_, err = w.RecvBytes(ctx)
	want(t, err, conn.ErrOneWay)
	_, err = w.TryRecvBytes()
	want(t, err, conn.ErrOneWay)
	want(t, w.Poll(ctx), conn.ErrOneWay)
	_, err = w.TryPoll()
	want(t, err, conn.ErrOneWay)
	if r.Writable() || !r.Readable() || w.Readable() || !w.Writable() {
		t.Error("directions")
	}
	check(t, w.Close())
	_, err = r.RecvBytes(ctx)
	want(t, err, io.EOF)
}

// The ends of an os.Pipe are streams of one direction each.
func TestFromFile(t *testing.T) {
	fr, fw, err := os.Pipe()
	check(t, err)
	defer fr.Close()
	r, w := must(conn.FromFile(fr))(t), must(conn.FromFile(fw))(t)
	defer r.Close()
	check(t, fw.Close())
	if r.Writable() || w.Readable() || r.Packets() {
		t.Error("directions")
	}
	ctx := proctest.Context(t)
	sent := make(chan error, 1)
	go func() {
		err := w.SendBytes(ctx, pattern(1<<20))
		sent <- errors.Join(err, w.Close())
	}()
	same(t, must(r.RecvBytes(ctx))(t), pattern(1<<20))
	check(t, <-sent)
	_, err = r.RecvBytes(ctx)
	want(t, err, io.EOF)
}
