package sys

import (
	"fmt"
	"io"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// Reopen opens the file behind fd anew: a file description of its own, which shares no byte-range locks and no offset
// with the one that fd came from.
func Reopen(fd int) (int, error) {
	nfd, err := retry(func() (int, error) {
		return unix.Open("/proc/self/fd/"+strconv.Itoa(fd), unix.O_RDWR|unix.O_CLOEXEC, 0)
	})
	if err != nil {
		return -1, fmt.Errorf("open a description of one's own by /proc/self/fd (is /proc mounted?): %w", err)
	}
	return nfd, nil
}

// ReopenToRead is [Reopen] for reading alone.
func ReopenToRead(fd int) (int, error) {
	return OpenFile("/proc/self/fd/"+strconv.Itoa(fd), unix.O_RDONLY, 0)
}

// OpenFile opens path; flags as for open(2), O_CLOEXEC added.
func OpenFile(path string, flags int, mode uint32) (int, error) {
	return retry(func() (int, error) { return unix.Open(path, flags|unix.O_CLOEXEC, mode) })
}

// TempFile creates a nameless file in dir, to be published by [LinkFile] once it is whole.
func TempFile(dir string, mode uint32) (int, error) {
	return OpenFile(dir, unix.O_TMPFILE|unix.O_RDWR, mode)
}

// LinkFile publishes the file behind fd under path; it fails with EEXIST when the name is taken.
func LinkFile(fd int, path string) error {
	return unix.Linkat(unix.AT_FDCWD, "/proc/self/fd/"+strconv.Itoa(fd), unix.AT_FDCWD, path, unix.AT_SYMLINK_FOLLOW)
}

// Allocate sets the file's size and reserves its memory, so that a full file system is an error here and not a fault later.
func Allocate(fd int, size int64) error {
	for {
		if err := unix.Fallocate(fd, 0, 0, size); err != unix.EINTR {
			return err
		}
	}
}

// FileSize returns the size of the file behind fd in bytes.
func FileSize(fd int) (int64, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return 0, err
	}
	return st.Size, nil
}

// WriteAt writes b to the file behind fd at off, past any mapping. A short write is an error.
func WriteAt(fd int, b []byte, off int64) error {
	for {
		n, err := unix.Pwrite(fd, b, off)
		switch {
		case err == unix.EINTR:
		case err == nil && n != len(b):
			return io.ErrShortWrite
		default:
			return err
		}
	}
}

// ReadUpTo reads from the file behind fd at off, past any mapping: it never faults, whoever truncates the file. It returns how many bytes there
// were, at most len(b).
func ReadUpTo(fd int, b []byte, off int64) (int, error) {
	for n := 0; ; {
		k, err := unix.Pread(fd, b[n:], off+int64(n))
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return n, err
		}
		if n += k; k == 0 || n == len(b) {
			return n, nil
		}
	}
}

// A FileID tells files apart, as long as they exist.
type FileID struct{ Dev, Ino uint64 }

// Identity returns which file fd is of.
func Identity(fd int) (FileID, error) {
	var st unix.Stat_t
	err := unix.Fstat(fd, &st)
	return FileID{uint64(st.Dev), st.Ino}, err
}

// IdentityOf returns which file stands under path, without following a symbolic link.
func IdentityOf(path string) (FileID, error) {
	var st unix.Stat_t
	err := unix.Lstat(path, &st)
	return FileID{uint64(st.Dev), st.Ino}, err
}

// OpenFDOf opens anew the file that another process has open as fd. The caller must be allowed to trace it: the same user, or root.
func OpenFDOf(pid, fd, flags int) (int, error) {
	return OpenFile("/proc/"+strconv.Itoa(pid)+"/fd/"+strconv.Itoa(fd), flags, 0)
}

// CloseFD closes fd.
func CloseFD(fd int) error { return unix.Close(fd) }

// DupFD duplicates fd with O_CLOEXEC; the copy shares the file description.
func DupFD(fd int) (int, error) { return unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3) }

// SetCloexec marks fd as not to be inherited by an exec.
func SetCloexec(fd int) error {
	_, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, unix.FD_CLOEXEC)
	return err
}

// IsExist reports whether err says that a name is taken.
func IsExist(err error) bool { return err == unix.EEXIST }

// IsFull reports whether err says that there is no memory, or no room in a file system, left.
func IsFull(err error) bool {
	return err == unix.ENOSPC || err == unix.ENOMEM || err == unix.EDQUOT || err == unix.EFBIG
}

func retry(f func() (int, error)) (int, error) {
	for {
		fd, err := f()
		if err != syscall.EINTR {
			return fd, err
		}
	}
}

// NoFollow is the open flag that refuses a symbolic link.
const NoFollow = unix.O_NOFOLLOW
