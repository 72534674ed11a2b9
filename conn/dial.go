package conn

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"time"

	"github.com/fb2d3dbd/multiproc/internal/sys"
)

// DialOptions are for connecting to a Listener. Nil and the zero value work.
type DialOptions struct {
	// Key authenticates both sides to each other; the listener has the same. Nil means no authentication.
	Key []byte
	// TLS encrypts a TCP connection. Without a ServerName the host of the address is taken for it.
	TLS *tls.Config
	// Retry has the dial tried again until ctx ends, while nobody listens at the address.
	Retry bool
	// HandshakeTimeout is how long the peer may take for the handshakes; 0 means 10 seconds.
	HandshakeTimeout time.Duration
}

const handshakeTimeout = 10 * time.Second

// Dial connects to a listener: one of this package or, over the networks "unix" and "tcp", CPython's multiprocessing.connection.Listener. The network is "unix" or "unixpacket" with the
// path of a socket, or an abstract name after an "@"; or "tcp", "tcp4" or "tcp6" with host:port. Between programs of this module, "unixpacket" gives
// a Conn over packets.
//
// ErrAuthentication says that the peer has another key or does not speak the protocol. ctx bounds the dial alone.
func Dial(ctx context.Context, network, address string, o *DialOptions) (*Conn, error) {
	if o == nil {
		o = &DialOptions{}
	}
	if err := checkKey(o.Key); err != nil {
		return nil, err
	}
	if err := checkNetwork(network, o.TLS); err != nil {
		return nil, err
	}
	c, err := connect(ctx, network, address, o.Retry)
	if err != nil {
		return nil, fmt.Errorf("conn: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, orTimeout(o.HandshakeTimeout))
	defer cancel()
	if o.TLS != nil {
		config := o.TLS
		if config.ServerName == "" && !config.InsecureSkipVerify {
			config = config.Clone()
			config.ServerName, _, _ = net.SplitHostPort(address)
		}
		return secured(ctx, tls.Client(c, config), o.Key, false)
	}
	return admitted(ctx, c, o.Key, false)
}

func orTimeout(d time.Duration) time.Duration {
	if d <= 0 {
		return handshakeTimeout
	}
	return d
}

// secured goes on with a connection once it is encrypted.
func secured(ctx context.Context, c *tls.Conn, key []byte, first bool) (*Conn, error) {
	if err := c.HandshakeContext(ctx); err != nil {
		c.Close()
		return nil, fmt.Errorf("conn: %w", err)
	}
	return admitted(ctx, c, key, first)
}

// admitted makes a Conn of a connection once both sides have proven that they have the key.
func admitted(ctx context.Context, nc net.Conn, key []byte, first bool) (*Conn, error) {
	c, err := NewConn(nc)
	if err != nil {
		nc.Close()
		return nil, err
	}
	if key != nil {
		if err := c.authenticate(ctx, key, first); err != nil {
			_ = c.Close() // the first error is the one that tells
			return nil, err
		}
	}
	return c, nil
}

// connect dials, again and again if it is to.
func connect(ctx context.Context, network, address string, again bool) (net.Conn, error) {
	var d net.Dialer
	for nap := time.Millisecond; ; nap = min(2*nap, 100*time.Millisecond) {
		c, err := d.DialContext(ctx, network, address)
		if end, has := ctx.Deadline(); has && errors.Is(err, os.ErrDeadlineExceeded) && !time.Now().Before(end) {
			err = fmt.Errorf("%w: %w", context.DeadlineExceeded, err) // the poller's timer was faster than the context's
		}
		if err == nil || !again || !nobody(err) {
			return c, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%w; at last: %w", ctx.Err(), err)
		case <-time.After(nap):
		}
	}
}

// nobody reports whether a dial failed for nobody listens there, yet: there is no socket, or it is not listening, or its backlog is full.
func nobody(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, sys.ECONNREFUSED) || errors.Is(err, sys.EAGAIN)
}

func checkNetwork(network string, secure *tls.Config) error {
	switch network {
	case "tcp", "tcp4", "tcp6":
		return nil
	case "unix":
	case "unixpacket":
		if !sys.Packets {
			return fmt.Errorf("conn: %w", sys.Unsupported("the network unixpacket"))
		}
	default:
		return fmt.Errorf("conn: network %q: it is unix, unixpacket, tcp, tcp4 or tcp6", network)
	}
	if secure != nil {
		return fmt.Errorf("conn: TLS goes over TCP only, not over %q", network)
	}
	return nil
}
