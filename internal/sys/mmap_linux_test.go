package sys_test

import (
	"bytes"
	"runtime/debug"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/fb2d3dbd/multiproc/internal/sys"
)

func TestMap(t *testing.T) {
	const size = 2 * 4096
	fd := keep(sys.Memfd("multiproc-test", size))(t)
	mem, err := sys.Map(fd, size, true)
	ok(t, err)
	look, err := sys.Map(fd, 4096, false)
	ok(t, err)
	mem[4095], mem[size-1] = 1, 2
	if len(mem) != size || cap(mem) != size || len(look) != 4096 || look[4095] != 1 {
		t.Error("what is written by one mapping is not read by the other")
	}
	if !faults(func() { look[0] = 1 }) {
		t.Error("a mapping for reading can be written to")
	}
	ok(t, sys.Unmap(look))
	ok(t, sys.Detach(mem))
	ok(t, sys.Unmap(mem))
	_, err = sys.Map(fd, 0, true)
	wantErr(t, "no bytes", err, unix.EINVAL)
	_, err = sys.Map(-1, size, true)
	wantErr(t, "no file", err, unix.EBADF)
	wantErr(t, "nothing", sys.Unmap(nil), unix.EINVAL)
}

// faults reports whether fn's access to memory faults.
func faults(fn func()) (yes bool) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() { yes = recover() != nil }()
	fn()
	return false
}

// After Detach the memory is there as before, and nobody shares it.
func TestDetach(t *testing.T) {
	const size = 3 * 4096
	fd := keep(sys.Memfd("multiproc-test", size))(t)
	mem, other := mapped(t, fd, size), mapped(t, fd, size)
	copy(mem[4090:], "across two pages")
	ok(t, sys.Detach(mem))
	if !bytes.Equal(mem, make([]byte, size)) {
		t.Error("what was shared can still be read")
	}
	mem[0] = 1
	if other[0] != 0 || string(other[4090:4090+16]) != "across two pages" {
		t.Error("a write after Detach, or Detach itself, has changed the file")
	}
	other[1] = 1
	if mem[1] != 0 {
		t.Error("a write by another is seen after Detach")
	}
	ok(t, sys.Detach(nil))
	wantErr(t, "no whole mapping", sys.Detach(mem[1:]), unix.EINVAL)
}

func TestDiscard(t *testing.T) {
	const size = 3 * 4096
	fd := keep(sys.Memfd("multiproc-test", size))(t)
	mem, other := mapped(t, fd, size), mapped(t, fd, size)
	for i := range mem {
		mem[i] = 0xEE
	}
	ok(t, sys.Discard(mem[4096:8192]))
	const left = size - 4096
	if n := 512 * blocks(t, fd); n > left { // looked at first: to read the page takes memory again
		t.Errorf("%d bytes are taken, want %d", n, left)
	}
	want := bytes.Repeat([]byte{0xEE}, size)
	clear(want[4096:8192])
	if !bytes.Equal(mem, want) || !bytes.Equal(other, want) {
		t.Error("not the second page alone reads as zeros, for all")
	}
	wantErr(t, "no whole page", sys.Discard(mem[1:4096]), unix.EINVAL)
	ok(t, sys.Detach(mem))
	wantErr(t, "memory that is not shared any more", sys.Discard(mem), unix.EINVAL)
}

func blocks(t testing.TB, fd int) int64 {
	t.Helper()
	var st unix.Stat_t
	ok(t, unix.Fstat(fd, &st))
	return st.Blocks
}
