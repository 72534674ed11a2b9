package manager

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/fb2d3dbd/multiproc"
	"github.com/fb2d3dbd/multiproc/conn"
)

// DialOptions are for connecting to a server. Nil and the zero value work.
type DialOptions struct {
	// Key authenticates both sides to each other; the server has the same. Nil means no authentication, which a server refuses.
	Key []byte
	// TLS encrypts a connection over TCP. Without a ServerName the host of the address is taken for it.
	TLS *tls.Config
	// Retry has the first connection tried again until ctx ends, while nobody listens at the address.
	Retry bool
	// KeepAlive is how often a connection over a network shows that both sides are alive; who is silent for three times as long is given up. 0 means 15
	// seconds, a negative number never.
	KeepAlive time.Duration
}

// A Manager is a connection to a server and what is needed to make it again. Its methods, and those of the proxies that are used over it, may be called from any number of
// goroutines. In the child of a fork it connects anew.
type Manager struct {
	network, address string
	o                DialOptions
	proc             *multiproc.Process // the server's, if this process has started it
	control          *conn.Conn         // to it: a message asks it to end

	last atomic.Uint64 // number of a call
	cur  atomic.Pointer[client]

	turn chan struct{}   // of connecting
	life context.Context // ends with the Manager
	over context.CancelFunc

	mu      sync.Mutex // guards what follows, which who connects alone writes
	server  uint64
	session uint64
	secret  [16]byte
	dialed  bool
	closed  bool
	lost    []uint64 // calls of the session that have got no answer, which the server has not been told of
	// implicit says that no user has made this Manager: a proxy that has arrived has.
	implicit bool
	opening  int                // proxies that are about to be opened; guarded by the registry's lock
	stop     context.CancelFunc // of the goroutine that keeps the connection alive; of who connects

	dropMu  sync.Mutex // while references are let go, and while a session begins or goes on
	drops   []dropped  // let go in this session, and perhaps lost with a connection
	dropped uint64     // how many were let go before those

	held  atomic.Int64 // proxies
	refMu sync.Mutex
	refs  map[uint64]int // objects that this process has proxies of, and how many
}

// Dial connects to a server. The network is "ring" for calls over shared memory, or "unix" for calls over the socket, both with the path or the abstract name (after an
// "@") of the server's socket; or "tcp", "tcp4" or "tcp6" with host:port. ctx bounds the dial alone.
//
// If the connection breaks, calls under way are ErrLost, and the next call connects again, to the same objects if the server still has them; see ServerOptions.Linger.
func Dial(ctx context.Context, network, address string, o *DialOptions) (*Manager, error) {
	m := newManager(network, address)
	if o != nil {
		m.o = *o
	}
	setDefault(&m.o.KeepAlive, 15*time.Second)
	switch network {
	case "ring", "unix", "tcp", "tcp4", "tcp6":
	default:
		return nil, refuse(ErrValue, "the network %q; there are ring, unix, tcp, tcp4 and tcp6", network)
	}
	if _, err := m.client(ctx); err != nil {
		m.over()
		return nil, err
	}
	managers.add(m)
	return m, nil
}

func newManager(network, address string) *Manager {
	m := &Manager{network: network, address: address, refs: map[uint64]int{}, turn: make(chan struct{}, 1)}
	m.life, m.over = context.WithCancel(context.Background())
	return m
}

// serverID returns the server's number.
func (m *Manager) serverID() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.server
}

// Network and Address are those that the Manager was made with.
func (m *Manager) Network() string { return m.network }

// Address is the server's address.
func (m *Manager) Address() string { return m.address }

// Process returns the server's process, if this Manager has started it, or nil.
func (m *Manager) Process() *multiproc.Process { return m.proc }

// client returns the link, which it makes if there is none.
func (m *Manager) client(ctx context.Context) (*client, error) {
	if c := m.cur.Load(); c != nil && c.alive() {
		return c, nil
	}
	select {
	case m.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-m.life.Done():
		return nil, fmt.Errorf("manager: %w", ErrClosed)
	}
	defer func() { <-m.turn }()
	own, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(m.life, cancel)()
	c, err := m.connect(own)
	if m.life.Err() != nil { // it was closed meanwhile
		if c != nil {
			c.fail(fmt.Errorf("manager: %w", ErrClosed))
		}
		return nil, fmt.Errorf("manager: %w", ErrClosed)
	}
	return c, err
}

// connect makes the link if there is none. The caller has the turn.
func (m *Manager) connect(ctx context.Context) (*client, error) {
	if c := m.cur.Load(); c != nil && c.alive() {
		return c, nil
	}
	if _, has := ctx.Deadline(); !has {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, helloTimeout)
		defer cancel()
	}
	network, h := m.network, hello{session: m.session, secret: m.secret}
	if network == "ring" {
		network, h.rings = "unix", true
	}
	o := &conn.DialOptions{Key: m.o.Key, Retry: m.o.Retry && !m.dialed}
	if network != "unix" {
		o.TLS = m.o.TLS
		if m.o.KeepAlive > 0 {
			h.silence = 3 * m.o.KeepAlive
		}
	}
	if old := m.cur.Load(); old != nil {
		old.mu.Lock()
		m.lost, old.lost = append(m.lost, old.lost...), nil
		old.mu.Unlock()
	}
	for {
		c, err := conn.Dial(ctx, network, m.address, o)
		if err != nil {
			if errors.Is(err, ErrAuthentication) && !errors.Is(err, syscall.ECONNRESET) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
				return nil, fmt.Errorf("manager: connect to %s %s: %w", m.network, m.address, err)
			}
			return nil, fmt.Errorf("%w: connect to %s %s: %w", ErrServer, m.network, m.address, err)
		}
		w, l, err := greeting(ctx, c, &h)
		switch {
		case err == nil:
		case errors.Is(err, ErrGone) && h.session != 0: // it is another server, or this was away for too long
			h.session, h.secret = 0, [16]byte{}
			continue
		default:
			if over(err) {
				err = ErrServer
			}
			return nil, fmt.Errorf("manager: connect to %s %s: %w", m.network, m.address, err)
		}
		m.mu.Lock()
		old := m.server
		m.server, m.session, m.secret, m.dialed = w.server, w.session, w.secret, true
		m.mu.Unlock()
		if old != w.server {
			managers.moved(m, old)
		}
		if h.silence > 0 {
			l.(*connLink).silence = h.silence
		}
		cl := newClient(l)
		m.dropMu.Lock()
		if h.session == 0 {
			m.lost, m.drops, m.dropped = nil, nil, 0
			err = m.referAgain(ctx, cl, old == w.server)
		} else {
			err = m.resume(ctx, cl)
		}
		if err == nil {
			m.cur.Store(cl)
		}
		m.dropMu.Unlock()
		if err != nil {
			if h.session == 0 {
				m.session = 0 // the next one refers to everything again
			}
			cl.fail(err)
			if err == errUnsent {
				err = ErrLost
			}
			return nil, fmt.Errorf("manager: connect to %s %s: %w", m.network, m.address, err)
		}
		if h.silence > 0 {
			m.keepAlive(cl)
		}
		return cl, nil
	}
}

// resume tells the server which calls of the session have got no answer, for what the answers handed over this client does not have. The caller has the turn.
func (m *Manager) resume(ctx context.Context, c *client) error {
	q := m.request(opResume, 0)
	defer q.release()
	q.b = appendUint(q.b, len(m.lost))
	for _, id := range m.lost {
		q.b = appendUint64(q.b, id)
	}
	err := c.do(ctx, q)
	var r reader
	if err == nil {
		r, err = q.answer()
	}
	done := r.uint()
	if err == nil {
		err = r.err()
	}
	if err != nil {
		return err
	}
	m.lost = nil
	m.let(done)
	for _, d := range m.drops { // which were lost
		if err := d.send(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

// referAgain has a new session refer to what this process has proxies of, as far as it is still there: in the child of a fork, or after a session was over. Of another
// server nothing is.
func (m *Manager) referAgain(ctx context.Context, c *client, same bool) error {
	m.refMu.Lock()
	defer m.refMu.Unlock()
	for id, n := range m.refs {
		if same {
			q := m.request(opRefer, id)
			q.b = appendUint(q.b, n)
			err := c.do(ctx, q)
			if err == nil {
				_, err = q.answer()
			}
			q.release()
			if err == nil {
				continue
			}
			if !errors.Is(err, ErrGone) {
				return err
			}
		}
		delete(m.refs, id)
	}
	return nil
}

// keepAlive asks for an answer from time to time.
func (m *Manager) keepAlive(c *client) {
	if m.stop != nil {
		m.stop()
	}
	ctx, cancel := context.WithCancel(m.life)
	m.stop = cancel
	go func() {
		tick := time.NewTicker(m.o.KeepAlive)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			once, cancel := context.WithTimeout(ctx, 2*m.o.KeepAlive)
			q := m.request(opPing, 0)
			err := c.do(once, q)
			q.release()
			cancel()
			if err != nil && ctx.Err() == nil {
				c.fail(fmt.Errorf("%w: the server is silent", ErrLost))
				return
			}
		}
	}()
}

// request begins a call.
func (m *Manager) request(what op, object uint64) *request {
	q := requests.Get().(*request)
	q.id = m.last.Add(1)
	q.b = begin(q.b[:0], what, q.id, object)
	return q
}

// do sends a request and returns what it was answered with, which is valid until the request is released.
func (m *Manager) do(ctx context.Context, q *request) (reader, error) {
	for try := 0; ; try++ {
		c, err := m.client(ctx)
		if err != nil {
			return reader{}, err
		}
		err = c.do(ctx, q)
		if err == errUnsent && try < 2 {
			continue // the server knows nothing of it
		}
		if err != nil {
			if err == errUnsent {
				err = ErrServer
			}
			return reader{}, err
		}
		return q.answer()
	}
}

// call does a call whose answer says nothing.
func (m *Manager) call(ctx context.Context, q *request) error {
	r, err := m.do(ctx, q)
	if err == nil {
		err = r.err()
	}
	q.release()
	return err
}

// Ping asks the server for an answer.
func (m *Manager) Ping(ctx context.Context) error { return m.call(ctx, m.request(opPing, 0)) }

// Stats returns what the server has.
func (m *Manager) Stats(ctx context.Context) (st Stats, err error) {
	q := m.request(opStats, 0)
	defer q.release()
	r, err := m.do(ctx, q)
	if err != nil {
		return st, err
	}
	for _, n := range []*int{&st.Clients, &st.Sessions, &st.Objects, &st.Waiting, &st.Held} {
		*n = r.count()
	}
	return st, r.err()
}

// Delete takes a name away from its object, which ends with its last proxy.
func (m *Manager) Delete(ctx context.Context, name string) error {
	q := m.request(opDelete, 0)
	q.b = appendString(q.b, name)
	return m.call(ctx, q)
}

// Close ends the connection, and with it this process's proxies: what it holds is released. If this Manager has started the server, that is ended too, at once; see
// [Manager.Shutdown]. A second Close does nothing.
func (m *Manager) Close() error {
	m.end()
	if m.proc == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeGrace)
	defer cancel()
	m.askToEnd()
	err := m.proc.Wait(ctx)
	if errors.Is(err, ctx.Err()) && ctx.Err() != nil {
		_ = m.proc.Kill()
		_ = m.proc.Wait(context.Background())
	}
	if err != nil { // it did not end in order
		return unlinkLeft(m.serverID())
	}
	return nil
}

// askToEnd asks the server that this Manager has started to end. It may have ended.
func (m *Manager) askToEnd() {
	ctx, cancel := context.WithTimeout(context.Background(), closeGrace)
	defer cancel()
	_ = m.control.SendBytes(ctx, nil)
	_ = m.control.Close()
}

// closeGrace is how long a server may take to end when its Manager is closed.
const closeGrace = 2 * time.Second

// end ends the connection.
func (m *Manager) end() {
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		return
	}
	m.closed = true
	m.mu.Unlock()
	m.over()
	managers.remove(m)
	c := m.cur.Load()
	if c == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), cancelGrace)
	defer cancel()
	_ = c.send(ctx, begin(nil, opBye, 0, 0))
	c.mu.Lock()
	c.broken(fmt.Errorf("manager: %w", ErrClosed))
	c.mu.Unlock()
	c.l.close()
}

// Shutdown ends the server that this Manager has started: calls that wait get ErrShutdown, user's functions that run are waited for until ctx ends, and then the process is killed.
func (m *Manager) Shutdown(ctx context.Context) error {
	if m.proc == nil {
		return refuse(errors.ErrUnsupported, "this Manager has not started the server; who has can end it")
	}
	m.askToEnd()
	err := m.proc.Wait(ctx)
	if err != nil && ctx.Err() != nil {
		_ = m.proc.Kill()
		_ = m.proc.Wait(context.Background())
	}
	m.end()
	if err != nil { // it did not end in order
		err = errors.Join(err, unlinkLeft(m.serverID()))
	}
	return err
}
