package manager

import (
	"context"
	"errors"
)

// A Semaphore gives out permits in a server. A permit is the process's that has acquired it, by its connection to the server. Who has waited longest gets the next.
//
// When a process dies, or is away from the server for longer than it waits (see ServerOptions.Linger), its permits are free again, and each says so once: who gets it gets
// [ErrOwnerDied] with it, for what the dead did under the permit may be half done.
//
// A process that holds none may release as well, which makes one more; who waits for such signals calls Consume.
type Semaphore struct{ r *ref }

// NewSemaphore makes a semaphore with n free permits.
func NewSemaphore(ctx context.Context, m *Manager, o *ObjectOptions, n int) (*Semaphore, error) {
	r, err := m.semaphore(ctx, kindSemaphore, o, n, 0)
	if err != nil {
		return nil, err
	}
	return &Semaphore{r}, nil
}

func (m *Manager) semaphore(ctx context.Context, k kind, o *ObjectOptions, n, least int) (*ref, error) {
	if n < least {
		return nil, refuse(ErrValue, "a %v of %d permits", k, n)
	}
	return m.create(ctx, k, "", o, func(b []byte) ([]byte, error) { return appendUint(b, n), nil })
}

func (x *Semaphore) reference() *ref { return x.r }

// permit takes a permit.
func (r *ref) permit(ctx context.Context, how byte) error {
	q, err := r.request(opLock)
	if err != nil {
		return err
	}
	defer q.release()
	q.b = append(q.b, how)
	_, err = r.do(ctx, q)
	if how&permitConsume != 0 && (err == nil || errors.Is(err, ErrOwnerDied)) {
		if lost := q.confirm(); lost != nil {
			return lost
		}
	}
	return err
}

// Acquire takes a permit, waiting for one until ctx ends. It returns nil or ErrOwnerDied with the permit, and any other error without one.
func (x *Semaphore) Acquire(ctx context.Context) error { return x.r.permit(ctx, 0) }

// TryAcquire takes a permit if one is free, as Acquire does; else it returns ErrLocked.
func (x *Semaphore) TryAcquire(ctx context.Context) error { return x.r.permit(ctx, permitTry) }

// Consume takes a permit away for good, waiting for one until ctx ends: it belongs to nobody, and no death brings it back. Its errors are those of Acquire.
func (x *Semaphore) Consume(ctx context.Context) error { return x.r.permit(ctx, permitConsume) }

// TryConsume takes a free permit away for good, or returns ErrLocked.
func (x *Semaphore) TryConsume(ctx context.Context) error {
	return x.r.permit(ctx, permitTry|permitConsume)
}

// Release gives a permit back, or makes one if this process holds none. ErrBound says that there are as many as there can be, 2^31-1. A ctx that has ended does not keep it from
// that.
func (x *Semaphore) Release(ctx context.Context) error { return x.r.giveBack(ctx, opRelease) }

func (r *ref) giveBack(ctx context.Context, what op) error {
	q, err := r.request(what)
	if err != nil {
		return err
	}
	return r.release(ctx, q)
}

// Value returns the number of free permits at an instant.
func (x *Semaphore) Value(ctx context.Context) (int, error) { return x.r.number(ctx, opLen) }

// Close lets the Semaphore go. It ends when nobody refers to it; who waits for it then gets ErrGone. A second Close does nothing.
func (x *Semaphore) Close() error { return x.r.close() }

// MarshalBinary returns the Semaphore's handle, for another process. It asks the server to keep the Semaphore until the handle is opened.
func (x *Semaphore) MarshalBinary() ([]byte, error) { return x.r.marshal() }

// UnmarshalBinary opens the Semaphore whose handle b is.
func (x *Semaphore) UnmarshalBinary(b []byte) (err error) {
	x.r, err = unmarshal(b, kindSemaphore, "")
	return err
}

// A BoundedSemaphore is a [Semaphore] with a fixed number of permits: only a process that holds one can release it.
type BoundedSemaphore struct{ r *ref }

// NewBoundedSemaphore makes a semaphore of n permits, all free.
func NewBoundedSemaphore(ctx context.Context, m *Manager, o *ObjectOptions, n int) (*BoundedSemaphore, error) {
	r, err := m.semaphore(ctx, kindBoundedSemaphore, o, n, 1)
	if err != nil {
		return nil, err
	}
	return &BoundedSemaphore{r}, nil
}

func (x *BoundedSemaphore) reference() *ref { return x.r }

// Acquire takes a permit, waiting for one until ctx ends. It returns nil or ErrOwnerDied with the permit, and any other error without one.
func (x *BoundedSemaphore) Acquire(ctx context.Context) error { return x.r.permit(ctx, 0) }

// TryAcquire takes a permit if one is free, as Acquire does; else it returns ErrLocked.
func (x *BoundedSemaphore) TryAcquire(ctx context.Context) error { return x.r.permit(ctx, permitTry) }

// Release gives a permit back. ErrBound says that all are free, ErrNotOwner that this process holds none. A ctx that has ended does not keep it from that.
func (x *BoundedSemaphore) Release(ctx context.Context) error { return x.r.giveBack(ctx, opRelease) }

// Value returns the number of free permits at an instant.
func (x *BoundedSemaphore) Value(ctx context.Context) (int, error) { return x.r.number(ctx, opLen) }

// Close lets the BoundedSemaphore go. It ends when nobody refers to it; who waits for it then gets ErrGone. A second Close does nothing.
func (x *BoundedSemaphore) Close() error { return x.r.close() }

// MarshalBinary returns the BoundedSemaphore's handle, for another process. It asks the server to keep the BoundedSemaphore until the handle is opened.
func (x *BoundedSemaphore) MarshalBinary() ([]byte, error) { return x.r.marshal() }

// UnmarshalBinary opens the BoundedSemaphore whose handle b is.
func (x *BoundedSemaphore) UnmarshalBinary(b []byte) (err error) {
	x.r, err = unmarshal(b, kindBoundedSemaphore, "")
	return err
}
