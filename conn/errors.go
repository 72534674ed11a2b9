package conn

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"

	"github.com/fb2d3dbd/multiproc/internal/layout"
	"github.com/fb2d3dbd/multiproc/internal/sys"
)

// Errors of this package. They are matched with errors.Is. The end of a connection is io.EOF.
var (
	// ErrClosed says that the Conn or Listener was closed in this process; it matches os.ErrClosed.
	ErrClosed = layout.ErrClosed
	// ErrFull says that a try found no room for the message.
	ErrFull = layout.ErrFull
	// ErrEmpty says that a try found no message.
	ErrEmpty = layout.ErrEmpty
	// ErrPeerClosed says to a sender that nobody has the peer's end open any more.
	ErrPeerClosed = errors.New("conn: the peer has closed or died")
	// ErrOneWay says that the Conn does not have the direction.
	ErrOneWay = errors.New("conn: the connection is open in the other direction only")
	// ErrTooLarge says that a message is longer than the receiver accepts.
	ErrTooLarge = layout.ErrTooLarge
	// ErrBroken says that a message was cut in the middle, or that what came is no message: nothing more can pass in this direction.
	ErrBroken = errors.New("conn: the stream is broken")
	// ErrInherited says that a stream belongs to the process that this one was forked from; see [Conn.Claim].
	ErrInherited = errors.New("conn: the stream belongs to the process that this one was forked from")
	// ErrProtocol says that a packet is none of this package's.
	ErrProtocol = errors.New("conn: packet of another protocol")
	// ErrAuthentication says that the peer does not have the same key, or does not speak the protocol.
	ErrAuthentication = errors.New("conn: authentication failed")
)

// A TooShortError says that a message was longer than the buffer for it. It has the message, which nobody will get again.
type TooShortError struct {
	Message []byte
	Room    int
}

// Unwrap returns [io.ErrShortBuffer].
func (e *TooShortError) Unwrap() error { return io.ErrShortBuffer }

// Error tells the two lengths.
func (e *TooShortError) Error() string {
	return fmt.Sprintf("conn: a message of %d bytes for a buffer of %d", len(e.Message), e.Room)
}

// errWait says within this package that a call of the kernel would have to wait.
var errWait = errors.New("conn: would wait")

// A resetError is the end of a connection whose peer died or closed it with messages unread.
type resetError struct{ err error }

func (e *resetError) Error() string {
	return "conn: the peer has died or closed with messages unread: " + e.err.Error()
}

func (e *resetError) Unwrap() error { return e.err }

func (e *resetError) Is(target error) bool { return target == io.EOF }

// outcome translates an error of the kernel or of package net.
func outcome(err error) error {
	switch {
	case err == nil, err == errWait, err == io.EOF:
		return err
	case errors.Is(err, os.ErrClosed), errors.Is(err, net.ErrClosed):
		return ErrClosed
	case errors.Is(err, os.ErrDeadlineExceeded):
		return os.ErrDeadlineExceeded
	case errors.Is(err, sys.EPIPE):
		return ErrPeerClosed
	default:
		return err
	}
}

// sending translates an error of a send. A socket whose peer has closed with messages unread, or has closed its listener without having accepted the
// connection, answers the first one with a reset.
func sending(err error) error {
	if errors.Is(err, sys.ECONNRESET) {
		return sys.EPIPE
	}
	return err
}

// gone reports whether err says no more than that the peer is gone.
func gone(err error) bool { return errors.Is(err, sys.EPIPE) || errors.Is(err, sys.ECONNRESET) }
