package shm

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"unsafe"
)

// Guard runs fn, which may use the segment's memory, and returns its error, or one that matches ErrTruncated when an access faulted because
// somebody has made the file of a kept segment shorter. It is needed for segments with [Options.Keep] alone: the memory of others
// cannot be truncated. What fn was about to do is then half done.
func (s *Segment) Guard(fn func() error) error { return guard(s.mem, fn) }

// guard turns a fault in mem, by fn or who it calls on this goroutine, into an error.
func guard(mem []byte, fn func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		r := recover()
		if r == nil {
			return
		}
		fault, ok := r.(interface {
			runtime.Error
			Addr() uintptr
		})
		if !ok {
			panic(r)
		}
		at := fault.Addr() - uintptr(unsafe.Pointer(unsafe.SliceData(mem)))
		if at >= uintptr(len(mem)) {
			panic(fault)
		}
		err = fmt.Errorf("shm: byte %d of %d: %w", at, len(mem), ErrTruncated)
	}()
	return fn()
}

// within reports whether part is memory of whole.
func within(whole, part []byte) bool {
	first, at := uintptr(unsafe.Pointer(unsafe.SliceData(whole))), uintptr(unsafe.Pointer(unsafe.SliceData(part)))
	return at-first <= uintptr(len(whole)) && uintptr(len(part)) <= uintptr(len(whole))-(at-first)
}
