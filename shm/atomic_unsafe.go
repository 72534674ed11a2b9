package shm

import (
	"fmt"
	"sync/atomic"
	"unsafe"
)

// Integer is the constraint of the atomic operations: integers of 4 and 8 bytes.
type Integer interface {
	~int | ~int32 | ~int64 | ~uint | ~uint32 | ~uint64 | ~uintptr
}

// Add adds delta to the value atomically, among all processes, and returns the sum. Subtract with a negative delta, or
// with ^(n-1) for unsigned types.
func Add[T Integer](v *Value[T], delta T) (T, error) {
	x := add(v.p, delta)
	return x, v.seg.check()
}

// Swap stores x and returns what was there before, atomically.
func Swap[T Integer](v *Value[T], x T) (old T, err error) {
	old = swap(v.p, x)
	return old, v.seg.check()
}

// CompareAndSwap stores x if the value is old, atomically, and reports whether it did.
func CompareAndSwap[T Integer](v *Value[T], old, x T) (swapped bool, err error) {
	swapped = cas(v.p, old, x)
	return swapped, v.seg.check()
}

// AddAt adds delta to element i of the array atomically and returns the sum.
func AddAt[T Integer](a *Array[T], i int, delta T) (T, error) {
	if i < 0 || i >= len(a.elems) {
		return 0, a.outOfRange(i)
	}
	x := add(&a.elems[i], delta)
	return x, a.seg.check()
}

// CompareAndSwapAt stores x in element i of the array if it holds old, atomically, and reports whether it did.
func CompareAndSwapAt[T Integer](a *Array[T], i int, old, x T) (swapped bool, err error) {
	if i < 0 || i >= len(a.elems) {
		return false, a.outOfRange(i)
	}
	swapped = cas(&a.elems[i], old, x)
	return swapped, a.seg.check()
}

func (a *Array[T]) outOfRange(i int) error {
	return fmt.Errorf("shm: index %d is out of range: the array has %d elements", i, len(a.elems))
}

func add[T Integer](p *T, delta T) T {
	if unsafe.Sizeof(delta) == 4 {
		return T(atomic.AddUint32((*uint32)(unsafe.Pointer(p)), uint32(delta)))
	}
	return T(atomic.AddUint64((*uint64)(unsafe.Pointer(p)), uint64(delta)))
}

func swap[T Integer](p *T, x T) T {
	if unsafe.Sizeof(x) == 4 {
		return T(atomic.SwapUint32((*uint32)(unsafe.Pointer(p)), uint32(x)))
	}
	return T(atomic.SwapUint64((*uint64)(unsafe.Pointer(p)), uint64(x)))
}

func cas[T Integer](p *T, old, x T) bool {
	if unsafe.Sizeof(x) == 4 {
		return atomic.CompareAndSwapUint32((*uint32)(unsafe.Pointer(p)), uint32(old), uint32(x))
	}
	return atomic.CompareAndSwapUint64((*uint64)(unsafe.Pointer(p)), uint64(old), uint64(x))
}
