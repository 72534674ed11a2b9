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

	mu     sync.Mutex
	link   link          // nil: none
	served chan struct{} // closed when nobody serves the link any more
	over   bool
	calls  map[uint64]*call  // that wait
	gifts  map[uint64]gift   // what was given and not yet confirmed
	refs   map[uint64]int    // objects that the client has proxies of, and how many
	pins   map[uint64]uint64 // tickets for proxies that the client has sent somewhere → their objects
	linger *time.Timer
	back   bool // the client has come back, and its old link is to end

	touched map[*object]struct{} // whose entities may have something of the session
	sweep   int                  // so many of them are too many, unless they all still exist

	// Of who reads.
	drops uint64  // frames of opDrop that were read
	last  *object // that was called last
	spare *call   // nobody has it

	out     [][]byte      // what waits to be sent
	sending bool          // somebody sends
	drained chan struct{} // closed when nothing is left to be sent, if anybody waits for that
}

// A gift is what an answer hands over.
type gift struct {
	undo func() // takes it back
	kept func() // the client has it; may be nil
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

func (s *session) runs(c *call) {
	s.mu.Lock()
	c.runs = true
	s.mu.Unlock()
}

func (s *session) recancel(c *call, cancel func()) {
	s.mu.Lock()
	c.cancel = cancel
	late := c.givenUp || c.gone.Load()
	s.mu.Unlock()
	if late { // between the two
		go cancel()
	}
}

func (s *session) leave(c *call) {
	s.mu.Lock()
	delete(s.calls, c.id)
	s.mu.Unlock()
}

func (s *session) given(id uint64, g gift) {
	s.mu.Lock()
	s.gifts[id] = g
	s.mu.Unlock()
}

// confirmed says that the client has got an answer.
func (s *session) confirmed(id uint64) {
	if g := s.settled(id); g.kept != nil {
		g.kept()
	}
}

// takeBack undoes what was given to a call that was given up.
func (s *session) takeBack(id uint64) {
	if g := s.settled(id); g.undo != nil {
		g.undo()
	}
}

// settled returns what was given to a call, which is not uncertain any more. If nothing was, the gift is empty.
func (s *session) settled(id uint64) gift {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.gifts[id]
	delete(s.gifts, id)
	return g
}

// touch notes that the session may have something of an object's entity. Objects that have ended are forgotten from time to time.
func (s *session) touch(o *object) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, have := s.touched[o]; have || s.over {
		return
	}
	s.touched[o] = struct{}{}
	if len(s.touched) <= s.sweep {
		return
	}
	for old := range s.touched {
		if old.gone.Load() {
			delete(s.touched, old)
		}
	}
	s.sweep = 2*len(s.touched) + 16
}

// users returns the entities that may have something of the session.
func (s *session) users() []leaver {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]leaver, 0, len(s.touched))
	for o := range s.touched {
		all = append(all, o.ent.(leaver))
	}
	return all
}

// resume takes back what the answers to calls handed over that the client has not got. What else was given it has.
func (s *session) resume(lost []uint64) {
	s.mu.Lock()
	gifts := s.gifts
	s.gifts = map[uint64]gift{}
	s.mu.Unlock()
	ids := make(map[uint64]bool, len(lost))
	for _, id := range lost {
		ids[id] = true
	}
	for id, g := range gifts {
		switch {
		case ids[id]:
			g.undo()
		case g.kept != nil:
			g.kept()
		}
	}
	if len(ids) > 0 {
		for _, e := range s.users() {
			e.lost(s, ids)
		}
	}
}

// cancelCall gives up a call that waits, if it still does.
func (s *session) cancelCall(id uint64) {
	s.mu.Lock()
	var cancel func()
	if c := s.calls[id]; c != nil {
		cancel, c.givenUp = c.cancel, true
	}
	s.mu.Unlock()
	if cancel != nil {
		cancel()
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
		if s.link == l { // another link has a sender of its own
			s.sent()
		}
		s.mu.Unlock()
		return
	}
	s.mu.Unlock()
	go s.flush(l)
}

// fewAnswers may wait for who is sending, and more than the answers to calls that waited do not: the reader waits with them.
const fewAnswers = 16

// reply sends a frame of the reader's own, which stays the caller's, waiting for room: who does not take answers is not asked for more.
func (s *session) reply(l link, frame []byte) {
	s.mu.Lock()
	if s.link != l {
		s.mu.Unlock()
		return
	}
	if s.sending {
		s.out = append(s.out, append([]byte(nil), frame...))
		full := len(s.out) > fewAnswers || len(frame) > keptFrame
		s.mu.Unlock()
		if full {
			s.drain(s.ctx)
		}
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
			s.sent()
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

// sent says that nothing is left to be sent. s.mu is held.
func (s *session) sent() {
	s.sending, s.out = false, nil
	if s.drained != nil {
		close(s.drained)
		s.drained = nil
	}
}

// drain waits until everything is sent, or ctx ends.
func (s *session) drain(ctx context.Context) {
	s.mu.Lock()
	if !s.sending || s.link == nil {
		s.mu.Unlock()
		return
	}
	if s.drained == nil {
		s.drained = make(chan struct{})
	}
	drained := s.drained
	s.mu.Unlock()
	select {
	case <-drained:
	case <-ctx.Done():
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
	s.link, s.out, s.sending, s.served = l, nil, false, make(chan struct{})
	return true
}

// supersede ends the link that the session has, for its client has come back before that was seen to be broken.
func (s *session) supersede(ctx context.Context) {
	s.mu.Lock()
	l, served := s.link, s.served
	s.back = l != nil
	s.mu.Unlock()
	if served == nil {
		return
	}
	if l != nil {
		l.close()
	}
	select {
	case <-served:
	case <-ctx.Done():
	}
}

// detach ends the session's link, and every call that waits: nobody will get an answer. If the client may come back, the session waits for it, and it will say which
// answers it has.
func (s *session) detach(back bool) {
	s.mu.Lock()
	l, calls := s.link, s.calls
	s.link, s.calls = nil, map[uint64]*call{}
	s.sent()
	wait := s.srv.o.Linger
	back, s.back = back || s.back, false
	back = back && wait > 0 && s.ctx.Err() == nil
	cancels := make([]func(), 0, len(calls))
	for _, c := range calls {
		c.gone.Store(true)
		cancels = append(cancels, c.cancel)
	}
	s.mu.Unlock()
	if l != nil {
		l.close()
	}
	for _, cancel := range cancels {
		cancel()
	}
	if !back {
		s.end()
		return
	}
	s.mu.Lock()
	if !s.over && s.link == nil {
		s.linger = time.AfterFunc(wait, s.end)
	}
	s.mu.Unlock()
}

// end ends the session for good: what it holds is released, and what it refers to is let go.
func (s *session) end() {
	s.mu.Lock()
	if s.over || s.link != nil { // the client has come back just now
		s.mu.Unlock()
		return
	}
	s.over = true
	refs, pins, gifts := s.refs, s.pins, s.gifts
	s.refs, s.pins, s.gifts = nil, nil, map[uint64]gift{}
	s.mu.Unlock()
	s.cancel()
	for _, g := range gifts {
		g.undo()
	}
	for _, e := range s.users() {
		e.left(s)
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
