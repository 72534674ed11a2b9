package shm_test

import (
	"context"
	"os"
	"runtime"
	"syscall"
	"testing"
	"unsafe"

	"github.com/fb2d3dbd/multiproc/shm"
)

const elements = 1 << 12

// Reading and writing single elements, with their bounds checked: a plain Go slice, and views of an array in a segment. The indices are
// not known to the compiler to be in range.
func BenchmarkElement(b *testing.B) {
	s := newSegment(b, &shm.Options{Arena: 1 << 20})
	a, err := shm.NewArray[int64](s, elements)
	ok(b, err)
	m, err := shm.NewMatrix[int64](s, 64, 64)
	ok(b, err)
	plain := make([]int64, elements)
	matrix := make([][]int64, 64)
	for i := range matrix {
		matrix[i] = plain[64*i : 64*i+64]
	}
	view, elems := a.Slice(), a.Elems()
	var sum int64
	b.Run("read/slice", func(b *testing.B) {
		for i := range b.N {
			sum += plain[i*7%elements]
		}
	})
	b.Run("read/view", func(b *testing.B) {
		for i := range b.N {
			sum += view.At(i * 7 % elements)
		}
	})
	b.Run("read/Slice", func(b *testing.B) {
		for i := range b.N {
			sum += elems[i*7%elements]
		}
	})
	b.Run("read/checked", func(b *testing.B) {
		for i := range b.N {
			x, _ := a.At(i * 7 % elements)
			sum += x
		}
	})
	b.Run("write/slice", func(b *testing.B) {
		for i := range b.N {
			plain[i*7%elements] = 1
		}
	})
	b.Run("write/view", func(b *testing.B) {
		for i := range b.N {
			view.Set(i*7%elements, 1)
		}
	})
	b.Run("write/Slice", func(b *testing.B) {
		for i := range b.N {
			elems[i*7%elements] = 1
		}
	})
	b.Run("write/checked", func(b *testing.B) {
		for i := range b.N {
			_ = a.Set(i*7%elements, 1)
		}
	})
	b.Run("matrix/slices", func(b *testing.B) {
		for i := range b.N {
			sum += matrix[i*7%64][i%64]
		}
	})
	b.Run("matrix/view", func(b *testing.B) {
		for i := range b.N {
			sum += m.At(i*7%64, i%64)
		}
	})
	if sum == -1 {
		b.Log(sum)
	}
}

// Making, mapping and dropping 1 MiB, untouched and with every page written.
func BenchmarkSegment(b *testing.B) {
	const size = 1 << 20
	touch := func(mem []byte) {
		for i := 0; i < len(mem); i += os.Getpagesize() {
			mem[i] = 1
		}
	}
	raw := func(b *testing.B, fn func([]byte)) {
		for range b.N {
			fd := rawMemfd(b, size)
			mem, err := syscall.Mmap(fd, 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
			ok(b, err)
			fn(mem)
			ok(b, syscall.Munmap(mem))
			ok(b, syscall.Close(fd))
		}
	}
	segment := func(b *testing.B, fn func([]byte)) {
		for range b.N {
			s, err := shm.New(&shm.Options{Size: size})
			ok(b, err)
			fn(s.Bytes())
			ok(b, s.Close())
		}
	}
	none := func([]byte) {}
	b.Run("raw", func(b *testing.B) { raw(b, none) })
	b.Run("segment", func(b *testing.B) { segment(b, none) })
	b.Run("raw/touched", func(b *testing.B) { raw(b, touch) })
	b.Run("segment/touched", func(b *testing.B) { segment(b, touch) })
}

func BenchmarkAlloc(b *testing.B) {
	s := newSegment(b, &shm.Options{Arena: 16 << 20})
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			ref, err := s.Alloc(shm.KindUser, 50)
			ok(b, err)
			ok(b, s.Free(ref))
		}
	})
}

func BenchmarkBlob(b *testing.B) {
	s := newSegment(b, &shm.Options{Arena: 1 << 20})
	x, err := shm.NewBlob(s, 64)
	ok(b, err)
	value, buf := make([]byte, 64), make([]byte, 0, 64)
	b.Run("store", func(b *testing.B) {
		for range b.N {
			ok(b, x.Store(context.Background(), value))
		}
	})
	b.Run("load", func(b *testing.B) {
		for range b.N {
			_, err := x.AppendTo(buf)
			ok(b, err)
		}
	})
}

func rawMemfd(b *testing.B, size int64) int {
	name := [...]byte{'r', 'a', 'w', 0}
	fd, _, errno := syscall.Syscall(memfdCreate, uintptr(unsafe.Pointer(&name[0])), 1, 0)
	if errno != 0 {
		b.Fatal(errno)
	}
	ok(b, syscall.Ftruncate(int(fd), size))
	return int(fd)
}

var memfdCreate = map[string]uintptr{"amd64": 319, "arm64": 279}[runtime.GOARCH]
