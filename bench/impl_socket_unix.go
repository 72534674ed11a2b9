//go:build unix

package bench

import (
	"fmt"
	"os"
	"syscall"
)

func socketMissing() string { return "" }

// newSocketPair makes two connected stream sockets in blocking mode.
func newSocketPair(size int, answers bool) (*link, error) {
	syscall.ForkLock.RLock()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fds[0])
		syscall.CloseOnExec(fds[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, fmt.Errorf("socketpair: %w", err)
	}
	for _, fd := range fds {
		_ = syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_SNDBUF, size) // the default serves as well
	}
	l := &link{out: os.NewFile(uintptr(fds[0]), "socket"), childIn: os.NewFile(uintptr(fds[1]), "socket of the helper")}
	if answers {
		l.in, l.childOut = l.out, l.childIn
	}
	return l, nil
}
