package sys_test

import (
	"errors"
	"os"
	"testing"

	"github.com/fb2d3dbd/multiproc/internal/sys"
)

// The first of several held bytes is found, and a range is locked as a whole or not at all.
func TestRanges(t *testing.T) {
	fd := keep(sys.Memfd("multiproc-test", 4096))(t)
	a := keep(sys.Reopen(fd))(t)
	b := keep(sys.Reopen(fd))(t)
	for _, off := range []int64{1 << 40, 1<<40 + 7} {
		held, err := sys.TryLockByte(a, off)
		ok(t, err)
		if !held {
			t.Fatal("a free byte was not locked")
		}
	}
	for _, c := range []struct{ off, n, at, length int64 }{
		{1 << 40, 100, 1 << 40, 1}, {1<<40 + 1, 100, 1<<40 + 7, 1}, {1<<40 + 8, 100, 0, 0}, {1<<40 + 1, 6, 0, 0},
	} {
		at, length, err := sys.FirstHeld(b, c.off, c.n)
		ok(t, err)
		if length != c.length || length > 0 && at != c.at {
			t.Errorf("from %#x on, %d bytes: held is %#x, %d; want %#x, %d", c.off, c.n, at, length, c.at, c.length)
		}
	}
	if all, err := sys.TryLockRange(b, 1<<40, 100); all || err != nil {
		t.Errorf("a range with held bytes: %v, %v", all, err)
	}
	if _, length, _ := sys.FirstHeld(a, 1<<40, 100); length != 0 {
		t.Error("a range that could not be locked is locked in part")
	}
	if all, err := sys.TryLockRange(b, 1<<40+8, 100); !all || err != nil {
		t.Errorf("a free range: %v, %v", all, err)
	}
	if at, length, _ := sys.FirstHeld(a, 1<<40, 200); at != 1<<40+8 || length != 100 {
		t.Errorf("a held range is found at %#x, %d", at, length)
	}
}

func TestReadUpTo(t *testing.T) {
	fd := keep(sys.Memfd("multiproc-test", 10))(t)
	ok(t, sys.WriteAt(fd, []byte("abc"), 5))
	buf := make([]byte, 8)
	if n, err := sys.ReadUpTo(fd, buf, 4); n != 6 || err != nil || string(buf[:6]) != "\x00abc\x00\x00" {
		t.Errorf("ReadUpTo: %d, %v, %q", n, err, buf)
	}
	same, err := sys.OpenFDOf(os.Getpid(), fd, os.O_RDONLY)
	again := keep(same, err)(t)
	a, e1 := sys.Identity(fd)
	b, e2 := sys.Identity(again)
	_, e3 := sys.IdentityOf("/nowhere")
	if a != b || e1 != nil || e2 != nil || !errors.Is(e3, os.ErrNotExist) {
		t.Errorf("identities: %v, %v, %v, %v, %v", a, b, e1, e2, e3)
	}
	if total, available := sys.Memory(); total == 0 || available == 0 || available > total {
		t.Errorf("the machine has %d bytes, %d available", total, available)
	}
}
