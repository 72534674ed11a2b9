package manager

import (
	"context"
	"encoding"
	"errors"
)

// A Locker is a lock that a [Cond] can be made on: a *Mutex or an *RLock.
type Locker interface {
	Lock(ctx context.Context) error
	TryLock(ctx context.Context) error
	Unlock(ctx context.Context) error
	MarkConsistent(ctx context.Context) error
	Locked(ctx context.Context) (bool, error)
	Close() error
	encoding.BinaryMarshaler
	hold() (r *ref, holder uint64)
}

// A Cond is where processes that hold a lock of the server's wait until others say that something has changed. A notification goes to the one who has waited longest and is alive: what
// was meant for one that dies before it knows goes to another.
type Cond struct {
	r    *ref
	lock Locker
}

// NewCond makes a condition on lock, which is of the same server; nil makes a new Mutex for it. Who finds the condition by its name finds its lock with it.
func NewCond(ctx context.Context, m *Manager, o *ObjectOptions, lock Locker) (*Cond, error) {
	number, holder := uint64(0), uint64(0)
	if lock != nil {
		var l *ref
		if l, holder = lock.hold(); l == nil || l.closed.Load() {
			return nil, refuse(ErrValue, "a condition on a lock that was closed, or never made")
		}
		if number = l.id; l.server != m.serverID() {
			return nil, refuse(ErrValue, "a condition on a lock of another server")
		}
	}
	r, err := m.create(ctx, kindCond, "", o, func(b []byte) ([]byte, error) { return appendUint64(b, number), nil })
	if err != nil {
		return nil, err
	}
	return openCond(ctx, r, number, holder)
}

// openCond opens the lock of a condition. If it is that of the number, it is held by the holder.
func openCond(ctx context.Context, r *ref, number, holder uint64) (*Cond, error) {
	l, err := r.lockOf(ctx)
	if err != nil {
		_ = r.close()
		return nil, err
	}
	x := &Cond{r: r}
	switch {
	case l.kind == kindMutex:
		x.lock = &Mutex{l}
	case l.id == number:
		x.lock = &RLock{l, holder}
	default:
		x.lock = &RLock{l, holders.Add(1)}
	}
	return x, nil
}

// lockOf returns a reference to a condition's lock.
func (r *ref) lockOf(ctx context.Context) (*ref, error) {
	q, err := r.request(opState)
	if err != nil {
		return nil, err
	}
	defer q.release()
	out, err := r.do(ctx, q)
	if err != nil {
		return nil, err
	}
	k, id := kind(out.byte()), out.uint()
	if err := out.err(); err != nil {
		return nil, err
	}
	if k != kindMutex && k != kindRLock {
		return nil, refuse(ErrProtocol, "a condition on a %v", k)
	}
	refer := r.m.request(opRefer, id)
	refer.b = appendUint(refer.b, 1)
	if err := r.m.call(ctx, refer); err != nil {
		return nil, err
	}
	return r.m.hold(id, k, ""), nil
}

func (x *Cond) reference() *ref { return x.r }

// Locker returns the lock: for an RLock the same holder as the one that the condition was made on. It is closed with the condition.
func (x *Cond) Locker() Locker { return x.lock }

// Lock takes the condition's lock; see [Mutex.Lock].
func (x *Cond) Lock(ctx context.Context) error {
	if x.lock == nil {
		return x.r.simple(ctx, opLock) // it says what is wrong
	}
	return x.lock.Lock(ctx)
}

// Unlock releases the condition's lock; see [Mutex.Unlock].
func (x *Cond) Unlock(ctx context.Context) error {
	if x.lock == nil {
		return x.r.simple(ctx, opUnlock)
	}
	return x.lock.Unlock(ctx)
}

// begin begins a call by the holder of the lock.
func (x *Cond) begin(what op) (*request, error) {
	q, err := x.r.request(what)
	if err != nil {
		return nil, err
	}
	_, holder := x.lock.hold()
	q.b = appendUint64(q.b, holder)
	return q, nil
}

// Wait releases the lock, which the caller holds, waits for a notification until ctx ends, and takes the lock again, for which it waits as long as it takes. A nil error says
// that a notification came. With ctx.Err() and ErrOwnerDied, of which the second is from taking the lock again, the lock is held again. With ErrNotOwner it was not held before;
// with any other error, such as that the server is gone, nobody holds it any more by this call.
func (x *Cond) Wait(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	q, err := x.begin(opWait)
	if err != nil {
		return err
	}
	defer q.release()
	out, err := x.r.do(ctx, q)
	if err != nil {
		return err
	}
	how := out.byte()
	if err := out.err(); err != nil {
		return err
	}
	if how&condTold == 0 {
		err = q.gaveUp
	} else if lost := q.confirm(); lost != nil {
		return lost
	}
	switch {
	case how&condDied == 0:
		return err
	case err == nil:
		return ErrOwnerDied
	}
	return errors.Join(err, ErrOwnerDied)
}

// WaitFor waits until pred, which it calls with the lock held, returns true. It returns nil then, and otherwise what Wait returns. When ctx ends, pred has the last word.
func (x *Cond) WaitFor(ctx context.Context, pred func() bool) error {
	for !pred() {
		if err := x.Wait(ctx); err != nil {
			if ctx.Err() != nil && errors.Is(err, ctx.Err()) && !errors.Is(err, ErrOwnerDied) && !errors.Is(err, ErrLost) && pred() {
				return nil
			}
			return err
		}
	}
	return nil
}

// Notify has up to n of those who wait go on, the longest first. The caller holds the lock, else ErrNotOwner.
func (x *Cond) Notify(ctx context.Context, n int) error {
	if n < 0 {
		return refuse(ErrValue, "a notification of %d", n)
	}
	return x.notify(ctx, n)
}

// NotifyAll has all who wait go on.
func (x *Cond) NotifyAll(ctx context.Context) error { return x.notify(ctx, -1) }

func (x *Cond) notify(ctx context.Context, n int) error {
	q, err := x.begin(opNotify)
	if err != nil {
		return err
	}
	q.b = appendInt(q.b, n)
	return x.r.call(ctx, q)
}

// Waiting returns how many wait at this instant.
func (x *Cond) Waiting(ctx context.Context) (int, error) { return x.r.number(ctx, opLen) }

// Close lets the condition go, and its lock as far as it is the condition's: a lock that it was made on stays. It ends when nobody refers to it; who waits for a notification then
// gets ErrGone. A second Close does nothing.
func (x *Cond) Close() error {
	err := x.r.close()
	if x.lock != nil {
		err = errors.Join(err, x.lock.Close())
	}
	return err
}

// MarshalBinary returns the condition's handle, for another process, which gets its lock with it. It asks the server to keep the condition until the handle is opened.
func (x *Cond) MarshalBinary() ([]byte, error) { return x.r.marshal() }

// UnmarshalBinary opens the condition whose handle b is.
func (x *Cond) UnmarshalBinary(b []byte) error {
	r, err := unmarshal(b, kindCond, "")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), openTimeout)
	defer cancel()
	c, err := openCond(ctx, r, 0, 0)
	if err == nil {
		*x = *c
	}
	return err
}
