package ringbuf

import (
	"context"
	"errors"
	"io"
	"sync/atomic"

	"github.com/fb2d3dbd/multiproc/internal/cpu"
)

// ErrOneWay says that an end of a pipe of one way does not have the direction.
var ErrOneWay = errors.New("ringbuf: the pipe's end has the other direction only")

// Put sends msg, waiting for room until ctx ends. When it returns nil the message will be delivered, whatever happens to this process, as long as somebody has
// the other end. ErrPeerDied says that nobody has: all closed it or died. A death is noticed by those who wait, so a put that finds room may still succeed
// after one.
func (e *PipeEnd) Put(ctx context.Context, msg []byte) error {
	if err := e.enter(e.tx); err != nil {
		return err
	}
	defer e.leave()
	q := e.tx
	if len(msg) <= q.inline() {
		return e.said(q.Put(ctx, msg), ErrPeerDied)
	}
	err := q.TryPut(msg)
	if err == ErrFull {
		err = e.putLarge(ctx, msg)
	}
	return e.said(err, ErrPeerDied)
}

// putLarge waits for the message's memory first: it need not be kept apart then for the time of the wait.
func (e *PipeEnd) putLarge(ctx context.Context, msg []byte) error {
	r, err := e.tx.Reserve(ctx, len(msg))
	if err != nil {
		return err
	}
	cpu.Copy(r.Bytes(), msg)
	err = r.Commit(ctx, len(msg))
	if err != nil {
		_ = r.Abort() // if it is still there
	}
	return err
}

// TryPut sends msg, or returns ErrFull if there is no room.
func (e *PipeEnd) TryPut(msg []byte) error {
	if err := e.enter(e.tx); err != nil {
		return err
	}
	defer e.leave()
	err := e.tx.TryPut(msg)
	if err == ErrFull && e.glance() {
		err = e.tx.TryPut(msg)
	}
	return e.said(err, ErrPeerDied)
}

// Get appends the next message to buf and returns it, waiting for one until ctx ends. io.EOF says that there is none and nobody has the other end any more.
func (e *PipeEnd) Get(ctx context.Context, buf []byte) ([]byte, error) {
	if err := e.enter(e.rx); err != nil {
		return buf, err
	}
	defer e.leave()
	q := e.rx
	out, how := q.getFast(buf)
	if how == allDone {
		return out, nil
	}
	out, err := q.getSlow(how, buf, out)
	for err == ErrEmpty {
		out, err = e.getWait(ctx, buf)
	}
	return out, e.said(err, io.EOF)
}

// getWait waits for a message and appends it to buf. ErrEmpty says that another was faster. What waits for long only looks: a closure that knew of buf would keep it from the caller's stack.
func (e *PipeEnd) getWait(ctx context.Context, buf []byte) ([]byte, error) {
	q := e.rx
	for range pipePolls {
		out, how := q.getFast(buf)
		if how == notDone {
			cpu.Pause(1)
			continue
		}
		if how == allDone {
			return out, nil
		}
		return q.getSlow(how, buf, out)
	}
	if err := q.waitData(ctx, q.ready); err != nil {
		return buf, err
	}
	return q.TryGet(buf)
}

// TryGet appends the next message to buf and returns it, or ErrEmpty.
func (e *PipeEnd) TryGet(buf []byte) ([]byte, error) {
	if err := e.enter(e.rx); err != nil {
		return buf, err
	}
	defer e.leave()
	out, err := e.rx.TryGet(buf)
	if err == ErrEmpty && e.glance() {
		out, err = e.rx.TryGet(buf)
	}
	return out, e.said(err, io.EOF)
}

// View calls fn with the next message in place, waiting for one until ctx ends, and takes it when fn has returned; if this process dies before, it is handed to
// another holder of the end. fn must not keep the bytes. Its error is returned; the message is taken all the same.
func (e *PipeEnd) View(ctx context.Context, fn func(msg []byte) error) error {
	if err := e.enter(e.rx); err != nil {
		return err
	}
	defer e.leave()
	d, err := e.rx.Receive(ctx)
	return e.view(d, err, fn)
}

// TryView is View for a message that is there, or ErrEmpty.
func (e *PipeEnd) TryView(fn func(msg []byte) error) error {
	if err := e.enter(e.rx); err != nil {
		return err
	}
	defer e.leave()
	d, err := e.rx.TryReceive()
	if err == ErrEmpty && e.glance() {
		d, err = e.rx.TryReceive()
	}
	return e.view(d, err, fn)
}

func (e *PipeEnd) view(d *Delivery, err error, fn func(msg []byte) error) error {
	if err != nil {
		return e.said(err, io.EOF)
	}
	defer func() { // also when fn panics
		if ack := d.Ack(); err == nil {
			err = ack
		}
	}()
	err = fn(d.Bytes())
	return err
}

const pipePolls = 400

// Poll waits until there is a message, or the end of the pipe, or until ctx ends. Another may take the message first.
func (e *PipeEnd) Poll(ctx context.Context) error {
	if err := e.enter(e.rx); err != nil {
		return err
	}
	defer e.leave()
	q := e.rx
	err := q.ready()
	if err == ErrEmpty {
		err = q.waitData(ctx, q.ready)
		q.dataEvent.Notify(1) // what woke this one may have been meant for one who takes
	}
	return e.said(err, nil)
}

// TryPoll reports whether there is a message, or the end of the pipe.
func (e *PipeEnd) TryPoll() (bool, error) {
	if err := e.enter(e.rx); err != nil {
		return false, err
	}
	defer e.leave()
	err := e.rx.ready()
	if err == ErrEmpty && e.glance() {
		err = e.rx.ready()
	}
	switch {
	case err == nil:
		return true, nil
	case err == ErrEmpty:
		return false, nil
	}
	return false, err
}

// Waiting returns the number of messages that this end would get and that it has sent and nobody has got yet.
func (e *PipeEnd) Waiting() (in, out int, err error) {
	if e.gate.Add(1) < 0 {
		err = ErrClosed
	}
	defer e.leave()
	if err == nil && e.rx != nil {
		in, err = e.rx.Len()
	}
	if err == nil && e.tx != nil {
		out, err = e.tx.Len()
	}
	return in, out, err
}

// said makes of what a closed queue says what it means at this end.
func (e *PipeEnd) said(err, end error) error {
	if err == ErrClosed && !e.Closed() && e.who.Self() == e.self {
		e.closeEnd(1 - e.end) // the other queue too, if who closes the end has come only so far
		return end
	}
	return err
}

// looked marks what is remembered of a look for orphans: the generation of which there were none.
const looked = 1 << 32

// ready returns nil when a get would return at once, with a message or the end of the queue, and else ErrEmpty.
func (q *MPMC) ready() error {
	me, err := q.enter(0)
	if err != nil {
		return err
	}
	if gen := atomic.LoadUint32(&q.hdr.gen); gen != q.seen.Load() && uint64(gen)|looked != q.looked.Load() {
		if q.orphans() > 0 {
			return q.usable(me.token)
		}
		q.looked.Store(uint64(gen) | looked)
	}
	h, err := q.head()
	if err != nil {
		return q.failed(me, err)
	}
	e := cell(atomic.LoadUint64(q.cellOf(q.index(h))))
	if e.owner() == full || q.relate(e, h) != sameLap || atomic.LoadUint32(&q.hdr.state) != isOpen { // or it was taken since: another look will tell
		return q.usable(me.token)
	}
	return q.failed(me, ErrEmpty)
}
