package bench

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/fb2d3dbd/multiproc"
	"github.com/fb2d3dbd/multiproc/conn"
)

var connectKey = []byte("a key")

// connectTarget is somebody who connects to a listener again and again, or who accepts at one.
var connectTarget = multiproc.NewTarget("bench.connect", func(ctx context.Context, m member[string]) error {
	if m.Me == 1 {
		l, err := conn.Listen("unix", m.Arg, &conn.ListenOptions{Key: connectKey})
		if err != nil {
			return err
		}
		defer l.Close()
		if err := m.start(ctx); err != nil {
			return err
		}
		for range m.N {
			c, err := l.Accept(ctx)
			if err != nil {
				return err
			}
			if err := c.Close(); err != nil {
				return err
			}
		}
		return m.sent(ctx)
	}
	if err := m.start(ctx); err != nil {
		return err
	}
	for range m.N {
		c, err := conn.Dial(ctx, "unix", m.Arg, &conn.DialOptions{Key: connectKey})
		if err != nil {
			return err
		}
		if err := c.Close(); err != nil {
			return err
		}
	}
	return m.done(ctx, m.N, 0)
})

func multiprocConnect() Impl {
	return multiprocImpl(func(ctx context.Context, n int) (time.Duration, error) {
		dir, err := os.MkdirTemp("", "multiproc-bench-")
		if err != nil {
			return 0, err
		}
		defer os.RemoveAll(dir)
		elapsed, total, err := runCrew(ctx, connectTarget, n, 2, filepath.Join(dir, "s"))
		if err != nil {
			return 0, err
		}
		return elapsed, verdict(n, total.Count, uint64(n)*uint64(n-1)/2)
	})
}

// socketConnect connects without any handshake, and reads until the other side has closed.
func socketConnect() Impl {
	return kernelImpl("unixsocket", socketMissing, func(ctx context.Context, n int) (elapsed time.Duration, err error) {
		dir, err := os.MkdirTemp("", "multiproc-bench-")
		if err != nil {
			return 0, err
		}
		defer os.RemoveAll(dir)
		l, err := net.Listen("unix", filepath.Join(dir, "s"))
		if err != nil {
			return 0, err
		}
		l.(*net.UnixListener).SetUnlinkOnClose(false)
		f, err := l.(*net.UnixListener).File()
		l.Close() // the helper's alone, so that its end is the end of every connection that it has not accepted
		if err != nil {
			return 0, err
		}
		h, err := startHelper(ctx, helperAccept, f, nil, 1, n+1)
		f.Close()
		if err != nil {
			return 0, err
		}
		defer func() { err = h.wait(ctx, err) }()
		var begin int64
		for i := range n + 1 { // the first waits for the helper to start
			if i == 1 {
				begin = monotonic()
			}
			c, err := net.Dial("unix", l.Addr().String())
			if err != nil {
				return 0, err
			}
			if _, err := c.Read(make([]byte, 1)); err == nil {
				return 0, errTorn
			}
			c.Close()
		}
		return time.Duration(monotonic() - begin), nil
	})
}

// accept is the helper that accepts n connections and closes them.
func accept(in *os.File, n int) error {
	l, err := net.FileListener(in)
	if err != nil {
		return err
	}
	for range n {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		c.Close()
	}
	return nil
}
