package manager_test

import (
	"crypto/tls"
	"io"
	"net"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/fb2d3dbd/multiproc/internal/proctest"
	"github.com/fb2d3dbd/multiproc/manager"
)

type tlsConfig = tls.Config

func collect() { runtime.GC() }

// A relay stands between clients and a server, and fails as networks do.
type relay struct {
	l  net.Listener
	to string

	mu      sync.Mutex
	open    []net.Conn
	refused bool
	pass    *sync.Cond
	paused  bool
	all     sync.WaitGroup
}

func newRelay(t testing.TB, to string) *relay {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	r := &relay{l: l, to: to}
	r.pass = sync.NewCond(&r.mu)
	r.all.Go(r.accept)
	t.Cleanup(r.close)
	return r
}

// far connects to a server over TCP and a relay. keepAlive is the Manager's.
func far(t testing.TB, s *manager.Server, keepAlive time.Duration) (*relay, *manager.Manager) {
	t.Helper()
	a := must[net.Addr](t)(s.Listen("tcp", ""))
	r := newRelay(t, a.String())
	m := must[*manager.Manager](t)(manager.Dial(proctest.Context(t), "tcp", r.address(), &manager.DialOptions{Key: s.Key(), KeepAlive: keepAlive}))
	t.Cleanup(func() { check(t, m.Close()) })
	return r, m
}

func (r *relay) address() string { return r.l.Addr().String() }

func (r *relay) accept() {
	for {
		c, err := r.l.Accept()
		if err != nil {
			return
		}
		r.mu.Lock()
		refused := r.refused
		r.mu.Unlock()
		d, err := net.Dial("tcp", r.to)
		if err != nil || refused {
			c.Close()
			if d != nil {
				d.Close()
			}
			continue
		}
		r.mu.Lock()
		r.open = append(r.open, c, d)
		r.mu.Unlock()
		r.all.Go(func() { r.copy(c, d) })
		r.all.Go(func() { r.copy(d, c) })
	}
}

func (r *relay) copy(to, from net.Conn) {
	buf := make([]byte, 4096)
	for {
		n, err := from.Read(buf)
		r.mu.Lock()
		for r.paused {
			r.pass.Wait()
		}
		r.mu.Unlock()
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			if err == io.EOF {
				to.Close()
			}
			return
		}
	}
}

// cut breaks every connection, by a reset.
func (r *relay) cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.open {
		c.(*net.TCPConn).SetLinger(0)
		c.Close()
	}
	r.open = nil
}

func (r *relay) refuse(yes bool) {
	r.mu.Lock()
	r.refused = yes
	r.mu.Unlock()
}

// pause has nothing pass.
func (r *relay) pause(yes bool) {
	r.mu.Lock()
	r.paused = yes
	r.mu.Unlock()
	r.pass.Broadcast()
}

func (r *relay) close() {
	r.l.Close()
	r.pause(false)
	r.cut()
	r.all.Wait()
}
