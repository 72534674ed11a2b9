package manager

import (
	"context"
	"crypto/rand"

	"github.com/fb2d3dbd/multiproc/conn"
)

// session returns the session that a client asks for: a new one, or its own.
func (s *Server) session(ctx context.Context, h *hello) (*session, error) {
	if h.session != 0 {
		s.smu.Lock()
		x := s.sessions[h.session]
		s.smu.Unlock()
		if x == nil || x.secret != h.secret {
			return nil, errAway
		}
		x.supersede(ctx)
		x.mu.Lock()
		defer x.mu.Unlock()
		if x.over {
			return nil, errAway
		}
		return x, nil
	}
	x := &session{
		srv: s, touched: map[*object]struct{}{}, calls: map[uint64]*call{}, gifts: map[uint64]gift{}, refs: map[uint64]int{}, pins: map[uint64]uint64{},
	}
	_, _ = rand.Read(x.secret[:])
	x.ctx, x.cancel = context.WithCancel(s.ctx)
	s.smu.Lock()
	defer s.smu.Unlock()
	if s.closed || s.draining {
		x.cancel()
		return nil, ErrShutdown
	}
	s.lastID++
	x.id = s.lastID
	s.sessions[x.id] = x
	return x, nil
}

var errAway = refuse(ErrGone, "the session; the client was away for longer than the server waits, or the server is another")

// serve serves one connection, to its end.
func (s *Server) serve(c *conn.Conn) {
	defer s.work.Done()
	defer func() {
		s.smu.Lock()
		s.clients--
		s.smu.Unlock()
	}()
	peer := c.RemoteAddr()
	x, l, err := s.greet(c)
	if err != nil {
		_ = c.Close()
		s.o.Logger.Warn("manager: client refused", "peer", peer, "error", err)
		return
	}
	if !x.attach(l) {
		l.close()
		s.o.Logger.Warn("manager: client refused", "peer", peer, "error", "its session has a connection")
		return
	}
	served := x.served // it is this link's
	s.o.Logger.Debug("manager: client connected", "peer", peer, "session", x.id)
	back, err := x.read(l)
	s.o.Logger.Debug("manager: connection ended", "peer", peer, "session", x.id, "error", err)
	x.detach(back)
	close(served)
}

// read serves the frames of a link until it ends, and reports whether the client may come back.
func (x *session) read(l link) (back bool, err error) {
	var answer []byte
	for {
		frame, err := l.recv(x.ctx)
		if err != nil {
			return !l.local() && x.ctx.Err() == nil, err
		}
		r := reader{b: frame}
		what, id, number := op(r.byte()), r.uint(), r.uint()
		if r.bad {
			err := refuse(ErrProtocol, "a frame of %d bytes", len(frame))
			x.reply(l, frameError(nil, 0, err))
			return false, err
		}
		switch what {
		case opBye:
			return false, nil
		case opBreak:
			return true, nil
		case opCancel:
			x.cancelCall(id)
			continue
		case opConfirm:
			x.confirmed(id)
			continue
		}
		if what == opDrop {
			x.drops++
		}
		b := head(answer[:0], isDone, id)
		b, err = x.dispatch(what, id, number, &r, b)
		if err == errLater || id == 0 {
			continue
		}
		if err != nil {
			b = frameError(answer[:0], id, err)
		}
		if len(b) > x.srv.o.MaxMessage {
			b = frameError(b[:0], id, refuse(ErrTooLarge, "the answer has %d bytes; at most %d are allowed", len(b), x.srv.o.MaxMessage))
		}
		x.reply(l, b)
		if answer = b; cap(b) > keptFrame {
			answer = nil
		}
	}
}

// dispatch does one operation.
func (x *session) dispatch(what op, id, number uint64, r *reader, b []byte) ([]byte, error) {
	if number == 0 {
		return x.serverOp(what, id, r, b)
	}
	o := x.last // most calls are of the object that the one before was of
	if o == nil || o.id != number || o.gone.Load() {
		o = x.srv.find(number)
	}
	if x.last = o; o == nil {
		return nil, ErrGone
	}
	switch what {
	case opAttach:
		ticket, k, typ := r.uint(), kind(r.byte()), r.bytes()
		if err := r.err(); err != nil {
			return nil, err
		}
		if k != o.kind || string(typ) != o.typ {
			return nil, refuse(ErrName, "the object is a %s, not a %s", describe(o.kind, o.typ), describe(k, string(typ)))
		}
		if err := x.refers(o.id); err != nil {
			return nil, err
		}
		x.srv.redeem(ticket, number, true)
		return b, nil
	case opRefer:
		n := r.uint()
		if err := r.err(); err != nil || n > 1<<20 {
			return nil, refuse(ErrProtocol, "%d proxies of an object", n)
		}
		for range n {
			if err := x.refers(number); err != nil {
				return nil, err
			}
		}
		return b, nil
	case opDrop:
		if r.bool() { // it was let go by a garbage collector, when the child of a fork may not yet have said that it has the proxy too
			x.srv.linger(o, max(x.srv.o.Linger, 0))
		}
		if x.drop(number) {
			x.srv.release([]uint64{number})
		}
		return b, nil
	case opPin:
		n, err := x.srv.pin(x, number)
		return appendUint64(b, n), err
	}
	if x.srv.over() && what != opUnlock && what != opRelease && what != opDone {
		return nil, ErrShutdown
	}
	_, leaves := o.ent.(leaver)
	if leaves {
		x.touch(o)
	}
	c := x.spare
	if x.spare = nil; c == nil {
		c = &call{s: x}
	}
	c.id, c.obj, c.op = id, o, what
	b, err := o.ent.do(c, r, b)
	if !leaves && !c.waits && !c.runs { // it was answered, and has nothing that the entity could have kept
		c.obj, x.spare = nil, c
	}
	if err == nil && r.bad {
		err = r.err()
	}
	x.srv.stored(r.tickets)
	return b, err
}

// refers counts one more proxy of the client's.
func (x *session) refers(id uint64) error {
	if err := x.srv.retain([]uint64{id}); err != nil {
		return ErrGone
	}
	if err := x.refer(id); err != nil {
		x.srv.release([]uint64{id})
		return err
	}
	return nil
}

// serverOp does an operation on no object.
func (x *session) serverOp(what op, id uint64, r *reader, b []byte) ([]byte, error) {
	switch what {
	case opPing:
		return b, r.err()
	case opResume:
		n := r.uint()
		if n > uint64(len(r.b)) {
			return nil, refuse(ErrProtocol, "%d calls in a frame of %d bytes", n, len(r.b))
		}
		lost := make([]uint64, n)
		for i := range lost {
			lost[i] = r.uint()
		}
		if err := r.err(); err != nil {
			return nil, err
		}
		x.resume(lost)
		return appendUint64(b, x.drops), nil
	case opNew:
		if x.srv.over() {
			return nil, ErrShutdown
		}
		return x.create(id, r, b)
	case opDelete:
		name := r.string()
		if err := r.err(); err != nil {
			return nil, err
		}
		return b, x.srv.unname(name)
	case opCall:
		if x.srv.over() {
			return nil, ErrShutdown
		}
		return nil, (&call{s: x, id: id, op: opCall}).function(r)
	case opStats:
		st := x.srv.Stats()
		for _, n := range []int{st.Clients, st.Sessions, st.Objects, st.Waiting, st.Held} {
			b = appendUint(b, n)
		}
		return b, r.err()
	}
	return nil, refuse(ErrProtocol, "there is no operation %d", what)
}

// How a name is meant.
const (
	nameMaybe = iota // the object of the name, or a new one
	nameMust         // the object of the name
)

// create makes an object, or finds one by its name.
func (x *session) create(id uint64, r *reader, b []byte) ([]byte, error) {
	k, typ, name, must := kind(r.byte()), r.string(), r.string(), r.byte() == nameMust
	args := r.bytes()
	if err := r.err(); err != nil {
		return nil, err
	}
	var o *object
	var err error
	if must {
		o, err = x.srv.lookup(k, typ, name)
	} else {
		make := makers[k]
		if make == nil {
			return nil, refuse(ErrUnknown, "%v", k)
		}
		c := &call{s: x, id: id, op: opNew}
		in := reader{b: args}
		if slow[k] { // it runs a user's function
			in.b = append([]byte(nil), args...)
			return nil, c.run(func(ctx context.Context) (func([]byte) []byte, error) {
				o, _, err := x.srv.add(k, typ, name, func() (entity, error) { return make(ctx, x.srv, typ, &in) })
				if err == nil {
					err = x.owns(o)
				}
				if err != nil {
					return nil, err
				}
				c.given(func() {
					if x.drop(o.id) {
						x.srv.release([]uint64{o.id})
					}
				}, nil)
				return func(b []byte) []byte { return appendUint64(b, o.id) }, nil
			})
		}
		o, _, err = x.srv.add(k, typ, name, func() (entity, error) {
			e, err := make(x.ctx, x.srv, typ, &in)
			if err == nil {
				if err = in.err(); err != nil {
					x.srv.release(e.drop())
				}
			}
			return e, err
		})
		x.srv.stored(in.tickets)
	}
	if err == nil {
		err = x.owns(o)
	}
	if err != nil {
		return nil, err
	}
	return appendUint64(b, o.id), nil
}

// owns makes the reference that the caller has one of the session's.
func (x *session) owns(o *object) error {
	err := x.refer(o.id)
	if err != nil {
		x.srv.release([]uint64{o.id})
	}
	return err
}

// makers make entities from what a client says of them.
var makers = map[kind]func(ctx context.Context, s *Server, typ string, r *reader) (entity, error){}

// slow are the kinds whose making runs a user's function.
var slow = map[kind]bool{}
