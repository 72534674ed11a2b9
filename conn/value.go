package conn

import (
	"context"
	"fmt"
	"reflect"

	"github.com/fb2d3dbd/multiproc/internal/codec"
)

// Send sends v as one message, waiting for room until ctx ends. v is any value that a Target takes as its argument; it arrives with its type, which the
// receiver asks for by [Recv] or has registered. Both ends must be built of the same source. The errors are those of [Conn.SendBytes], and those
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
	know(reflect.TypeFor[T]())
	return as[T](c.recvValue(ctx, true))
}

// TryRecv receives the next message from c, a T, or returns ErrEmpty.
func TryRecv[T any](c *Conn) (T, error) {
	know(reflect.TypeFor[T]())
	return as[T](c.recvValue(context.Background(), false))
}

func as[T any](v any, err error) (t T, _ error) {
	if err != nil {
		return t, err
	}
	switch x := v.(type) {
	case T:
		return x, nil
	case *T:
		if x != nil {
			return *x, nil
		}
	case nil:
		if reflect.TypeFor[T]().Kind() == reflect.Interface {
			return t, nil
		}
	}
	return t, fmt.Errorf("conn: received a %T, want a %s; it is lost", v, reflect.TypeFor[T]())
}

// know registers the type of a value, as far as it can be: what cannot is refused when it is encoded or decoded.
func know(t reflect.Type) {
	if t != nil {
		_ = codec.Know(t)
	}
}

func (c *Conn) sendValue(ctx context.Context, v any, wait bool) error {
	know(reflect.TypeOf(v))
	buf := buffers.Get().(*[]byte)
	b, err := codec.Append((*buf)[:0], &v, nil)
	defer func() {
		if cap(b) <= inlineMax {
			*buf = b
		}
		buffers.Put(buf)
	}()
	if err != nil {
		return fmt.Errorf("conn: %w", err)
	}
	return c.send(ctx, &outgoing{parts: [2][]byte{b}}, wait)
}

func (c *Conn) recvValue(ctx context.Context, wait bool) (v any, err error) {
	m, err := c.receive(ctx, nil, c.limit.Load(), wait)
	if err != nil {
		return nil, err
	}
	defer m.free()
	if err := codec.Decode(m.body, &v); err != nil {
		return nil, fmt.Errorf("conn: %w", err)
	}
	return v, nil
}
