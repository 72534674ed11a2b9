package shm

import (
	"fmt"
	"reflect"
	"sync/atomic"
	"unsafe"

	"github.com/fb2d3dbd/multiproc/internal/cpu"
	"github.com/fb2d3dbd/multiproc/internal/layout"
)

// checkType returns an error if values of type T cannot stand in shared memory.
func checkType[T any]() error {
	t := reflect.TypeFor[T]()
	if err := layout.PointerFree(t); err != nil {
		return fmt.Errorf("shm: %w", err)
	}
	if t.Align() > smallHead {
		return fmt.Errorf("shm: %s needs an alignment of %d bytes; at most %d can be had", t, t.Align(), smallHead)
	}
	return nil
}

// place checks that a T can stand at byte off of the user's bytes.
func place[T any](s *Segment, off, n int) error {
	var zero T
	size, align := int(unsafe.Sizeof(zero)), int(unsafe.Alignof(zero))
	if off < 0 || n < 0 || off%align != 0 {
		return fmt.Errorf("shm: %T at byte %d: the offset must be a multiple of %d, and not negative", zero, off, align)
	}
	if off > s.lay.user || n > 0 && size > (s.lay.user-off)/n {
		return fmt.Errorf("shm: %d of %T at byte %d do not fit into the segment's %d bytes", n, zero, off, s.lay.user)
	}
	return nil
}

// A Value is one T in shared memory. Values of 4 and 8 bytes, and of 1 and 2, are loaded and stored whole; others by a
// copy that another process's store may tear: guard those with a lock.
type Value[T any] struct {
	seg *Segment
	p   *T
	ref Ref
}

// NewValue allocates a T in the segment's arena and stores v in it. T must be free of pointers.
func NewValue[T any](s *Segment, v T) (*Value[T], error) {
	if err := checkType[T](); err != nil {
		return nil, err
	}
	ref, err := s.Reserve(KindValue, int(unsafe.Sizeof(v)))
	if err != nil {
		return nil, err
	}
	x, err := OpenValue[T](s, ref)
	if err != nil {
		return nil, err
	}
	return x, firstOf(x.Store(v), s.Publish(ref))
}

// OpenValue views the object that ref names as a T. Size and kind are checked; that it was made as a T is for the caller
// to know.
func OpenValue[T any](s *Segment, ref Ref) (*Value[T], error) {
	if err := checkType[T](); err != nil {
		return nil, err
	}
	mem, err := s.at(ref, KindValue)
	if err != nil {
		return nil, err
	}
	var zero T
	if uintptr(len(mem)) != unsafe.Sizeof(zero) {
		return nil, fmt.Errorf("shm: the value has %d bytes, a %T has %d", len(mem), zero, unsafe.Sizeof(zero))
	}
	return &Value[T]{seg: s, p: (*T)(unsafe.Pointer(unsafe.SliceData(mem))), ref: ref}, nil
}

// ValueAt views the user's bytes from off on as a T. Every program that shares the segment calls it with the same
// offset and type.
func ValueAt[T any](s *Segment, off int) (*Value[T], error) {
	if err := checkType[T](); err != nil {
		return nil, err
	}
	if err := place[T](s, off, 1); err != nil {
		return nil, err
	}
	return &Value[T]{seg: s, p: (*T)(unsafe.Pointer(&s.mem[s.lay.userOff+off]))}, nil
}

// Load returns the value.
func (v *Value[T]) Load() (T, error) {
	x := load(v.p)
	return x, v.seg.check()
}

// Store sets the value.
func (v *Value[T]) Store(x T) error {
	store(v.p, x)
	return v.seg.check()
}

// StoreRelease is Store without the fence behind it: whoever loads the value sees all that was stored before, but what the caller loads next may have been
// looked at before the value is there for others. That is enough under a lock, whose unlock has a fence, and for a flag that others wait for.
func (v *Value[T]) StoreRelease(x T) error {
	storeRelease(v.p, x)
	return v.seg.check()
}

// Ref returns the handle of a value made by NewValue or OpenValue.
func (v *Value[T]) Ref() Ref { return v.ref }

// Segment returns the segment that the value stands in.
func (v *Value[T]) Segment() *Segment { return v.seg }

// MarshalBinary returns the value's handle: what another process that has the segment open needs to see the same value.
func (v *Value[T]) MarshalBinary() ([]byte, error) { return marshalRef(v.seg, v.ref) }

// UnmarshalBinary opens the value whose handle b is.
func (v *Value[T]) UnmarshalBinary(b []byte) error {
	s, ref, err := unmarshalRef(b)
	if err != nil {
		return err
	}
	x, err := OpenValue[T](s, ref)
	if err == nil {
		*v = *x
	}
	return err
}

func marshalRef(s *Segment, ref Ref) ([]byte, error) {
	if s == nil || ref == (Ref{}) {
		return nil, fmt.Errorf("shm: only what was allocated in a segment's arena can be sent to another process")
	}
	if err := s.check(); err != nil {
		return nil, err
	}
	return ref.MarshalBinary()
}

func unmarshalRef(b []byte) (*Segment, Ref, error) {
	var ref Ref
	if err := ref.UnmarshalBinary(b); err != nil {
		return nil, ref, err
	}
	s, err := Lookup(ref.Segment)
	return s, ref, err
}

// load reads a T whole where the CPU can.
func load[T any](p *T) (x T) {
	switch unsafe.Sizeof(x) {
	case 4:
		if unsafe.Alignof(x) == 4 {
			w := atomic.LoadUint32((*uint32)(unsafe.Pointer(p)))
			return *(*T)(unsafe.Pointer(&w))
		}
	case 8:
		if unsafe.Alignof(x) == 8 {
			w := atomic.LoadUint64((*uint64)(unsafe.Pointer(p)))
			return *(*T)(unsafe.Pointer(&w))
		}
	}
	return *p
}

// storeRelease writes a T as store does, but without a fence behind it.
func storeRelease[T any](p *T, x T) {
	switch unsafe.Sizeof(x) {
	case 4:
		if unsafe.Alignof(x) == 4 {
			cpu.StoreRelease32((*uint32)(unsafe.Pointer(p)), *(*uint32)(unsafe.Pointer(&x)))
			return
		}
	case 8:
		if unsafe.Alignof(x) == 8 {
			cpu.StoreRelease64((*uint64)(unsafe.Pointer(p)), *(*uint64)(unsafe.Pointer(&x)))
			return
		}
	}
	*p = x
}

// store writes a T whole where the CPU can.
func store[T any](p *T, x T) {
	switch unsafe.Sizeof(x) {
	case 4:
		if unsafe.Alignof(x) == 4 {
			atomic.StoreUint32((*uint32)(unsafe.Pointer(p)), *(*uint32)(unsafe.Pointer(&x)))
			return
		}
	case 8:
		if unsafe.Alignof(x) == 8 {
			atomic.StoreUint64((*uint64)(unsafe.Pointer(p)), *(*uint64)(unsafe.Pointer(&x)))
			return
		}
	}
	*p = x
}
