package conn

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/fb2d3dbd/multiproc/internal/sys"
)

// An op is a send or a receive under way. step goes on with it as far as the channel allows: errWait says that it is not yet at its end.
type op interface{ step(ch channel) error }

// A channel is a link at a moment at which it may be used. write and read return errWait where they would have to wait, except on a
// netChannel, which waits.
type channel interface {
	write(parts [][]byte, rights []int) (int, error)
	// read returns io.EOF at the end. rights says that descriptors are welcome.
	read(parts [][]byte, rights bool) (sys.Received, error)
	// poll returns nil when a read would return at once. What it must take away for that goes to s.
	poll(s *stream) error
	shutdownWrite()
}

// A link is what a Conn stands on.
type link interface {
	try(o op) error // a step of o, which does not wait, or errWait where that cannot be told before
	run(o op, write bool) error
	setReadDeadline(t time.Time) error
	setWriteDeadline(t time.Time) error
	close() error
	fd() (int, error)
	conn() any
}

// A file is a descriptor in the runtime's poller: an *os.File or a socket of package net.
type file interface {
	io.Closer
	syscall.Conn
	SetReadDeadline(t time.Time) error
	SetWriteDeadline(t time.Time) error
}

// rawLink makes the kernel's calls itself, so that a try never waits, a message is one call, and descriptors can go with it.
type rawLink struct {
	f      file
	rc     syscall.RawConn
	socket bool
}

// A call is one use of a rawLink. It is kept for the next, since what package syscall asks for are functions, which cost memory when they are made.
type call struct {
	ch   rawChannel
	o    op
	err  error
	once func(fd uintptr)
	step func(fd uintptr) bool
}

var calls = sync.Pool{New: func() any {
	c := new(call)
	c.once = func(fd uintptr) {
		c.ch.fd = int(fd)
		c.err = c.o.step(&c.ch)
	}
	c.step = func(fd uintptr) bool {
		c.once(fd)
		return c.err != errWait
	}
	return c
}}

func (l *rawLink) begin(o op) *call {
	c := calls.Get().(*call)
	c.ch.socket, c.o, c.err = l.socket, o, nil
	return c
}

func (c *call) end() error {
	err := c.err
	c.o, c.err = nil, nil
	calls.Put(c)
	return outcome(err)
}

func (l *rawLink) try(o op) error {
	c := l.begin(o)
	e := l.rc.Control(c.once) // it does not wait for those who read or write
	if err := c.end(); e == nil {
		return err
	}
	return ErrClosed // the only reason
}

func (l *rawLink) run(o op, write bool) error {
	c := l.begin(o)
	e := error(nil)
	if write {
		e = l.rc.Write(c.step)
	} else {
		e = l.rc.Read(c.step)
	}
	err := c.end()
	switch {
	case errors.Is(e, os.ErrDeadlineExceeded):
		return os.ErrDeadlineExceeded
	case e != nil:
		return ErrClosed // the only other reason
	}
	return err
}

func (l *rawLink) setReadDeadline(t time.Time) error  { return l.f.SetReadDeadline(t) }
func (l *rawLink) setWriteDeadline(t time.Time) error { return l.f.SetWriteDeadline(t) }
func (l *rawLink) close() error                       { return l.f.Close() }
func (l *rawLink) conn() any                          { return l.f }

func (l *rawLink) fd() (n int, err error) {
	if e := l.rc.Control(func(fd uintptr) { n = int(fd) }); e != nil {
		return -1, ErrClosed
	}
	return n, nil
}

// rawChannel is a descriptor that does not block.
type rawChannel struct {
	fd     int
	socket bool
}

func (c *rawChannel) write(parts [][]byte, rights []int) (n int, err error) {
	if c.socket {
		n, err = sys.SendMessage(c.fd, parts, rights)
	} else {
		n, err = sys.WriteParts(c.fd, parts)
	}
	if err == sys.EAGAIN {
		err = errWait
	}
	return n, err
}

func (c *rawChannel) read(parts [][]byte, rights bool) (r sys.Received, err error) {
	if c.socket {
		var oob []byte
		if rights {
			room := rightsRoom.Get().(*[]byte)
			defer rightsRoom.Put(room)
			oob = *room
		}
		r, err = sys.ReceiveMessage(c.fd, parts, oob)
	} else {
		for _, p := range parts {
			if len(p) > 0 {
				r.N, err = sys.ReadFD(c.fd, p)
				break
			}
		}
	}
	switch {
	case err == sys.EAGAIN:
		err = errWait
	case err == nil && r.N == 0 && len(r.Rights) == 0:
		err = io.EOF
	}
	return r, err
}

func (c *rawChannel) poll(*stream) error {
	if sys.Readable(c.fd) {
		return nil
	}
	return errWait
}

func (c *rawChannel) shutdownWrite() {
	if c.socket {
		_ = sys.ShutdownSocket(c.fd, true) // the peer may be gone
	}
}

// netLink stands on a net.Conn that is no plain socket, such as one of TLS.
type netLink struct{ c net.Conn }

func (l *netLink) try(o op) error {
	if _, ok := o.(shutdownOp); ok {
		return o.step(netChannel{l.c})
	}
	return errWait
}

func (l *netLink) run(o op, write bool) error         { return outcome(o.step(netChannel{l.c})) }
func (l *netLink) setReadDeadline(t time.Time) error  { return l.c.SetReadDeadline(t) }
func (l *netLink) setWriteDeadline(t time.Time) error { return l.c.SetWriteDeadline(t) }
func (l *netLink) close() error                       { return l.c.Close() }
func (l *netLink) conn() any                          { return l.c }

func (l *netLink) fd() (int, error) {
	return -1, sys.Unsupported("the descriptor of a connection that has a buffer of its own")
}

type netChannel struct{ c net.Conn }

func (c netChannel) write(parts [][]byte, rights []int) (int, error) {
	total := 0
	for _, p := range parts {
		if len(p) == 0 {
			continue
		}
		n, err := c.c.Write(p)
		total += n
		if err != nil {
			return total, err
		}
	}
	return total, nil
}

func (c netChannel) read(parts [][]byte, rights bool) (r sys.Received, err error) {
	for _, p := range parts {
		if len(p) > 0 {
			r.N, err = c.c.Read(p)
			break
		}
	}
	if r.N > 0 {
		err = nil // it comes again
	}
	return r, err
}

func (c netChannel) poll(s *stream) error {
	n, err := c.c.Read(s.head[:1])
	s.headLen = n
	if err == io.EOF || n > 0 {
		return nil
	}
	return err
}

func (c netChannel) shutdownWrite() {
	if w, ok := c.c.(interface{ CloseWrite() error }); ok {
		_ = w.CloseWrite() // the peer may be gone
	}
}

var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 1<<10); return &b }}
