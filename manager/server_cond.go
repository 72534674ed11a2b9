package manager

import "context"

// condEntity is a condition on a lock of the same server. It uses the lock's mutex: waiting, being notified and having the lock again are steps of one machine.
//
//	waiting          → told, in the lock's queue    by who notifies
//	waiting          → in the lock's queue          when the client gives up
//	either           → nobody                       when its link ends; the notification goes to another
//	in the queue     → has the lock, is answered    when its turn comes
//
// A notification whose answer is not confirmed, for its client has died, goes to another.
type condEntity struct {
	lock    *lockEntity
	number  uint64 // of the lock's object
	kind    kind   // of the lock
	waiting waiters[*lockWaiter]
	gone    bool
}

// Bits of what a Wait is answered with.
const (
	condTold = 1 << iota // else the client has given up
	condDied             // an owner of the lock has died
)

func init() {
	makers[kindCond] = func(_ context.Context, s *Server, _ string, r *reader) (entity, error) {
		n := r.uint() // 0: a Mutex of its own
		if err := r.err(); err != nil {
			return nil, err
		}
		if n == 0 {
			mu := &lockEntity{}
			o, _, err := s.add(kindMutex, "", "", func() (entity, error) { return mu, nil })
			if err != nil {
				return nil, err
			}
			return &condEntity{lock: mu, number: o.id, kind: kindMutex}, nil
		}
		if err := s.retain([]uint64{n}); err != nil {
			return nil, err
		}
		o := s.find(n)
		l, ok := o.ent.(*lockEntity)
		if !ok {
			s.release([]uint64{n})
			return nil, refuse(ErrValue, "a condition on a %v; it is on a Mutex or an RLock", o.kind)
		}
		return &condEntity{lock: l, number: n, kind: o.kind}, nil
	}
}

func (x *condEntity) do(c *call, r *reader, b []byte) ([]byte, error) {
	l := x.lock
	switch c.op {
	case opWait:
		holder := r.uint()
		if err := r.err(); err != nil {
			return nil, err
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		switch {
		case x.gone:
			return nil, ErrGone
		case !l.held(c.s, holder):
			return nil, ErrNotOwner
		}
		w := &lockWaiter{c: c, holder: holder, locks: len(l.locks), cond: x}
		if err := c.wait(func() { x.cancel(w) }); err != nil {
			return nil, err
		}
		x.waiting.add(w)
		l.pass()
		return nil, errLater
	case opNotify:
		holder, n := r.uint(), r.int()
		if err := r.err(); err != nil {
			return nil, err
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		if !l.held(c.s, holder) {
			return nil, ErrNotOwner
		}
		if n < 0 {
			n = len(x.waiting)
		}
		x.notify(n)
		return b, nil
	case opLen:
		l.mu.Lock()
		defer l.mu.Unlock()
		return appendUint(b, len(x.waiting)), r.err()
	case opState:
		return appendUint64(append(b, byte(x.kind)), x.number), r.err()
	}
	return nil, refuse(ErrProtocol, "operation %d of a %v", c.op, c.obj.kind)
}

// notify has up to n of those who wait queue for the lock. The lock's mutex is held, here and below.
func (x *condEntity) notify(n int) {
	for n > 0 && len(x.waiting) > 0 {
		w := x.waiting.take()
		if w.c.gone.Load() { // it is about to be cancelled
			continue
		}
		w.told = true
		x.queue(w)
		n--
	}
}

// queue has one who waited wait for the lock.
func (x *condEntity) queue(w *lockWaiter) {
	x.lock.queue.add(w)
	if x.lock.owner == nil {
		x.lock.pass()
	}
}

// back answers one who has the lock again.
func (x *condEntity) back(w *lockWaiter, err error) {
	var how byte
	if err == ErrOwnerDied {
		how = condDied
	}
	if w.told {
		how |= condTold
		w.c.given(func() {
			x.lock.mu.Lock()
			defer x.lock.mu.Unlock()
			x.notify(1)
		}, nil)
	}
	w.c.answer(nil, func(b []byte) []byte { return append(b, how) })
}

// cancel gives up a call that waits. Its client gets the lock again all the same, unless nobody would get the answer.
func (x *condEntity) cancel(w *lockWaiter) {
	l := x.lock
	l.mu.Lock()
	defer l.mu.Unlock()
	why := w.c.why()
	switch waits := x.waiting.remove(w); {
	case w.c.gone.Load() || why == ErrShutdown:
		if !waits && !l.queue.remove(w) {
			return
		}
		if w.told {
			x.notify(1)
		}
		w.c.answer(why, nil)
	case waits:
		w.c.tell(isSeen)
		x.queue(w)
	default:
		w.c.tell(isSeen) // its turn will come, or the answer is on its way
	}
}

func (x *condEntity) drop() []uint64 {
	x.lock.mu.Lock()
	defer x.lock.mu.Unlock()
	x.gone = true
	for _, w := range x.waiting.all() {
		w.c.answer(ErrGone, nil)
	}
	return []uint64{x.number}
}
