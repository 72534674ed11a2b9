package manager

import (
	"bytes"
	"context"
	"time"

	"github.com/fb2d3dbd/multiproc/conn"
	"github.com/fb2d3dbd/multiproc/internal/fault"
	"github.com/fb2d3dbd/multiproc/shm"
)

// A connection begins with a frame of the client's,
//
//	magic
//	1 byte   whether the calls shall go over rings
//	uvarint  milliseconds after which a silent client is given up, 0: never
//	uvarint  the session to go on with, 0: a new one
//	         and its secret
//
// which the server answers with one: isDone and
//
//	uvarint  the server's number
//	uvarint  the session's number
//	         its secret
//	uvarint  most bytes of a message
//
// or isRefused and why. Over rings the segment follows, and an empty message of the client's when it has taken its roles: from then on the rings tell whether it is alive.
var magic = []byte("multiproc manager 1\n")

const helloTimeout = 10 * time.Second

type hello struct {
	rings   bool
	silence time.Duration
	session uint64
	secret  [16]byte
}

func (h *hello) append(b []byte) []byte {
	b = appendBytes(b, magic)
	b = appendBool(b, h.rings)
	b = appendUint(b, int(h.silence.Milliseconds()))
	return appendBytes(appendUint64(b, h.session), h.secret[:])
}

func (h *hello) read(b []byte) error {
	r := reader{b: b}
	if !bytes.Equal(r.bytes(), magic) {
		return refuse(ErrProtocol, "the peer is no client of this version")
	}
	h.rings = r.bool()
	h.silence = time.Duration(r.uint()) * time.Millisecond
	h.session = r.uint()
	if copy(h.secret[:], r.bytes()) != len(h.secret) || h.silence < 0 || h.silence > 1000*time.Hour {
		return refuse(ErrProtocol, "a greeting of the wrong form")
	}
	return r.err()
}

type welcome struct {
	server, session uint64
	secret          [16]byte
	maximum         int
}

func (w *welcome) append(b []byte) []byte {
	b = appendBytes(appendUint64(appendUint64(b, w.server), w.session), w.secret[:])
	return appendUint(b, w.maximum)
}

func (w *welcome) read(r *reader) error {
	w.server, w.session = r.uint(), r.uint()
	n := copy(w.secret[:], r.bytes())
	w.maximum = int(min(r.uint(), 1<<40))
	if err := r.err(); err != nil {
		return err
	}
	if n != len(w.secret) || w.server == 0 || w.session == 0 {
		return refuse(ErrProtocol, "a welcome of the wrong form")
	}
	return nil
}

// greet does the server's part and returns the session and the link to it.
func (s *Server) greet(c *conn.Conn) (x *session, l link, err error) {
	ctx, cancel := context.WithTimeout(s.ctx, helloTimeout)
	defer cancel()
	first, err := c.RecvBytesLimit(ctx, 1<<10)
	if err != nil {
		return nil, nil, err
	}
	var h hello
	if err = h.read(first); err == nil {
		x, err = s.session(ctx, &h)
	}
	if err != nil {
		_ = c.SendBytes(ctx, frameError(nil, 0, err))
		return nil, nil, err
	}
	defer func() {
		if err != nil && h.session == 0 {
			x.end()
		}
	}()
	if err := c.SendBytes(ctx, (&welcome{s.id, x.id, x.secret, s.o.MaxMessage}).append(head(nil, isDone, 0))); err != nil {
		return x, nil, err
	}
	if !h.rings {
		l := newConnLink(c, s.o.MaxMessage)
		l.silence = h.silence
		return x, l, nil
	}
	seg, err := newRingSegment(s.o.RingBytes)
	if err != nil {
		return x, nil, err
	}
	rl, err := openRing(seg, true, s.o.MaxMessage)
	if err != nil {
		return x, nil, err
	}
	if err = c.Send(ctx, seg); err == nil {
		_, err = c.RecvBytesLimit(ctx, 0)
	}
	_ = c.Close()
	if err != nil {
		rl.close()
		return x, nil, err
	}
	return x, rl, nil
}

// greeting does the client's part. It owns c from then on, also when it fails.
func greeting(ctx context.Context, c *conn.Conn, h *hello) (w welcome, l link, err error) {
	defer func() {
		if err != nil {
			_ = c.Close()
		}
	}()
	if err = c.SendBytes(ctx, h.append(nil)); err != nil {
		return w, nil, err
	}
	fault.Point("manager.dial.greeted")
	answer, err := c.RecvBytesLimit(ctx, 1<<16)
	if err != nil {
		return w, nil, err
	}
	r := reader{b: answer}
	st := status(r.byte())
	r.uint()
	switch st {
	case isDone:
		err = w.read(&r)
	case isRefused:
		err = r.error()
	default:
		err = refuse(ErrProtocol, "the peer is no server of this version")
	}
	if err != nil {
		return w, nil, err
	}
	if !h.rings {
		cl := newConnLink(c, w.maximum)
		return w, cl, nil
	}
	seg, err := conn.Recv[*shm.Segment](ctx, c)
	if err != nil {
		return w, nil, err
	}
	fault.Point("manager.dial.segment")
	rl, err := openRing(seg, false, w.maximum)
	if err != nil {
		return w, nil, err
	}
	fault.Point("manager.dial.opened")
	if err = c.SendBytes(ctx, nil); err != nil {
		rl.close()
		return w, nil, err
	}
	fault.Point("manager.dial.told")
	_ = c.Close()
	return w, rl, nil
}
