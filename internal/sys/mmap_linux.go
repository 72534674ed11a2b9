package sys

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// Map maps the first size bytes of the file behind fd, to be shared: for reading, and if write is set for writing. The mapping holds fd's own file
// description, and with it the locks of that. fd stays the caller's; an *os.File, which closes what it maps, would need a descriptor besides it.
func Map(fd, size int, write bool) ([]byte, error) {
	prot := unix.PROT_READ
	if write {
		prot |= unix.PROT_WRITE
	}
	mem, err := unix.MmapPtr(fd, 0, nil, uintptr(size), prot, unix.MAP_SHARED)
	if err != nil {
		return nil, err
	}
	return unsafe.Slice((*byte)(mem), size), nil
}

// Unmap gives back the whole of what [Map] has returned, also when it was detached since. Nobody may have it any more.
func Unmap(mem []byte) error {
	return unix.MunmapPtr(unsafe.Pointer(unsafe.SliceData(mem)), uintptr(len(mem)))
}

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

// AdviseHuge asks for huge pages under mem. It is advice: whether there are any is for the kernel and its settings.
func AdviseHuge(mem []byte) error { return unix.Madvise(mem, unix.MADV_HUGEPAGE) }

// Populate takes the memory under a mapping and maps it, so that later accesses do not fault. Where there is none left it returns an error; kernels before 5.14
// cannot, and the error matches errors.ErrUnsupported.
func Populate(mem []byte) error {
	for {
		switch err := unix.Madvise(mem, unix.MADV_POPULATE_WRITE); err {
		case unix.EINTR, unix.EAGAIN:
		case unix.EINVAL:
			return Unsupported("mapping memory in advance")
		case unix.EFAULT: // what would be a SIGBUS at an access
			return unix.ENOSPC
		default:
			return err
		}
	}
}
