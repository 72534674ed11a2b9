package conn

import (
	"container/list"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/fb2d3dbd/multiproc/internal/sys"
)

// ListenOptions are for a new Listener. Nil and the zero value work.
type ListenOptions struct {
	// Key authenticates both sides to each other; who connects has the same. Nil means no authentication.
	Key []byte
	// TLS encrypts TCP connections.
	TLS *tls.Config
	// Backlog is how many connections the kernel keeps before they are accepted; 0 means the system's maximum.
	Backlog int
	// HandshakeTimeout is how long a peer may take for the handshakes; 0 means 10 seconds.
	HandshakeTimeout time.Duration
	// Pending is how many peers may be in the midst of the handshakes, or through with them and not yet accepted; 0 means 128. When as
	// many are, the one that takes longest makes room for the next.
	Pending int
	// OnRefused is called for a peer that fails the handshakes, on a goroutine of its own. It may be nil.
	OnRefused func(peer net.Addr, err error)
}

// A Listener waits for connections at an address. Its methods may be called from any number of goroutines at a time.
type Listener struct {
	l     net.Listener
	o     ListenOptions
	start sync.Once
	slots chan struct{} // one place for each peer before Accept
	done  chan struct{}
	dead  chan struct{} // closed when the socket has failed, err says why
	err   error
	all   sync.WaitGroup
	close sync.Once
	path  *socketPath // to be removed

	mu      sync.Mutex
	ready   []*Conn       // through with the handshakes, for Accept
	changed chan struct{} // closed when another is ready
	last    net.Addr
	shaking list.List // of *peer, the first longest
}

// Listen makes a listener. Network and address are those of [Dial]; an empty address makes one up: a path in the directory for temporary files, or a port of
// localhost. A socket that nobody listens at any more, for instance because its process was killed, is replaced; the error matches syscall.EADDRINUSE where somebody
// does.
//
// The networks "unix" and "tcp" are understood by CPython's multiprocessing.connection.Client.
func Listen(network, address string, o *ListenOptions) (*Listener, error) {
	if o == nil {
		o = &ListenOptions{}
	}
	if err := checkKey(o.Key); err != nil {
		return nil, err
	}
	if err := checkNetwork(network, o.TLS); err != nil {
		return nil, err
	}
	l := &Listener{o: *o, changed: make(chan struct{}), done: make(chan struct{}), dead: make(chan struct{})}
	if l.o.Pending <= 0 {
		l.o.Pending = 128
	}
	l.slots = make(chan struct{}, l.o.Pending)
	var err error
	if network == "unix" || network == "unixpacket" {
		l.l, l.path, err = listenUnix(network, address)
	} else {
		if address == "" {
			address = "localhost:0"
		}
		l.l, err = net.Listen(network, address)
	}
	if err != nil {
		return nil, fmt.Errorf("conn: %w", err)
	}
	if o.Backlog > 0 {
		if err := l.setBacklog(o.Backlog); err != nil {
			return nil, errors.Join(err, l.Close())
		}
	}
	return l, nil
}

func (l *Listener) setBacklog(n int) error {
	rc, err := l.l.(syscall.Conn).SyscallConn()
	if err != nil {
		return fmt.Errorf("conn: %w", err)
	}
	if e := rc.Control(func(fd uintptr) { err = sys.SetBacklog(int(fd), n) }); e != nil {
		err = e
	}
	if err != nil {
		return fmt.Errorf("conn: backlog: %w", err)
	}
	return nil
}

// Addr returns the address.
func (l *Listener) Addr() net.Addr { return l.l.Addr() }

// LastAccepted returns the address of the peer whose connection Accept has returned last, or nil.
func (l *Listener) LastAccepted() net.Addr {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last
}

// Accept returns the next connection whose peer has passed the handshakes, waiting for one until ctx ends. Peers that fail them, or keep silent, delay nobody.
// The handshakes begin with the first call of Accept, Poll or TryPoll. The error matches os.ErrClosed after Close.
func (l *Listener) Accept(ctx context.Context) (c *Conn, err error) {
	err = l.wait(ctx, func() {
		c = l.ready[0]
		l.ready = slices.Delete(l.ready, 0, 1)
		l.last = c.RemoteAddr()
		<-l.slots
	})
	return c, err
}

// Poll waits until a connection can be accepted at once, or until ctx ends. Another goroutine may accept it first.
func (l *Listener) Poll(ctx context.Context) error { return l.wait(ctx, func() {}) }

// TryPoll reports whether a connection can be accepted at once.
func (l *Listener) TryPoll() (bool, error) {
	l.start.Do(func() { l.all.Go(l.serve) })
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed() {
		return false, ErrClosed
	}
	return len(l.ready) > 0, nil
}

// Pending reports whether Accept would return at once, with a connection or an error, and returns a channel that is closed when that may have changed: for who waits for many things.
func (l *Listener) Pending() (ready bool, changed <-chan struct{}) {
	l.mu.Lock()
	changed = l.changed
	l.mu.Unlock()
	ready, err := l.TryPoll()
	select {
	case <-l.dead:
		ready = true
	default:
	}
	return ready || err != nil, changed
}

// tell tells those who wait that something has changed. The lock is held.
func (l *Listener) tell() {
	close(l.changed)
	l.changed = make(chan struct{})
}

// wait waits until somebody is ready and calls fn then, with the lock held.
func (l *Listener) wait(ctx context.Context, fn func()) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	l.start.Do(func() { l.all.Go(l.serve) })
	for {
		l.mu.Lock()
		changed := l.changed
		if l.closed() {
			l.mu.Unlock()
			return ErrClosed
		}
		if len(l.ready) > 0 {
			fn()
			l.mu.Unlock()
			return nil
		}
		l.mu.Unlock()
		select {
		case <-changed:
		case <-l.done:
			return ErrClosed
		case <-ctx.Done():
			return ctx.Err()
		case <-l.dead:
			return l.err
		}
	}
}

// Close ends the listener, and removes its socket from the file system if it is still the one there. Connections that Accept has returned stay. A second Close
// does nothing.
func (l *Listener) Close() error {
	var err error
	l.close.Do(func() {
		close(l.done)
		err = l.path.remove(l.l)
		l.mu.Lock()
		for e := l.shaking.Front(); e != nil; e = e.Next() {
			e.Value.(*peer).c.Close()
		}
		l.mu.Unlock()
		l.start.Do(func() {})
		l.all.Wait()
		l.mu.Lock()
		defer l.mu.Unlock()
		for _, c := range l.ready {
			_ = c.Close() // nobody has had it
		}
		l.ready = nil
		l.tell()
	})
	if err != nil {
		return fmt.Errorf("conn: %w", err)
	}
	return nil
}

// A peer is somebody in the midst of the handshakes.
type peer struct {
	c   net.Conn
	out bool // it had to make room; guarded by the listener's lock
}

// serve accepts connections and has each shake hands on a goroutine of its own.
func (l *Listener) serve() {
	nap := time.Millisecond
	for {
		c, err := l.l.Accept()
		select {
		case <-l.done:
			if err == nil {
				c.Close()
			}
			return
		default:
		}
		if err != nil {
			if !passing(err) {
				l.err = fmt.Errorf("conn: accept: %w", err)
				close(l.dead)
				l.mu.Lock()
				l.tell()
				l.mu.Unlock()
				return
			}
			select { // until somebody has closed a descriptor
			case <-time.After(nap):
			case <-l.done:
			}
			nap = min(2*nap, time.Second)
			continue
		}
		nap = time.Millisecond
		if !l.slot() {
			c.Close()
			return
		}
		p := &peer{c: c}
		l.mu.Lock()
		e := l.shaking.PushBack(p)
		l.mu.Unlock()
		if l.closed() { // Close may have looked before
			c.Close()
		}
		if l.o.Key == nil && l.o.TLS == nil { // nothing to wait for, so they are accepted in order
			l.shake(p, e)
			continue
		}
		l.all.Go(func() { l.shake(p, e) })
	}
}

// passing reports whether an accept may succeed later: the process has too many descriptors, or the peer has given up.
func passing(err error) bool {
	for _, e := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED, syscall.EINTR} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// slot gets a place for one more peer. If all are taken, the peer that shakes hands longest has to go.
func (l *Listener) slot() bool {
	for {
		select {
		case l.slots <- struct{}{}:
			return true
		default:
		}
		l.mu.Lock()
		if e := l.shaking.Front(); e != nil {
			p := e.Value.(*peer)
			p.out = true
			l.shaking.Remove(e)
			p.c.Close()
		}
		l.mu.Unlock()
		select {
		case l.slots <- struct{}{}:
			return true
		case <-l.done:
			return false
		}
	}
}

var errMakeRoom = errors.New("conn: the peer had to make room for another")

// shake brings a peer through the handshakes and to Accept.
func (l *Listener) shake(p *peer, e *list.Element) {
	ctx, cancel := context.WithTimeout(context.Background(), orTimeout(l.o.HandshakeTimeout))
	defer cancel()
	var c *Conn
	var err error
	if l.o.TLS != nil {
		c, err = secured(ctx, tls.Server(p.c, l.o.TLS), l.o.Key, true)
	} else {
		c, err = admitted(ctx, p.c, l.o.Key, true)
	}
	l.mu.Lock()
	switch {
	case !p.out:
		l.shaking.Remove(e)
	case err == nil:
		_ = c.Close() // it was closed under its feet
		err = errMakeRoom
	default:
		err = errMakeRoom
	}
	if err == nil { // the place is the connection's until it is accepted
		l.ready = append(l.ready, c)
		l.tell()
	}
	l.mu.Unlock()
	if err != nil {
		<-l.slots
		if l.o.OnRefused != nil && !l.closed() {
			l.o.OnRefused(p.c.RemoteAddr(), err)
		}
	}
}

func (l *Listener) closed() bool {
	select {
	case <-l.done:
		return true
	default:
		return false
	}
}

var _ io.Closer = (*Listener)(nil)
