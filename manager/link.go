package manager

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"time"

	"github.com/fb2d3dbd/multiproc/conn"
)

// A link carries frames between a client and a server, whole and in order. One goroutine at a time sends, and one receives.
type link interface {
	// send sends a frame, waiting for room until ctx ends. After an error other than those of ctx and of the size of the frame the link is of no use. The peer has not got
	// the frame then, but for errUnsure.
	send(ctx context.Context, frame []byte) error
	// trySend sends a frame if it can do so at once, and reports whether it did; else nothing of it was sent.
	trySend(frame []byte) (bool, error)
	// recv returns the next frame, which is valid until the next call. If ctx ends, the next call goes on. The error is io.EOF when the peer has
	// closed the link or died, and errDied if it is known to have died.
	recv(ctx context.Context) ([]byte, error)
	// close ends the link, and sends and receives under way in other goroutines.
	close()
	// local reports whether the peer is a process of this machine, whose death is the end of the link.
	local() bool
}

var errDied = errors.New("manager: the peer died")

// errUnsure says that the link is of no use, and that the peer may have got a frame or not.
var errUnsure = errors.New("manager: the link ended when a frame was sent")

// connLink sends frames as the messages of a connection.
type connLink struct {
	c       *conn.Conn
	buf     []byte
	onNet   bool
	tls     bool // looking takes more than a system call
	maximum int
	silence time.Duration // after which the peer is given up; 0: never

	looks time.Duration // how long to look for a message before sleeping for it
	calm  int           // waits since looking was last tried, when it brings nothing
}

func newConnLink(c *conn.Conn, maximum int) *connLink {
	network := ""
	if a := c.RemoteAddr(); a != nil {
		network = a.Network()
	}
	c.SetLimit(int64(maximum))
	_, err := c.FD()
	return &connLink{
		c: c, buf: make([]byte, 4<<10), onNet: network != "unix" && network != "unixpacket" && network != "", tls: errors.Is(err, errors.ErrUnsupported),
		maximum: maximum, looks: longestLook,
	}
}

func (l *connLink) send(ctx context.Context, frame []byte) error {
	if len(frame) > l.maximum {
		return refuse(ErrTooLarge, "a message of %d bytes; at most %d are allowed", len(frame), l.maximum)
	}
	if ctx.Done() == nil {
		return l.c.SendBytes(ctx, frame)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	// A frame that is cut is the end of the link: the peer has a while more than ctx to take it.
	own, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := context.AfterFunc(ctx, func() {
		select {
		case <-time.After(cancelGrace):
			cancel()
		case <-own.Done():
		}
	})
	defer stop()
	if err := l.c.SendBytes(own, frame); err != nil {
		return fmt.Errorf("manager: a frame was not sent: %v", err) // which is not ctx's error, whatever it is
	}
	return nil
}

// trySend never does: a frame that was begun has to be ended.
func (l *connLink) trySend([]byte) (bool, error) { return false, nil }

func (l *connLink) recv(ctx context.Context) ([]byte, error) {
	if l.silence > 0 {
		_ = l.c.SetReadDeadline(time.Now().Add(l.silence)) // a closed Conn says so below
	}
	if frame, err := l.look(); err != conn.ErrEmpty {
		return frame, err
	}
	n, err := l.c.RecvInto(ctx, l.buf)
	if err == nil {
		return l.buf[:n], nil
	}
	if long, ok := errors.AsType[*conn.TooShortError](err); ok {
		return long.Message, nil
	}
	if errors.Is(err, conn.ErrTooLarge) {
		return nil, fmt.Errorf("%w: %w", ErrTooLarge, err)
	}
	return nil, err
}

const (
	longestLook  = 40 * time.Microsecond // an answer takes 10, and to sleep and be woken twice as long
	shortestLook = 5 * time.Microsecond
	calmWaits    = 64
)

// look looks for a message for a while: who has just sent something is mostly answered soon, and to be woken costs more. Where looking brings nothing it is left, and
// tried again from time to time.
func (l *connLink) look() ([]byte, error) {
	if !looking || l.tls {
		return nil, conn.ErrEmpty
	}
	if l.looks < shortestLook {
		if l.calm++; l.calm < calmWaits {
			return nil, conn.ErrEmpty
		}
		l.looks, l.calm = longestLook/2, 0
	}
	for begin := time.Now(); time.Since(begin) < l.looks; runtime.Gosched() {
		b, err := l.c.TryRecvBytes()
		if err == conn.ErrEmpty {
			continue
		}
		if errors.Is(err, conn.ErrTooLarge) {
			err = fmt.Errorf("%w: %w", ErrTooLarge, err)
		}
		l.looks = min(l.looks+shortestLook, longestLook)
		return b, err
	}
	l.looks /= 2
	return nil, conn.ErrEmpty
}

// looking says whether the peer can send while this process looks.
var looking = runtime.NumCPU() > 1

func (l *connLink) close()      { _ = l.c.Close() }
func (l *connLink) local() bool { return !l.onNet }

// over reports whether an error of recv says that the peer has ended the link.
func over(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, errDied) || errors.Is(err, conn.ErrBroken) || errors.Is(err, conn.ErrPeerClosed)
}
