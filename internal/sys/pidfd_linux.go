package sys

import (
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// A ProcessFD is a descriptor of another process, in the runtime's poller: waiting for the end of the process takes no thread.
type ProcessFD struct{ f *os.File }

// OpenProcess opens the process that has this pid now, in the caller's pid namespace. The error matches os.ErrProcessDone
// when there is none. A zombie can be opened.
func OpenProcess(pid int) (*ProcessFD, error) {
	fd, err := unix.PidfdOpen(pid, 0) // with close-on-exec, always
	if err == unix.ESRCH {
		return nil, fmt.Errorf("open process %d: %w", pid, os.ErrProcessDone)
	}
	if err == nil {
		if err = unix.SetNonblock(fd, true); err != nil {
			unix.Close(fd)
		}
	}
	if err == syscall.ENOSYS {
		return nil, Unsupported("a descriptor of a process")
	}
	if err != nil {
		return nil, fmt.Errorf("open process %d: %w", pid, err)
	}
	return &ProcessFD{os.NewFile(uintptr(fd), "pidfd")}, nil
}

// Wait returns nil once the process has ended, its memory included, and an error after Close. It blocks in the poller.
func (p *ProcessFD) Wait() error { return waitReadable(p.f) }

// Close closes the descriptor and ends the Waits.
func (p *ProcessFD) Close() { p.f.Close() }

// AsProcess makes a ProcessFD of a pidfd, which it takes over.
func AsProcess(fd int) (*ProcessFD, error) {
	if fd < 0 {
		return nil, Unsupported("a descriptor of a process")
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("descriptor of a process: %w", err)
	}
	return &ProcessFD{os.NewFile(uintptr(fd), "pidfd")}, nil
}
