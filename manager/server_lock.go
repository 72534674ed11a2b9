package manager

import (
	"context"
	"sync"
)

// lockEntity is a Mutex or an RLock. A session holds it, and of its holders the one with the number; a Mutex has no more than one. It is handed over: who has waited longest
// has it when it is released.
type lockEntity struct {
	mu      sync.Mutex
	again   bool // who holds it may lock it once more
	owner   *session
	holder  uint64
	locks   []uint64 // the calls by which it was locked, as often as it is to be unlocked
	damaged bool     // an owner has ended, and what the lock guards was not declared consistent
	gone    bool
	queue   waiters[*lockWaiter]
}

// A lockWaiter waits for the lock.
type lockWaiter struct {
	c      *call
	holder uint64
	locks  int // how often it has the lock then: more than once after a condition
	cond   *condEntity
	told   bool // by a notification of the condition
}

func init() {
	for _, k := range []kind{kindMutex, kindRLock} {
		makers[k] = func(context.Context, *Server, string, *reader) (entity, error) {
			return &lockEntity{again: k == kindRLock}, nil
		}
	}
}

func (l *lockEntity) do(c *call, r *reader, b []byte) ([]byte, error) {
	switch c.op {
	case opLock:
		holder, try := r.uint(), r.bool()
		if err := r.err(); err != nil {
			return nil, err
		}
		return b, l.lock(c, holder, try)
	case opUnlock, opConsistent:
		holder := r.uint()
		if err := r.err(); err != nil {
			return nil, err
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		if !l.held(c.s, holder) {
			return nil, ErrNotOwner
		}
		if c.op == opConsistent {
			l.damaged = false
			return b, nil
		}
		l.locks = append(l.locks[:0], l.locks[1:]...) // the first: if answers were lost, they are those of the last
		if len(l.locks) == 0 {
			l.pass()
		}
		return b, nil
	case opHeld:
		l.mu.Lock()
		defer l.mu.Unlock()
		return appendBool(b, l.owner != nil), r.err()
	case opState: // how often a holder has it
		holder, n := r.uint(), 0
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.held(c.s, holder) {
			n = len(l.locks)
		}
		return appendUint(b, n), r.err()
	}
	return nil, refuse(ErrProtocol, "operation %d of a %v", c.op, c.obj.kind)
}

// held reports whether a holder has the lock. l.mu is held, here and below.
func (l *lockEntity) held(s *session, holder uint64) bool { return l.owner == s && l.holder == holder }

func (l *lockEntity) lock(c *call, holder uint64, try bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.gone:
		return ErrGone
	case l.owner == nil:
		return l.give(c, holder, 1)
	case l.again && l.held(c.s, holder):
		if len(l.locks) >= maxDepth {
			return refuse(ErrLimit, "the holder has locked the lock %d times", maxDepth)
		}
		l.locks = append(l.locks, c.id)
		return nil
	case try:
		return ErrLocked
	}
	w := &lockWaiter{c: c, holder: holder, locks: 1}
	if err := c.wait(func() { l.cancel(w) }); err != nil {
		return err
	}
	l.queue.add(w)
	return errLater
}

// maxDepth is the most times that a holder can lock an RLock without unlocking it.
const maxDepth = 1 << 16

// give gives the lock to a holder, by a call, and returns what the call is answered with: nil or ErrOwnerDied.
func (l *lockEntity) give(c *call, holder uint64, locks int) error {
	l.owner, l.holder, l.locks = c.s, holder, l.locks[:0]
	for range locks {
		l.locks = append(l.locks, c.id)
	}
	if l.damaged {
		return ErrOwnerDied
	}
	return nil
}

// pass hands the lock over to who has waited longest.
func (l *lockEntity) pass() {
	l.owner = nil
	for l.owner == nil && len(l.queue) > 0 {
		w := l.queue.take()
		if w.c.gone.Load() { // it is about to be cancelled
			if w.told {
				w.cond.notify(1)
			}
			continue
		}
		err := l.give(w.c, w.holder, w.locks)
		if w.cond != nil {
			w.cond.back(w, err)
		} else {
			w.c.answer(err, nil)
		}
		return
	}
}

// cancel gives up a call that waits.
func (l *lockEntity) cancel(w *lockWaiter) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.queue.remove(w) {
		w.c.answer(w.c.why(), nil)
	}
}

// left has the next know that the owner has ended.
func (l *lockEntity) left(s *session) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.owner == s {
		l.damaged = true
		l.pass()
	}
}

func (l *lockEntity) lost(s *session, calls map[uint64]bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.owner != s {
		return
	}
	had := l.locks[:0]
	for _, id := range l.locks {
		if !calls[id] {
			had = append(had, id)
		}
	}
	if l.locks = had; len(had) == 0 {
		l.pass()
	}
}

func (l *lockEntity) drop() []uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.gone = true
	for _, w := range l.queue.all() {
		w.c.answer(ErrGone, nil)
	}
	return nil
}
