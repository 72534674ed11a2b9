package manager

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fb2d3dbd/multiproc/internal/failure"
	"github.com/fb2d3dbd/multiproc/internal/fault"
)

// cancelGrace is how long the answer to a call that was given up may take. Then the link is broken, which undoes whatever the server does.
const cancelGrace = 3 * time.Second

// client is one link to a server, with the calls that are under way over it. No goroutine of its own receives: one of those who wait for an answer does so for all,
// until it has its own.
type client struct {
	l    link
	turn chan struct{} // of sending

	mu      sync.Mutex
	calls   map[uint64]*request // under way
	reading bool                // somebody receives
	err     error               // why the link is of no use any more
	dead    atomic.Bool         // there is an err
	lost    []uint64            // calls that were under way then
	lingers bool                // the server was told that the client may come back
}

func newClient(l link) *client {
	return &client{l: l, turn: make(chan struct{}, 1), calls: map[uint64]*request{}}
}

// A request is a call of this process's. Requests are used again.
type request struct {
	id   uint64
	c    *client       // that it was sent over
	b    []byte        // what is sent, and then the answer
	wake chan struct{} // it is done, or it is its turn to receive

	// Guarded by the client's lock.
	waits  bool // it was sent, and its caller can receive
	done   bool
	seen   bool // the answer will come, however late
	err    error
	gaveUp error // the end of its context
	body   int   // where in b the answer begins
	status status
}

var requests = sync.Pool{New: func() any { return &request{wake: make(chan struct{}, 1)} }}

// release gives a request back. Nobody may have what it has answered any more.
func (q *request) release() {
	if cap(q.b) > keptFrame {
		q.b = nil
	}
	select {
	case <-q.wake:
	default:
	}
	q.c = nil
	q.waits, q.done, q.seen, q.err, q.gaveUp = false, false, false, nil, nil
	requests.Put(q)
}

// errUnsent says that a call was not sent, so that it can be sent over another link.
var errUnsent = errors.New("not sent")

// do sends a request and waits for its answer.
func (c *client) do(ctx context.Context, q *request) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return errUnsent
	}
	c.calls[q.id], q.c = q, c
	c.mu.Unlock()
	fault.Point("manager.call.entered")
	if err := c.send(ctx, q.b); err != nil {
		c.mu.Lock()
		delete(c.calls, q.id)
		c.handOver()
		c.mu.Unlock()
		return err
	}
	fault.Point("manager.call.sent")
	err := c.await(ctx, q)
	fault.Point("manager.call.answered")
	return err
}

// send sends a frame. errUnsent says that the link is of no use; another error that the frame cannot be sent, or not in time.
func (c *client) send(ctx context.Context, frame []byte) error {
	select {
	case c.turn <- struct{}{}:
	default:
		select {
		case c.turn <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	err := c.l.send(ctx, frame)
	switch {
	case err == nil || errors.Is(err, ErrTooLarge):
	case err == errUnsure:
		c.fail(errDied)
		c.mu.Lock()
		err = c.gone()
		c.mu.Unlock()
	case ctx.Err() != nil && errors.Is(err, ctx.Err()):
		err = ctx.Err() // if a part of it was sent, the next one finds the link broken
	default:
		c.fail(err)
		err = errUnsent
	}
	<-c.turn
	return err
}

// breakOff ends a link over which the server does not answer. It is told that this process lives, if it can be.
func (c *client) breakOff(err error) {
	select {
	case c.turn <- struct{}{}:
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
		told := c.l.send(ctx, begin(nil, opBreak, 0, 0))
		cancel()
		c.mu.Lock()
		c.lingers = c.lingers || told == nil
		c.mu.Unlock()
		<-c.turn
	default:
	}
	c.fail(err)
}

// await waits for the answer to a request that was sent. When ctx ends the server is told, and answers at once: that the call has ended, one way or the other, or that
// it has seen it and the answer will come when it can. If it does not, the link is broken, which undoes what the server may do yet.
func (c *client) await(ctx context.Context, q *request) error {
	for {
		c.mu.Lock()
		q.waits = true
		if q.done || c.err != nil {
			if !q.done {
				q.err = c.gone()
			}
			delete(c.calls, q.id)
			c.handOver()
			c.mu.Unlock()
			if q.err != nil && q.gaveUp != nil {
				return fmt.Errorf("%w: %w", q.gaveUp, q.err)
			}
			return q.err
		}
		lead := !c.reading
		c.reading = true
		c.mu.Unlock()
		var err error
		if lead {
			err = c.receive(ctx, q)
		} else {
			select {
			case <-q.wake:
			case <-ctx.Done():
				err = ctx.Err()
			}
		}
		if err == nil {
			continue
		}
		if q.gaveUp == nil {
			c.mu.Lock()
			q.gaveUp, q.waits = err, false
			c.handOver() // it may have been asked to receive just now
			c.mu.Unlock()
			grace, cancel := context.WithCancel(context.Background())
			defer cancel()
			go wearOut(grace, cancel)
			ctx = grace
			go c.cancel(grace, q.id) // the server may take nothing before this one receives
			continue
		}
		c.mu.Lock()
		seen, done := q.seen, q.done
		c.mu.Unlock()
		if seen {
			ctx = context.Background()
		} else if !done {
			c.breakOff(fmt.Errorf("%w: no answer to a call that was given up", ErrLost))
		}
	}
}

// wearOut calls cancel after cancelGrace, of which time that this process stood still or waited for a CPU is mostly no part: what kept it keeps the server too, as likely as not.
func wearOut(ctx context.Context, cancel context.CancelFunc) {
	const slices = 30
	for range slices {
		select {
		case <-time.After(cancelGrace / slices):
		case <-ctx.Done():
			return
		}
	}
	cancel()
}

// cancel tells the server that a call was given up.
func (c *client) cancel(ctx context.Context, id uint64) {
	var b [24]byte
	_ = c.send(ctx, begin(b[:0], opCancel, id, 0))
	fault.Point("manager.call.cancelled")
}

// receive receives for everybody until q is answered, the link is broken, or ctx ends, whose error it then returns. The caller has set c.reading.
func (c *client) receive(ctx context.Context, q *request) error {
	for {
		frame, err := c.l.recv(ctx)
		c.mu.Lock()
		if c.err != nil { // what was under way has been lost
		} else if err == nil {
			c.deliver(frame, q)
		} else if e := ctx.Err(); e != nil && errors.Is(err, e) {
			c.reading = false
			c.handOver()
			c.mu.Unlock()
			return e
		} else {
			c.broken(err)
		}
		if q.done || c.err != nil {
			c.reading = false
			c.mu.Unlock()
			return nil
		}
		c.mu.Unlock()
	}
}

// deliver hands an answer to who waits for it. q is the caller's own, or nil. c.mu is held.
func (c *client) deliver(frame []byte, own *request) {
	r := reader{b: frame}
	st, id := status(r.byte()), r.uint()
	switch {
	case r.bad || st == 0 || st > isGoodbye:
		c.broken(refuse(ErrProtocol, "an answer of %d bytes", len(frame)))
		return
	case st == isGoodbye:
		c.broken(ErrShutdown)
		return
	case id == 0 && st == isRefused:
		c.broken(r.error())
		return
	}
	q := c.calls[id]
	if q == nil || q.done {
		return // of a call that was given up
	}
	if st == isSeen {
		q.seen = true
	} else {
		q.b = append(q.b[:0], frame...)
		q.body, q.status, q.done = len(frame)-len(r.b), st, true
	}
	if q != own {
		q.poke()
	}
}

func (q *request) poke() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// handOver has another of those who wait receive, if nobody does. c.mu is held.
func (c *client) handOver() {
	if c.reading || c.err != nil {
		return
	}
	for _, q := range c.calls {
		if q.waits && !q.done {
			q.poke()
			return
		}
	}
}

// confirm says that the answer to a request, which handed something over, has come. An error says that the server has taken it back.
func (q *request) confirm() error {
	c := q.c
	ctx, cancel := context.WithTimeout(context.Background(), cancelGrace)
	defer cancel()
	var b [24]byte
	fault.Point("manager.call.unconfirmed")
	if err := c.send(ctx, begin(b[:0], opConfirm, q.id, 0)); err == nil {
		fault.Point("manager.call.confirmed")
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.l.local() || c.lingers {
		return nil // over the next link the server is told what was lost, and this is not
	}
	c.broken(fmt.Errorf("%w: the server takes no more", ErrLost))
	return c.gone()
}

// fail ends the link.
func (c *client) fail(err error) {
	c.mu.Lock()
	c.broken(err)
	c.mu.Unlock()
}

// broken ends the link: every call under way is lost. c.mu is held.
func (c *client) broken(err error) {
	if c.err != nil {
		return
	}
	c.err = err
	c.dead.Store(true)
	for _, q := range c.calls {
		if !q.done {
			c.lost = append(c.lost, q.id)
		}
		q.poke()
	}
	go c.l.close() // it may wait for calls under way
}

// gone is the error of a call that was under way when the link broke. c.mu is held.
func (c *client) gone() error {
	switch {
	case errors.Is(c.err, ErrShutdown), errors.Is(c.err, ErrClosed), errors.Is(c.err, ErrProtocol), errors.Is(c.err, ErrTooLarge), errors.Is(c.err, ErrLimit):
		return fmt.Errorf("%w: %w", c.err, ErrLost)
	case errors.Is(c.err, ErrLost):
		return c.err
	case c.l.local() && over(c.err):
		return fmt.Errorf("%w: %w", ErrServer, ErrLost)
	}
	return fmt.Errorf("%w: %w", ErrLost, c.err)
}

// alive reports whether calls can be sent.
func (c *client) alive() bool { return !c.dead.Load() }

// answer returns the reader of what a request was answered with, or the error.
func (q *request) answer() (reader, error) {
	r := reader{b: q.b[q.body:]}
	switch q.status {
	case isDone:
		return r, nil
	case isRefused:
		err := r.error()
		if q.gaveUp != nil && err == context.Canceled {
			err = q.gaveUp
		}
		return r, err
	case isFailure:
		e, err := failure.From(r.b)
		if err != nil {
			return r, refuse(ErrProtocol, "%v", err)
		}
		return r, e
	case isAct:
		return r, errAct
	}
	return r, refuse(ErrProtocol, "an answer of status %d", q.status)
}

// errAct says that a barrier's last party is to act.
var errAct = errors.New("act")

// abandon ends the copy of a link in the child of a fork: it is the parent's. The parent's calls under way are its own.
func (c *client) abandon() { c.l.close() }
