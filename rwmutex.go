package multiproc

import (
	"context"

	"github.com/fb2d3dbd/multiproc/futex"
	"github.com/fb2d3dbd/multiproc/shm"
)

// A RWMutex is a lock between processes that many may hold for reading or one for writing; see futex.RWMutex. It may be
// part of the argument of a Start and of messages.
type RWMutex struct {
	obj object
	l   *futex.RWMutex
}

// RWMutexOptions are for making a RWMutex. Nil and the zero value work.
type RWMutexOptions struct {
	// Readers is the number of processes that can hold the lock for reading at a time, 1 to 4096; 0 means 64.
	Readers int
}

// NewRWMutex makes a lock that nobody holds.
func NewRWMutex(o *RWMutexOptions) (*RWMutex, error) {
	readers := 64
	if o != nil && o.Readers != 0 {
		readers = o.Readers
	}
	obj, mem, err := allocate(shm.KindRWMutex, futex.RWMutexSize(readers))
	if err != nil {
		return nil, err
	}
	l, err := futex.CreateRWMutex(mem, readers, obj.seg)
	return &RWMutex{obj, l}, obj.complete(err)
}

// Lock takes the lock for writing, waiting for it until ctx ends. It returns nil or ErrOwnerDied with the lock held, and any other error
// without it. ErrOwnerDied says that a writer died: mend what the lock guards and call MarkConsistent.
func (x *RWMutex) Lock(ctx context.Context) error { return x.l.Lock(ctx) }

// TryLock takes the lock for writing if it is free or its owners are dead; else it returns ErrLocked.
func (x *RWMutex) TryLock() error { return x.l.TryLock() }

// Unlock releases what Lock took, or returns ErrNotOwner.
func (x *RWMutex) Unlock() error { return x.l.Unlock() }

// RLock takes the lock for reading, waiting for it until ctx ends. ErrDamaged says that a writer died and nobody has mended what the
// lock guards yet; then the lock is not held.
func (x *RWMutex) RLock(ctx context.Context) error { return x.l.RLock(ctx) }

// TryRLock takes the lock for reading, or returns ErrLocked.
func (x *RWMutex) TryRLock() error { return x.l.TryRLock() }

// RUnlock releases what RLock took, or returns ErrNotOwner.
func (x *RWMutex) RUnlock() error { return x.l.RUnlock() }

// MarkConsistent declares, after ErrOwnerDied and with the lock held for writing, that what it guards has been mended.
func (x *RWMutex) MarkConsistent() error { return x.l.MarkConsistent() }

// Locked reports whether somebody holds the lock for writing.
func (x *RWMutex) Locked() bool {
	_, held := x.l.Holder()
	return held
}

// Holder describes the process that holds the lock for writing; ok is false when nobody does, or it has just died.
func (x *RWMutex) Holder() (p shm.Participant, ok bool) { return x.obj.holder(x.l.Holder()) }

// Readers describes the processes that hold the lock for reading.
func (x *RWMutex) Readers() []shm.Participant { return x.obj.holders(x.l.Readers()) }

func (x *RWMutex) locker() futex.Locker { return x.l }

// Segment returns the shared memory that the lock stands in.
func (x *RWMutex) Segment() *shm.Segment { return x.obj.seg }

// Free gives the lock's memory back. No process may use it any more; handles of it that arrive later are refused.
func (x *RWMutex) Free() error { return x.obj.free() }

// MarshalBinary returns the lock's handle.
func (x *RWMutex) MarshalBinary() ([]byte, error) { return x.obj.handle() }

// UnmarshalBinary opens the lock whose handle b is.
func (x *RWMutex) UnmarshalBinary(b []byte) error {
	o, mem, err := resolve(b, shm.KindRWMutex)
	if err != nil {
		return err
	}
	x.obj = o
	x.l, err = futex.OpenRWMutex(mem, o.seg)
	return err
}
