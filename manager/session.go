package manager

import (
	"context"
	"sync"
	"time"
)

// A session is a client as the server sees it: what it refers to, what it waits for, and the link to it. It outlives a link that broke, for a while, when the client
// may still be alive.
//
// Locks are taken in this order: an entity's, a session's. Nothing is called with a session's lock held.
type session struct {
	srv    *Server
	id     uint64
	secret [16]byte
	ctx    context.Context // ends with the session
	cancel context.CancelFunc

	// Of the goroutine that reads the link.
	touched map[*object]struct{} // whose entities are told when the session ends

	mu     sync.Mutex
	link   link // nil: none
	over   bool
	calls  map[uint64]*call  // that wait
	undo   map[uint64]func() // what was given and not yet confirmed
	refs   map[uint64]int    // objects that the client has proxies of, and how many
	pins   map[uint64]uint64 // tickets for proxies that the client has sent somewhere → their objects
	linger *time.Timer

	out     [][]byte // what waits to be sent
	sending bool     // somebody sends
}

// enter puts a call among those that wait.
func (s *session) enter(c *call) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over || s.link == nil {
		return ErrClosed
	}
	if len(s.calls) >= s.srv.o.MaxCalls {
		return refuse(ErrLimit, "%d calls of this client are under way", len(s.calls))
	}
	if s.calls[c.id] != nil {
		return refuse(ErrProtocol, "two calls of the number %d", c.id)
	}
	s.calls[c.id] = c
	return nil
}

func (s *session) leave(c *call) {
	s.mu.Lock()
	delete(s.calls, c.id)
	s.mu.Unlock()
}

func (s *session) given(id uint64, undo func()) {
	s.mu.Lock()
	s.undo[id] = undo
	s.mu.Unlock()
}

// cancelCall gives up a call that waits, if it still does.
func (s *session) cancelCall(id uint64) {
	s.mu.Lock()
	c := s.calls[id]
	s.mu.Unlock()
	if c != nil {
		c.cancel()
	}
}

// giveUp cancels every call that waits, and takes back what was given and not confirmed: nobody will get an answer.
func (s *session) giveUp() {
	s.mu.Lock()
	var calls []*call
	for _, c := range s.calls {
		calls = append(calls, c)
	}
	s.mu.Unlock()
	for _, c := range calls {
		c.cancel()
	}
	s.mu.Lock()
	undo := s.undo
	s.undo = map[uint64]func(){}
	s.mu.Unlock()
	for _, fn := range undo {
		fn()
	}
}

// send sends a frame or leaves it to who is sending, and never waits. The frame is the session's from then on.
func (s *session) send(frame []byte) {
	s.mu.Lock()
	if s.link == nil {
		s.mu.Unlock()
		return
	}
	if s.sending {
		s.out = append(s.out, frame)
		s.mu.Unlock()
		return
	}
	s.sending = true
	l := s.link
	s.mu.Unlock()
	sent, err := l.trySend(frame)
	s.mu.Lock()
	if !sent && err == nil {
		s.out = append([][]byte{frame}, s.out...)
	}
	if len(s.out) == 0 || s.link != l {
		s.sending = s.sending && s.link != l // another link has a sender of its own
		s.mu.Unlock()
		return
	}
	s.mu.Unlock()
	go s.flush(l)
}

// reply sends a frame of the reader's own, which stays the caller's, waiting for room: who does not take answers is not asked for more.
func (s *session) reply(l link, frame []byte) {
	s.mu.Lock()
	if s.link != l {
		s.mu.Unlock()
		return
	}
	if s.sending {
		s.out = append(s.out, append([]byte(nil), frame...))
		s.mu.Unlock()
		return
	}
	s.sending = true
	s.mu.Unlock()
	_ = l.send(s.ctx, frame) // the reader will see that the link is broken
	s.flush(l)
}

// flush sends what waits. The caller is the sender, and is no more when nothing is left.
func (s *session) flush(l link) {
	for {
		s.mu.Lock()
		if s.link != l {
			s.mu.Unlock()
			return
		}
		if len(s.out) == 0 {
			s.sending, s.out = false, nil
			s.mu.Unlock()
			return
		}
		frame := s.out[0]
		s.out = s.out[1:]
		s.mu.Unlock()
		if err := l.send(s.ctx, frame); err != nil {
			l.close() // the reader sees to the rest
		}
	}
}

// attach makes l the session's link, and reports whether it could: the session has none, and is not over.
func (s *session) attach(l link) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over || s.link != nil {
		return false
	}
	if s.linger != nil {
		s.linger.Stop()
		s.linger = nil
	}
	s.link, s.out, s.sending = l, nil, false
	return true
}

// detach ends the session's link. If the client may come back, the session waits for it.
func (s *session) detach(back bool) {
	s.mu.Lock()
	l := s.link
	s.link, s.out, s.sending = nil, nil, false
	wait := s.srv.o.Linger
	if back = back && wait > 0 && s.ctx.Err() == nil; back {
		s.linger = time.AfterFunc(wait, s.end)
	}
	s.mu.Unlock()
	if l != nil {
		l.close()
	}
	s.giveUp()
	if !back {
		s.end()
	}
}

// end ends the session for good: what it holds is released, and what it refers to is let go.
func (s *session) end() {
	s.mu.Lock()
	if s.over || s.link != nil { // the client has come back just now
		s.mu.Unlock()
		return
	}
	s.over = true
	refs, pins := s.refs, s.pins
	s.refs, s.pins = nil, nil
	s.mu.Unlock()
	s.cancel()
	s.giveUp()
	for o := range s.touched {
		o.ent.(leaver).left(s)
	}
	s.srv.forget(s, refs, pins)
}

// refer counts one more proxy of the client's.
func (s *session) refer(id uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return ErrClosed
	}
	s.refs[id]++
	return nil
}

// drop counts one proxy less, and reports whether there was one.
func (s *session) drop(id uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refs[id] == 0 {
		return false
	}
	if s.refs[id]--; s.refs[id] == 0 {
		delete(s.refs, id)
	}
	return true
}
