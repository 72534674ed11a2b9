package conn

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/fb2d3dbd/multiproc/internal/cargo"
	"github.com/fb2d3dbd/multiproc/internal/codec"
	"github.com/fb2d3dbd/multiproc/internal/layout"
	"github.com/fb2d3dbd/multiproc/shm"
)

// ErrMoved says that the Conn was sent to another process, which has it now: a stream can have one owner only. It matches os.ErrClosed.
var ErrMoved error = movedError{}

type movedError struct{}

func (movedError) Error() string {
	return "conn: the connection was sent to another process, which has it now"
}

func (movedError) Is(target error) bool { return target == os.ErrClosed || target == layout.ErrClosed }

// A message with handles begins with a list of the segments that their objects stand in:
//
//	uvarint number of descriptors
//	uvarint number of segments, and for each
//	  8 bytes its id, little endian
//	  1 byte flags: objectsIn
//	  uvarint number of its descriptor
//
// and then comes the value. The descriptors go along in the order of their numbers.
const (
	// objectsIn says that the value has handles of objects in the segment, so that the receiver keeps it open. Otherwise the value has only the segment
	// itself, which opens it once more.
	objectsIn = 1

	maxSegments = 1 << 12
)

// needs collects the segments that a value's handles belong to.
type needs struct {
	all     []*shm.Segment
	objects map[*shm.Segment]bool
}

func (n *needs) add(v any) {
	h, ok := v.(interface{ Segment() *shm.Segment })
	if !ok || h.Segment() == nil {
		return
	}
	s := h.Segment()
	_, alone := v.(*shm.Segment)
	for _, have := range n.all {
		if have.ID() == s.ID() {
			n.objects[have] = n.objects[have] || !alone
			return
		}
	}
	if n.objects == nil {
		n.objects = map[*shm.Segment]bool{}
	}
	n.all = append(n.all, s)
	n.objects[s] = !alone
}

// list exports the segments and returns the list of them, or nothing if nothing goes along.
func (n *needs) list(out *cargo.Out) ([]byte, error) {
	if len(n.all) == 0 && len(out.FDs()) == 0 {
		return nil, nil
	}
	b := binary.AppendUvarint(nil, uint64(len(out.FDs())+len(n.all)))
	b = binary.AppendUvarint(b, uint64(len(n.all)))
	for _, s := range n.all {
		fd, err := s.Export()
		if err != nil {
			return nil, err
		}
		b = binary.LittleEndian.AppendUint64(b, s.ID())
		flags := byte(0)
		if n.objects[s] {
			flags |= objectsIn
		}
		b = binary.AppendUvarint(append(b, flags), out.PutOwn(fd))
	}
	return b, nil
}

// departures are what goes along with a message of a Conn.
type departures struct {
	cargo.Out
	via *Conn
}

// encode makes a message of a value. The caller ends out when the message was sent, or not.
func encode(buf []byte, v any, out *departures) (list, body []byte, err error) {
	var n needs
	body, err = codec.AppendWith(buf, &v, n.add, out)
	if err == nil {
		list, err = n.list(&out.Out)
	}
	if err != nil {
		return nil, body, fmt.Errorf("conn: %w", err)
	}
	return list, body, nil
}

// cutNumber cuts a number off b.
func cutNumber(b []byte) (n uint64, rest []byte, ok bool) {
	n, size := binary.Uvarint(b)
	if size <= 0 {
		return 0, b, false
	}
	return n, b[size:], true
}

var attaching sync.Mutex

// attach opens the segments of the list that b begins with. It returns the rest of b, and what closes those segments that the value alone does not keep.
func attach(b []byte, in *cargo.In) (rest []byte, done func(), err error) {
	var temporary []*shm.Segment
	done = func() {
		for _, s := range temporary {
			_ = s.Close() // it was opened to be looked at
		}
	}
	_, b, ok := cutNumber(b)
	count, b, is := cutNumber(b)
	if !ok || !is || count > maxSegments {
		return nil, done, fmt.Errorf("%w: no list of segments", ErrProtocol)
	}
	for range count {
		if len(b) < 10 {
			return nil, done, fmt.Errorf("%w: the list of segments is cut", ErrProtocol)
		}
		id, flags := binary.LittleEndian.Uint64(b), b[8]
		n, rest, ok := cutNumber(b[9:])
		if !ok {
			return nil, done, fmt.Errorf("%w: the list of segments is cut", ErrProtocol)
		}
		b = rest
		s, err := attachOne(id, n, in)
		if err != nil {
			return nil, done, err
		}
		if s != nil && flags&objectsIn == 0 {
			temporary = append(temporary, s)
		}
	}
	return b, done, nil
}

// attachOne opens the segment, unless it is open. It returns it if it was not.
func attachOne(id, n uint64, in *cargo.In) (*shm.Segment, error) {
	attaching.Lock()
	defer attaching.Unlock()
	if _, err := shm.Lookup(id); err == nil {
		return nil, nil
	}
	fd, err := in.TakeNumber(n)
	if err != nil {
		return nil, fmt.Errorf("conn: %w", err)
	}
	defer cargo.NewIn([]int{fd}).Close()
	s, err := shm.Attach(fd)
	if err != nil {
		return nil, fmt.Errorf("conn: %w", err)
	}
	if s.ID() != id {
		return nil, errors.Join(fmt.Errorf("%w: segment %#x in place of %#x", ErrProtocol, s.ID(), id), s.Close())
	}
	return s, nil
}

// decode makes a value of a message. It closes what came along and was not taken.
func decode(m *incoming, v *any) error {
	if !m.listed {
		if err := codec.Decode(m.body, v); err != nil {
			return fmt.Errorf("conn: %w", err)
		}
		return nil
	}
	in := cargo.NewIn(m.rights)
	defer in.Close()
	m.rights = nil
	body, done, err := attach(m.body, in)
	defer done()
	if err != nil {
		return err
	}
	if err := codec.DecodeWith(body, v, in); err != nil {
		return fmt.Errorf("conn: %w", err)
	}
	return nil
}

// The directions of a Conn that travels.
const (
	travelsReadable = 1 << iota
	travelsWritable
)

func init() {
	codec.RegisterHandle(codec.Handle[Conn]{
		Encode: func(carrier any, c *Conn) ([]byte, error) {
			flags := byte(0)
			if c.readable {
				flags |= travelsReadable
			}
			if c.writable {
				flags |= travelsWritable
			}
			b, err := c.leave(carrier)
			return append(b, flags), err
		},
		Decode: func(carrier any, b []byte) (*Conn, error) {
			fd, rest, err := cargo.Take(carrier, b)
			if err != nil {
				return nil, err
			}
			c, err := FromFD(fd)
			if err != nil {
				return nil, err
			}
			if len(rest) != 1 {
				return nil, errors.Join(fmt.Errorf("%w: no directions of a connection", codec.ErrCorrupt), c.Close())
			}
			if rest[0]&travelsReadable == 0 && c.readable {
				c.oneWay(false)
			}
			if rest[0]&travelsWritable == 0 && c.writable {
				c.oneWay(true)
			}
			return c, nil
		},
	})
}

// leave gives the Conn to the carrier. One over packets is shared from then on; a stream moves, and must be between two messages for that.
func (c *Conn) leave(carrier any) ([]byte, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	l, ok := c.l.(*rawLink)
	switch {
	case !ok:
		return nil, fmt.Errorf("conn: a %T cannot be sent: what is encrypted or wrapped belongs to this process: %w", c.l.conn(), errors.ErrUnsupported)
	case c.stream == nil:
		return cargo.Put(carrier, l.f)
	}
	s, ok := carrier.(cargo.Sender)
	if !ok {
		return nil, cargo.ErrNoCarrier
	}
	if d, ok := carrier.(*departures); ok && d.via == c {
		return nil, fmt.Errorf("conn: a stream cannot be sent over itself")
	}
	for i, side := range []*side{&c.in, &c.out} {
		select {
		case side.turn <- struct{}{}:
		default:
			if i > 0 {
				c.in.leave()
			}
			return nil, errBusy
		}
	}
	b, err := c.depart(carrier, l)
	if err != nil {
		c.in.leave()
		c.out.leave()
		return nil, err
	}
	s.Then(func(sent bool) {
		if sent {
			c.in.err, c.out.err = ErrMoved, ErrMoved
		}
		c.in.leave()
		c.out.leave()
		if sent {
			_ = c.Close() // the other process has its own copy
		}
	})
	return b, nil
}

var errBusy = errors.New("conn: a stream moves to the process that it is sent to, and cannot while somebody sends or receives on it")

// depart is leave for a stream whose turns are held.
func (c *Conn) depart(carrier any, l *rawLink) ([]byte, error) {
	for _, side := range []*side{&c.in, &c.out} {
		if side.err != nil && side.err != ErrOneWay {
			return nil, side.err
		}
	}
	if c.stream.begun() {
		return nil, fmt.Errorf("conn: a stream in the middle of a message cannot be sent: receive the rest first")
	}
	return cargo.Put(carrier, l.f)
}

// sendValue sends a value and all that goes along with it.
func (c *Conn) sendValue(ctx context.Context, v any, wait bool) error {
	know(v)
	buf := buffers.Get().(*[]byte)
	out := departures{via: c}
	list, body, err := encode((*buf)[:0], v, &out)
	if err == nil {
		err = c.send(ctx, &outgoing{parts: [2][]byte{list, body}, rights: out.FDs()}, wait)
	}
	out.End(err == nil)
	if cap(body) > 0 && cap(body) <= inlineMax {
		*buf = body[:0]
	}
	buffers.Put(buf)
	return err
}

func (c *Conn) recvValue(ctx context.Context, wait bool) (v any, err error) {
	m, err := c.receive(ctx, nil, c.limit.Load(), wait)
	if err != nil {
		return nil, err
	}
	defer m.free()
	if err := decode(&m, &v); err != nil {
		return nil, err
	}
	return v, nil
}
