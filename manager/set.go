package manager

import (
	"context"
	"iter"
	"slices"
)

// A Set is a set of values in a server. Each operation is one step for everybody: the history of a Set is linearizable. Values are equal as the keys of a [Dict] are.
type Set[T comparable] struct{ r *ref }

// NewSet makes a Set of the values.
func NewSet[T comparable](ctx context.Context, m *Manager, o *ObjectOptions, values ...T) (*Set[T], error) {
	r, err := m.create(ctx, kindSet, typeOf[T](), o, nil)
	if err != nil {
		return nil, err
	}
	s := &Set[T]{r}
	if len(values) > 0 {
		if err := s.AddAll(ctx, values...); err != nil {
			_ = s.Close()
			return nil, err
		}
	}
	return s, nil
}

func (s *Set[T]) reference() *ref { return s.r }

// Add puts v in, and reports whether it was not there.
func (s *Set[T]) Add(ctx context.Context, v T) (bool, error) {
	q, err := keyed(s.r, opSetDefault, &v, false)
	if err != nil {
		return false, err
	}
	defer q.release()
	q.b = value{}.append(q.b)
	out, err := s.r.do(ctx, q)
	if err != nil {
		return false, err
	}
	had := out.bool()
	if had {
		out.value()
	}
	return !had, out.err()
}

// AddAll puts values in, all in one step.
func (s *Set[T]) AddAll(ctx context.Context, values ...T) error {
	q, err := s.r.request(opSetMany)
	if err != nil {
		return err
	}
	q.b = appendUint(q.b, 2*len(values))
	for i := range values {
		if err := put(s.r, q, &values[i]); err != nil {
			q.release()
			return err
		}
		q.b = value{}.append(q.b)
	}
	return s.r.call(ctx, q)
}

// Remove takes v out, or returns ErrKey.
func (s *Set[T]) Remove(ctx context.Context, v T) error {
	q, err := keyed(s.r, opDelKey, &v, true)
	if err != nil {
		return err
	}
	return s.r.call(ctx, q)
}

// Has reports whether v is in the set.
func (s *Set[T]) Has(ctx context.Context, v T) (bool, error) {
	q, err := keyed(s.r, opHas, &v, true)
	if err != nil {
		return false, err
	}
	return ask(ctx, s.r, q, (*reader).bool)
}

// Pop takes a value out and returns it, or ErrEmpty.
func (s *Set[T]) Pop(ctx context.Context) (v T, err error) {
	q, err := s.r.request(opPopAny)
	if err != nil {
		return v, err
	}
	defer q.release()
	out, err := s.r.do(ctx, q)
	if err == nil {
		err = get(&out, &v)
	}
	return v, err
}

// Len returns the number of values.
func (s *Set[T]) Len(ctx context.Context) (int, error) { return s.r.number(ctx, opLen) }

// Clear takes every value out.
func (s *Set[T]) Clear(ctx context.Context) error { return s.r.simple(ctx, opClear) }

// Copy returns the values as they are at one instant, in the order in which they were put in.
func (s *Set[T]) Copy(ctx context.Context) ([]T, error) {
	raw, err := s.r.scan(ctx)
	if err != nil {
		return nil, err
	}
	all := make([]T, len(raw)/2)
	for i := range all {
		if err := decode(raw[2*i].data, &all[i]); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// All returns the values as they are at one instant, to range over them.
func (s *Set[T]) All(ctx context.Context) (iter.Seq[T], error) {
	all, err := s.Copy(ctx)
	return slices.Values(all), err
}

// Close lets the Set go. It ends when nobody refers to it. A second Close does nothing.
func (s *Set[T]) Close() error { return s.r.close() }

// MarshalBinary returns the Set's handle, for another process. It asks the server to keep the Set until the handle is opened.
func (s *Set[T]) MarshalBinary() ([]byte, error) { return s.r.marshal() }

// UnmarshalBinary opens the Set whose handle b is.
func (s *Set[T]) UnmarshalBinary(b []byte) (err error) {
	s.r, err = unmarshal(b, kindSet, typeOf[T]())
	return err
}
