package conn

import (
	"context"
	"fmt"
	"reflect"

	"github.com/fb2d3dbd/multiproc/internal/codec"
)

// Send sends v as one message, waiting for room until ctx ends. v is any value that a Target takes as its argument; it arrives with its type, which the
// receiver asks for by [Recv] or has registered.
//
// Handles may be in it, also for a process that is no relative: a Conn, an *os.File, a socket or listener of package net arrive as copies of the descriptor, a queue, a
// lock, a value or a segment joins the receiver to the shared memory it stands in, which stays open there. That takes a connection over a Unix-domain
// socket. A Conn over packets is shared from then on; one over a stream moves, and is [ErrMoved] here.
//
// Both ends must be built of the same source. The errors are those of [Conn.SendBytes], and those
// of a value that cannot be sent.
func (c *Conn) Send(ctx context.Context, v any) error { return c.sendValue(ctx, v, true) }

// TrySend sends v, or returns ErrFull if there is no room; see [Conn.TrySendBytes].
func (c *Conn) TrySend(v any) error { return c.sendValue(context.Background(), v, false) }

// Recv receives the next message, a value that was sent by Send, waiting for one until ctx ends. A type of the peer's that this process has not registered is an
// error, and the message is gone. The error is io.EOF at the end of the connection.
func (c *Conn) Recv(ctx context.Context) (any, error) { return c.recvValue(ctx, true) }

// TryRecv receives the next message, or returns ErrEmpty.
func (c *Conn) TryRecv() (any, error) { return c.recvValue(context.Background(), false) }

// Recv receives the next message from c, a T, waiting for one until ctx ends. A *T is taken for a T. A value of another type is an error, and gone.
func Recv[T any](ctx context.Context, c *Conn) (T, error) {
	know(*new(T))
	return as[T](c.recvValue(ctx, true))
}

// TryRecv receives the next message from c, a T, or returns ErrEmpty.
func TryRecv[T any](c *Conn) (T, error) {
	know(*new(T))
	return as[T](c.recvValue(context.Background(), false))
}

func as[T any](v any, err error) (t T, _ error) {
	if err != nil {
		return t, err
	}
	t, ok := codec.As[T](v)
	if ok {
		return t, nil
	}
	return t, fmt.Errorf("conn: received a %T, want a %s; it is lost", v, reflect.TypeFor[T]())
}

// know registers the type of a value, as far as it can be: what cannot is refused when it is encoded or decoded.
func know(v any) {
	if t := reflect.TypeOf(v); t != nil {
		_ = codec.Know(t)
	}
}
