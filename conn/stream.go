package conn

import (
	"context"
	"fmt"
	"io"

	"github.com/fb2d3dbd/multiproc/internal/fault"
	"github.com/fb2d3dbd/multiproc/internal/sys"
)

// stream is what was received of a frame that is not yet whole. A receive that ends early leaves it to the next. It belongs to whoever has
// the turn of receiving.
//
//	headLen == 0            between two frames
//	headLen > 0, body nil   in the head
//	body != nil             in the body, of which got bytes are there
type stream struct {
	head    [longHead]byte
	headLen int
	size    int
	body    []byte
	got     int
	rights  []int
}

// begun reports whether a part of a frame was taken from the link.
func (s *stream) begun() bool { return s.headLen > 0 }

// drop forgets the frame.
func (s *stream) drop() {
	sys.CloseRights(s.rights)
	*s = stream{}
}

// firstRoom is what a message gets before any of it has come: a length that is announced costs the peer nothing.
const firstRoom = 1 << 20

// streamReceive receives one frame.
type streamReceive struct {
	c     *Conn
	room  []byte // where the message is wanted, if it fits
	limit int64
	m     incoming
	fatal error // why nothing more can be received
}

func (o *streamReceive) step(ch channel) error {
	s := o.c.stream
	for {
		if n := headLength(s.head[:s.headLen]); n == 0 || s.headLen < n {
			if err := o.readHead(ch, s, max(n, shortHead)); err != nil {
				return err
			}
			continue
		}
		if s.body == nil {
			if err := o.start(s); err != nil {
				return err
			}
		}
		if s.got == s.size {
			return o.finish(s)
		}
		if s.got == len(s.body) {
			s.body = append(s.body, make([]byte, min(s.size-s.got, s.got))...)
		}
		n, err := o.read(ch, s, s.body[s.got:])
		s.got += n
		if err != nil {
			return o.cut(err)
		}
	}
}

// finish hands the frame on, which ends it for the stream whatever is in it.
func (o *streamReceive) finish(s *stream) error {
	o.m = incoming{body: s.body[:s.size], rights: s.rights, listed: len(s.rights) > 0}
	*s = stream{}
	if !o.m.listed {
		return nil
	}
	count, _, ok := cutNumber(o.m.body)
	r := sys.Received{Rights: o.m.rights}
	err := openCarrier(&r, ok && len(r.Rights) == 1 && count > 1, int(min(count, maxHandles+1)))
	if o.m.rights = r.Rights; err != nil {
		o.m.discard()
	}
	return err
}

func (o *streamReceive) readHead(ch channel, s *stream, n int) error {
	fault.Point("conn.stream.receive")
	got, err := o.read(ch, s, s.head[s.headLen:n])
	s.headLen += got
	switch {
	case err == io.EOF && s.headLen == 0:
		return io.EOF
	case err == sys.ECONNRESET && s.headLen == 0:
		return &resetError{err}
	case err != nil:
		return o.cut(err)
	}
	return nil
}

// start makes room for the body, once its length is known.
func (o *streamReceive) start(s *stream) error {
	size, err := parseHead(s.head[:s.headLen])
	if err == nil {
		err = tooLong(int64(size), o.limit)
	}
	if err != nil {
		o.fatal = err
		return err
	}
	s.size = size
	if len(o.room) < size || size == 0 {
		s.body = make([]byte, min(size, firstRoom))
	} else {
		s.body = o.room[:size] // and no more: the next frame may have come too
	}
	return nil
}

func (o *streamReceive) read(ch channel, s *stream, b []byte) (int, error) {
	r, err := ch.read([][]byte{b}, o.c.domain)
	s.rights = append(s.rights, r.Rights...)
	if r.Lost {
		o.fatal = fmt.Errorf("%w: descriptors of a message are lost, for this process has no room for them: %w", ErrBroken, errTooManyFiles)
		return r.N, o.fatal
	}
	if len(s.rights) > maxHandles {
		o.fatal = fmt.Errorf("%w: a message with more than %d descriptors", ErrBroken, maxHandles)
		return r.N, o.fatal
	}
	return r.N, err
}

// cut says what an error in the middle of a frame means.
func (o *streamReceive) cut(err error) error {
	switch {
	case err == io.EOF || err == sys.ECONNRESET:
		o.fatal = fmt.Errorf("%w: the peer has closed or died in the middle of a message: %w", ErrBroken, io.ErrUnexpectedEOF)
		return o.fatal
	default:
		return err
	}
}

// keep makes what was received so far the stream's own when a receive ends early: the caller's buffer is the caller's again.
func (o *streamReceive) keep() {
	if s := o.c.stream; s.body != nil && len(o.room) > 0 && &s.body[:1][0] == &o.room[0] {
		s.body = append(make([]byte, 0, max(s.size, 1)), s.body[:s.got]...)[:s.size]
	}
}

// streamSend writes one frame.
type streamSend struct {
	head    [longHead]byte
	parts   [3][]byte
	rights  []int
	carrier []int
	sent    int
}

func (o *streamSend) prepare(m *outgoing) error {
	o.parts = [3][]byte{appendHead(o.head[:0], m.size()), m.parts[0], m.parts[1]}
	o.rights = m.rights
	if len(m.rights) > maxDirect {
		carrier, err := fillCarrier(m.rights)
		if err != nil {
			return err
		}
		o.carrier = []int{carrier}
		o.rights = o.carrier
	}
	return nil
}

func (o *streamSend) step(ch channel) error {
	for len(o.parts[0])+len(o.parts[1])+len(o.parts[2]) > 0 {
		fault.Point("conn.stream.send")
		n, err := ch.write(o.parts[:], o.rights)
		if n > 0 {
			o.rights = nil // they went with the first byte
			o.sent += n
		}
		for i := range o.parts {
			k := min(n, len(o.parts[i]))
			o.parts[i] = o.parts[i][k:]
			n -= k
		}
		if err != nil {
			return sending(err)
		}
	}
	return nil
}

// shutdownOp tells the peer that nothing more comes.
type shutdownOp struct{}

func (shutdownOp) step(ch channel) error {
	ch.shutdownWrite()
	return nil
}

// sendStream sends a frame. If it cannot be written to its end, what was written makes the stream useless, and the peer is told so by the end of it.
func (c *Conn) sendStream(ctx context.Context, m *outgoing, wait bool) error {
	o := new(streamSend)
	if err := o.prepare(m); err != nil {
		return err
	}
	defer func() { sys.CloseRights(o.carrier) }()
	s := &c.out
	if wait {
		if err := ctx.Err(); err != nil {
			return err
		}
		if s.late() {
			return errDeadline
		}
		if err := s.take(ctx); err != nil {
			return err
		}
	} else {
		select {
		case s.turn <- struct{}{}:
		case <-s.done:
			return ErrClosed
		default:
			return errWait
		}
	}
	defer s.leave()
	if s.err != nil {
		return s.err
	}
	var err error
	if wait {
		err = s.held(ctx, o)
	} else if err = s.l.try(o); err == errWait && (o.sent > 0 || !c.raw()) {
		err = s.l.run(o, true) // what is begun is brought to its end
	}
	if err != nil && err != errWait && o.sent > 0 {
		s.err = fmt.Errorf("%w: a message was cut after %d bytes: %w", ErrBroken, o.sent, err)
		_ = s.l.try(shutdownOp{})
	}
	return err
}

func (c *Conn) raw() bool {
	_, ok := c.l.(*rawLink)
	return ok
}

// receiveStream receives a frame.
func (c *Conn) receiveStream(ctx context.Context, room []byte, limit int64, wait bool) (incoming, error) {
	o := &streamReceive{c: c, room: room, limit: limit}
	s := &c.in
	if wait {
		if err := ctx.Err(); err != nil {
			return o.m, err
		}
		if s.late() {
			return o.m, errDeadline
		}
		if err := s.take(ctx); err != nil {
			return o.m, err
		}
	} else {
		select {
		case s.turn <- struct{}{}:
		case <-s.done:
			return o.m, ErrClosed
		default:
			return o.m, errWait
		}
	}
	defer s.leave()
	if s.err != nil {
		return o.m, s.err
	}
	var err error
	if wait {
		err = s.held(ctx, o)
	} else {
		err = s.attempt(o)
	}
	if o.fatal != nil {
		s.err = o.fatal
		c.stream.drop()
		return o.m, o.fatal
	}
	if err != nil {
		o.keep()
	}
	return o.m, err
}
