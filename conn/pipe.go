package conn

import (
	"errors"
	"fmt"
	"os"

	"github.com/fb2d3dbd/multiproc/internal/sys"
)

// Pipe returns the two ends of a new connection: of packets where the platform has them, else of a stream. If duplex is false, a can only receive and b only send.
func Pipe(duplex bool) (a, b *Conn, err error) {
	x, y, err := sys.SocketPair(true)
	if errors.Is(err, errors.ErrUnsupported) {
		x, y, err = sys.SocketPair(false)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("conn: %w", err)
	}
	if !duplex {
		err = errors.Join(sys.ShutdownSocket(x, true), sys.ShutdownSocket(y, false))
	}
	a, errA := fromSocket(os.NewFile(uintptr(x), "pipe"))
	b, errB := fromSocket(os.NewFile(uintptr(y), "pipe"))
	if err = errors.Join(err, errA, errB); err != nil {
		return nil, nil, err
	}
	if !duplex {
		a.oneWay(true)
		b.oneWay(false)
	}
	return a, b, nil
}

// oneWay takes one direction away.
func (c *Conn) oneWay(read bool) {
	if read {
		c.writable, c.out.err = false, ErrOneWay
	} else {
		c.readable, c.in.err = false, ErrOneWay
	}
}
