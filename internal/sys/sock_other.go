//go:build !(linux || darwin || freebsd)

package sys

import "syscall"

// A SocketKind says what a descriptor is to those who exchange messages over it.
type SocketKind int

// The kinds of descriptors.
const (
	NoSocket SocketKind = iota
	StreamSocket
	PacketSocket
	OtherSocket
)

// MaxRights is the most descriptors that one message of a socket carries.
const MaxRights = 253

// RightsRoom is the room that MaxRights descriptors take in a control message.
var RightsRoom = 0

// A Received says what came with the bytes of a message.
type Received struct {
	N      int
	Rights []int
	Cut    bool
	Lost   bool
}

// KindOf is not available.
func KindOf(fd int) (kind SocketKind, unixDomain bool, err error) {
	return OtherSocket, false, Unsupported("a raw socket")
}

// CloseRights does nothing.
func CloseRights(fds []int) {}

// DupRight is not available.
func DupRight(fd int) (int, error) { return -1, Unsupported("a raw descriptor") }

// SetNonblock is not available.
func SetNonblock(fd int) error { return Unsupported("a raw descriptor") }

// AccessMode is not available.
func AccessMode(fd int) (read, write bool, err error) {
	return false, false, Unsupported("a raw descriptor")
}

// ShutdownSocket is not available.
func ShutdownSocket(fd int, write bool) error { return Unsupported("a raw socket") }

// SocketPair is not available.
func SocketPair(packets bool) (a, b int, err error) { return -1, -1, Unsupported("a pair of sockets") }

// SendMessage is not available.
func SendMessage(fd int, parts [][]byte, rights []int) (int, error) {
	return 0, Unsupported("a raw socket")
}

// ReceiveMessage is not available.
func ReceiveMessage(fd int, parts [][]byte, oob []byte) (Received, error) {
	return Received{}, Unsupported("a raw socket")
}

// ReadFD is not available.
func ReadFD(fd int, b []byte) (int, error) { return 0, Unsupported("a raw descriptor") }

// WriteParts is not available.
func WriteParts(fd int, parts [][]byte) (int, error) { return 0, Unsupported("a raw descriptor") }

// Readable reports true.
func Readable(fd int) bool { return true }

// The errors of sockets, by names that every platform has.
const (
	EPIPE      = syscall.EPIPE
	ECONNRESET = syscall.ECONNRESET
	EMSGSIZE   = syscall.Errno(0x7fffffff)

	ECONNREFUSED = syscall.ECONNREFUSED
)

// Packets reports whether there are packet sockets.
const Packets = false

// SetBacklog is not available.
func SetBacklog(fd, n int) error { return Unsupported("the backlog of a listener") }

// LockDir locks nothing.
func LockDir(dir string) (unlock func(), err error) { return func() {}, nil }
