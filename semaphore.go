package multiproc

import (
	"context"
	"fmt"

	"github.com/fb2d3dbd/multiproc/futex"
	"github.com/fb2d3dbd/multiproc/shm"
)

// A Semaphore gives out permits between processes. Those that a process holds when it dies are free again. A process that holds
// none may release as well, which makes one more; who waits for such signals calls Consume. See futex.Semaphore. It may be part of
// the argument of a Start and of messages.
type Semaphore struct {
	obj object
	s   *futex.Semaphore
}

// SemaphoreOptions are for making a Semaphore. Nil and the zero value work.
type SemaphoreOptions struct {
	// Max is the most permits that there can ever be, up to futex.MaxPermits; 0 means 1024 more than at first.
	Max int
}

// NewSemaphore makes a semaphore with n free permits.
func NewSemaphore(n int, o *SemaphoreOptions) (*Semaphore, error) {
	most := min(max(n, 0), futex.MaxPermits-1024) + 1024
	if o != nil && o.Max != 0 {
		most = o.Max
	}
	if n < 0 || n > most || futex.SemaphoreSize(most) == 0 {
		return nil, fmt.Errorf("multiproc: a semaphore with %d permits of at most %d", n, most)
	}
	obj, mem, err := allocate(shm.KindSemaphore, futex.SemaphoreSize(most))
	if err != nil {
		return nil, err
	}
	s, err := futex.CreateSemaphore(mem, n, most, obj.seg)
	return &Semaphore{obj, s}, obj.complete(err)
}

// Acquire takes a permit, waiting for one until ctx ends.
func (x *Semaphore) Acquire(ctx context.Context) error { return x.s.Acquire(ctx) }

// TryAcquire takes a permit if one is free or its owner is dead; else it returns ErrLocked.
func (x *Semaphore) TryAcquire() error { return x.s.TryAcquire() }

// Consume takes a permit away for good, waiting for one until ctx ends: the permit belongs to nobody, and no death brings it back.
func (x *Semaphore) Consume(ctx context.Context) error { return x.s.Consume(ctx) }

// TryConsume takes a free permit away for good, or returns ErrLocked.
func (x *Semaphore) TryConsume() error { return x.s.TryConsume() }

// Release gives a permit back, or makes one if this process holds none. ErrBound says that there are as many as there can be.
func (x *Semaphore) Release() error { return x.s.Release() }

// Value returns the number of free permits at an instant.
func (x *Semaphore) Value() (int, error) { return x.s.Value() }

// Locked reports whether no permit is free.
func (x *Semaphore) Locked() bool { return x.s.Locked() }

// Holders describes the processes that hold permits.
func (x *Semaphore) Holders() []shm.Participant {
	held, _ := x.s.Holders()
	return x.obj.holders(held)
}

// Segment returns the shared memory that the semaphore stands in.
func (x *Semaphore) Segment() *shm.Segment { return x.obj.seg }

// Free gives the semaphore's memory back. No process may use it any more; handles of it that arrive later are refused.
func (x *Semaphore) Free() error { return x.obj.free() }

// MarshalBinary returns the semaphore's handle.
func (x *Semaphore) MarshalBinary() ([]byte, error) { return x.obj.handle() }

// UnmarshalBinary opens the semaphore whose handle b is.
func (x *Semaphore) UnmarshalBinary(b []byte) error {
	o, mem, err := resolve(b, shm.KindSemaphore)
	if err != nil {
		return err
	}
	x.obj = o
	x.s, err = futex.OpenSemaphore(mem, o.seg)
	return err
}

// A BoundedSemaphore is a Semaphore with a fixed number of permits: only a process that holds one can release it.
type BoundedSemaphore struct {
	obj object
	s   *futex.BoundedSemaphore
}

// NewBoundedSemaphore makes a semaphore of n permits, all free.
func NewBoundedSemaphore(n int) (*BoundedSemaphore, error) {
	if futex.SemaphoreSize(n) == 0 {
		return nil, fmt.Errorf("multiproc: a bounded semaphore of %d permits", n)
	}
	obj, mem, err := allocate(shm.KindBoundedSemaphore, futex.SemaphoreSize(n))
	if err != nil {
		return nil, err
	}
	s, err := futex.CreateBoundedSemaphore(mem, n, obj.seg)
	return &BoundedSemaphore{obj, s}, obj.complete(err)
}

// Acquire takes a permit, waiting for one until ctx ends.
func (x *BoundedSemaphore) Acquire(ctx context.Context) error { return x.s.Acquire(ctx) }

// TryAcquire takes a permit if one is free or its owner is dead; else it returns ErrLocked.
func (x *BoundedSemaphore) TryAcquire() error { return x.s.TryAcquire() }

// Release gives a permit back. ErrBound says that all are free, ErrNotOwner that this process holds none.
func (x *BoundedSemaphore) Release() error { return x.s.Release() }

// Value returns the number of free permits at an instant.
func (x *BoundedSemaphore) Value() (int, error) { return x.s.Value() }

// Locked reports whether no permit is free.
func (x *BoundedSemaphore) Locked() bool { return x.s.Locked() }

// Holders describes the processes that hold permits.
func (x *BoundedSemaphore) Holders() []shm.Participant {
	held, _ := x.s.Holders()
	return x.obj.holders(held)
}

// Segment returns the shared memory that the semaphore stands in.
func (x *BoundedSemaphore) Segment() *shm.Segment { return x.obj.seg }

// Free gives the semaphore's memory back. No process may use it any more; handles of it that arrive later are refused.
func (x *BoundedSemaphore) Free() error { return x.obj.free() }

// MarshalBinary returns the semaphore's handle.
func (x *BoundedSemaphore) MarshalBinary() ([]byte, error) { return x.obj.handle() }

// UnmarshalBinary opens the semaphore whose handle b is.
func (x *BoundedSemaphore) UnmarshalBinary(b []byte) error {
	o, mem, err := resolve(b, shm.KindBoundedSemaphore)
	if err != nil {
		return err
	}
	x.obj = o
	x.s, err = futex.OpenBoundedSemaphore(mem, o.seg)
	return err
}
