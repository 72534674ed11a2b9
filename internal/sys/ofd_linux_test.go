package sys_test

import (
	"testing"

	"github.com/fb2d3dbd/multiproc/internal/sys"
)

// lock takes the byte at off for fd's description and reports whether it is free for it.
func lock(t testing.TB, fd int, off int64) bool {
	t.Helper()
	free, err := sys.TryLockByte(fd, off)
	ok(t, err)
	return free
}

func held(t testing.TB, fd int, off int64) bool {
	t.Helper()
	is, err := sys.ByteHeld(fd, off)
	ok(t, err)
	return is
}

func TestByteLock(t *testing.T) {
	const off = 1 << 40 // a byte need not exist
	a := keep(sys.Memfd("multiproc-test", 4096))(t)
	b := keep(sys.Reopen(a))(t)
	if held(t, b, off) || !lock(t, a, off) || !held(t, b, off) || lock(t, b, off) {
		t.Error("the lock of one description does not keep another out")
	}
	if held(t, a, off) || !lock(t, a, off) {
		t.Error("a description is kept out by its own lock")
	}
	if held(t, b, off+1) || held(t, b, off-1) || !lock(t, b, off+1) {
		t.Error("the lock of a byte holds its neighbours")
	}
	ok(t, sys.UnlockByte(b, off)) // of what it does not hold: nothing
	if !held(t, b, off) {
		t.Error("another description has released the byte")
	}
	ok(t, sys.UnlockByte(a, off))
	if held(t, b, off) || !lock(t, b, off) || lock(t, a, off) {
		t.Error("a byte that was released is not free")
	}
	if _, err := sys.TryLockByte(a, -1); err == nil {
		t.Error("a byte before the file was locked")
	}
}

// What the proof of death stands on: the lock lives as long as anything of the description does, the last mapping too.
func TestByteLockEndsWithTheMapping(t *testing.T) {
	other := keep(sys.Memfd("multiproc-test", 4096))(t)
	fd, err := sys.Reopen(other)
	ok(t, err)
	dup, err := sys.DupFD(fd)
	ok(t, err)
	if !lock(t, fd, 7) || !lock(t, dup, 7) || held(t, dup, 7) {
		t.Error("a duplicate has a lock of its own")
	}
	mem, err := sys.Map(fd, 4096, true)
	ok(t, err)
	ok(t, sys.CloseFD(fd))
	if !held(t, other, 7) {
		t.Error("the lock ended with the first of two descriptors")
	}
	ok(t, sys.CloseFD(dup))
	if !held(t, other, 7) {
		t.Error("the lock ended before the mapping")
	}
	ok(t, sys.Unmap(mem))
	if held(t, other, 7) {
		t.Error("the lock outlives the mapping")
	}
}
