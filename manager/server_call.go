package manager

import (
	"context"
	"encoding/binary"
	"errors"
	"sync/atomic"

	"github.com/fb2d3dbd/multiproc/internal/failure"
)

// A call is what a session has asked for and has no answer yet. Most are answered before the next frame is looked at, and never stand in a table.
type call struct {
	s       *session
	id      uint64
	obj     *object
	op      op
	waits   bool   // it stands in the session's table
	cancel  func() // takes it out of where it waits and answers it, unless it was answered; guarded by the session's lock
	givenUp bool   // by the client; guarded by the session's lock
	runs    bool   // a function of a user's runs for it; guarded by the session's lock
	// fate says, while a function of a user's runs for it, whether what it has done counts:
	//
	//	open       → committed  by the one who makes it count, with the lock that makes it seen
	//	open       → cancelled  by the client's end of it, which has been answered then
	fate atomic.Int32
	gone atomic.Bool // nobody will get the answer: the link that the call came over has ended
}

// errLater says that a call will be answered when what it waits for has come.
var errLater = errors.New("later")

// head begins a frame of the server's.
func head(b []byte, st status, id uint64) []byte {
	return binary.AppendUvarint(append(b, byte(st)), id)
}

// wait puts the call among those of its session that wait. cancel is called when the client gives the call up, and when its link ends, c.gone set; it locks what the
// operation locks, and answers the call if it still waits there. The caller holds that lock. A call that waits already waits in another way from then on.
func (c *call) wait(cancel func()) error {
	if c.id == 0 {
		return refuse(ErrProtocol, "an operation that may wait, as one without an answer")
	}
	if c.waits {
		c.s.recancel(c, cancel)
		return nil
	}
	c.waits, c.cancel = true, cancel
	return c.s.enter(c)
}

// answer ends a call that waits. body, which may be nil, appends the answer.
func (c *call) answer(err error, body func(b []byte) []byte) {
	c.s.leave(c)
	if err != nil {
		c.s.send(frameError(nil, c.id, err))
		return
	}
	b := head(nil, isDone, c.id)
	if body != nil {
		b = body(b)
	}
	c.s.send(b)
}

// tell sends a frame that does not end the call.
func (c *call) tell(st status) { c.s.send(head(nil, st, c.id)) }

// given says that the answer hands something over, which undo takes back if the client never says that it has the answer: it has died, or the answer was lost. kept,
// which may be nil, is called when it has it. The caller holds what the operation locks, and answers afterwards.
func (c *call) given(undo, kept func()) { c.s.given(c.id, gift{undo, kept}) }

const (
	open int32 = iota
	committed
	cancelled
)

// commit makes what a function of a user's has done count, and reports false if the client has been told that the call was given up.
func (c *call) commit() bool {
	return c.fate.CompareAndSwap(open, committed) || c.fate.Load() == committed
}

// why is the error of a call that was cancelled.
func (c *call) why() error {
	if c.s.srv.over() {
		return ErrShutdown
	}
	return context.Canceled
}

// run runs a function of a user's on a goroutine of its own and answers with what body appends. Its context ends when the client gives the call up, or is gone.
func (c *call) run(fn func(ctx context.Context) (body func(b []byte) []byte, err error)) error {
	if err := c.s.srv.begin(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(c.s.ctx)
	c.s.runs(c)
	err := c.wait(func() {
		ours := c.fate.CompareAndSwap(open, cancelled) // before the function can say that its context has ended
		cancel()
		if ours {
			c.answer(c.why(), nil)
		}
	})
	if err != nil {
		cancel()
		c.s.srv.done()
		return err
	}
	go func() {
		var body func(b []byte) []byte
		err := error(&userError{failure.Of(errGoexit)}) // until the function has returned
		defer func() {
			if v := recover(); v != nil {
				err = &userError{failure.OfPanic(v)}
			}
			cancel()
			if c.commit() {
				c.answer(err, body)
			} else {
				c.s.takeBack(c.id)
			}
			c.s.srv.done()
		}()
		body, err = fn(ctx)
	}()
	return errLater
}

var errGoexit = errors.New("the function ended its goroutine by runtime.Goexit")

// failed makes an error that a user's function has returned one that says so.
func failed(err error) error {
	if err == nil {
		return nil
	}
	return &userError{failure.Of(err)}
}
