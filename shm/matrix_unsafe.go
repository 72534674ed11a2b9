package shm

import (
	"fmt"
	"iter"
	"unsafe"
)

// A Matrix is a two-dimensional view of elements in shared memory, row by row, as numpy lays out an array in C order. Like in a Go slice, an index out of range
// panics. What is said of a [Slice] holds for it too.
//
// In an arena it stands behind a head:
//
//	0   rows, columns, bytes of an element; 64 bits each
//	64  the elements
type Matrix[T any] struct {
	elems              []T
	rows, cols, stride int
	seg                *Segment
	ref                Ref
}

type matrixHead struct {
	rows, cols, elem uint64
	_                [40]byte
}

const _ = -(unsafe.Sizeof(matrixHead{}) ^ 64)

// NewMatrix allocates rows times cols zero elements in the segment's arena. T must be free of pointers.
func NewMatrix[T any](s *Segment, rows, cols int) (*Matrix[T], error) {
	size, err := matrixSize[T](rows, cols)
	if err != nil {
		return nil, err
	}
	ref, err := s.Reserve(KindMatrix, int(unsafe.Sizeof(matrixHead{}))+size)
	if err != nil {
		return nil, err
	}
	mem, err := s.at(ref, KindMatrix)
	if err != nil {
		return nil, err
	}
	var zero T
	h := (*matrixHead)(unsafe.Pointer(&mem[0]))
	h.rows, h.cols, h.elem = uint64(rows), uint64(cols), uint64(unsafe.Sizeof(zero))
	if err := s.Publish(ref); err != nil {
		return nil, err
	}
	return OpenMatrix[T](s, ref)
}

// matrixSize returns the bytes of the elements.
func matrixSize[T any](rows, cols int) (int, error) {
	if err := checkType[T](); err != nil {
		return 0, err
	}
	var zero T
	size := int(unsafe.Sizeof(zero))
	if rows < 1 || cols < 1 || size == 0 || rows > maxPart/8/cols/size {
		return 0, fmt.Errorf("shm: a matrix of %d times %d elements of %d bytes", rows, cols, size)
	}
	return rows * cols * size, nil
}

// OpenMatrix views the object that ref names.
func OpenMatrix[T any](s *Segment, ref Ref) (*Matrix[T], error) {
	mem, err := s.At(ref, KindMatrix)
	if err != nil {
		return nil, err
	}
	const head = int(unsafe.Sizeof(matrixHead{}))
	if len(mem) < head {
		return nil, fmt.Errorf("shm: %w: a matrix in %d bytes", ErrCorrupt, len(mem))
	}
	h := *(*matrixHead)(unsafe.Pointer(&mem[0])) // read once
	if err := s.check(); err != nil {
		return nil, err
	}
	var zero T
	if h.rows > maxPart || h.cols > maxPart {
		return nil, fmt.Errorf("shm: %w: a matrix of %d times %d", ErrCorrupt, h.rows, h.cols)
	}
	if h.elem != uint64(unsafe.Sizeof(zero)) {
		return nil, fmt.Errorf("shm: the matrix has elements of %d bytes, a %T has %d", h.elem, zero, unsafe.Sizeof(zero))
	}
	m, err := MatrixOf[T](mem[head:], int(h.rows), int(h.cols))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	m.seg, m.ref = s, ref
	return &m, nil
}

// MatrixOf views bytes of shared memory as a matrix, such as those of a numpy array. The bytes must be exactly its elements'.
func MatrixOf[T any](mem []byte, rows, cols int) (Matrix[T], error) {
	size, err := matrixSize[T](rows, cols)
	if err != nil {
		return Matrix[T]{}, err
	}
	if len(mem) != size {
		return Matrix[T]{}, fmt.Errorf("shm: a matrix of %d times %d has %d bytes, not %d", rows, cols, size, len(mem))
	}
	elems, err := elemsOf[T](mem)
	return Matrix[T]{elems: elems, rows: rows, cols: cols, stride: cols}, err
}

// Rows returns the number of rows.
func (m *Matrix[T]) Rows() int { return m.rows }

// Cols returns the number of columns.
func (m *Matrix[T]) Cols() int { return m.cols }

// At returns the element in row i and column j.
func (m *Matrix[T]) At(i, j int) T {
	if uint(j) >= uint(m.cols) {
		outOfRow(j, m.cols)
	}
	return m.elems[i*m.stride+j] // i is out of range if and only if this is
}

//go:noinline
func outOfRow(j, cols int) {
	panic(fmt.Sprintf("shm: column %d is out of range: the matrix has %d", j, cols))
}

// Set stores x in row i and column j.
func (m *Matrix[T]) Set(i, j int, x T) {
	if uint(j) >= uint(m.cols) {
		outOfRow(j, m.cols)
	}
	m.elems[i*m.stride+j] = x
}

// Row returns the elements of row i in place.
func (m *Matrix[T]) Row(i int) []T {
	return m.elems[i*m.stride : i*m.stride+m.cols : i*m.stride+m.cols]
}

// All ranges over the rows, in place.
func (m *Matrix[T]) All() iter.Seq2[int, []T] {
	return func(yield func(int, []T) bool) {
		for i := range m.rows {
			if !yield(i, m.Row(i)) {
				return
			}
		}
	}
}

// Sub views the part of rows times cols elements whose first is in row i and column j: a share of the work for one of several processes.
func (m *Matrix[T]) Sub(i, j, rows, cols int) Matrix[T] {
	if i < 0 || j < 0 || rows < 1 || cols < 1 || i > m.rows-rows || j > m.cols-cols {
		panic(fmt.Sprintf("shm: %d times %d from row %d and column %d are no part of a matrix of %d times %d", rows, cols, i, j, m.rows, m.cols))
	}
	first := i*m.stride + j
	last := first + (rows-1)*m.stride + cols
	return Matrix[T]{elems: m.elems[first:last:last], rows: rows, cols: cols, stride: m.stride, seg: m.seg}
}

// Ref returns the handle of a matrix made by NewMatrix or OpenMatrix.
func (m *Matrix[T]) Ref() Ref { return m.ref }

// Segment returns the segment that the matrix stands in, or nil for one on bytes.
func (m *Matrix[T]) Segment() *Segment { return m.seg }

// MarshalBinary returns the handle of a matrix made by NewMatrix or OpenMatrix.
func (m *Matrix[T]) MarshalBinary() ([]byte, error) { return marshalRef(m.seg, m.ref) }

// UnmarshalBinary opens the matrix whose handle b is.
func (m *Matrix[T]) UnmarshalBinary(b []byte) error {
	s, ref, err := unmarshalRef(b)
	if err != nil {
		return err
	}
	x, err := OpenMatrix[T](s, ref)
	if err == nil {
		*m = *x
	}
	return err
}
