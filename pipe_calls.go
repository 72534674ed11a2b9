package multiproc

import (
	"context"
	"fmt"
	"reflect"
	"runtime"
	"sync"

	"github.com/fb2d3dbd/multiproc/conn"
	"github.com/fb2d3dbd/multiproc/internal/codec"
	"github.com/fb2d3dbd/multiproc/internal/sharer"
	"github.com/fb2d3dbd/multiproc/ringbuf"
)

// Errors of pipes, the same as those of connections over sockets. They are matched with errors.Is; the end of a pipe is io.EOF.
var (
	// ErrPeerClosed says to a sender that nobody has the other end any more.
	ErrPeerClosed = conn.ErrPeerClosed
	// ErrOneWay says that the end does not have the direction.
	ErrOneWay = conn.ErrOneWay
)

// ErrFileGone says that an open file in a message of a queue or pipe cannot be had any more: the process that put it has died.
var ErrFileGone = sharer.ErrGone

// A TooShortError says that a message was longer than the buffer for it. It has the message, which nobody will get again.
type TooShortError = conn.TooShortError

// SendBytes sends b as one message, waiting for room until ctx ends. Part of a buffer is a slice of it.
func (p *PipeEnd) SendBytes(ctx context.Context, b []byte) error {
	e, err := p.ring()
	if err != nil {
		return err
	}
	defer runtime.KeepAlive(p)
	return told(e.Put(ctx, b))
}

// TrySendBytes sends b, or returns ErrFull if there is no room.
func (p *PipeEnd) TrySendBytes(b []byte) error {
	e, err := p.ring()
	if err != nil {
		return err
	}
	defer runtime.KeepAlive(p)
	return told(e.TryPut(b))
}

// RecvBytes receives the next message, waiting for one until ctx ends. The error is io.EOF at the end of the pipe.
func (p *PipeEnd) RecvBytes(ctx context.Context) ([]byte, error) {
	e, err := p.ring()
	if err != nil {
		return nil, err
	}
	defer runtime.KeepAlive(p)
	msg, err := e.Get(ctx, nil)
	return whole(msg, told(err))
}

// TryRecvBytes receives the next message, or returns ErrEmpty.
func (p *PipeEnd) TryRecvBytes() ([]byte, error) {
	e, err := p.ring()
	if err != nil {
		return nil, err
	}
	defer runtime.KeepAlive(p)
	msg, err := e.TryGet(nil)
	return whole(msg, told(err))
}

// whole makes an empty message one that is not nil.
func whole(msg []byte, err error) ([]byte, error) {
	if err == nil && msg == nil {
		msg = []byte{}
	}
	return msg, err
}

// RecvBytesLimit is RecvBytes for a message of at most limit bytes. A longer one is dropped, and the error is ErrTooLarge.
func (p *PipeEnd) RecvBytesLimit(ctx context.Context, limit int) (msg []byte, err error) {
	if limit < 0 {
		return nil, fmt.Errorf("multiproc: a limit of %d bytes", limit)
	}
	e, err := p.ring()
	if err != nil {
		return nil, err
	}
	defer runtime.KeepAlive(p)
	err = e.View(ctx, func(b []byte) error {
		if len(b) > limit {
			return fmt.Errorf("multiproc: message %w: %d bytes, want at most %d; it is dropped", ErrTooLarge, len(b), limit)
		}
		msg = append(make([]byte, 0, len(b)), b...)
		return nil
	})
	return msg, told(err)
}

// RecvInto receives the next message into b and returns its length. If b is too short the error is a [*TooShortError], which has the message.
func (p *PipeEnd) RecvInto(ctx context.Context, b []byte) (int, error) {
	e, err := p.ring()
	if err != nil {
		return 0, err
	}
	defer runtime.KeepAlive(p)
	msg, err := e.Get(ctx, b[:0:len(b)])
	if err != nil {
		return 0, told(err)
	}
	if len(msg) > len(b) {
		return 0, &TooShortError{Message: msg, Room: len(b)}
	}
	if len(msg) > 0 && &msg[0] != &b[0] { // it was waited for
		copy(b, msg)
	}
	return len(msg), nil
}

// Poll waits until there is something to receive, which may be the end of the pipe, or until ctx ends. Another goroutine or process may receive it first.
func (p *PipeEnd) Poll(ctx context.Context) error {
	e, err := p.ring()
	if err != nil {
		return err
	}
	defer runtime.KeepAlive(p)
	return told(e.Poll(ctx))
}

// TryPoll reports whether there is something to receive, which may be the end of the pipe.
func (p *PipeEnd) TryPoll() (bool, error) {
	e, err := p.ring()
	if err != nil {
		return false, err
	}
	defer runtime.KeepAlive(p)
	ready, err := e.TryPoll()
	return ready, told(err)
}

// told makes the errors of a ring those of a connection.
func told(err error) error {
	switch err {
	case ringbuf.ErrPeerDied:
		return ErrPeerClosed
	case ringbuf.ErrOneWay:
		return ErrOneWay
	}
	return err
}

// Send sends v as one message, waiting for room until ctx ends. v is any value that a Target takes as its argument; it arrives with its type, which the
// receiver asks for by [Recv] or has registered. The errors are those of SendBytes, and those of a value that cannot be sent.
func (p *PipeEnd) Send(ctx context.Context, v any) error {
	return p.sendValue(v, func(b []byte) error { return p.SendBytes(ctx, b) })
}

// TrySend sends v, or returns ErrFull if there is no room.
func (p *PipeEnd) TrySend(v any) error { return p.sendValue(v, p.TrySendBytes) }

// Recv receives the next message, a value that was sent by Send, waiting for one until ctx ends. A value of a type that this process has not registered is an
// error, and gone. The error is io.EOF at the end of the pipe.
func (p *PipeEnd) Recv(ctx context.Context) (any, error) {
	return p.recvValue(func(e *ringbuf.PipeEnd, buf []byte) ([]byte, error) { return e.Get(ctx, buf) })
}

// TryRecv receives the next message, or returns ErrEmpty.
func (p *PipeEnd) TryRecv() (any, error) {
	return p.recvValue(func(e *ringbuf.PipeEnd, buf []byte) ([]byte, error) { return e.TryGet(buf) })
}

// A Connection is what a pipe and a connection over a socket have in common: a [*PipeEnd] and a *conn.Conn are some.
type Connection interface {
	Send(ctx context.Context, v any) error
	TrySend(v any) error
	Recv(ctx context.Context) (any, error)
	TryRecv() (any, error)
	SendBytes(ctx context.Context, b []byte) error
	TrySendBytes(b []byte) error
	RecvBytes(ctx context.Context) ([]byte, error)
	RecvBytesLimit(ctx context.Context, limit int) ([]byte, error)
	TryRecvBytes() ([]byte, error)
	RecvInto(ctx context.Context, b []byte) (int, error)
	Poll(ctx context.Context) error
	TryPoll() (bool, error)
	Readable() bool
	Writable() bool
	FD() (int, error)
	Close() error
}

var (
	_ Connection = (*PipeEnd)(nil)
	_ Connection = (*conn.Conn)(nil)
)

// Recv receives the next message from c, a T, waiting for one until ctx ends. A *T is taken for a T. A value of another type is an error, and gone.
func Recv[T any](ctx context.Context, c Connection) (T, error) {
	know(reflect.TypeFor[T]())
	return as[T](c.Recv(ctx))
}

// TryRecv receives the next message from c, a T, or returns ErrEmpty.
func TryRecv[T any](c Connection) (T, error) {
	know(reflect.TypeFor[T]())
	return as[T](c.TryRecv())
}

func as[T any](v any, err error) (t T, _ error) {
	if err != nil {
		return t, err
	}
	t, ok := codec.As[T](v)
	if ok {
		return t, nil
	}
	return t, fmt.Errorf("multiproc: received a %T, want a %s; it is lost", v, reflect.TypeFor[T]())
}

// know registers the type of a value, as far as it can be: what cannot is refused when it is encoded or decoded.
func know(t reflect.Type) {
	if t != nil {
		_ = codec.Know(t)
	}
}

// buffers are for messages on their way from and to values.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

const keptBuffer = 64 << 10 // a larger one is left to the garbage collector

func putBuffer(buf *[]byte, b []byte) {
	if cap(b) <= keptBuffer {
		*buf = b
	}
	buffers.Put(buf)
}

func (p *PipeEnd) sendValue(v any, send func([]byte) error) error {
	if _, err := p.ring(); err != nil {
		return err
	}
	if !p.Writable() {
		return ErrOneWay
	}
	know(reflect.TypeOf(v))
	buf := buffers.Get().(*[]byte)
	var files sharer.Out
	b, err := encodeIn(p.seg, (*buf)[:0], &v, &files)
	if err == nil {
		err = send(b)
		files.End(err == nil)
	}
	putBuffer(buf, b)
	return err
}

func (p *PipeEnd) recvValue(get func(e *ringbuf.PipeEnd, buf []byte) ([]byte, error)) (v any, err error) {
	e, err := p.ring()
	if err != nil {
		return nil, err
	}
	defer runtime.KeepAlive(p)
	buf := buffers.Get().(*[]byte)
	b, err := get(e, (*buf)[:0])
	if err == nil {
		if err = codec.DecodeWith(b, &v, sharer.Taker{}); err != nil {
			err = fmt.Errorf("multiproc: %w", err)
		}
	} else {
		err = told(err)
	}
	putBuffer(buf, b)
	if err != nil {
		return nil, err
	}
	return v, nil
}
