package multiproc

import (
	"context"

	"github.com/fb2d3dbd/multiproc/futex"
	"github.com/fb2d3dbd/multiproc/shm"
)

// An RLock is a Mutex that who holds it may lock again, to unlock it as often. Who holds it is the handle, the *RLock: Go has
// no identity of threads. Goroutines that are to exclude each other use a handle each; see [RLock.Handle]. It may be part of the
// argument of a Start and of messages, and what arrives is a handle of its own.
type RLock struct {
	obj object
	l   *futex.RLock
}

// NewRLock makes a lock that nobody holds.
func NewRLock() (*RLock, error) {
	o, mem, err := allocate(shm.KindRLock, futex.RLockSize)
	if err != nil {
		return nil, err
	}
	l, err := futex.NewRLock(mem, o.seg)
	return &RLock{o, l}, o.complete(err)
}

// Handle returns another handle of the same lock, which is another holder.
func (x *RLock) Handle() *RLock { return &RLock{x.obj, x.l.Handle()} }

// Lock takes the lock, waiting for it until ctx ends, or takes it once more if the handle holds it. It returns nil or ErrOwnerDied
// with the lock held, and any other error without it.
func (x *RLock) Lock(ctx context.Context) error { return x.l.Lock(ctx) }

// TryLock takes the lock if it is free, its owner is dead or the handle holds it; else it returns ErrLocked.
func (x *RLock) TryLock() error { return x.l.TryLock() }

// Unlock undoes one Lock, or returns ErrNotOwner if the handle does not hold the lock.
func (x *RLock) Unlock() error { return x.l.Unlock() }

// MarkConsistent declares, after ErrOwnerDied and with the lock held, that what it guards has been mended.
func (x *RLock) MarkConsistent() error { return x.l.MarkConsistent() }

// Locked reports whether somebody holds the lock.
func (x *RLock) Locked() bool {
	_, held := x.l.Holder()
	return held
}

// Depth returns how often this handle has locked the lock.
func (x *RLock) Depth() int { return x.l.Depth() }

// Holder describes the process that holds the lock; ok is false when nobody does, or it has just died.
func (x *RLock) Holder() (p shm.Participant, ok bool) { return x.obj.holder(x.l.Holder()) }

func (x *RLock) locker() futex.Locker { return x.l }

// Segment returns the shared memory that the lock stands in.
func (x *RLock) Segment() *shm.Segment { return x.obj.seg }

// Free gives the lock's memory back. No process may use it any more; handles of it that arrive later are refused.
func (x *RLock) Free() error { return x.obj.free() }

// MarshalBinary returns the lock's handle.
func (x *RLock) MarshalBinary() ([]byte, error) { return x.obj.handle() }

// UnmarshalBinary opens the lock whose handle b is. x does not hold it, whoever does.
func (x *RLock) UnmarshalBinary(b []byte) error {
	o, mem, err := resolve(b, shm.KindRLock)
	if err != nil {
		return err
	}
	x.obj = o
	x.l, err = futex.NewRLock(mem, o.seg)
	return err
}
