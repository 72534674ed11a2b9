package ringbuf

import (
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// A deadline is when the calls that wait in a direction of a pipe are to end.
type deadline struct {
	at     atomic.Int64 // unix nanoseconds; 0: never
	mu     sync.Mutex
	timer  *time.Timer
	passed func() // has those who wait look again
}

// set sets the deadline, also for those who wait already. The zero time means none.
func (d *deadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	if t.IsZero() {
		d.at.Store(0)
		return
	}
	d.at.Store(max(1, t.UnixNano()))
	d.timer = time.AfterFunc(time.Until(t), d.passed)
}

// over reports whether it has passed.
func (d *deadline) over() bool {
	at := d.at.Load()
	return at != 0 && time.Now().UnixNano() >= at
}

// SetGetDeadline sets the time from which gets and polls that wait return an error that matches os.ErrDeadlineExceeded, those under way included. The zero time means none.
func (e *PipeEnd) SetGetDeadline(t time.Time) error { return e.setDeadline(&e.getBy, t) }

// SetPutDeadline is SetGetDeadline for puts.
func (e *PipeEnd) SetPutDeadline(t time.Time) error { return e.setDeadline(&e.putBy, t) }

func (e *PipeEnd) setDeadline(d *deadline, t time.Time) error {
	e.gate.Add(1)
	defer e.leave()
	if e.Closed() {
		return ErrClosed
	}
	d.set(t)
	return nil
}

// stopped returns why a call that waits in a direction must end, or nil.
func (e *PipeEnd) stopped(q *MPMC) error {
	d := &e.getBy
	if q == e.tx {
		d = &e.putBy
	}
	switch {
	case e.Closed():
		return ErrClosed
	case d.over():
		return os.ErrDeadlineExceeded
	}
	return nil
}
