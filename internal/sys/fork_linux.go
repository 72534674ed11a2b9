package sys

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// What the child of a fork does before anything of the program runs in it, and what its parent does for those that failed.

// Remap puts a mapping of the file behind fd in the place of mem, a whole shared mapping, in one step.
func Remap(mem []byte, fd int) error {
	if len(mem) == 0 {
		return nil
	}
	_, err := unix.MmapPtr(fd, 0, unsafe.Pointer(&mem[0]), uintptr(len(mem)), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_FIXED|unix.MAP_SHARED)
	return err
}

// DieWithThread has the kernel kill this process when the thread ends that the kernel takes for its parent.
func DieWithThread() error {
	return unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0)
}

// DupOver makes descriptor to, which stays open over an exec, another name of what fd is.
func DupOver(fd, to int) error {
	for {
		if err := unix.Dup3(fd, to, 0); err != unix.EINTR && err != unix.EBUSY {
			return err
		}
	}
}

// OpenDir opens a directory, to be changed to.
func OpenDir(path string) (int, error) {
	return retry(func() (int, error) { return unix.Open(path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0) })
}

// ChangeDir makes the directory behind fd the working directory.
func ChangeDir(fd int) error { return unix.Fchdir(fd) }

// ThreadChildren lists the children that the kernel takes for those of the calling thread: started by it, or, by others, as siblings
// of what it has started.
func ThreadChildren() ([]int, error) {
	b, err := os.ReadFile("/proc/self/task/" + strconv.Itoa(unix.Gettid()) + "/children")
	if err != nil {
		return nil, err
	}
	var all []int
	for _, f := range strings.Fields(string(b)) {
		pid, err := strconv.Atoi(f)
		if err != nil {
			return nil, fmt.Errorf("/proc/self/task/*/children: unexpected form")
		}
		all = append(all, pid)
	}
	return all, nil
}

// KillChild kills a child and waits until it is gone.
func KillChild(pid int) error {
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		return err
	}
	for {
		if _, err := unix.Wait4(pid, nil, 0, nil); err != unix.EINTR {
			return err
		}
	}
}

// WipedPage returns memory of this process alone, which in the child of a fork is zeros.
func WipedPage() ([]byte, error) {
	mem, err := unix.Mmap(-1, 0, os.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return nil, err
	}
	if err := unix.Madvise(mem, unix.MADV_WIPEONFORK); err != nil {
		unix.Munmap(mem)
		return nil, err
	}
	return mem, nil
}
