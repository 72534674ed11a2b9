package codec

import (
	"reflect"
	"unsafe"
)

// memory returns n bytes of the addressable v from offset off on. The caller
// makes sure that they lie within v and hold numbers alone.
func memory(v reflect.Value, off, n uintptr) []byte {
	return unsafe.Slice((*byte)(unsafe.Add(v.Addr().UnsafePointer(), off)), n)
}

// sliceMemory returns the elements of the slice v, numbers alone, as bytes; size
// is that of an element. Decoding copies into this memory and never the other
// way round, so the alignment of the input does not matter.
func sliceMemory(v reflect.Value, size uintptr) []byte {
	return unsafe.Slice((*byte)(v.UnsafePointer()), uintptr(v.Len())*size)
}

// numberMemory returns the bytes of a number.
func numberMemory[N int | int64 | float64](n *N) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(n)), unsafe.Sizeof(*n))
}

// exposed returns the addressable v without the mark of an unexported field,
// for embedded structs of an unexported type, whose exported fields are meant to
// be reached.
func exposed(v reflect.Value) reflect.Value {
	return reflect.NewAt(v.Type(), v.Addr().UnsafePointer()).Elem()
}
