package main

import "unsafe"

// wild writes where nothing of this program is, as a fault in a library of C does.
func wild() string {
	text := []byte("text")
	for p := unsafe.Pointer(unsafe.SliceData(text)); ; p = unsafe.Add(p, 1<<20) {
		*(*byte)(p) = 0
	}
}
