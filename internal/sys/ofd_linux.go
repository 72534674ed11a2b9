package sys

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// Open-file-description locks: owned by the description, not by the process, so they end when the last descriptor *and*
// the last mapping made through it are gone. That is the proof of death that package owner stands on.

// TryLockByte takes the exclusive lock of the byte at off for fd's description. It reports false when another holds it.
func TryLockByte(fd int, off int64) (bool, error) { return TryLockRange(fd, off, 1) }

// UnlockByte releases the byte at off.
func UnlockByte(fd int, off int64) error {
	l := unix.Flock_t{Type: unix.F_UNLCK, Whence: 0, Start: off, Len: 1}
	return unix.FcntlFlock(uintptr(fd), unix.F_OFD_SETLK, &l)
}

// ByteHeld reports whether a description other than fd's holds the byte at off.
func ByteHeld(fd int, off int64) (bool, error) {
	l := unix.Flock_t{Type: unix.F_WRLCK, Whence: 0, Start: off, Len: 1}
	// Raw: it never blocks, and thousands of goroutines may call it at a time, which must not cost a thread each.
	_, _, errno := unix.RawSyscall(unix.SYS_FCNTL, uintptr(fd), unix.F_OFD_GETLK, uintptr(unsafe.Pointer(&l)))
	if errno != 0 {
		return false, errno
	}
	return l.Type != unix.F_UNLCK, nil
}

// TryLockRange takes the exclusive locks of n bytes from off on for fd's description, all of them or none. It reports false when another
// holds one.
func TryLockRange(fd int, off, n int64) (bool, error) {
	l := unix.Flock_t{Type: unix.F_WRLCK, Whence: 0, Start: off, Len: n}
	for {
		switch err := unix.FcntlFlock(uintptr(fd), unix.F_OFD_SETLK, &l); err {
		case nil:
			return true, nil
		case unix.EAGAIN, unix.EACCES:
			return false, nil
		case unix.EINTR:
		default:
			return false, err
		}
	}
}

// FirstHeld returns the first lock, of n bytes from off on, that a description other than fd's holds: where it begins and how long it is. length
// 0 says that there is none.
func FirstHeld(fd int, off, n int64) (at, length int64, err error) {
	l := unix.Flock_t{Type: unix.F_WRLCK, Whence: 0, Start: off, Len: n}
	if err := unix.FcntlFlock(uintptr(fd), unix.F_OFD_GETLK, &l); err != nil {
		return 0, 0, err
	}
	if l.Type == unix.F_UNLCK {
		return 0, 0, nil
	}
	if l.Len == 0 { // to the end of all files
		l.Len = 1<<62 - 1
	}
	return l.Start, l.Len, nil
}
