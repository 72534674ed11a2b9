package shm

import (
	"fmt"
	"hash/fnv"
	"reflect"
	"strings"
	"unsafe"
)

// A Struct is a T in shared memory whose layout is written beside it: a program that has another idea of T, with a field more, moved or of another type, is
// refused by name when it opens it, and does not read nonsense. Its fields are used in place.
//
// In an arena it stands behind a head:
//
//	0   check sum of the layout's description, as [LayoutOf] returns it; bytes of T; 64 bits each
//	32  the T
type Struct[T any] struct {
	seg *Segment
	p   *T
	ref Ref
}

type structHead struct {
	layout, size uint64
	_            [16]byte
}

const _ = -(unsafe.Sizeof(structHead{}) ^ smallHead)

// LayoutOf describes how a T stands in memory, a line for each field: its offset, name and type. T must be free of pointers.
func LayoutOf[T any]() (string, error) {
	if err := checkType[T](); err != nil {
		return "", err
	}
	var b strings.Builder
	t := reflect.TypeFor[T]()
	describe(&b, t, "", 0)
	fmt.Fprintf(&b, "size %d, alignment %d\n", t.Size(), t.Align())
	return b.String(), nil
}

func describe(b *strings.Builder, t reflect.Type, path string, off uintptr) {
	switch t.Kind() {
	case reflect.Struct:
		for i := range t.NumField() {
			f := t.Field(i)
			describe(b, f.Type, strings.TrimPrefix(path+"."+f.Name, "."), off+f.Offset)
		}
		return
	case reflect.Array:
		if t.Elem().Kind() == reflect.Struct || t.Elem().Kind() == reflect.Array {
			fmt.Fprintf(b, "%d %s %d times:\n", off, path, t.Len())
			describe(b, t.Elem(), path+"[]", 0)
			return
		}
		fmt.Fprintf(b, "%d %s [%d]%s\n", off, path, t.Len(), t.Elem().Kind())
		return
	}
	fmt.Fprintf(b, "%d %s %s\n", off, path, t.Kind())
}

func layoutSum[T any]() (uint64, error) {
	text, err := LayoutOf[T]()
	h := fnv.New64a()
	h.Write([]byte(text))
	return h.Sum64(), err
}

// NewStruct allocates a T in the segment's arena and stores v in it.
func NewStruct[T any](s *Segment, v T) (*Struct[T], error) {
	sum, err := layoutSum[T]()
	if err != nil {
		return nil, err
	}
	size := unsafe.Sizeof(v)
	ref, err := s.Reserve(KindStruct, int(unsafe.Sizeof(structHead{})+size))
	if err != nil {
		return nil, err
	}
	mem, err := s.at(ref, KindStruct)
	if err != nil {
		return nil, err
	}
	h := (*structHead)(unsafe.Pointer(&mem[0]))
	h.layout, h.size = sum, uint64(size)
	x, err := OpenStruct[T](s, ref)
	if err != nil {
		return nil, err
	}
	return x, firstOf(x.Store(v), s.Publish(ref))
}

// OpenStruct views the object that ref names as a T, after checking that it was made as one.
func OpenStruct[T any](s *Segment, ref Ref) (*Struct[T], error) {
	sum, err := layoutSum[T]()
	if err != nil {
		return nil, err
	}
	mem, err := s.at(ref, KindStruct)
	if err != nil {
		return nil, err
	}
	var zero T
	const head = unsafe.Sizeof(structHead{})
	if uintptr(len(mem)) < head {
		return nil, fmt.Errorf("shm: %w: a struct in %d bytes", ErrCorrupt, len(mem))
	}
	h := *(*structHead)(unsafe.Pointer(&mem[0])) // read once
	if err := s.check(); err != nil {
		return nil, err
	}
	if uintptr(len(mem)) != head+unsafe.Sizeof(zero) || h.size != uint64(unsafe.Sizeof(zero)) || h.layout != sum {
		text, _ := LayoutOf[T]()
		return nil, fmt.Errorf("shm: %w: the struct has %d bytes and the layout %#x; a %T has %d bytes and the layout %#x:\n%s", ErrForeign, h.size, h.layout, zero, unsafe.Sizeof(zero), sum, text)
	}
	return &Struct[T]{seg: s, p: (*T)(unsafe.Add(unsafe.Pointer(&mem[0]), head)), ref: ref}, nil
}

// Ptr returns the struct in place, or nil after Close. Who writes what others read guards it with a lock, or keeps to fields that are used with
// sync/atomic.
func (v *Struct[T]) Ptr() *T {
	v.seg.exposed.Store(true)
	if v.seg.check() != nil {
		return nil
	}
	return v.p
}

// Load returns a copy, which another process's store may tear.
func (v *Struct[T]) Load() (T, error) {
	x := *v.p
	return x, v.seg.check()
}

// Store sets all fields.
func (v *Struct[T]) Store(x T) error {
	*v.p = x
	return v.seg.check()
}

// Ref returns the struct's handle.
func (v *Struct[T]) Ref() Ref { return v.ref }

// Segment returns the segment that the struct stands in.
func (v *Struct[T]) Segment() *Segment { return v.seg }

// MarshalBinary returns the struct's handle.
func (v *Struct[T]) MarshalBinary() ([]byte, error) { return marshalRef(v.seg, v.ref) }

// UnmarshalBinary opens the struct whose handle b is.
func (v *Struct[T]) UnmarshalBinary(b []byte) error {
	s, ref, err := unmarshalRef(b)
	if err != nil {
		return err
	}
	x, err := OpenStruct[T](s, ref)
	if err == nil {
		*v = *x
	}
	return err
}
