package conn_test

import (
	"context"
	"errors"
	"io"
	"os"
	"testing"

	"github.com/fb2d3dbd/multiproc/conn"
	"github.com/fb2d3dbd/multiproc/internal/proctest"
	"github.com/fb2d3dbd/multiproc/spawn"
)

// The empty message makes an end readable as any other does.
func TestPollEmptyMessage(t *testing.T) {
	each(t, func(t *testing.T, a, b *conn.Conn) {
		ctx := proctest.Context(t)
		if ready := must(b.TryPoll())(t); ready {
			t.Error("readable before anything was sent")
		}
		check(t, a.SendBytes(ctx, nil))
		check(t, b.Poll(ctx))
		check(t, b.Poll(ctx)) // and takes nothing away
		same(t, must(b.RecvBytes(ctx))(t), nil)
		ended, cancel := context.WithCancel(ctx)
		cancel()
		want(t, b.Poll(ended), context.Canceled)
	})
}

// Messages keep their borders, however they come together.
func TestMessagesAreNotMerged(t *testing.T) {
	each(t, func(t *testing.T, a, b *conn.Conn) {
		ctx := proctest.Context(t)
		const n = 50
		for i := range n {
			check(t, a.SendBytes(ctx, pattern(i)))
		}
		check(t, a.Close())
		for i := range n {
			check(t, b.Poll(ctx))
			same(t, must(b.RecvBytes(ctx))(t), pattern(i))
		}
		check(t, b.Poll(ctx))
		_, err := b.RecvBytes(ctx)
		want(t, err, io.EOF)
	})
}

func TestInvalidDescriptors(t *testing.T) {
	for _, fd := range []int{-1, 1 << 20} {
		if _, err := conn.FromFD(fd); err == nil {
			t.Errorf("a connection over descriptor %d", fd)
		}
	}
	dir := must(os.Open("."))(t)
	if _, err := conn.FromFile(dir); err == nil {
		t.Error("a connection over a directory")
	}
	check(t, dir.Close())
	if _, err := conn.FromFile(dir); !errors.Is(err, os.ErrClosed) {
		t.Errorf("a connection over a closed file: %v", err)
	}
}

// A child that closes its end, and one that ends without, end the connection.
var closes = spawn.NewTarget("conn-closes", func(ctx context.Context, c *conn.Conn) error {
	if err := c.Send(ctx, "hello"); err != nil {
		return err
	}
	return c.Close()
})

func TestChildCloses(t *testing.T) {
	ctx := proctest.Context(t)
	a, b := packets(t)
	p := startProcess(t, closes, b)
	check(t, b.Close())
	if s := must(conn.Recv[string](ctx, a))(t); s != "hello" {
		t.Errorf("got %q", s)
	}
	_, err := a.Recv(ctx)
	want(t, err, io.EOF)
	check(t, p.Wait(ctx))
	check(t, a.Close())
}

// Who connects and goes away before it is accepted, with or without a word, is accepted and is at its end.
func TestGoneBeforeAccept(t *testing.T) {
	for name, at := range places(t) {
		t.Run(name, func(t *testing.T) {
			ctx := proctest.Context(t)
			l := listen(t, at[0], at[1], nil)
			c := must(conn.Dial(ctx, at[0], l.Addr().String(), nil))(t)
			check(t, c.Close())
			c = must(conn.Dial(ctx, at[0], l.Addr().String(), nil))(t)
			check(t, c.Send(ctx, "hello"))
			check(t, c.Close())
			check(t, l.Poll(ctx))
			c = must(l.Accept(ctx))(t)
			_, err := c.Recv(ctx)
			want(t, err, io.EOF)
			check(t, c.Close())
			c = must(l.Accept(ctx))(t)
			check(t, c.Poll(ctx))
			if s := must(conn.Recv[string](ctx, c))(t); s != "hello" {
				t.Errorf("got %q", s)
			}
			check(t, c.Close())
			if ready := must(l.TryPoll())(t); ready {
				t.Error("somebody more is there")
			}
		})
	}
}

// A stream whose sender gives up in mid-message is broken for both, and says so.
func TestSendCancelled(t *testing.T) {
	ctx := proctest.Context(t)
	a, b := streams(t)
	defer a.Close()
	defer b.Close()
	given, cancel := context.WithCancel(ctx)
	sent := make(chan error, 1)
	go func() { sent <- a.SendBytes(given, pattern(8<<20)) }()
	check(t, b.Poll(ctx)) // a part is there
	cancel()
	want(t, <-sent, context.Canceled)
	want(t, a.SendBytes(ctx, nil), conn.ErrBroken)
	_, err := b.RecvBytes(ctx)
	want(t, err, conn.ErrBroken)
	want(t, err, io.ErrUnexpectedEOF)
	_, err = b.RecvBytes(ctx)
	want(t, err, conn.ErrBroken)
	// The other direction goes on.
	check(t, b.Send(ctx, 1))
	must(conn.Recv[int](ctx, a))(t)

	// Over packets a message is sent or it is not.
	x, y := packets(t)
	n := 0
	for ; x.TrySendBytes(pattern(50000)) == nil; n++ {
	}
	given, cancel = context.WithCancel(ctx)
	go cancel()
	err = x.SendBytes(given, pattern(50000))
	want(t, err, context.Canceled)
	check(t, x.Close())
	for range n {
		same(t, must(y.RecvBytes(ctx))(t), pattern(50000))
	}
	_, err = y.RecvBytes(ctx)
	want(t, err, io.EOF)
	check(t, y.Close())
}

// A limit drops a packet that is longer, and breaks a stream.
func TestLimit(t *testing.T) {
	each(t, func(t *testing.T, a, b *conn.Conn) {
		ctx := proctest.Context(t)
		for _, n := range []int{100, 200 << 10} {
			b.SetLimit(int64(n))
			check(t, a.SendBytes(ctx, pattern(n)))
			same(t, must(b.RecvBytes(ctx))(t), pattern(n))
		}
		b.SetLimit(-1)
		check(t, a.SendBytes(ctx, pattern(101)))
		_, err := b.RecvBytesLimit(ctx, 100)
		want(t, err, conn.ErrTooLarge)
		check(t, a.SendBytes(ctx, pattern(100)))
		m, err := b.RecvBytesLimit(ctx, 100)
		if b.Packets() {
			check(t, err)
			same(t, m, pattern(100))
			check(t, a.SendBytes(ctx, pattern(200<<10)))
			_, err = b.RecvBytesLimit(ctx, 100)
			want(t, err, conn.ErrTooLarge)
		} else {
			want(t, err, conn.ErrTooLarge)
		}
		if _, err := b.RecvBytesLimit(ctx, -1); err == nil {
			t.Error("a negative limit")
		}
	})
}
