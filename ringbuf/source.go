package ringbuf

import "github.com/fb2d3dbd/multiproc/futex"

// Source returns the queue as something to wait for: it is ready while a get would return at once, with a message or an error.
func (q *MPMC) Source() *futex.Source {
	return &futex.Source{
		Event: q.dataEvent,
		Ready: func() (bool, error) {
			err := q.ready()
			if err == ErrEmpty {
				return false, nil
			}
			return err == nil, err
		},
		Idle:  func() error { return q.idle(noPut) },
		Who:   q.who,
		Peers: q.peers,
	}
}

// Source returns the end as something to wait for: it is ready while a get would return at once, with a message, the end of the pipe or an error. An end that only
// writes is ready when nobody has the other end any more.
func (e *PipeEnd) Source() *futex.Source {
	q := e.rx
	if q == nil {
		q = e.tx
	}
	s := q.Source()
	look := s.Ready
	s.Ready = func() (bool, error) {
		if e.Closed() {
			return false, ErrClosed
		}
		if e.rx == nil {
			return q.Closed(), q.here()
		}
		return look()
	}
	if e.rx == nil {
		s.Event = q.roomEvent
	}
	s.Begin = func() error { return e.enter(q) }
	s.End = e.leave
	return s
}
