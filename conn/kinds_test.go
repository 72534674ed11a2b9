package conn_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/fb2d3dbd/multiproc/conn"
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

var certificate = sync.OnceValues(func() (tls.Certificate, *x509.CertPool) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotBefore: time.Unix(0, 0), NotAfter: time.Now().AddDate(10, 0, 0),
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, pool
})

func testTLS(t testing.TB) *tls.Config {
	c, pool := certificate()
	return &tls.Config{Certificates: []tls.Certificate{c}, RootCAs: pool, ServerName: "localhost"}
}
