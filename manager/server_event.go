package manager

import (
	"context"
	"sync"
)

// eventEntity is an Event.
type eventEntity struct {
	mu      sync.Mutex
	set     bool
	gone    bool
	waiting map[*call]struct{}
}

func init() {
	makers[kindEvent] = func(context.Context, *Server, string, *reader) (entity, error) {
		return &eventEntity{waiting: map[*call]struct{}{}}, nil
	}
}

func (e *eventEntity) do(c *call, r *reader, b []byte) ([]byte, error) {
	if err := r.err(); err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	switch c.op {
	case opSet:
		e.set = true
		e.answer(nil)
		return b, nil
	case opClear:
		e.set = false
		return b, nil
	case opIsSet:
		return appendBool(b, e.set), nil
	case opWait:
		switch {
		case e.set:
			return b, nil
		case e.gone:
			return nil, ErrGone
		}
		err := c.wait(func() {
			e.mu.Lock()
			defer e.mu.Unlock()
			if _, waits := e.waiting[c]; waits {
				delete(e.waiting, c)
				c.answer(c.why(), nil)
			}
		})
		if err != nil {
			return nil, err
		}
		e.waiting[c] = struct{}{}
		return nil, errLater
	}
	return nil, refuse(ErrProtocol, "operation %d of a %v", c.op, c.obj.kind)
}

// answer answers all who wait. e.mu is held.
func (e *eventEntity) answer(err error) {
	for c := range e.waiting {
		c.answer(err, nil)
	}
	clear(e.waiting)
}

func (e *eventEntity) drop() []uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.gone = true
	e.answer(ErrGone)
	return nil
}
