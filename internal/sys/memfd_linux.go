package sys

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Memfd creates an anonymous file of size bytes in memory. It can never be shrunk or grown afterwards, so that no
// sharer can make another fault by truncating it. Pages take no memory until they are touched.
func Memfd(name string, size int64) (int, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return -1, fmt.Errorf("memfd_create: %w", err)
	}
	if err := unix.Ftruncate(fd, size); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("size of anonymous memory to %d bytes: %w", size, err)
	}
	const seals = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_SEAL
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("seal anonymous memory: %w", err)
	}
	return fd, nil
}

// Sealed reports whether the file can neither shrink nor grow any more.
func Sealed(fd int) bool {
	const want = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW
	got, err := unix.FcntlInt(uintptr(fd), unix.F_GET_SEALS, 0)
	return err == nil && got&want == want
}

// Scratch creates an anonymous file of no size that may grow: a mailbox from a parent to its child.
func Scratch(name string) (int, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	if err != nil {
		return -1, fmt.Errorf("memfd_create: %w", err)
	}
	return fd, nil
}
