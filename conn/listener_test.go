package conn_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fb2d3dbd/multiproc/conn"
	"github.com/fb2d3dbd/multiproc/internal/proctest"
)

// places returns an address of every kind to listen at.
func places(t *testing.T) map[string][2]string {
	dir := tempDir(t)
	all := map[string][2]string{
		"unix path":      {"unix", filepath.Join(dir, "stream")},
		"unix abstract":  {"unix", "@" + strings.ReplaceAll(dir, "/", "-")},
		"unix made up":   {"unix", ""},
		"packet path":    {"unixpacket", filepath.Join(dir, "packets")},
		"packet made up": {"unixpacket", ""},
		"tcp":            {"tcp", "127.0.0.1:0"},
		"tcp made up":    {"tcp", ""},
	}
	return all
}

func listen(t *testing.T, network, address string, o *conn.ListenOptions) *conn.Listener {
	t.Helper()
	l := must(conn.Listen(network, address, o))(t)
	t.Cleanup(func() { check(t, l.Close()) })
	return l
}

type accepted struct {
	c   *conn.Conn
	err error
}

func accept(ctx context.Context, l *conn.Listener) <-chan accepted {
	ch := make(chan accepted, 1)
	go func() {
		c, err := l.Accept(ctx)
		ch <- accepted{c, err}
	}()
	return ch
}

func TestListener(t *testing.T) {
	for name, at := range places(t) {
		for _, key := range [][]byte{nil, []byte("secret")} {
			t.Run(name, func(t *testing.T) {
				ctx := proctest.Context(t)
				l := listen(t, at[0], at[1], &conn.ListenOptions{Key: key, Backlog: 3})
				if l.LastAccepted() != nil {
					t.Error("somebody was accepted before")
				}
				for range 3 {
					ch := accept(ctx, l)
					a := must(conn.Dial(ctx, at[0], l.Addr().String(), &conn.DialOptions{Key: key}))(t)
					got := <-ch
					check(t, got.err)
					if at[0] == "tcp" && l.LastAccepted().String() != a.LocalAddr().String() {
						t.Errorf("last accepted %v, dialled from %v", l.LastAccepted(), a.LocalAddr())
					}
					check(t, a.Send(ctx, "hello"))
					if s := must(conn.Recv[string](ctx, got.c))(t); s != "hello" {
						t.Errorf("got %q", s)
					}
					if a.Packets() != (at[0] == "unixpacket") || got.c.Packets() != a.Packets() {
						t.Errorf("packets: %v, %v", a.Packets(), got.c.Packets())
					}
					check(t, a.Close())
					check(t, got.c.Close())
				}
				check(t, l.Close())
				if path := l.Addr().String(); strings.HasPrefix(path, "/") {
					if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
						t.Errorf("the socket is still there: %v", err)
					}
				}
				_, err := l.Accept(ctx)
				want(t, err, os.ErrClosed)
			})
		}
	}
}

func TestTLS(t *testing.T) {
	ctx := proctest.Context(t)
	for _, key := range [][]byte{nil, []byte("secret")} {
		l := listen(t, "tcp", "127.0.0.1:0", &conn.ListenOptions{TLS: testTLS(t), Key: key})
		ch := accept(ctx, l)
		secure := testTLS(t)
		secure.ServerName = "" // it is taken from the address
		a := must(conn.Dial(ctx, "tcp", l.Addr().String(), &conn.DialOptions{TLS: secure, Key: key}))(t)
		got := <-ch
		check(t, got.err)
		go func() { _ = a.SendBytes(ctx, pattern(1<<20)) }()
		same(t, must(got.c.RecvBytes(ctx))(t), pattern(1<<20))
		_, err := a.FD()
		want(t, err, errors.ErrUnsupported)
		check(t, a.Close())
		check(t, got.c.Close())
		// One who does not speak TLS is refused.
		o := &conn.DialOptions{Key: []byte("secret"), HandshakeTimeout: 10 * time.Millisecond}
		if _, err := conn.Dial(ctx, "tcp", l.Addr().String(), o); err == nil {
			t.Error("connected without TLS")
		}
	}
	_, err := conn.Listen("unix", "", &conn.ListenOptions{TLS: testTLS(t)})
	if err == nil {
		t.Error("TLS over a path")
	}
}

func TestKeys(t *testing.T) {
	ctx := proctest.Context(t)
	if _, err := conn.Listen("unix", "", &conn.ListenOptions{Key: []byte{}}); err == nil {
		t.Error("an empty key was taken")
	}
	if _, err := conn.Dial(ctx, "unix", "@x", &conn.DialOptions{Key: []byte{}}); err == nil || strings.Contains(err.Error(), "connect") {
		t.Errorf("an empty key was taken: %v", err)
	}
	refused := make(chan error, 10)
	l := listen(t, "unix", "", &conn.ListenOptions{Key: []byte("right"), OnRefused: func(_ net.Addr, err error) { refused <- err }})
	ch := accept(ctx, l)
	_, err := conn.Dial(ctx, "unix", l.Addr().String(), &conn.DialOptions{Key: []byte("wrong")})
	want(t, err, conn.ErrAuthentication)
	want(t, <-refused, conn.ErrAuthentication)
	a := must(conn.Dial(ctx, "unix", l.Addr().String(), &conn.DialOptions{Key: []byte("right")}))(t)
	got := <-ch
	check(t, got.err)
	check(t, a.Close())
	check(t, got.c.Close())
}

// Peers that keep silent, send garbage or announce 2^63 bytes delay nobody, and are refused.
func TestHostilePeers(t *testing.T) {
	for _, network := range []string{"unix", "tcp"} {
		t.Run(network, func(t *testing.T) {
			ctx := proctest.Context(t)
			const silent = 20
			refused := make(chan error, 100)
			l := listen(t, network, "", &conn.ListenOptions{
				Key: []byte("secret"), Pending: silent + 10, HandshakeTimeout: time.Minute,
				OnRefused: func(_ net.Addr, err error) { refused <- err },
			})
			ch := accept(ctx, l)
			dial := func() net.Conn {
				c := must(net.Dial(network, l.Addr().String()))(t)
				t.Cleanup(func() { c.Close() })
				return c
			}
			for range silent {
				dial()
			}
			for _, say := range [][]byte{
				binary.BigEndian.AppendUint64([]byte{0xff, 0xff, 0xff, 0xff}, 1<<63),
				binary.BigEndian.AppendUint64([]byte{0xff, 0xff, 0xff, 0xff}, 1<<62),
				{0x7f, 0xff, 0xff, 0xff}, {0xff, 0xff, 0xff, 0xfe}, {0, 0, 1, 1},
				append([]byte{0, 0, 0, 32}, make([]byte, 32)...),
				[]byte("GET / HTTP/1.1\r\n\r\n"),
			} {
				c := dial()
				must(c.Write(say))(t)
				want(t, <-refused, conn.ErrAuthentication)
			}
			a := must(conn.Dial(ctx, network, l.Addr().String(), &conn.DialOptions{Key: []byte("secret")}))(t)
			got := <-ch
			check(t, got.err)
			check(t, a.Close())
			check(t, got.c.Close())
			check(t, l.Close()) // with those who keep silent
		})
	}
}

// When there are too many silent peers the oldest has to go.
func TestSilentPeersMakeRoom(t *testing.T) {
	ctx := proctest.Context(t)
	refused := make(chan error, 100)
	l := listen(t, "unix", "", &conn.ListenOptions{Key: []byte("secret"), Pending: 2, HandshakeTimeout: time.Hour,
		OnRefused: func(_ net.Addr, err error) { refused <- err }})
	ch := accept(ctx, l)
	for range 5 {
		c := must(net.Dial("unix", l.Addr().String()))(t)
		defer c.Close()
	}
	a := must(conn.Dial(ctx, "unix", l.Addr().String(), &conn.DialOptions{Key: []byte("secret")}))(t)
	got := <-ch
	check(t, got.err)
	check(t, a.Close())
	check(t, got.c.Close())
	for range 4 {
		<-refused
	}
}

func TestSilentPeerTimesOut(t *testing.T) {
	ctx := proctest.Context(t)
	refused := make(chan error, 1)
	l := listen(t, "unix", "", &conn.ListenOptions{Key: []byte("secret"), HandshakeTimeout: time.Millisecond,
		OnRefused: func(_ net.Addr, err error) { refused <- err }})
	ctx, cancel := context.WithCancel(ctx)
	ch := accept(ctx, l)
	c := must(net.Dial("unix", l.Addr().String()))(t)
	defer c.Close()
	err := <-refused
	want(t, err, conn.ErrAuthentication)
	want(t, err, context.DeadlineExceeded)
	cancel()
	want(t, (<-ch).err, context.Canceled)

	// And the other way round.
	silent := must(net.Listen("unix", filepath.Join(tempDir(t), "s")))(t)
	defer silent.Close()
	_, err = conn.Dial(proctest.Context(t), "unix", silent.Addr().String(), &conn.DialOptions{Key: []byte("k"), HandshakeTimeout: time.Millisecond})
	want(t, err, conn.ErrAuthentication)
	want(t, err, context.DeadlineExceeded)
}

func TestDialRetry(t *testing.T) {
	ctx := proctest.Context(t)
	path := filepath.Join(tempDir(t), "s")
	_, err := conn.Dial(ctx, "unix", path, nil)
	want(t, err, fs.ErrNotExist)
	short, cancel := context.WithTimeout(ctx, 5*time.Millisecond)
	defer cancel()
	_, err = conn.Dial(short, "unix", path, &conn.DialOptions{Retry: true})
	want(t, err, context.DeadlineExceeded)
	dialled := make(chan accepted, 1)
	go func() {
		c, err := conn.Dial(ctx, "unix", path, &conn.DialOptions{Retry: true})
		dialled <- accepted{c, err}
	}()
	l := listen(t, "unix", path, nil)
	got := must(l.Accept(ctx))(t)
	a := <-dialled
	check(t, a.err)
	check(t, a.c.Close())
	check(t, got.Close())
}

// An address in use is refused, and a socket whose owner is dead replaced.
func TestAddressInUse(t *testing.T) {
	path := filepath.Join(tempDir(t), "s")
	l := listen(t, "unix", path, nil)
	_, err := conn.Listen("unix", path, nil)
	want(t, err, syscall.EADDRINUSE)
	_, err = conn.Listen("unixpacket", path, nil)
	want(t, err, syscall.EADDRINUSE)
	check(t, l.Close())

	dead := must(net.Listen("unix", path))(t)
	dead.(*net.UnixListener).SetUnlinkOnClose(false)
	check(t, dead.Close())
	l = listen(t, "unix", path, nil)
	check(t, os.Remove(path))
	other := listen(t, "unix", path, nil)
	check(t, l.Close()) // leaves the other's socket alone
	must(os.Lstat(path))(t)
	check(t, other.Close())

	check(t, os.WriteFile(path, nil, 0o600))
	_, err = conn.Listen("unix", path, nil)
	want(t, err, syscall.EADDRINUSE)
	must(os.Lstat(path))(t)
}

// A connection that nobody has accepted when the listener closes is at its end for both directions.
func TestNeverAccepted(t *testing.T) {
	for _, network := range []string{"unix", "unixpacket"} {
		ctx := proctest.Context(t)
		l := listen(t, network, "", nil)
		c := must(conn.Dial(ctx, network, l.Addr().String(), nil))(t)
		check(t, l.Close())
		want(t, c.SendBytes(ctx, []byte("x")), conn.ErrPeerClosed)
		_, err := c.RecvBytes(ctx)
		want(t, err, io.EOF)
		check(t, c.Close())
	}
}

func TestBadNetworks(t *testing.T) {
	for _, network := range []string{"", "udp", "unixgram", "pipe"} {
		if _, err := conn.Listen(network, "", nil); err == nil {
			t.Errorf("listens on network %q", network)
		}
		if _, err := conn.Dial(context.Background(), network, "x", nil); err == nil {
			t.Errorf("dials on network %q", network)
		}
	}
}

// Accept that is given up loses no connection.
func TestAcceptCancelled(t *testing.T) {
	ctx := proctest.Context(t)
	l := listen(t, "unix", "", &conn.ListenOptions{Key: []byte("k")})
	for i := range 10 {
		given, cancel := context.WithCancel(ctx)
		ch := accept(given, l)
		if i > 0 { // before the first Accept nobody shakes hands
			go cancel()
		}
		a := must(conn.Dial(ctx, "unix", l.Addr().String(), &conn.DialOptions{Key: []byte("k")}))(t)
		got := <-ch
		if got.err != nil {
			want(t, got.err, context.Canceled)
			got.c = must(l.Accept(ctx))(t)
		}
		check(t, a.SendBytes(ctx, []byte("x")))
		same(t, must(got.c.RecvBytes(ctx))(t), []byte("x"))
		check(t, a.Close())
		check(t, got.c.Close())
		cancel()
	}
}
