package manager

import (
	"context"
	"iter"
)

// A Value is one value in a server. Each operation is one step for everybody: the history of a Value is linearizable.
type Value[T any] struct{ r *ref }

// NewValue makes a Value.
func NewValue[T any](ctx context.Context, m *Manager, o *ObjectOptions, v T) (*Value[T], error) {
	r, err := m.create(ctx, kindValue, typeOf[T](), o, func(b []byte) ([]byte, error) { return appendElems(m, b, []T{v}) })
	if err != nil {
		return nil, err
	}
	return &Value[T]{r}, nil
}

func (x *Value[T]) reference() *ref { return x.r }

// Get returns the value.
func (x *Value[T]) Get(ctx context.Context) (T, error) { return getAt[T](ctx, x.r, opGet, 0) }

// Set stores a value.
func (x *Value[T]) Set(ctx context.Context, v T) error {
	q, err := putAt(x.r, opSet, 0, &v)
	if err != nil {
		return err
	}
	return x.r.call(ctx, q)
}

// Swap stores a value and returns the one before.
func (x *Value[T]) Swap(ctx context.Context, v T) (old T, err error) {
	q, err := putAt(x.r, opSwap, 0, &v)
	if err != nil {
		return old, err
	}
	return elem[T](ctx, x.r, q)
}

// CompareAndSwap stores v if the value is old, and reports whether it did. Values are equal if their encodings are.
func (x *Value[T]) CompareAndSwap(ctx context.Context, old, v T) (bool, error) {
	return casAt(ctx, x.r, 0, old, v)
}

// UpdateValue has the server call a registered function with the value, and store what it returns, in one step for everybody. An error or a panic of it comes as a
// [*RemoteError], and changes nothing.
func UpdateValue[T, A any](ctx context.Context, x *Value[T], u *Update[T, A], arg A) (T, error) {
	v, _, err := updateAt(ctx, x.r, 0, u, arg)
	return v, err
}

// Close lets the Value go. It ends when nobody refers to it. A second Close does nothing.
func (x *Value[T]) Close() error { return x.r.close() }

// MarshalBinary returns the Value's handle, for another process. It asks the server to keep the Value until the handle is opened.
func (x *Value[T]) MarshalBinary() ([]byte, error) { return x.r.marshal() }

// UnmarshalBinary opens the Value whose handle b is.
func (x *Value[T]) UnmarshalBinary(b []byte) (err error) {
	x.r, err = unmarshal(b, kindValue, typeOf[T]())
	return err
}

// An Array is a fixed number of values in a server. Each operation is one step for everybody: the history of an Array is linearizable.
type Array[T any] struct{ r *ref }

// NewArray makes an Array of the elements.
func NewArray[T any](ctx context.Context, m *Manager, o *ObjectOptions, elems ...T) (*Array[T], error) {
	r, err := m.create(ctx, kindArray, typeOf[T](), o, func(b []byte) ([]byte, error) { return appendElems(m, b, elems) })
	if err != nil {
		return nil, err
	}
	return &Array[T]{r}, nil
}

func (a *Array[T]) reference() *ref { return a.r }

// At returns element i, or ErrIndex. An index below 0 counts from the end.
func (a *Array[T]) At(ctx context.Context, i int) (T, error) { return getAt[T](ctx, a.r, opGet, i) }

// Set stores v in element i, or returns ErrIndex.
func (a *Array[T]) Set(ctx context.Context, i int, v T) error {
	q, err := putAt(a.r, opSet, i, &v)
	if err != nil {
		return err
	}
	return a.r.call(ctx, q)
}

// SetSlice stores elements from index i on, all in one step, or returns ErrIndex and stores none.
func (a *Array[T]) SetSlice(ctx context.Context, i int, elems ...T) error {
	q, err := indexed(a.r, opSetMany, i)
	if err != nil {
		return err
	}
	if err := putAll(a.r, q, elems); err != nil {
		q.release()
		return err
	}
	return a.r.call(ctx, q)
}

// CompareAndSwap stores v in element i if it is old, and reports whether it did. Values are equal if their encodings are.
func (a *Array[T]) CompareAndSwap(ctx context.Context, i int, old, v T) (bool, error) {
	return casAt(ctx, a.r, i, old, v)
}

// Len returns the number of elements.
func (a *Array[T]) Len(ctx context.Context) (int, error) { return a.r.number(ctx, opLen) }

// Slice returns the elements from i to before j, as they are at one instant. Indices that are out of range are cut, as in Python.
func (a *Array[T]) Slice(ctx context.Context, i, j int) ([]T, error) { return slice[T](ctx, a.r, i, j) }

// Copy returns all elements, as they are at one instant.
func (a *Array[T]) Copy(ctx context.Context) ([]T, error) { return a.Slice(ctx, 0, toTheEnd) }

// All returns the elements as they are at one instant, to range over them.
func (a *Array[T]) All(ctx context.Context) (iter.Seq2[int, T], error) { return all[T](ctx, a.r) }

// UpdateArray has the server call a registered function with element i, and store what it returns, in one step for everybody. An error or a panic of it comes as a
// [*RemoteError], and changes nothing.
func UpdateArray[T, A any](ctx context.Context, a *Array[T], i int, u *Update[T, A], arg A) (T, error) {
	v, _, err := updateAt(ctx, a.r, i, u, arg)
	return v, err
}

// Close lets the Array go. It ends when nobody refers to it. A second Close does nothing.
func (a *Array[T]) Close() error { return a.r.close() }

// MarshalBinary returns the Array's handle, for another process. It asks the server to keep the Array until the handle is opened.
func (a *Array[T]) MarshalBinary() ([]byte, error) { return a.r.marshal() }

// UnmarshalBinary opens the Array whose handle b is.
func (a *Array[T]) UnmarshalBinary(b []byte) (err error) {
	a.r, err = unmarshal(b, kindArray, typeOf[T]())
	return err
}
