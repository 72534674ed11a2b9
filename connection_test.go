package multiproc_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"testing"

	"github.com/fb2d3dbd/multiproc"
	"github.com/fb2d3dbd/multiproc/conn"
	"github.com/fb2d3dbd/multiproc/internal/proctest"
)

type connected struct {
	Conn  *conn.Conn
	File  *os.File
	Times int
}

var echoes = multiproc.NewTarget("echoes", func(ctx context.Context, c connected) error {
	for range c.Times {
		v, err := c.Conn.Recv(ctx)
		if err != nil {
			return err
		}
		if err := c.Conn.Send(ctx, v); err != nil {
			return err
		}
	}
	_, err := fmt.Fprint(c.File, "end")
	return errors.Join(err, c.File.Close(), c.Conn.Close())
})

// A connection and a file are part of an argument, by every start method that encodes it.
func TestConnectionsInArguments(t *testing.T) {
	for _, m := range []multiproc.StartMethod{multiproc.Spawn, multiproc.ForkServer, multiproc.Fork} {
		t.Run(string(m), func(t *testing.T) {
			ctx := proctest.Context(t)
			a, b, err := conn.Pipe(true)
			check(t, err)
			r, w, err := os.Pipe()
			check(t, err)
			p, err := echoes.Start(ctx, connected{b, w, 3}, &multiproc.ProcessOptions{Method: m, AllowForkall: m == multiproc.Fork})
			if errors.Is(err, errors.ErrUnsupported) {
				t.Skip(err)
			}
			check(t, err)
			check(t, b.Close())
			check(t, w.Close())
			for _, v := range []any{1, "two", []byte("three")} {
				check(t, a.Send(ctx, v))
				if got := must(a.Recv(ctx))(t); fmt.Sprint(got) != fmt.Sprint(v) {
					t.Errorf("got %v, want %v", got, v)
				}
			}
			if text := must(io.ReadAll(r))(t); string(text) != "end" {
				t.Errorf("got %q", text)
			}
			_, err = a.Recv(ctx)
			want(t, err, io.EOF)
			wait(t, p)
			check(t, r.Close())
			check(t, a.Close())
		})
	}
}

var claims = multiproc.NewTarget("claims", func(ctx context.Context, c *conn.Conn) error {
	if err := c.Send(ctx, 1); !errors.Is(err, conn.ErrInherited) {
		return fmt.Errorf("the parent's stream was used: %v", err)
	}
	if err := c.Claim(); err != nil {
		return err
	}
	return errors.Join(c.Send(ctx, 2), c.Close())
})

// A stream is no longer usable by accident in two processes after a fork.
func TestStreamAfterFork(t *testing.T) {
	ctx := proctest.Context(t)
	l := must(conn.Listen("unix", "", nil))(t)
	a := must(conn.Dial(ctx, "unix", l.Addr().String(), nil))(t)
	b := must(l.Accept(ctx))(t)
	check(t, l.Close())
	p, err := claims.Start(ctx, b, &multiproc.ProcessOptions{Method: multiproc.Fork, AllowForkall: true})
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	}
	check(t, err)
	check(t, b.Close())
	if n := must(conn.Recv[int](ctx, a))(t); n != 2 {
		t.Errorf("got %d", n)
	}
	wait(t, p)
	check(t, a.Close())
}
