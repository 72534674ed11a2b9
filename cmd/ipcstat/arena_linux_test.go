package main

import (
	"os"
	"testing"
	"unsafe"

	"github.com/fb2d3dbd/multiproc/shm"
)

// arena returns the memory of a segment's arena, to be written over.
func arena(s *shm.Segment) []byte {
	first, err := s.Alloc(shm.KindUser, 1)
	if err != nil {
		panic(err)
	}
	mem, err := s.At(first, shm.KindUser)
	if err != nil {
		panic(err)
	}
	defer s.Free(first)
	const head = 32 // of a small block
	return unsafe.Slice((*byte)(unsafe.Add(unsafe.Pointer(&mem[0]), -int(first.Offset)-head)), 1<<20)
}

func lookAt(t *testing.T, s *shm.Segment) *shm.Window {
	t.Helper()
	fd, err := s.Export()
	ok(t, err)
	f := os.NewFile(uintptr(fd), "segment")
	defer f.Close()
	w, err := shm.LookAt(fd)
	ok(t, err)
	return w
}
