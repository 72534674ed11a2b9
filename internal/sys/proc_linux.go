package sys

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// StartTime returns the time at which a process started, in clock ticks since boot: with its pid, the name of one
// incarnation of a process.
func StartTime(pid int) (uint64, error) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, err
	}
	// The name, in parentheses, may hold anything; the fields after it are plain. Start time is field 22.
	i := bytes.LastIndexByte(b, ')')
	f := bytes.Fields(b[i+1:])
	if i < 0 || len(f) < 20 {
		return 0, fmt.Errorf("/proc/%d/stat: unexpected form", pid)
	}
	return strconv.ParseUint(string(f[19]), 10, 64)
}

// DieWithParent sets up attr so that the kernel kills the child when the *thread* that starts it ends. The caller starts
// it from a thread that lives as long as its process.
func DieWithParent(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGKILL }

// SelfExe names the running executable, also when its file has been replaced or deleted since.
const SelfExe = "/proc/self/exe"

// waitReadable blocks, in the runtime's poller and not in a thread, until f is readable.
func waitReadable(f *os.File) error {
	rc, err := f.SyscallConn()
	if err != nil {
		return err
	}
	ready := false
	return rc.Read(func(fd uintptr) bool {
		if ready { // the poller said so
			return true
		}
		p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(p, 0)
		ready = true
		return err == nil && n > 0
	})
}

// PidFD makes the start of a process store a descriptor for it in *fd.
func PidFD(attr *syscall.SysProcAttr, fd *int) { attr.PidFD = fd }
