package futex_test

import "unsafe"

// wordAt returns the word at an offset of mem.
func wordAt(mem []byte, off int) *uint32 { return (*uint32)(unsafe.Pointer(&mem[off])) }
