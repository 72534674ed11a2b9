package manager

import (
	"context"
	"math"
	"sync"
)

// barrierEntity is a Barrier.
//
//	fills     → acts      by the last to come, if it has an action; else a new round, all answered
//	fills     → broken    by Abort, and when one that waits gives up or dies
//	acts      → fills     a new round, all answered, when the action has succeeded
//	acts      → broken    when it has failed, by Abort, and when who acts has ended
//	any       → fills     by Reset; who waits gets ErrBrokenBarrier
type barrierEntity struct {
	mu      sync.Mutex
	parties int
	broken  bool
	gone    bool
	waiting []*call  // of the round, as they came
	actor   *session // who runs the action
	acting  uint64   // the call that was answered with it
	next    []*arrival
}

// An arrival comes while an action runs, for the round after it.
type arrival struct {
	c    *call
	acts bool
}

func init() {
	makers[kindBarrier] = func(_ context.Context, _ *Server, _ string, r *reader) (entity, error) {
		n := r.uint()
		if n < 1 || n > math.MaxInt32 {
			return nil, refuse(ErrValue, "a Barrier of %d parties", n)
		}
		return &barrierEntity{parties: int(n)}, nil
	}
}

func (e *barrierEntity) do(c *call, r *reader, b []byte) ([]byte, error) {
	switch c.op {
	case opWait:
		acts := r.bool()
		if err := r.err(); err != nil {
			return nil, err
		}
		e.mu.Lock()
		defer e.mu.Unlock()
		switch {
		case e.broken:
			return nil, ErrBrokenBarrier
		case e.gone:
			return nil, ErrGone
		}
		if err := c.wait(func() { e.cancel(c) }); err != nil {
			return nil, err
		}
		e.come(c, acts)
		return nil, errLater
	case opActed:
		call, ok := r.uint(), r.bool()
		if err := r.err(); err != nil {
			return nil, err
		}
		e.mu.Lock()
		defer e.mu.Unlock()
		switch {
		case e.actor != c.s || e.acting != call: // the barrier was broken, or reset
			return nil, ErrBrokenBarrier
		case !ok:
			e.breaks()
			return nil, ErrBrokenBarrier
		}
		e.pass()
		return appendUint(b, e.parties-1), nil
	case opAbort, opReset:
		if err := r.err(); err != nil {
			return nil, err
		}
		e.mu.Lock()
		defer e.mu.Unlock()
		e.breaks()
		e.broken = c.op == opAbort
		return b, nil
	case opState:
		e.mu.Lock()
		defer e.mu.Unlock()
		waiting := len(e.waiting)
		if e.actor != nil {
			waiting++
		}
		return appendBool(appendUint(appendUint(b, e.parties), waiting), e.broken), r.err()
	}
	return nil, refuse(ErrProtocol, "operation %d of a %v", c.op, c.obj.kind)
}

// come has one more party come. e.mu is held, here and below.
func (e *barrierEntity) come(c *call, acts bool) {
	switch {
	case c.gone.Load(): // it is about to be cancelled
		e.waiting = append(e.waiting, c)
		e.breaks()
	case e.actor != nil:
		e.next = append(e.next, &arrival{c, acts})
	case len(e.waiting) < e.parties-1:
		e.waiting = append(e.waiting, c)
	case acts:
		e.actor, e.acting = c.s, c.id
		c.s.leave(c)
		c.tell(isAct)
	default:
		e.waiting = append(e.waiting, c)
		e.pass()
	}
}

// pass lets everybody go on who has come, and begins a new round.
func (e *barrierEntity) pass() {
	for i, c := range e.waiting {
		c.answer(nil, func(b []byte) []byte { return appendUint(b, i) })
	}
	e.waiting, e.actor = nil, nil
	next := e.next
	e.next = nil
	for _, a := range next {
		if e.broken {
			a.c.answer(ErrBrokenBarrier, nil)
			continue
		}
		e.come(a.c, a.acts)
	}
}

// breaks breaks the barrier for everybody who has come.
func (e *barrierEntity) breaks() {
	e.broken = true
	e.end(ErrBrokenBarrier)
}

func (e *barrierEntity) end(err error) {
	for _, c := range e.waiting {
		c.answer(err, nil)
	}
	for _, a := range e.next {
		a.c.answer(err, nil)
	}
	e.waiting, e.next, e.actor = nil, nil, nil
}

// cancel breaks the barrier, if the call still waits.
func (e *barrierEntity) cancel(c *call) {
	e.mu.Lock()
	defer e.mu.Unlock()
	waits := false
	for _, have := range e.waiting {
		waits = waits || have == c
	}
	for _, a := range e.next {
		waits = waits || a.c == c
	}
	switch {
	case !waits:
	case c.why() == ErrShutdown:
		e.end(ErrShutdown)
	default:
		e.breaks()
	}
}

// left breaks the barrier when who acts has ended.
func (e *barrierEntity) left(s *session) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.actor == s {
		e.breaks()
	}
}

// lost breaks the barrier when who was to act does not know.
func (e *barrierEntity) lost(s *session, calls map[uint64]bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.actor == s && calls[e.acting] {
		e.breaks()
	}
}

func (e *barrierEntity) drop() []uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.gone = true
	e.end(ErrGone)
	return nil
}
