package zygote

import (
	"fmt"
	"os"
	"syscall"

	"github.com/fb2d3dbd/multiproc/internal/sys"
)

// A link is the asker's end of the pair of sockets between it and its zygote. Nobody else has either end, and nobody can connect. Sending and
// receiving wait in the runtime's poller.
type link struct{ f *os.File }

// newLink makes a pair. The zygote's end blocks.
func newLink() (*link, *os.File, error) {
	a, b, err := sys.SocketPair(true)
	if err != nil {
		return nil, nil, err
	}
	if err := syscall.SetNonblock(b, false); err != nil {
		sys.CloseFD(a)
		sys.CloseFD(b)
		return nil, nil, fmt.Errorf("socketpair: %w", err)
	}
	return &link{os.NewFile(uintptr(a), "zygote")}, os.NewFile(uintptr(b), "zygote"), nil
}

func (l *link) send(b []byte, fds []int) error {
	rc, err := l.f.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if err := rc.Write(func(fd uintptr) bool {
		_, failed = sys.SendMessage(int(fd), [][]byte{b}, fds)
		return failed != sys.EAGAIN
	}); err != nil {
		return err
	}
	return failed
}

// receive returns the next message, or nothing when all who have the other end are gone. What they had sent comes first.
func (l *link) receive(b []byte) ([]byte, error) {
	rc, err := l.f.SyscallConn()
	if err != nil {
		return nil, err
	}
	var r sys.Received
	var failed error
	if err := rc.Read(func(fd uintptr) bool {
		for {
			r, failed = sys.ReceiveMessage(int(fd), [][]byte{b}, nil)
			if failed != sys.ECONNRESET { // it is told once, before what is left, when the other side had not read all
				return failed != sys.EAGAIN
			}
		}
	}); err != nil {
		return nil, err
	}
	return b[:r.N], failed
}

func (l *link) close() { l.f.Close() }
