package sys

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// Detach replaces the pages under mem, a whole shared mapping, by private zero pages, in one step: a reader or writer
// that comes late touches memory that nobody shares, and never faults. The file behind it is pinned no longer.
func Detach(mem []byte) error {
	if len(mem) == 0 {
		return nil
	}
	_, err := unix.MmapPtr(-1, 0, unsafe.Pointer(&mem[0]), uintptr(len(mem)), unix.PROT_READ|unix.PROT_WRITE,
		unix.MAP_FIXED|unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_NORESERVE)
	return err
}

// Discard gives the memory of a part of a shared mapping back, for all who share it; it reads as zeros afterwards. What is no
// shared mapping, or not any more, is refused.
func Discard(mem []byte) error { return unix.Madvise(mem, unix.MADV_REMOVE) }
