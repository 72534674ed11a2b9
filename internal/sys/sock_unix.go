//go:build linux || darwin || freebsd

package sys

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// A SocketKind says what a descriptor is to those who exchange messages over it.
type SocketKind int

// The kinds of descriptors.
const (
	NoSocket     SocketKind = iota // a pipe or another file
	StreamSocket                   // bytes without borders
	PacketSocket                   // whole messages, in order (SOCK_SEQPACKET)
	OtherSocket                    // datagrams and the rest
)

// KindOf returns the kind of a descriptor, and whether it is a Unix-domain socket, which can carry descriptors.
func KindOf(fd int) (kind SocketKind, unixDomain bool, err error) {
	t, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	if err == unix.ENOTSOCK {
		return NoSocket, false, nil
	}
	if err != nil {
		return OtherSocket, false, os.NewSyscallError("getsockopt", err)
	}
	kind = OtherSocket
	switch t {
	case unix.SOCK_STREAM:
		kind = StreamSocket
	case unix.SOCK_SEQPACKET:
		kind = PacketSocket
	}
	sa, err := unix.Getsockname(fd)
	_, unixDomain = sa.(*unix.SockaddrUnix)
	return kind, unixDomain && err == nil, nil
}

// CloseRights closes descriptors that a message carried.
func CloseRights(fds []int) {
	for _, fd := range fds {
		unix.Close(fd)
	}
}

// DupRight duplicates a descriptor for a message; the copy shares the file description and is not inherited by an exec.
func DupRight(fd int) (int, error) {
	n, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
	return n, os.NewSyscallError("fcntl", err)
}

// SetNonblock makes calls on fd return at once; it concerns everybody who shares the file description.
func SetNonblock(fd int) error { return os.NewSyscallError("fcntl", unix.SetNonblock(fd, true)) }

// AccessMode returns whether the file behind fd was opened for reading and for writing.
func AccessMode(fd int) (read, write bool, err error) {
	n, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	if err != nil {
		return false, false, os.NewSyscallError("fcntl", err)
	}
	mode := n & unix.O_ACCMODE
	return mode != unix.O_WRONLY, mode != unix.O_RDONLY, nil
}

// ShutdownSocket ends one direction of a socket, for all who share it.
func ShutdownSocket(fd int, write bool) error {
	how := unix.SHUT_RD
	if write {
		how = unix.SHUT_WR
	}
	return os.NewSyscallError("shutdown", unix.Shutdown(fd, how))
}

// MaxRights is the most descriptors that one message of a socket carries.
const MaxRights = 253

// RightsRoom is the room that MaxRights descriptors take in a control message.
var RightsRoom = unix.CmsgSpace(4 * MaxRights)

// A Received says what came with the bytes of a message.
type Received struct {
	N      int
	Rights []int // descriptors, which the receiver closes
	Cut    bool  // the message was longer than the room for its bytes
	Lost   bool  // descriptors were lost: the process has no place for them
}

// rights adds the descriptors in a control message to what was received.
func (r *Received) rights(oob []byte) error {
	messages, err := unix.ParseSocketControlMessage(oob)
	for i := range messages {
		fds, e := unix.ParseUnixRights(&messages[i])
		if e != nil {
			err = e
			continue
		}
		r.Rights = append(r.Rights, fds...)
	}
	if err != nil {
		CloseRights(r.Rights)
		return err
	}
	if msgCloexec == 0 {
		for _, fd := range r.Rights {
			unix.CloseOnExec(fd)
		}
	}
	return nil
}

// ReadFD reads from fd, which does not block.
func ReadFD(fd int, b []byte) (int, error) {
	for {
		n, err := unix.Read(fd, b)
		if err != unix.EINTR {
			return max(n, 0), err
		}
	}
}

// WriteParts writes the parts to fd, which does not block, as far as they go.
func WriteParts(fd int, parts [][]byte) (int, error) {
	total := 0
	for _, p := range parts {
		for len(p) > 0 {
			n, err := unix.Write(fd, p)
			if err == unix.EINTR {
				continue
			}
			if err != nil {
				if total > 0 {
					return total, nil
				}
				return 0, err
			}
			total += n
			p = p[n:]
		}
	}
	return total, nil
}

// Readable reports whether a read of fd would return at once, be it with an end of file.
func Readable(fd int) bool {
	p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(p, 0)
		if err != unix.EINTR {
			return err != nil || n > 0
		}
	}
}

// The errors of sockets, by names that every platform has.
const (
	EPIPE      = syscall.EPIPE
	ECONNRESET = syscall.ECONNRESET
	EMSGSIZE   = syscall.EMSGSIZE

	ECONNREFUSED = syscall.ECONNREFUSED
)

// SetBacklog sets how many connections the kernel keeps for a listening socket.
func SetBacklog(fd, n int) error { return os.NewSyscallError("listen", unix.Listen(fd, n)) }

// LockDir takes the advisory lock of a directory, or returns EAGAIN. It ends with the process that holds it.
func LockDir(dir string) (unlock func(), err error) {
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: dir, Err: err}
	}
	for {
		if err = unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); err != unix.EINTR {
			break
		}
	}
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	return func() { unix.Close(fd) }, nil
}
