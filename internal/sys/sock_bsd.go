//go:build darwin || freebsd

package sys

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	msgNoSignal = 0 // the runtime ignores the signal
	msgCloexec  = 0
)

// Packets reports whether there are packet sockets with large messages in sealed files.
const Packets = false

// SocketPair returns two connected Unix-domain streams that do not block; packets are not available.
func SocketPair(packets bool) (a, b int, err error) {
	if packets {
		return -1, -1, Unsupported("a pair of packet sockets with large messages")
	}
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		return -1, -1, os.NewSyscallError("socketpair", err)
	}
	for _, fd := range fds {
		unix.CloseOnExec(fd)
		if err := unix.SetNonblock(fd, true); err != nil {
			unix.Close(fds[0])
			unix.Close(fds[1])
			return -1, -1, os.NewSyscallError("fcntl", err)
		}
	}
	return fds[0], fds[1], nil
}
