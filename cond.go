package multiproc

import (
	"context"
	"encoding"
	"fmt"

	"github.com/fb2d3dbd/multiproc/futex"
	"github.com/fb2d3dbd/multiproc/shm"
)

// A Locker is a lock that a [Cond] can be made on: a *Mutex, an *RLock, or a *RWMutex held for writing.
type Locker interface {
	Lock(ctx context.Context) error
	TryLock() error
	Unlock() error
	encoding.BinaryMarshaler
	Segment() *shm.Segment
	locker() futex.Locker
}

func (m *Mutex) locker() futex.Locker { return m.mu }

// A Cond is where processes that hold a lock wait until others say that something has changed. A notification goes to one that is
// alive; see futex.Cond. It may be part of the argument of a Start and of messages, and takes its lock along.
type Cond struct {
	obj  object
	c    *futex.Cond
	lock Locker
}

// CondOptions are for making a Cond. Nil and the zero value work.
type CondOptions struct {
	// Waiters is the number of goroutines, of all processes, that can wait at a time, 1 to 65536; 0 means 240.
	Waiters int
}

// NewCond makes a condition on lock; nil makes a new Mutex for it.
func NewCond(lock Locker, o *CondOptions) (*Cond, error) {
	waiters := 240
	if o != nil && o.Waiters != 0 {
		waiters = o.Waiters
	}
	if futex.CondSize(waiters) == 0 {
		return nil, fmt.Errorf("multiproc: a condition for %d who wait", waiters)
	}
	if lock == nil {
		mu, err := NewMutex()
		if err != nil {
			return nil, err
		}
		lock = mu
	}
	obj, mem, err := allocate(shm.KindCond, futex.CondSize(waiters))
	if err != nil {
		return nil, err
	}
	if lock.Segment() != obj.seg {
		return nil, obj.complete(fmt.Errorf("multiproc: a condition on a lock of segment %#x stands in another, %#x", lock.Segment().ID(), obj.seg.ID()))
	}
	c, err := futex.CreateCond(mem, waiters, lock.locker(), obj.seg)
	return &Cond{obj, c, lock}, obj.complete(err)
}

// Locker returns the lock.
func (x *Cond) Locker() Locker { return x.lock }

// Lock takes the condition's lock; see [Mutex.Lock].
func (x *Cond) Lock(ctx context.Context) error { return x.lock.Lock(ctx) }

// Unlock releases the condition's lock.
func (x *Cond) Unlock() error { return x.lock.Unlock() }

// Wait releases the lock, which the caller holds, waits for a notification until ctx ends, and takes the lock again. Whatever it
// returns, the lock is held again, except with ErrClosed, and ErrNotOwner if it was not held before.
func (x *Cond) Wait(ctx context.Context) error { return x.c.Wait(ctx) }

// WaitFor waits until pred, which it calls with the lock held, returns true.
func (x *Cond) WaitFor(ctx context.Context, pred func() bool) error { return x.c.WaitFor(ctx, pred) }

// Notify wakes up to n of those who wait, the longest first. The caller holds the lock, else ErrNotOwner.
func (x *Cond) Notify(n int) error { return x.c.Notify(n) }

// NotifyAll wakes all who wait.
func (x *Cond) NotifyAll() error { return x.c.NotifyAll() }

// Waiting returns how many wait at this instant.
func (x *Cond) Waiting() int { return x.c.Waiting() }

// Segment returns the shared memory that the condition stands in.
func (x *Cond) Segment() *shm.Segment { return x.obj.seg }

// Free gives the condition's memory back, but not its lock's.
func (x *Cond) Free() error { return x.obj.free() }

// MarshalBinary returns the handles of the condition and of its lock.
func (x *Cond) MarshalBinary() ([]byte, error) { return joinLock(x.obj.handle, x.lock) }

// UnmarshalBinary opens the condition and the lock whose handles are in b.
func (x *Cond) UnmarshalBinary(b []byte) error {
	var o object
	var mem []byte
	lock, err := splitLock(b, func(b []byte) (err error) {
		o, mem, err = resolve(b, shm.KindCond)
		return err
	})
	if err != nil {
		return err
	}
	x.obj, x.lock = o, lock
	x.c, err = futex.OpenCond(mem, lock.locker(), o.seg)
	return err
}

// joinLock and splitLock make one handle of an object's and its lock's. The kind in the lock's says what it is.
func joinLock(own func() ([]byte, error), lock Locker) ([]byte, error) {
	b, err := own()
	if err != nil {
		return nil, err
	}
	l, err := lock.MarshalBinary()
	return append(b, l...), err
}

func splitLock(b []byte, own func([]byte) error) (Locker, error) {
	if err := own(b[:len(b)/2]); err != nil {
		return nil, err
	}
	b = b[len(b)/2:]
	var ref shm.Ref
	if err := ref.UnmarshalBinary(b); err != nil {
		return nil, err
	}
	switch ref.Kind {
	case shm.KindRLock:
		l := new(RLock)
		return l, l.UnmarshalBinary(b)
	case shm.KindRWMutex:
		l := new(RWMutex)
		return l, l.UnmarshalBinary(b)
	}
	l := new(Mutex)
	return l, l.UnmarshalBinary(b)
}
