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

// SendMessage sends the parts one after the other, in one message of a packet socket, together with up to MaxRights descriptors. It
// never blocks: it returns EAGAIN instead.
func SendMessage(fd int, parts [][]byte, rights []int) (int, error) {
	var oob []byte
	if len(rights) > 0 {
		oob = unix.UnixRights(rights...)
	}
	for {
		n, err := unix.SendmsgBuffers(fd, parts, oob, nil, unix.MSG_DONTWAIT|msgNoSignal)
		if err != unix.EINTR {
			return n, err
		}
	}
}

// ReceiveMessage receives into the parts one after the other; oob is room for descriptors, RightsRoom or nothing. It never
// blocks: it returns EAGAIN instead.
func ReceiveMessage(fd int, parts [][]byte, oob []byte) (r Received, err error) {
	var oobn, flags int
	for {
		r.N, oobn, flags, _, err = unix.RecvmsgBuffers(fd, parts, oob, unix.MSG_DONTWAIT|msgCloexec)
		if err != unix.EINTR {
			break
		}
	}
	if err != nil {
		return Received{}, err
	}
	r.Cut, r.Lost = flags&unix.MSG_TRUNC != 0, flags&unix.MSG_CTRUNC != 0
	if oobn > 0 {
		if err := r.rights(oob[:oobn]); err != nil {
			return Received{}, err
		}
	}
	return r, nil
}
