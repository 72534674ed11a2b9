package shm

import (
	"fmt"
	"iter"
	"unsafe"
)

// An Array is a fixed number of T in shared memory. Single elements behave like a [Value].
type Array[T any] struct {
	seg   *Segment
	elems []T
	ref   Ref
}

// NewArray allocates n zero elements in the segment's arena. T must be free of pointers.
func NewArray[T any](s *Segment, n int) (*Array[T], error) {
	if err := checkType[T](); err != nil {
		return nil, err
	}
	var zero T
	size := int(unsafe.Sizeof(zero))
	if n < 0 || size > 0 && n > maxPart/size {
		return nil, fmt.Errorf("shm: an array of %d elements of %d bytes", n, size)
	}
	ref, err := s.Reserve(KindArray, n*size)
	if err == nil {
		err = s.Publish(ref)
	}
	if err != nil {
		return nil, err
	}
	return OpenArray[T](s, ref)
}

// OpenArray views the object that ref names as an array of T; its length follows from its size.
func OpenArray[T any](s *Segment, ref Ref) (*Array[T], error) {
	if err := checkType[T](); err != nil {
		return nil, err
	}
	mem, err := s.at(ref, KindArray)
	if err != nil {
		return nil, err
	}
	var zero T
	size := int(unsafe.Sizeof(zero))
	if size == 0 || len(mem)%size != 0 {
		return nil, fmt.Errorf("shm: an array of %d bytes cannot be one of %T, which has %d", len(mem), zero, size)
	}
	elems := unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(mem))), len(mem)/size)
	return &Array[T]{seg: s, elems: elems, ref: ref}, nil
}

// ArrayAt views n elements of the user's bytes from off on.
func ArrayAt[T any](s *Segment, off, n int) (*Array[T], error) {
	if err := checkType[T](); err != nil {
		return nil, err
	}
	if err := place[T](s, off, n); err != nil {
		return nil, err
	}
	p := unsafe.Add(unsafe.Pointer(unsafe.SliceData(s.mem)), s.lay.userOff+off)
	return &Array[T]{seg: s, elems: unsafe.Slice((*T)(p), n)}, nil
}

// Len returns the number of elements.
func (a *Array[T]) Len() int { return len(a.elems) }

// At returns element i.
func (a *Array[T]) At(i int) (T, error) {
	if i < 0 || i >= len(a.elems) {
		var zero T
		return zero, a.outOfRange(i)
	}
	x := load(&a.elems[i])
	return x, a.seg.check()
}

// Set stores x in element i.
func (a *Array[T]) Set(i int, x T) error {
	if i < 0 || i >= len(a.elems) {
		return a.outOfRange(i)
	}
	store(&a.elems[i], x)
	return a.seg.check()
}

// CopyFrom stores src in the elements from i on; all of it must fit.
func (a *Array[T]) CopyFrom(i int, src []T) error {
	if i < 0 || i > len(a.elems) || len(src) > len(a.elems)-i {
		return fmt.Errorf("shm: %d elements from index %d on do not fit: the array has %d", len(src), i, len(a.elems))
	}
	copy(a.elems[i:], src)
	return a.seg.check()
}

// CopyTo copies the elements from i on to dst and returns how many it copied.
func (a *Array[T]) CopyTo(dst []T, i int) (int, error) {
	if i < 0 || i > len(a.elems) {
		return 0, a.outOfRange(i)
	}
	n := copy(dst, a.elems[i:])
	return n, a.seg.check()
}

// All ranges over indices and elements as they are when the loop comes to them. It ends early when the segment is closed.
func (a *Array[T]) All() iter.Seq2[int, T] {
	return func(yield func(int, T) bool) {
		for i := range a.elems {
			x := load(&a.elems[i])
			if a.seg.check() != nil || !yield(i, x) {
				return
			}
		}
	}
}

// Elems returns the elements in place, nil after Close: for work that needs no copy. The slice no longer belongs to the
// array once the segment is closed.
func (a *Array[T]) Elems() []T {
	a.seg.exposed.Store(true)
	if a.seg.check() != nil {
		return nil
	}
	return a.elems
}

// Ref returns the handle of an array made by NewArray or OpenArray.
func (a *Array[T]) Ref() Ref { return a.ref }

// Segment returns the segment that the array stands in.
func (a *Array[T]) Segment() *Segment { return a.seg }

// MarshalBinary returns the array's handle: what another process that has the segment open needs to see the same elements.
func (a *Array[T]) MarshalBinary() ([]byte, error) { return marshalRef(a.seg, a.ref) }

// UnmarshalBinary opens the array whose handle b is.
func (a *Array[T]) UnmarshalBinary(b []byte) error {
	s, ref, err := unmarshalRef(b)
	if err != nil {
		return err
	}
	x, err := OpenArray[T](s, ref)
	if err == nil {
		*a = *x
	}
	return err
}
