// Package conn has connections between processes that carry messages: byte strings and Go values, whole and in order.
//
// [Pipe] makes two connected ends. Between processes of this program they are packet sockets: a message is taken over by the kernel in one
// step or not at all, a large one as a sealed anonymous file, so any number of goroutines and processes may use one end at a time, and
// whoever of them is killed or stopped, at any instruction, leaves no half of a message to the others. [NewConn], [FromFile] and [FromFD] make a Conn
// of a stream or pipe that exists already, with the message format of CPython's multiprocessing.connection, which can be on the other side.
//
// Programs that are no relatives meet at an address: [Listen] waits for who calls [Dial], over sockets of files or TCP, with a key that both have, with TLS, and with
// CPython's Listener or Client at the other end.
//
// What is received is checked, and a connection whose peer sends nonsense ends with an error. See SECURITY.md for what a peer is trusted with.
package conn

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"time"

	"github.com/fb2d3dbd/multiproc/internal/life"
	"github.com/fb2d3dbd/multiproc/internal/sys"
)

// A Conn is one end of a connection. Its methods may be called from any number of goroutines at a time.
//
// A Conn over packets (see [Conn.Packets]) may be used by several processes at a time as well; each message goes whole to one of
// them. A Conn over a stream belongs to one process.
//
// When the peer's end is closed, in all processes that have it, or they have died, receives return what is still under way and then io.EOF, and
// sends return [ErrPeerClosed]. A message that Send has handed to the kernel outlives its sender, and dies with the process that has received it.
type Conn struct {
	l        link
	stream   *stream // nil over packets
	in, out  side
	done     chan struct{}
	closed   atomic.Bool
	limit    atomic.Int64
	readable bool
	writable bool
	domain   bool          // it can carry descriptors
	owner    atomic.Uint32 // the life of the process that a stream belongs to
}

// NewConn makes a Conn of a connected socket, or of anything else that behaves like one, such as a *tls.Conn. The Conn owns c. A socket of packets (network
// "unixpacket") speaks this package's own protocol, everything else is a stream with CPython's message format.
func NewConn(c net.Conn) (*Conn, error) {
	f, ok := c.(file)
	if _, socket := c.(interface{ File() (*os.File, error) }); !ok || !socket {
		return newStream(&netLink{c: c}, true, true, false), nil
	}
	return fromSocket(f)
}

// fromSocket makes a Conn of a socket or file in the runtime's poller.
func fromSocket(f file) (*Conn, error) {
	rc, err := f.SyscallConn()
	if err == nil {
		err = f.SetReadDeadline(time.Time{})
	}
	if err != nil {
		return nil, fmt.Errorf("conn: a descriptor that cannot be waited for: %w", err)
	}
	kind, domain, read, write := sys.OtherSocket, false, false, false
	if e := rc.Control(func(fd uintptr) {
		if kind, domain, err = sys.KindOf(int(fd)); err == nil {
			read, write, err = sys.AccessMode(int(fd))
		}
	}); e != nil {
		err = e
	}
	if c, ok := f.(net.Conn); ok && errors.Is(err, errors.ErrUnsupported) { // no raw sockets on this platform
		return newStream(&netLink{c: c}, true, true, false), nil
	}
	if err != nil {
		return nil, fmt.Errorf("conn: %w", err)
	}
	switch l := (&rawLink{f: f, rc: rc, socket: kind != sys.NoSocket}); kind {
	case sys.PacketSocket:
		return newPacket(l, read, write), nil
	case sys.StreamSocket, sys.NoSocket:
		return newStream(l, read, write, domain), nil
	default:
		return nil, fmt.Errorf("conn: a socket of datagrams cannot carry a connection")
	}
}

// FromFile makes a Conn of a copy of f, which stays the caller's: a socket, or one end of a pipe.
func FromFile(f *os.File) (*Conn, error) {
	rc, err := f.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("conn: %w", err)
	}
	dup := -1
	if e := rc.Control(func(fd uintptr) { dup, err = sys.DupRight(int(fd)) }); e != nil {
		err = ErrClosed // the only reason
	}
	if err != nil {
		return nil, fmt.Errorf("conn: %w", err)
	}
	return FromFD(dup)
}

// FromFD makes a Conn of a descriptor that was inherited or received, which it owns from now on, also when it fails. The descriptor is
// set to non-blocking, for everybody who shares its file description.
func FromFD(fd int) (*Conn, error) {
	if err := sys.SetNonblock(fd); err != nil {
		sys.CloseRights([]int{fd})
		return nil, fmt.Errorf("conn: %w", err)
	}
	f := os.NewFile(uintptr(fd), "conn")
	if f == nil {
		return nil, fmt.Errorf("conn: %d is no descriptor", fd)
	}
	c, err := fromSocket(f)
	if err != nil {
		f.Close()
	}
	return c, err
}

func newConn(l link, read, write bool) *Conn {
	c := &Conn{l: l, readable: read, writable: write, done: make(chan struct{})}
	c.in.init(l, l.setReadDeadline, read, c.done)
	c.out.init(l, l.setWriteDeadline, write, c.done)
	c.out.write = true
	c.limit.Store(-1)
	return c
}

func newPacket(l link, read, write bool) *Conn {
	c := newConn(l, read, write)
	c.domain = true
	c.in.whole, c.out.whole = true, true
	return c
}

func newStream(l link, read, write, domain bool) *Conn {
	c := newConn(l, read, write)
	c.stream, c.domain = new(stream), domain
	c.owner.Store(life.Count())
	return c
}

// Packets reports whether the Conn is one over packets, which several processes may use at a time.
func (c *Conn) Packets() bool { return c.stream == nil }

// Readable and Writable report which directions the Conn has.
func (c *Conn) Readable() bool { return c.readable }

// Writable reports whether the Conn can send.
func (c *Conn) Writable() bool { return c.writable }

// FD returns the descriptor, which stays the Conn's, for waiting until it is readable and for the like; who reads from it takes parts of
// messages away. The error matches os.ErrClosed after Close, and errors.ErrUnsupported where bytes may wait outside of the descriptor, as
// with TLS.
func (c *Conn) FD() (int, error) { return c.l.fd() }

// SetDeadline sets the time from which sends and receives that wait return an error that matches os.ErrDeadlineExceeded. The zero time
// means none.
func (c *Conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetReadDeadline is SetDeadline for receives alone.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.in.setDeadline(t) }

// SetWriteDeadline is SetDeadline for sends alone.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.out.setDeadline(t) }

// SetLimit sets the most bytes that a message may have which a receive accepts; a negative n means no limit, which is the default. A longer
// message is [ErrTooLarge]: over packets it is dropped, and a stream cannot be received from any more.
func (c *Conn) SetLimit(n int64) { c.limit.Store(n) }

// Claim makes this process the owner of a stream that it has inherited by a fork; until then its calls are [ErrInherited]. The caller sees to it that the process it
// was forked from sends and receives no more. A Conn over packets needs no owner.
func (c *Conn) Claim() error {
	if c.stream == nil {
		return nil
	}
	for i, s := range []*side{&c.in, &c.out} {
		select {
		case s.turn <- struct{}{}:
			defer s.leave()
		default:
			return fmt.Errorf("%w: direction %d", errBusy, i)
		}
	}
	if c.stream.begun() {
		return fmt.Errorf("conn: the stream was inherited in the middle of a message")
	}
	c.owner.Store(life.Count())
	return nil
}

// check returns why nothing can be done with c here.
func (c *Conn) check() error {
	if c.closed.Load() {
		return ErrClosed
	}
	if c.stream != nil && c.owner.Load() != life.Count() {
		return ErrInherited
	}
	return nil
}

// Close closes this end. Calls under way in other goroutines end with an error that matches os.ErrClosed. A second Close does nothing.
func (c *Conn) Close() error {
	if c.closed.Swap(true) {
		return nil
	}
	close(c.done)
	err := c.l.close()
	if c.stream != nil && c.owner.Load() == life.Count() {
		c.in.turn <- struct{}{} // whoever receives has been woken
		c.stream.drop()
		<-c.in.turn
	}
	if err != nil && !gone(err) {
		return fmt.Errorf("conn: close: %w", err)
	}
	return nil
}

// LocalAddr returns the address of this end, or nil if it has none.
func (c *Conn) LocalAddr() net.Addr {
	if a, ok := c.l.conn().(net.Conn); ok {
		return a.LocalAddr()
	}
	return nil
}

// RemoteAddr returns the address of the peer's end, or nil if it has none.
func (c *Conn) RemoteAddr() net.Addr {
	if a, ok := c.l.conn().(net.Conn); ok {
		return a.RemoteAddr()
	}
	return nil
}

// Poll waits until there is something to receive, which may be the end of the connection, or until ctx ends. Another goroutine or process may
// receive it first.
func (c *Conn) Poll(ctx context.Context) error {
	if err := c.check(); err != nil {
		return err
	}
	if !c.readable {
		return ErrOneWay
	}
	return c.in.do(ctx, &pollOp{c})
}

// TryPoll reports whether there is something to receive, which may be the end of the connection.
func (c *Conn) TryPoll() (bool, error) {
	if err := c.check(); err != nil {
		return false, err
	}
	if !c.readable {
		return false, ErrOneWay
	}
	err := c.in.try(&pollOp{c})
	if err == errWait {
		return false, nil
	}
	return err == nil, err
}

// pollOp is done when there is something to read.
type pollOp struct{ c *Conn }

func (p *pollOp) step(ch channel) error {
	if s := p.c.stream; s != nil && s.begun() {
		return nil
	}
	return ch.poll(p.c.stream)
}
