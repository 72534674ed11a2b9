package conn

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/fb2d3dbd/multiproc/internal/sys"
)

var errDeadline = os.ErrDeadlineExceeded

// SendBytes sends b as one message, waiting for room until ctx ends. Part of a buffer is a slice of it.
//
// Over packets the message is sent whole or not at all. Over a stream it can happen that ctx or the deadline ends, or the Conn is closed, when a part of a
// long message is written: nothing more can be sent then, later sends are [ErrBroken], and the peer sees the end of the stream in the middle of a message.
func (c *Conn) SendBytes(ctx context.Context, b []byte) error {
	return c.send(ctx, &outgoing{parts: [2][]byte{b}}, true)
}

// TrySendBytes sends b, or returns ErrFull if there is no room. Over a stream a message that was begun is brought to its end, which may wait for the
// peer to read, up to the deadline.
func (c *Conn) TrySendBytes(b []byte) error {
	return c.send(context.Background(), &outgoing{parts: [2][]byte{b}}, false)
}

// RecvBytes receives the next message, waiting for one until ctx ends. The error is io.EOF at the end of the connection. A receive that ends early
// takes nothing from those that follow.
func (c *Conn) RecvBytes(ctx context.Context) ([]byte, error) {
	return own(c.receive(ctx, nil, c.limit.Load(), true))
}

// RecvBytesLimit is RecvBytes for a message of at most limit bytes; see [Conn.SetLimit] for what becomes of a longer one.
func (c *Conn) RecvBytesLimit(ctx context.Context, limit int) ([]byte, error) {
	if limit < 0 {
		return nil, fmt.Errorf("conn: a limit of %d bytes", limit)
	}
	return own(c.receive(ctx, nil, int64(limit), true))
}

// TryRecvBytes receives the next message, or returns ErrEmpty.
func (c *Conn) TryRecvBytes() ([]byte, error) {
	return own(c.receive(context.Background(), nil, c.limit.Load(), false))
}

// RecvInto receives the next message into b and returns its length. If b is too short the error is a [*TooShortError], which has the message.
func (c *Conn) RecvInto(ctx context.Context, b []byte) (int, error) {
	m, err := c.receive(ctx, b, c.limit.Load(), true)
	if err != nil {
		return 0, err
	}
	defer m.free()
	if err := m.plain(); err != nil {
		return 0, err
	}
	if len(m.body) > len(b) {
		return 0, &TooShortError{Message: append([]byte(nil), m.body...), Room: len(b)}
	}
	if len(m.body) > 0 && &m.body[0] != &b[0] {
		copy(b, m.body)
	}
	return len(m.body), nil
}

// own returns the bytes of a message in memory of their own.
func own(m incoming, err error) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	defer m.free()
	if err := m.plain(); err != nil {
		return nil, err
	}
	if m.spill != nil {
		return append(make([]byte, 0, len(m.body)), m.body...), nil
	}
	return m.body, nil
}

// errHandles says that somebody receives as bytes what can only be received as a value.
var errHandles = errors.New("conn: the message is a value with handles, which Recv receives; it is lost")

// plain refuses a message that carries descriptors.
func (m *incoming) plain() error {
	if m.listed {
		sys.CloseRights(m.rights)
		return errHandles
	}
	return nil
}

func (c *Conn) send(ctx context.Context, m *outgoing, wait bool) (err error) {
	if err := c.check(); err != nil {
		return err
	}
	switch {
	case !c.writable:
		return ErrOneWay
	case len(m.rights) > 0 && !c.domain:
		return fmt.Errorf("conn: handles travel over Unix-domain sockets only: %w", errors.ErrUnsupported)
	case c.stream != nil:
		err = c.sendStream(ctx, m, wait)
	default:
		err = c.sendPacket(ctx, m, wait)
	}
	if err == errWait {
		return ErrFull
	}
	return err
}

func (c *Conn) sendPacket(ctx context.Context, m *outgoing, wait bool) error {
	o := packetOps.Get().(*packetSend)
	defer o.release()
	if err := o.prepare(m); err != nil {
		return err
	}
	send := func() error {
		if wait {
			return c.out.do(ctx, o)
		}
		return c.out.try(o)
	}
	err := send()
	if errors.Is(err, sys.EMSGSIZE) && o.head[2]&flagBlob == 0 { // somebody has made the socket's buffer small
		if err := o.toBlob(m); err != nil {
			return err
		}
		err = send()
	}
	return err
}

// receive receives a message, into room if it fits there. What it returns is to be freed.
func (c *Conn) receive(ctx context.Context, room []byte, limit int64, wait bool) (m incoming, err error) {
	if err := c.check(); err != nil {
		return m, err
	}
	switch {
	case !c.readable:
		return m, ErrOneWay
	case c.stream != nil:
		m, err = c.receiveStream(ctx, room, limit, wait)
	default:
		o := packetGets.Get().(*packetReceive)
		o.room, o.limit = room, limit
		if wait {
			err = c.in.do(ctx, o)
		} else {
			err = c.in.try(o)
		}
		m = o.m
		*o = packetReceive{}
		packetGets.Put(o)
	}
	if err == errWait {
		err = ErrEmpty
	}
	return m, err
}
