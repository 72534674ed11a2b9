package shm

import "iter"

// A Slice is a view of elements that stand in shared memory, for work that reads and writes single ones: At and Set cost what they cost in a Go slice, and like
// there an index out of range panics. It is a value of its own, to be passed by value; the elements are shared by all views of them.
//
// Elements are plain memory: who writes what another reads guards it with a lock, or uses the atomic operations of [Array]. After Close of the segment it views
// private zeros.
type Slice[T any] struct{ elems []T }

// Slice returns a view of all elements of the array. After Close of the segment it has none.
func (a *Array[T]) Slice() Slice[T] { return Slice[T]{a.Elems()} }

// SliceOf views bytes that stand in shared memory as elements, without a copy: what another program has written there as an array, such as a numpy array of
// float64. T must be free of pointers, the bytes must begin at a multiple of its alignment, and their number must be one of its size.
func SliceOf[T any](mem []byte) (Slice[T], error) {
	elems, err := elemsOf[T](mem)
	return Slice[T]{elems}, err
}

// Len returns the number of elements.
func (s Slice[T]) Len() int { return len(s.elems) }

// At returns element i.
func (s Slice[T]) At(i int) T { return s.elems[i] }

// Set stores x in element i.
func (s Slice[T]) Set(i int, x T) { s.elems[i] = x }

// Sub views the elements from i up to, not including, j.
func (s Slice[T]) Sub(i, j int) Slice[T] { return Slice[T]{s.elems[i:j:j]} }

// Elems returns the elements in place, as a Go slice.
func (s Slice[T]) Elems() []T { return s.elems }

// Fill stores x in every element.
func (s Slice[T]) Fill(x T) {
	for i := range s.elems {
		s.elems[i] = x
	}
}

// All ranges over indices and elements.
func (s Slice[T]) All() iter.Seq2[int, T] {
	return func(yield func(int, T) bool) {
		for i, x := range s.elems {
			if !yield(i, x) {
				return
			}
		}
	}
}
