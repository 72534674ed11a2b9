package manager

import (
	"context"
	"iter"
	"reflect"
)

// A List is a slice in a server. Each operation is one step for everybody: the history of a List is linearizable. An index below 0 counts from the end, as in Python.
type List[T any] struct{ r *ref }

// NewList makes a List of the elements.
func NewList[T any](ctx context.Context, m *Manager, o *ObjectOptions, elems ...T) (*List[T], error) {
	r, err := m.create(ctx, kindList, typeOf[T](), o, func(b []byte) ([]byte, error) { return appendElems(m, b, elems) })
	if err != nil {
		return nil, err
	}
	return &List[T]{r}, nil
}

// appendElems appends a number of values.
func appendElems[T any](m *Manager, b []byte, elems []T) ([]byte, error) {
	server := m.serverID()
	b = appendUint(b, len(elems))
	for i := range elems {
		v, err := encode(server, nil, &elems[i])
		if err != nil {
			return nil, err
		}
		b = v.append(b)
	}
	return b, nil
}

func (l *List[T]) reference() *ref { return l.r }

// indexed begins a call with an index.
func indexed(r *ref, what op, i int) (*request, error) {
	q, err := r.request(what)
	if err != nil {
		return nil, err
	}
	q.b = appendInt(q.b, i)
	return q, nil
}

// elem does a call that is answered with a value.
func elem[T any](ctx context.Context, r *ref, q *request) (v T, err error) {
	defer q.release()
	out, err := r.do(ctx, q)
	if err != nil {
		return v, err
	}
	if err = get(&out, &v); err == nil {
		err = out.err()
	}
	return v, err
}

func getAt[T any](ctx context.Context, r *ref, what op, i int) (v T, err error) {
	q, err := indexed(r, what, i)
	if err != nil {
		return v, err
	}
	return elem[T](ctx, r, q)
}

// putAt begins a call with an index and a value.
func putAt[T any](r *ref, what op, i int, v *T) (*request, error) {
	q, err := indexed(r, what, i)
	if err != nil {
		return nil, err
	}
	if err := put(r, q, v); err != nil {
		q.release()
		return nil, err
	}
	return q, nil
}

// At returns element i, or ErrIndex.
func (l *List[T]) At(ctx context.Context, i int) (T, error) { return getAt[T](ctx, l.r, opGet, i) }

// Set stores v in element i, or returns ErrIndex.
func (l *List[T]) Set(ctx context.Context, i int, v T) error {
	q, err := putAt(l.r, opSet, i, &v)
	if err != nil {
		return err
	}
	return l.r.call(ctx, q)
}

// Swap stores v in element i and returns what was there, or ErrIndex.
func (l *List[T]) Swap(ctx context.Context, i int, v T) (old T, err error) {
	q, err := putAt(l.r, opSwap, i, &v)
	if err != nil {
		return old, err
	}
	return elem[T](ctx, l.r, q)
}

// CompareAndSwap stores v in element i if it is old, and reports whether it did. Values are equal if their encodings are.
func (l *List[T]) CompareAndSwap(ctx context.Context, i int, old, v T) (bool, error) {
	return casAt(ctx, l.r, i, old, v)
}

func casAt[T any](ctx context.Context, r *ref, i int, old, v T) (bool, error) {
	q, err := indexed(r, opCompareAndSwap, i)
	if err != nil {
		return false, err
	}
	if err = putBare(r, q, &old); err == nil {
		err = put(r, q, &v)
	}
	if err != nil {
		q.release()
		return false, err
	}
	return ask(ctx, r, q, (*reader).bool)
}

// Append appends elements, all in one step.
func (l *List[T]) Append(ctx context.Context, elems ...T) error {
	q, err := l.r.request(opAppend)
	if err != nil {
		return err
	}
	if err := putAll(l.r, q, elems); err != nil {
		q.release()
		return err
	}
	_, err = ask(ctx, l.r, q, (*reader).count)
	return err
}

func putAll[T any](r *ref, q *request, elems []T) error {
	q.b = appendUint(q.b, len(elems))
	for i := range elems {
		if err := put(r, q, &elems[i]); err != nil {
			return err
		}
	}
	return nil
}

// Insert puts v before element i. One that is out of range is cut to the list's ends, as in Python.
func (l *List[T]) Insert(ctx context.Context, i int, v T) error {
	q, err := putAt(l.r, opInsert, i, &v)
	if err != nil {
		return err
	}
	return l.r.call(ctx, q)
}

// Pop takes element i out and returns it; -1 is the last. The error is ErrEmpty if there is none, and ErrIndex if i is out of range.
func (l *List[T]) Pop(ctx context.Context, i int) (T, error) { return getAt[T](ctx, l.r, opPop, i) }

// Len returns the number of elements.
func (l *List[T]) Len(ctx context.Context) (int, error) { return l.r.number(ctx, opLen) }

// Clear takes every element out.
func (l *List[T]) Clear(ctx context.Context) error { return l.r.simple(ctx, opClear) }

// Reverse reverses the order of the elements.
func (l *List[T]) Reverse(ctx context.Context) error { return l.r.simple(ctx, opReverse) }

// Slice returns the elements from i to before j, as they are at one instant. Indices that are out of range are cut, as in Python.
func (l *List[T]) Slice(ctx context.Context, i, j int) ([]T, error) { return slice[T](ctx, l.r, i, j) }

func slice[T any](ctx context.Context, r *ref, i, j int) ([]T, error) {
	q, err := indexed(r, opSlice, i)
	if err != nil {
		return nil, err
	}
	q.b = appendInt(q.b, j)
	out, err := r.do(ctx, q)
	if err != nil {
		q.release()
		return nil, err
	}
	out.b = append([]byte(nil), out.b...) // a proxy in it makes a call of its own
	q.release()
	raw := out.values()
	if err := out.err(); err != nil {
		return nil, err
	}
	all := make([]T, len(raw))
	for i, v := range raw {
		if err := decode(v.data, &all[i]); err != nil {
			return nil, err
		}
	}
	return all, nil
}

const toTheEnd = int(^uint(0) >> 1)

// Copy returns all elements, as they are at one instant.
func (l *List[T]) Copy(ctx context.Context) ([]T, error) { return l.Slice(ctx, 0, toTheEnd) }

// All returns the elements as they are at one instant, to range over them.
func (l *List[T]) All(ctx context.Context) (iter.Seq2[int, T], error) { return all[T](ctx, l.r) }

func all[T any](ctx context.Context, r *ref) (iter.Seq2[int, T], error) {
	elems, err := slice[T](ctx, r, 0, toTheEnd)
	if err != nil {
		return nil, err
	}
	return func(yield func(int, T) bool) {
		for i, v := range elems {
			if !yield(i, v) {
				return
			}
		}
	}, nil
}

// Index returns the index of the first element that is equal to v, or -1. Values are equal if their encodings are.
func (l *List[T]) Index(ctx context.Context, v T) (int, error) { return l.find(ctx, opIndex, v) }

// Remove takes the first element out that is equal to v, and returns the index that it had, or -1.
func (l *List[T]) Remove(ctx context.Context, v T) (int, error) { return l.find(ctx, opRemove, v) }

func (l *List[T]) find(ctx context.Context, what op, v T) (int, error) {
	q, err := l.r.request(what)
	if err != nil {
		return -1, err
	}
	if err := putBare(l.r, q, &v); err != nil {
		q.release()
		return -1, err
	}
	i, err := ask(ctx, l.r, q, (*reader).int)
	if err != nil {
		i = -1
	}
	return i, err
}

// Sort sorts the elements, which are numbers or strings. The sort is stable, and one step for everybody.
func (l *List[T]) Sort(ctx context.Context) error {
	name, err := natural(reflect.TypeFor[T]())
	if err != nil {
		return err
	}
	return l.sort(ctx, name, false)
}

// SortBy sorts the elements by a registered order, or the other way round if descending is true. The sort is stable, and one step for everybody.
func (l *List[T]) SortBy(ctx context.Context, o *Order[T], descending bool) error {
	return l.sort(ctx, o.name, descending)
}

func (l *List[T]) sort(ctx context.Context, name string, down bool) error {
	q, err := l.r.request(opSort)
	if err != nil {
		return err
	}
	q.b = appendBool(appendString(q.b, name), down)
	return l.r.call(ctx, q)
}

// UpdateList has the server call a registered function with element i, and store what it returns, in one step for everybody. It returns what the function has; ok is
// false if it has taken the element out. An error or a panic of it comes as a [*RemoteError], and changes nothing.
func UpdateList[T, A any](ctx context.Context, l *List[T], i int, u *Update[T, A], arg A) (v T, ok bool, err error) {
	return updateAt(ctx, l.r, i, u, arg)
}

func updateAt[T, A any](ctx context.Context, r *ref, i int, u *Update[T, A], arg A) (v T, ok bool, err error) {
	q, err := indexed(r, opUpdate, i)
	if err != nil {
		return v, false, err
	}
	return u.update(ctx, r, q, arg)
}

// Close lets the List go. It ends when nobody refers to it. A second Close does nothing.
func (l *List[T]) Close() error { return l.r.close() }

// MarshalBinary returns the List's handle, for another process. It asks the server to keep the List until the handle is opened.
func (l *List[T]) MarshalBinary() ([]byte, error) { return l.r.marshal() }

// UnmarshalBinary opens the List whose handle b is.
func (l *List[T]) UnmarshalBinary(b []byte) (err error) {
	l.r, err = unmarshal(b, kindList, typeOf[T]())
	return err
}
