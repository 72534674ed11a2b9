package shm_test

import "unsafe"

// wordOf returns the first word of mem.
func wordOf(mem []byte) *uint64 { return (*uint64)(unsafe.Pointer(&mem[0])) }
