package manager

import (
	"context"
	"math"
	"sync"
)

// semaphoreEntity is a Semaphore or a BoundedSemaphore. It knows whose the permits are.
type semaphoreEntity struct {
	mu     sync.Mutex
	max    int // so many there can be
	bound  bool
	free   int
	dead   int                   // of those that are free, how many have come back from sessions that ended
	others int                   // permits that sessions hold
	held   map[*session][]uint64 // the calls by which they were acquired
	gone   bool
	queue  waiters[*permitWaiter]
}

type permitWaiter struct {
	c       *call
	consume bool // the permit is to belong to nobody
}

func init() {
	for _, k := range []kind{kindSemaphore, kindBoundedSemaphore} {
		makers[k] = func(_ context.Context, _ *Server, _ string, r *reader) (entity, error) {
			n := r.uint()
			if n > math.MaxInt32 {
				return nil, refuse(ErrValue, "%d permits", n)
			}
			e := &semaphoreEntity{max: math.MaxInt32, free: int(n), held: map[*session][]uint64{}}
			if k == kindBoundedSemaphore {
				e.max, e.bound = int(n), true
			}
			return e, nil
		}
	}
}

// How a permit is taken.
const (
	permitTry = 1 << iota
	permitConsume
)

func (e *semaphoreEntity) do(c *call, r *reader, b []byte) ([]byte, error) {
	switch c.op {
	case opLock:
		how := r.byte()
		if err := r.err(); err != nil {
			return nil, err
		}
		if e.bound && how&permitConsume != 0 {
			return nil, refuse(ErrProtocol, "a permit of a BoundedSemaphore taken for good")
		}
		e.mu.Lock()
		defer e.mu.Unlock()
		w := &permitWaiter{c: c, consume: how&permitConsume != 0}
		switch {
		case e.gone:
			return nil, ErrGone
		case e.free > 0:
			return b, e.give(w)
		case how&permitTry != 0:
			return nil, ErrLocked
		}
		if err := c.wait(func() { e.cancel(w) }); err != nil {
			return nil, err
		}
		e.queue.add(w)
		return nil, errLater
	case opRelease:
		e.mu.Lock()
		defer e.mu.Unlock()
		had := e.held[c.s]
		switch {
		case len(had) > 0: // the first: if answers were lost, they are those of the last
			e.hold(c.s, append(had[:0], had[1:]...))
			e.others--
		case e.free >= e.max, !e.bound && e.free+e.others >= e.max:
			return nil, ErrBound
		case e.bound:
			return nil, ErrNotOwner
		}
		e.free++
		e.serve()
		return b, r.err()
	case opLen:
		e.mu.Lock()
		defer e.mu.Unlock()
		return appendUint(b, e.free), r.err()
	}
	return nil, refuse(ErrProtocol, "operation %d of a %v", c.op, c.obj.kind)
}

// give takes a free permit, and returns what the call is answered with: nil or ErrOwnerDied. e.mu is held, here and below.
func (e *semaphoreEntity) give(w *permitWaiter) error {
	e.free--
	died := e.dead > 0
	if died {
		e.dead--
	}
	if w.consume {
		w.c.given(func() {
			e.mu.Lock()
			defer e.mu.Unlock()
			e.back(1, died)
		}, nil)
	} else {
		e.others++
		e.held[w.c.s] = append(e.held[w.c.s], w.c.id)
	}
	if died {
		return ErrOwnerDied
	}
	return nil
}

// serve gives what is free to those who have waited longest.
func (e *semaphoreEntity) serve() {
	for e.free > 0 && len(e.queue) > 0 {
		if w := e.queue.take(); !w.c.gone.Load() { // else it is about to be cancelled
			err := e.give(w)
			w.c.answer(err, nil)
		}
	}
}

func (e *semaphoreEntity) hold(s *session, calls []uint64) {
	if len(calls) == 0 {
		delete(e.held, s)
	} else {
		e.held[s] = calls
	}
}

// back makes permits free again.
func (e *semaphoreEntity) back(n int, died bool) {
	e.free += n
	if died {
		e.dead += n
	}
	e.serve()
}

func (e *semaphoreEntity) cancel(w *permitWaiter) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.queue.remove(w) {
		w.c.answer(w.c.why(), nil)
	}
}

func (e *semaphoreEntity) left(s *session) {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := len(e.held[s])
	delete(e.held, s)
	e.others -= n
	e.back(n, true)
}

func (e *semaphoreEntity) lost(s *session, calls map[uint64]bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	before := len(e.held[s])
	had := e.held[s][:0]
	for _, id := range e.held[s] {
		if !calls[id] {
			had = append(had, id)
		}
	}
	e.hold(s, had)
	e.others -= before - len(had)
	e.back(before-len(had), false)
}

func (e *semaphoreEntity) drop() []uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.gone = true
	for _, w := range e.queue.all() {
		w.c.answer(ErrGone, nil)
	}
	return nil
}
