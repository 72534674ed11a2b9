package manager

import (
	"context"
	"sync/atomic"
)

// A Mutex is a mutual-exclusion lock in a server, for processes that may be on other machines. Its owner is a process, by its connection to the server: any of its goroutines
// may unlock it. Who has waited longest gets it next.
//
// When the owner dies, or is away from the server for longer than it waits (see ServerOptions.Linger), the next gets the lock together with [ErrOwnerDied]. An owner that was
// away so long has lost the lock without knowing: its next call is the first that tells.
type Mutex struct{ r *ref }

// NewMutex makes a lock that nobody holds.
func NewMutex(ctx context.Context, m *Manager, o *ObjectOptions) (*Mutex, error) {
	r, err := m.create(ctx, kindMutex, "", o, nil)
	if err != nil {
		return nil, err
	}
	return &Mutex{r}, nil
}

func (m *Mutex) reference() *ref { return m.r }

func (m *Mutex) hold() (*ref, uint64) { return m.r, 0 }

// Lock takes the lock, waiting for it until ctx ends. It returns nil or ErrOwnerDied with the lock held, and any other error without it. ErrOwnerDied says that an owner has
// died while it held the lock: mend what the lock guards and call MarkConsistent.
func (m *Mutex) Lock(ctx context.Context) error { return m.r.lock(ctx, 0, false) }

// TryLock takes the lock if nobody holds it; else it returns ErrLocked.
func (m *Mutex) TryLock(ctx context.Context) error { return m.r.lock(ctx, 0, true) }

// Unlock releases the lock, or returns ErrNotOwner if this process does not hold it. A ctx that has ended does not keep it from that. A lock that came with ErrOwnerDied and was
// not marked consistent says so to the next owner as well.
func (m *Mutex) Unlock(ctx context.Context) error { return m.r.ofHolder(ctx, opUnlock, 0) }

// MarkConsistent declares, after ErrOwnerDied and with the lock held, that what it guards has been mended.
func (m *Mutex) MarkConsistent(ctx context.Context) error { return m.r.ofHolder(ctx, opConsistent, 0) }

// Locked reports whether somebody holds the lock.
func (m *Mutex) Locked(ctx context.Context) (bool, error) { return m.r.truth(ctx, opHeld) }

// Close lets the Mutex go. It ends when nobody refers to it; who waits for it then gets ErrGone. A second Close does nothing.
func (m *Mutex) Close() error { return m.r.close() }

// MarshalBinary returns the Mutex's handle, for another process. It asks the server to keep the Mutex until the handle is opened.
func (m *Mutex) MarshalBinary() ([]byte, error) { return m.r.marshal() }

// UnmarshalBinary opens the Mutex whose handle b is.
func (m *Mutex) UnmarshalBinary(b []byte) (err error) {
	m.r, err = unmarshal(b, kindMutex, "")
	return err
}

// An RLock is a Mutex that who holds it may lock again, to unlock it as often. Who holds it is the handle, the *RLock: Go has no identity of threads. Goroutines that are to
// exclude each other use a handle each; see [RLock.Handle]. What arrives in another process is a handle of its own. With the death of the owner it is as with a [Mutex], however often
// the dead had locked it.
type RLock struct {
	r      *ref
	holder uint64
}

// holders numbers the handles of RLocks in this process.
var holders atomic.Uint64

// NewRLock makes a lock that nobody holds.
func NewRLock(ctx context.Context, m *Manager, o *ObjectOptions) (*RLock, error) {
	r, err := m.create(ctx, kindRLock, "", o, nil)
	if err != nil {
		return nil, err
	}
	return &RLock{r, holders.Add(1)}, nil
}

func (x *RLock) reference() *ref { return x.r }

func (x *RLock) hold() (*ref, uint64) { return x.r, x.holder }

// Handle returns another handle of the same lock, which is another holder. The Close of either is that of both.
func (x *RLock) Handle() *RLock { return &RLock{x.r, holders.Add(1)} }

// Lock takes the lock, waiting for it until ctx ends, or takes it once more if the handle holds it. It returns nil or ErrOwnerDied with the lock held, and any other error
// without it.
func (x *RLock) Lock(ctx context.Context) error { return x.r.lock(ctx, x.holder, false) }

// TryLock takes the lock if nobody or the handle holds it; else it returns ErrLocked.
func (x *RLock) TryLock(ctx context.Context) error { return x.r.lock(ctx, x.holder, true) }

// Unlock undoes one Lock, or returns ErrNotOwner if the handle does not hold the lock. A ctx that has ended does not keep it from that.
func (x *RLock) Unlock(ctx context.Context) error { return x.r.ofHolder(ctx, opUnlock, x.holder) }

// MarkConsistent declares, after ErrOwnerDied and with the lock held, that what it guards has been mended.
func (x *RLock) MarkConsistent(ctx context.Context) error {
	return x.r.ofHolder(ctx, opConsistent, x.holder)
}

// Locked reports whether somebody holds the lock.
func (x *RLock) Locked(ctx context.Context) (bool, error) { return x.r.truth(ctx, opHeld) }

// Depth returns how often this handle has locked the lock.
func (x *RLock) Depth(ctx context.Context) (int, error) {
	q, err := x.r.request(opState)
	if err != nil {
		return 0, err
	}
	q.b = appendUint64(q.b, x.holder)
	return ask(ctx, x.r, q, (*reader).count)
}

// Close lets the RLock go. It ends when nobody refers to it; who waits for it then gets ErrGone. A second Close does nothing.
func (x *RLock) Close() error { return x.r.close() }

// MarshalBinary returns the RLock's handle, for another process. It asks the server to keep the RLock until the handle is opened.
func (x *RLock) MarshalBinary() ([]byte, error) { return x.r.marshal() }

// UnmarshalBinary opens the RLock whose handle b is. x does not hold it, whoever does.
func (x *RLock) UnmarshalBinary(b []byte) (err error) {
	x.r, err = unmarshal(b, kindRLock, "")
	x.holder = holders.Add(1)
	return err
}

// lock takes a lock for a holder.
func (r *ref) lock(ctx context.Context, holder uint64, try bool) error {
	q, err := r.request(opLock)
	if err != nil {
		return err
	}
	q.b = appendBool(appendUint64(q.b, holder), try)
	return r.call(ctx, q)
}

// ofHolder does an operation that is a holder's.
func (r *ref) ofHolder(ctx context.Context, what op, holder uint64) error {
	q, err := r.request(what)
	if err != nil {
		return err
	}
	q.b = appendUint64(q.b, holder)
	return r.release(ctx, q)
}

// release does a call that gives something back, and takes no time in the server, also when ctx has ended: a deferred Unlock is not to be left out.
func (r *ref) release(ctx context.Context, q *request) error {
	ctx, cancel := lastWord(ctx)
	defer cancel()
	return r.call(ctx, q)
}

// lastWord returns ctx, or if it has ended one in which something can still be said.
func lastWord(ctx context.Context) (context.Context, context.CancelFunc) {
	if ctx.Err() == nil {
		return ctx, func() {}
	}
	return context.WithTimeout(context.WithoutCancel(ctx), cancelGrace)
}
