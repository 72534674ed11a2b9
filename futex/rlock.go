package futex

import (
	"context"
	"sync"
)

// RLockSize is the memory that an [RLock] needs, in bytes. Zeros are an unlocked one.
const RLockSize = MutexSize

// An RLock is a [Mutex] that who holds it may lock again; it is free when it was unlocked as often. Go has no identity of
// threads, so what holds an RLock is the handle: the *RLock that it was locked by. Goroutines that share a handle are one
// holder. Others use a handle of their own, which [RLock.Handle] makes; another process has its own in any case.
//
// The count stands in the handle. In shared memory is a mutex, so it is with the owner's death as there: the next Lock gets
// the lock together with ErrOwnerDied, however often the dead had locked it.
type RLock struct {
	m     *Mutex
	entry chan struct{} // holds one value while a goroutine of the handle takes the mutex
	mu    sync.Mutex
	depth int // how often the handle has locked it
	// holder is the token that it was locked with: what a handle holds in the parent of a fork it does not hold in the child.
	holder uint32
}

// NewRLock views the first RLockSize bytes of mem as a re-entrant lock, as [NewMutex] does.
func NewRLock(mem []byte, who Participants) (*RLock, error) {
	m, err := NewMutex(mem, who)
	if err != nil {
		return nil, err
	}
	return newRLock(m), nil
}

func newRLock(m *Mutex) *RLock { return &RLock{m: m, entry: make(chan struct{}, 1)} }

// Handle returns another handle of the same lock, which is another holder.
func (l *RLock) Handle() *RLock { return newRLock(l.m) }

// again locks once more if the handle holds the lock.
func (l *RLock) again() (held bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	me := l.m.who.Self()
	if l.held(me) == 0 {
		return false, nil
	}
	if me == 0 {
		return false, ErrClosed
	}
	l.depth++
	return true, nil
}

// held returns how often the handle has locked it, for the process whose token is me; with mu held.
func (l *RLock) held(me uint32) int {
	if me != 0 && l.holder != me {
		l.depth = 0
	}
	return l.depth
}

// lock takes the mutex by take, for a handle that does not hold it.
func (l *RLock) lock(depth int, take func() error) error {
	err := take()
	if err == nil || err == ErrOwnerDied {
		l.mu.Lock()
		l.depth, l.holder = depth, l.m.who.Self()
		l.mu.Unlock()
	}
	return err
}

// Lock takes the lock, waiting for it until ctx ends, or takes it once more if the handle holds it. It returns nil or ErrOwnerDied
// with the lock held, and any other error without it, as [Mutex.Lock] does; once more is always nil.
func (l *RLock) Lock(ctx context.Context) error {
	if held, err := l.again(); held || err != nil {
		return err
	}
	select {
	case l.entry <- struct{}{}:
	default:
		select {
		case l.entry <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	defer func() { <-l.entry }()
	if held, err := l.again(); held || err != nil { // another goroutine of the handle was faster
		return err
	}
	return l.lock(1, func() error { return l.m.Lock(ctx) })
}

// TryLock takes the lock if it is free, its owner is dead, or the handle holds it; else it returns ErrLocked.
func (l *RLock) TryLock() error {
	if held, err := l.again(); held || err != nil {
		return err
	}
	select {
	case l.entry <- struct{}{}:
	default:
		return ErrLocked
	}
	defer func() { <-l.entry }()
	if held, err := l.again(); held || err != nil {
		return err
	}
	return l.lock(1, l.m.TryLock)
}

// Unlock undoes one Lock, the last of them frees the lock. It returns ErrNotOwner when the handle does not hold it.
func (l *RLock) Unlock() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch me := l.m.who.Self(); {
	case me == 0:
		return ErrClosed
	case l.held(me) == 0:
		return ErrNotOwner
	case l.depth > 1:
		l.depth--
		return nil
	}
	// With mu held, so that nobody locks again what is about to be free.
	l.depth = 0
	return l.m.Unlock()
}

// MarkConsistent declares that what the lock guards has been mended after ErrOwnerDied. The handle must hold the lock.
func (l *RLock) MarkConsistent() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch me := l.m.who.Self(); {
	case me == 0:
		return ErrClosed
	case l.held(me) == 0:
		return ErrNotOwner
	}
	return l.m.MarkConsistent()
}

// Holder returns the token of the process that holds the lock; held is false when nobody does.
func (l *RLock) Holder() (owner uint32, held bool) { return l.m.Holder() }

// Depth returns how often this handle has locked the lock.
func (l *RLock) Depth() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.held(l.m.who.Self())
}
