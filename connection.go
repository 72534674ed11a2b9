package multiproc

import (
	"context"

	"github.com/fb2d3dbd/multiproc/conn"
	"github.com/fb2d3dbd/multiproc/internal/sharer"
)

// A Conn is one end of a connection over sockets; see conn.Conn. It may be part of the argument of a Start and of messages over connections.
type Conn = conn.Conn

// A Listener waits for connections; see conn.Listener.
type Listener = conn.Listener

// ListenOptions are for a new Listener; nil and the zero value work. See conn.ListenOptions.
type ListenOptions = conn.ListenOptions

// DialOptions are for connecting to a Listener; nil and the zero value work. See conn.DialOptions.
type DialOptions = conn.DialOptions

// Errors of connections. They are matched with errors.Is.
var (
	// ErrAuthentication says that the peer does not have the same key, or does not speak the protocol.
	ErrAuthentication = conn.ErrAuthentication
	// ErrBrokenConn says that a message was cut in the middle, or that what came is no message: nothing more can pass in this direction.
	ErrBrokenConn = conn.ErrBroken
	// ErrFileGone says that an open file in a message of a queue or pipe cannot be had any more: the process that put it has died.
	ErrFileGone = sharer.ErrGone
	// ErrMoved says that the Conn was sent to another process, which has it now; it matches os.ErrClosed.
	ErrMoved = conn.ErrMoved
)

// Listen makes a listener: for programs of this module, and for CPython's multiprocessing.connection.Client over the networks "unix" and "tcp".
// See conn.Listen.
func Listen(network, address string, o *ListenOptions) (*Listener, error) {
	return conn.Listen(network, address, o)
}

// Dial connects to a listener of this module or, over the networks "unix" and "tcp", to CPython's multiprocessing.connection.Listener. See conn.Dial.
func Dial(ctx context.Context, network, address string, o *DialOptions) (*Conn, error) {
	return conn.Dial(ctx, network, address, o)
}
