package multiproc

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/fb2d3dbd/multiproc/shm"
)

// A Value is one T in shared memory with a lock of its own; T has no pointers. It may be part of the argument of a Start
// and of messages. Several can be under one lock;
// where no lock is wanted, use a shm.Value: see NewValueWithLock and NewRawValue.
type Value[T any] struct {
	v    *shm.Value[T]
	lock *Mutex
	own  bool // the lock is this value's alone, and is freed with it
	copy T    // what Update hands out; guarded by the lock
}

// NewValue makes a value that holds v.
func NewValue[T any](v T) (*Value[T], error) {
	seg, err := shm.Default()
	if err != nil {
		return nil, err
	}
	x, err := shm.NewValue(seg, v)
	if err != nil {
		return nil, err
	}
	lock, err := NewMutex()
	return &Value[T]{v: x, lock: lock, own: true}, err
}

// NewValueWithLock makes a value that holds v under a lock that others may be under as well. Free leaves the lock alone.
func NewValueWithLock[T any](v T, lock *Mutex) (*Value[T], error) {
	if lock == nil || lock.mu == nil {
		return nil, errNoLock
	}
	x, err := shm.NewValue(lock.obj.seg, v)
	return &Value[T]{v: x, lock: lock}, err
}

// NewRawValue makes a value without a lock, in the memory that this process shares with its descendants.
func NewRawValue[T any](v T) (*shm.Value[T], error) {
	seg, err := shm.Default()
	if err != nil {
		return nil, err
	}
	return shm.NewValue(seg, v)
}

var errNoLock = errors.New("multiproc: a value under no lock: pass one that NewMutex made, or use NewRawValue and NewRawArray")

// Load returns the value. A T of up to 8 bytes is loaded whole; a larger one may be torn by a store under way: then use
// Update, or Load between Lock and Unlock.
func (v *Value[T]) Load() (T, error) { return v.v.Load() }

// Store sets the value, without regard to the lock, as [Value.Load] reads it.
func (v *Value[T]) Store(x T) error { return v.v.Store(x) }

// Update calls fn with a copy of the value under the lock and stores the copy afterwards; fn must not keep it. It waits for the lock until ctx
// ends. If the lock's owner died, it does nothing and returns ErrOwnerDied: Lock, mend the value, MarkConsistent and Unlock.
func (v *Value[T]) Update(ctx context.Context, fn func(x *T)) error {
	if err := v.lock.Lock(ctx); err != nil {
		if err == ErrOwnerDied {
			v.lock.Unlock() // goes on saying that the owner died
		}
		return err
	}
	defer v.lock.Unlock() // also when fn panics
	var err error
	if v.copy, err = v.v.Load(); err != nil {
		return err
	}
	fn(&v.copy)
	return v.v.StoreRelease(v.copy) // the unlock has the fence
}

// Mutex returns the value's lock, for what takes more than one step.
func (v *Value[T]) Mutex() *Mutex { return v.lock }

// Segment returns the shared memory that the value stands in.
func (v *Value[T]) Segment() *shm.Segment {
	if v.v == nil {
		return nil
	}
	return v.v.Segment()
}

// Free gives the value's memory back, and its lock's if that is its own. No process may use it any more.
func (v *Value[T]) Free() error { return freeBoth(v.v.Segment(), v.v.Ref(), v.lock, v.own) }

// MarshalBinary returns the value's handle.
func (v *Value[T]) MarshalBinary() ([]byte, error) {
	if v.v == nil {
		return nil, fmt.Errorf("multiproc: the zero Value cannot be sent: make it with NewValue")
	}
	return joinHandles(v.v.MarshalBinary, v.lock, v.own)
}

// UnmarshalBinary opens the value whose handle b is.
func (v *Value[T]) UnmarshalBinary(b []byte) error {
	x, lock := new(shm.Value[T]), new(Mutex)
	own, err := splitHandles(b, x.UnmarshalBinary, lock)
	if err != nil {
		return err
	}
	v.v, v.lock, v.own = x, lock, own
	return nil
}

// Shared returns the value without its lock.
func (v *Value[T]) Shared() *shm.Value[T] { return v.v }

// Add adds delta to an integer value atomically, without its lock, and returns the sum.
func Add[T shm.Integer](v *Value[T], delta T) (T, error) { return shm.Add(v.v, delta) }

// CompareAndSwap stores x if the value is old, atomically, and reports whether it did.
func CompareAndSwap[T shm.Integer](v *Value[T], old, x T) (bool, error) {
	return shm.CompareAndSwap(v.v, old, x)
}

// An Array is a fixed number of T in shared memory with a lock of its own; T has no pointers. It may be part of the argument of a
// Start and of messages. Several can be under one lock; where no lock is wanted, use a
// shm.Array: see NewArrayWithLock and NewRawArray.
type Array[T any] struct {
	a    *shm.Array[T]
	lock *Mutex
	own  bool
}

// NewArray makes an array of n zero elements.
func NewArray[T any](n int) (*Array[T], error) {
	seg, err := shm.Default()
	if err != nil {
		return nil, err
	}
	a, err := shm.NewArray[T](seg, n)
	if err != nil {
		return nil, err
	}
	lock, err := NewMutex()
	return &Array[T]{a, lock, true}, err
}

// NewArrayWithLock makes an array of n zero elements under a lock that others may be under as well. Free leaves the lock alone.
func NewArrayWithLock[T any](n int, lock *Mutex) (*Array[T], error) {
	if lock == nil || lock.mu == nil {
		return nil, errNoLock
	}
	a, err := shm.NewArray[T](lock.obj.seg, n)
	return &Array[T]{a, lock, false}, err
}

// NewRawArray makes an array of n zero elements without a lock, in the memory that this process shares with its descendants.
func NewRawArray[T any](n int) (*shm.Array[T], error) {
	seg, err := shm.Default()
	if err != nil {
		return nil, err
	}
	return shm.NewArray[T](seg, n)
}

// ArrayOf makes an array that holds the given elements.
func ArrayOf[T any](elems ...T) (*Array[T], error) {
	a, err := NewArray[T](len(elems))
	if err != nil {
		return nil, err
	}
	return a, a.a.CopyFrom(0, elems)
}

// Len returns the number of elements.
func (a *Array[T]) Len() int { return a.a.Len() }

// At returns element i, as [Value.Load] does.
func (a *Array[T]) At(i int) (T, error) { return a.a.At(i) }

// Set stores x in element i, as [Value.Store] does.
func (a *Array[T]) Set(i int, x T) error { return a.a.Set(i, x) }

// All ranges over indices and elements as they are when the loop comes to them.
func (a *Array[T]) All() iter.Seq2[int, T] { return a.a.All() }

// Update calls fn with the elements in place, under the lock, for which it waits until ctx ends. fn must not keep the
// slice. If the lock's owner died, it does nothing and returns ErrOwnerDied: Lock, mend the elements, MarkConsistent and Unlock.
func (a *Array[T]) Update(ctx context.Context, fn func(elems []T)) error {
	if err := a.lock.Lock(ctx); err != nil {
		if err == ErrOwnerDied {
			a.lock.Unlock() // goes on saying that the owner died
		}
		return err
	}
	defer a.lock.Unlock() // also when fn panics
	elems := a.a.Elems()
	if elems == nil && a.a.Len() > 0 {
		return ErrClosed
	}
	fn(elems)
	return nil
}

// Shared returns the array without its lock, for bulk copies, atomic operations and work in place.
func (a *Array[T]) Shared() *shm.Array[T] { return a.a }

// Mutex returns the array's lock.
func (a *Array[T]) Mutex() *Mutex { return a.lock }

// Segment returns the shared memory that the array stands in.
func (a *Array[T]) Segment() *shm.Segment {
	if a.a == nil {
		return nil
	}
	return a.a.Segment()
}

// Free gives the array's memory back, and its lock's if that is its own. No process may use it any more.
func (a *Array[T]) Free() error { return freeBoth(a.a.Segment(), a.a.Ref(), a.lock, a.own) }

// MarshalBinary returns the array's handle.
func (a *Array[T]) MarshalBinary() ([]byte, error) {
	if a.a == nil {
		return nil, fmt.Errorf("multiproc: the zero Array cannot be sent: make it with NewArray")
	}
	return joinHandles(a.a.MarshalBinary, a.lock, a.own)
}

// UnmarshalBinary opens the array whose handle b is.
func (a *Array[T]) UnmarshalBinary(b []byte) error {
	x, lock := new(shm.Array[T]), new(Mutex)
	own, err := splitHandles(b, x.UnmarshalBinary, lock)
	if err != nil {
		return err
	}
	a.a, a.lock, a.own = x, lock, own
	return nil
}

// joinHandles and splitHandles make one handle of a view's and its lock's, which are of the same length, and of whether the
// lock is the view's own.
func joinHandles(view func() ([]byte, error), lock *Mutex, own bool) ([]byte, error) {
	b, err := joinLock(view, lock)
	if own {
		return append(b, 1), err
	}
	return append(b, 0), err
}

func splitHandles(b []byte, view func([]byte) error, lock *Mutex) (own bool, err error) {
	n := len(b) / 2
	if len(b) != 2*n+1 || b[2*n] > 1 {
		return false, fmt.Errorf("multiproc: %w: a handle of %d bytes", ErrCorrupt, len(b))
	}
	if err := view(b[:n]); err != nil {
		return false, err
	}
	return b[2*n] == 1, lock.UnmarshalBinary(b[n : 2*n])
}

func freeBoth(seg *shm.Segment, ref shm.Ref, lock *Mutex, own bool) error {
	err := seg.Free(ref)
	if err != nil || !own {
		return err
	}
	return lock.Free()
}
