package shm

import (
	"fmt"
	"unsafe"
)

// SliceOf views bytes that stand in shared memory as a slice of T, without a copy: what another program has written there as an array, such as a numpy array of
// float64. T must be free of pointers, the bytes must begin at a multiple of its alignment, and their number must be one of its size.
func SliceOf[T any](mem []byte) ([]T, error) {
	if err := checkType[T](); err != nil {
		return nil, err
	}
	var zero T
	size, align := int(unsafe.Sizeof(zero)), unsafe.Alignof(zero)
	p := unsafe.Pointer(unsafe.SliceData(mem))
	switch {
	case size == 0 || len(mem)%size != 0:
		return nil, fmt.Errorf("shm: %d bytes are no whole number of %T, which has %d", len(mem), zero, size)
	case uintptr(p)%align != 0:
		return nil, fmt.Errorf("shm: the bytes begin at %#x, which is no multiple of %T's alignment, %d", p, zero, align)
	}
	return unsafe.Slice((*T)(p), len(mem)/size), nil
}
