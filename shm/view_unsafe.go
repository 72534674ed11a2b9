package shm

import (
	"fmt"
	"unsafe"
)

// elemsOf views bytes as a slice of T, after checking that they can be one.
func elemsOf[T any](mem []byte) ([]T, error) {
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
