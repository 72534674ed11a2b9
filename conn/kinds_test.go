package conn_test

import (
	"crypto/tls"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/fb2d3dbd/multiproc/conn"
	"github.com/fb2d3dbd/multiproc/internal/selfsigned"
)

func packets(t testing.TB) (a, b *conn.Conn) {
	a, b, err := conn.Pipe(true)
	check(t, err)
	return a, b
}

func streams(t testing.TB) (a, b *conn.Conn) {
	return sockets(t, "unix", filepath.Join(tempDir(t), "s"), nil)
}

func tcp(t testing.TB) (a, b *conn.Conn) { return sockets(t, "tcp", "127.0.0.1:0", nil) }

func overTLS(t testing.TB) (a, b *conn.Conn) {
	return sockets(t, "tcp", "127.0.0.1:0", testTLS(t))
}

// sockets connects two ends by package net.
func sockets(t testing.TB, network, address string, secure *tls.Config) (a, b *conn.Conn) {
	t.Helper()
	l := must(net.Listen(network, address))(t)
	defer l.Close()
	accepted := make(chan net.Conn, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			close(accepted)
			return
		}
		accepted <- c
	}()
	dialled := must(net.Dial(network, l.Addr().String()))(t)
	other := <-accepted
	if secure != nil {
		dialled, other = tls.Client(dialled, secure), tls.Server(other, secure)
		done := make(chan error)
		go func() { done <- other.(*tls.Conn).Handshake() }()
		check(t, dialled.(*tls.Conn).Handshake())
		check(t, <-done)
	}
	return must(conn.NewConn(dialled))(t), must(conn.NewConn(other))(t)
}

// tempDir is a short one: the path of a socket has at most 107 bytes.
func tempDir(t testing.TB) string {
	dir := must(os.MkdirTemp("", "conn"))(t)
	t.Cleanup(func() { check(t, os.RemoveAll(dir)) })
	return dir
}

func testTLS(t testing.TB) *tls.Config { return must(selfsigned.Config())(t) }
