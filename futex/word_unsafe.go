package futex

import (
	"fmt"
	"unsafe"
)

// word returns the 32-bit word that mem begins with.
func word(mem []byte, what string) (*uint32, error) {
	if len(mem) < 4 {
		return nil, fmt.Errorf("%s: the memory has %d bytes, need 4", what, len(mem))
	}
	p := unsafe.Pointer(unsafe.SliceData(mem))
	if uintptr(p)&3 != 0 {
		return nil, fmt.Errorf("%s: the memory must begin at a multiple of 4 bytes", what)
	}
	return (*uint32)(p), nil
}
