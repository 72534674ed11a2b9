package bench

import (
	"context"
	"fmt"
	"runtime"
	"syscall"
	"time"
	"unsafe"
)

// memfdCreate is the number of the call, which package syscall does not have everywhere.
var memfdCreate = map[string]uintptr{"amd64": 319, "arm64": 279, "riscv64": 279, "loong64": 279, "386": 356, "arm": 385}[runtime.GOARCH]

// memfdSegment makes, maps and drops anonymous files by the bare calls.
func memfdSegment() Impl {
	missing := func() string {
		if memfdCreate == 0 {
			return "the number of memfd_create is not known on " + runtime.GOARCH
		}
		return ""
	}
	return kernelImpl("memfd", missing, func(ctx context.Context, n int) (time.Duration, error) {
		return timed(ctx, n, oneMemfd)
	})
}

func oneMemfd() error {
	const closeOnExec = 1 // MFD_CLOEXEC
	name := []byte("bench\x00")
	fd, _, errno := syscall.Syscall(memfdCreate, uintptr(unsafe.Pointer(&name[0])), closeOnExec, 0)
	if errno != 0 {
		return fmt.Errorf("memfd_create: %w", errno)
	}
	defer syscall.Close(int(fd))
	if err := syscall.Ftruncate(int(fd), segmentSize); err != nil {
		return fmt.Errorf("ftruncate: %w", err)
	}
	mem, err := syscall.Mmap(int(fd), 0, segmentSize, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		return fmt.Errorf("mmap: %w", err)
	}
	mem[0] = 1
	return syscall.Munmap(mem)
}
