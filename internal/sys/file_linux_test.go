package sys_test

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/fb2d3dbd/multiproc/internal/proctest"
	"github.com/fb2d3dbd/multiproc/internal/sys"
)

func ok(t testing.TB, err error) {
	if err != nil {
		t.Helper()
		t.Fatal(err)
	}
}

func wantErr(t testing.TB, what string, err, want error) {
	if !errors.Is(err, want) {
		t.Helper()
		t.Errorf("%s: got error %v, want %v", what, err, want)
	}
}

// keep returns the descriptor that a call returned, to be closed at the end of the test.
func keep(fd int, err error) func(testing.TB) int {
	return func(t testing.TB) int {
		t.Helper()
		ok(t, err)
		t.Cleanup(func() { ok(t, sys.CloseFD(fd)) })
		return fd
	}
}

func size(t testing.TB, fd int) int64 {
	t.Helper()
	n, err := sys.FileSize(fd)
	ok(t, err)
	return n
}

func cloexec(t testing.TB, fd int) bool {
	t.Helper()
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	ok(t, err)
	return flags&unix.FD_CLOEXEC != 0
}

// Nobody who has an anonymous segment, by whatever descriptor, can make another fault by a change of its size.
func TestMemfd(t *testing.T) {
	const page = 4096
	fd := keep(sys.Memfd("multiproc-test", 2*page))(t)
	again := keep(sys.Reopen(fd))(t)
	dup := keep(sys.DupFD(fd))(t)
	for what, fd := range map[string]int{"made": fd, "opened again": again, "duplicated": dup} {
		if !sys.Sealed(fd) {
			t.Errorf("%s: not sealed", what)
		}
		if !cloexec(t, fd) {
			t.Errorf("%s: an exec inherits it", what)
		}
		wantErr(t, what+": to shrink", unix.Ftruncate(fd, page), unix.EPERM)
		wantErr(t, what+": to shrink to nothing", unix.Ftruncate(fd, 0), unix.EPERM)
		wantErr(t, what+": to grow", unix.Ftruncate(fd, 3*page), unix.EPERM)
		wantErr(t, what+": to allocate more", sys.Allocate(fd, 3*page), unix.EPERM)
		wantErr(t, what+": to write past the end", sys.WriteAt(fd, make([]byte, page), 2*page), unix.EPERM)
		_, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_WRITE)
		wantErr(t, what+": another seal", err, unix.EPERM)
		ok(t, sys.WriteAt(fd, []byte("hello"), 2*page-5))
		if n := size(t, fd); n != 2*page {
			t.Errorf("%s: %d bytes", what, n)
		}
	}
	_, err := sys.Memfd("multiproc-test", -1)
	wantErr(t, "a negative size", err, unix.EINVAL)
	if sys.Sealed(-1) {
		t.Error("no descriptor at all is sealed")
	}
}

func TestScratch(t *testing.T) {
	fd := keep(sys.Scratch("multiproc-test"))(t)
	if size(t, fd) != 0 || sys.Sealed(fd) || !cloexec(t, fd) {
		t.Errorf("%d bytes, sealed %v, close-on-exec %v", size(t, fd), sys.Sealed(fd), cloexec(t, fd))
	}
	ok(t, sys.WriteAt(fd, []byte("hello"), 10))
	if n := size(t, fd); n != 15 {
		t.Errorf("%d bytes after a write to its end", n)
	}
}

func TestOpenFile(t *testing.T) {
	dir := t.TempDir()
	path, link := filepath.Join(dir, "file"), filepath.Join(dir, "link")
	_, err := sys.OpenFile(path, os.O_RDWR, 0)
	wantErr(t, "a file that is not there", err, os.ErrNotExist)
	fd := keep(sys.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600))(t)
	if !cloexec(t, fd) {
		t.Error("an exec inherits the file")
	}
	_, err = sys.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if !sys.IsExist(err) {
		t.Errorf("a name that is taken: %v", err)
	}
	ok(t, os.Symlink("file", link))
	keep(sys.OpenFile(link, os.O_RDWR, 0))(t)
	_, err = sys.OpenFile(link, os.O_RDWR|sys.NoFollow, 0)
	wantErr(t, "a symbolic link", err, unix.ELOOP)
	if sys.IsExist(err) || sys.IsExist(nil) {
		t.Error("IsExist takes another error for its own")
	}
}

// A file comes under its name whole or not at all.
func TestLinkFile(t *testing.T) {
	_, err := sys.TempFile(filepath.Join(t.TempDir(), "none"), 0o600)
	wantErr(t, "a directory that is not there", err, os.ErrNotExist)
	name := "/dev/shm/multiproc-" + proctest.SegmentName(t)
	fd := keep(sys.TempFile("/dev/shm", 0o600))(t)
	if !cloexec(t, fd) {
		t.Error("an exec inherits the file")
	}
	ok(t, sys.Allocate(fd, 5000))
	ok(t, sys.WriteAt(fd, []byte("hello"), 0))
	_, err = os.Stat(name)
	wantErr(t, "the name before LinkFile", err, os.ErrNotExist)
	ok(t, sys.LinkFile(fd, name))
	defer os.Remove(name)
	if b, err := os.ReadFile(name); err != nil || len(b) != 5000 || string(b[:5]) != "hello" {
		t.Errorf("the file has %d bytes, %v", len(b), err)
	}
	if err := sys.LinkFile(fd, name); !sys.IsExist(err) {
		t.Errorf("a name that is taken: %v", err)
	}
	wantErr(t, "no descriptor", sys.LinkFile(-1, name+"-other"), os.ErrNotExist)
}

func TestAllocate(t *testing.T) {
	fd := keep(sys.TempFile("/dev/shm", 0o600))(t)
	ok(t, sys.Allocate(fd, 10000))
	ok(t, sys.Allocate(fd, 10)) // it never shrinks a file
	if n := size(t, fd); n != 10000 {
		t.Errorf("%d bytes", n)
	}
	wantErr(t, "no bytes", sys.Allocate(fd, 0), unix.EINVAL)
	if err := sys.Allocate(fd, 1<<60); err == nil {
		t.Error("an exbibyte was reserved")
	}
	if n := size(t, fd); n != 10000 {
		t.Errorf("%d bytes after more were refused", n)
	}
}

func TestBadDescriptors(t *testing.T) {
	_, sizeErr := sys.FileSize(-1)
	_, dupErr := sys.DupFD(-1)
	_, lockErr := sys.TryLockByte(-1, 0)
	_, heldErr := sys.ByteHeld(-1, 0)
	for what, err := range map[string]error{
		"FileSize":    sizeErr,
		"DupFD":       dupErr,
		"TryLockByte": lockErr,
		"ByteHeld":    heldErr,
		"UnlockByte":  sys.UnlockByte(-1, 0),
		"Allocate":    sys.Allocate(-1, 1),
		"WriteAt":     sys.WriteAt(-1, []byte("x"), 0),
		"CloseFD":     sys.CloseFD(-1),
		"SetCloexec":  sys.SetCloexec(-1),
	} {
		wantErr(t, what, err, syscall.EBADF)
	}
	_, err := sys.Reopen(-1)
	wantErr(t, "Reopen", err, os.ErrNotExist)
}

func TestSetCloexec(t *testing.T) {
	fd := keep(sys.Scratch("multiproc-test"))(t)
	_, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, 0)
	ok(t, err)
	ok(t, sys.SetCloexec(fd))
	if !cloexec(t, fd) {
		t.Error("an exec still inherits the descriptor")
	}
}
