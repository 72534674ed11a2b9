package layout

import "unsafe"

// View returns the bytes of *p, in place. T must be pointer-free where the bytes go to another process.
func View[T any](p *T) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(p)), unsafe.Sizeof(*p))
}

// Text returns the bytes of s, in place: they must not be written.
func Text(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }
