package manager

import (
	"context"
	"slices"
	"sync"
)

// turn is the lock of an entity that calls functions of users. While one runs the entity is busy and its lock is free: calls that come wait in a queue, and no reader of
// a session waits with them, so that they can be cancelled.
type turn struct {
	mu    sync.Mutex
	busy  bool
	gone  bool // nobody refers to the entity any more
	queue []*deferred
}

type deferred struct {
	c *call
	r reader
}

// enter takes the lock, or lets the call wait and returns errLater.
func (t *turn) enter(c *call, r *reader) error {
	t.mu.Lock()
	if !t.busy {
		return nil
	}
	defer t.mu.Unlock()
	d := &deferred{c, reader{b: append([]byte(nil), r.b...)}}
	err := c.wait(func() {
		t.mu.Lock()
		i := slices.Index(t.queue, d)
		if i >= 0 {
			t.queue = slices.Delete(t.queue, i, i+1)
		}
		t.mu.Unlock()
		if i >= 0 {
			c.answer(c.why(), nil)
		}
	})
	if err != nil {
		return err
	}
	t.queue = append(t.queue, d)
	return errLater
}

// run runs a function of a user's for a call, after which next does what has waited. The lock is held when run is called, and not in the function.
func (t *turn) run(c *call, next func(), fn func(ctx context.Context) (func(b []byte) []byte, error)) error {
	t.busy = true
	err := c.run(func(ctx context.Context) (func(b []byte) []byte, error) {
		defer next()
		defer func() {
			t.mu.Lock()
			t.busy = false
			t.mu.Unlock()
		}()
		return fn(ctx)
	})
	if err != errLater {
		t.busy = false
	}
	return err
}

// next takes the lock and returns the first of those that wait, if there is one and the entity is not busy.
func (t *turn) next() *deferred {
	t.mu.Lock()
	if t.busy || len(t.queue) == 0 {
		t.mu.Unlock()
		return nil
	}
	d := t.queue[0]
	t.queue = t.queue[1:]
	return d
}

// perform is what an entity does with its lock held: it returns what it has let go.
type perform func(c *call, r *reader, b []byte) (_ []byte, released []uint64, err error)

// do does a call's operation, now or later.
func (t *turn) do(s *Server, fn perform, c *call, r *reader, b []byte) ([]byte, error) {
	if err := t.enter(c, r); err != nil {
		return nil, err
	}
	if t.gone {
		t.mu.Unlock()
		return nil, ErrGone
	}
	b, released, err := fn(c, r, b)
	t.mu.Unlock()
	s.release(released)
	return b, err
}

// resume does what has waited.
func (t *turn) resume(s *Server, fn perform) {
	for d := t.next(); d != nil; d = t.next() {
		var b []byte
		var released []uint64
		err := error(ErrGone)
		if !t.gone {
			b, released, err = fn(d.c, &d.r, nil)
		}
		t.mu.Unlock()
		s.release(released)
		s.stored(d.r.tickets)
		if err != errLater {
			d.c.answer(err, func(head []byte) []byte { return append(head, b...) })
		}
	}
}
