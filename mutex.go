package multiproc

import (
	"context"

	"github.com/fb2d3dbd/multiproc/futex"
	"github.com/fb2d3dbd/multiproc/shm"
)

// A Mutex is a mutual-exclusion lock between processes and their goroutines. Its owner is a process. It may be part of
// the argument of a Start and of messages.
type Mutex struct {
	obj object
	mu  *futex.Mutex
}

// NewMutex makes a lock that nobody holds.
func NewMutex() (*Mutex, error) {
	o, mem, err := allocate(shm.KindMutex, futex.MutexSize)
	if err != nil {
		return nil, err
	}
	mu, err := futex.NewMutex(mem, o.seg)
	return &Mutex{o, mu}, o.complete(err)
}

// Lock takes the lock, waiting for it until ctx ends. It returns nil or ErrOwnerDied with the lock held, and any other error
// without it. ErrOwnerDied says that the owner before died while it held the lock: mend what the lock guards
// and call MarkConsistent.
func (m *Mutex) Lock(ctx context.Context) error { return m.mu.Lock(ctx) }

// TryLock takes the lock if it is free or its owner is dead; else it returns ErrLocked.
func (m *Mutex) TryLock() error { return m.mu.TryLock() }

// Unlock releases the lock, or returns ErrNotOwner if this process does not hold it.
func (m *Mutex) Unlock() error { return m.mu.Unlock() }

// MarkConsistent declares, after ErrOwnerDied and with the lock held, that what it guards has been mended.
func (m *Mutex) MarkConsistent() error { return m.mu.MarkConsistent() }

// Locked reports whether somebody holds the lock.
func (m *Mutex) Locked() bool {
	_, held := m.mu.Holder()
	return held
}

// Holder describes the process that holds the lock; ok is false when nobody does, or it has just died.
func (m *Mutex) Holder() (p shm.Participant, ok bool) {
	token, held := m.mu.Holder()
	if !held {
		return shm.Participant{}, false
	}
	return m.obj.seg.Participant(token)
}

// Segment returns the shared memory that the lock stands in.
func (m *Mutex) Segment() *shm.Segment { return m.obj.seg }

// Free gives the lock's memory back. No process may use it any more; handles of it that arrive later are refused. Without
// Free the memory is given back when the last process of the family ends.
func (m *Mutex) Free() error { return m.obj.free() }

// MarshalBinary returns the lock's handle.
func (m *Mutex) MarshalBinary() ([]byte, error) { return m.obj.handle() }

// UnmarshalBinary opens the lock whose handle b is.
func (m *Mutex) UnmarshalBinary(b []byte) error {
	o, mem, err := resolve(b, shm.KindMutex)
	if err != nil {
		return err
	}
	m.obj = o
	m.mu, err = futex.NewMutex(mem, o.seg)
	return err
}
