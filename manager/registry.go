package manager

import (
	"context"
	"sync"
	"time"

	"github.com/fb2d3dbd/multiproc/internal/life"
)

// registry has the Managers of this process by their servers, for proxies that arrive, and the servers of this process: to a function that runs in one proxies of
// its own objects come.
type registry struct {
	mu      sync.Mutex
	all     map[*Manager]struct{}
	by      map[uint64]*Manager
	servers map[uint64]*Server
}

var managers = registry{all: map[*Manager]struct{}{}, by: map[uint64]*Manager{}, servers: map[uint64]*Server{}}

func (r *registry) serves(s *Server) {
	r.mu.Lock()
	r.servers[s.id] = s
	r.mu.Unlock()
}

func (r *registry) ended(s *Server) {
	r.mu.Lock()
	delete(r.servers, s.id)
	r.mu.Unlock()
}

func (r *registry) add(m *Manager) {
	m.mu.Lock()
	server := m.server
	m.mu.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all[m] = struct{}{}
	if r.by[server] == nil || r.by[server].implicit {
		r.by[server] = m
	}
}

func (r *registry) remove(m *Manager) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.take(m)
}

// take takes a Manager out. r.mu is held.
func (r *registry) take(m *Manager) {
	delete(r.all, m)
	for id, have := range r.by {
		if have == m {
			delete(r.by, id)
		}
	}
}

// moved says that a Manager's server is another by now.
func (r *registry) moved(m *Manager, old uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.by[old] == m {
		delete(r.by, old)
	}
	if _, listed := r.all[m]; listed && r.by[m.server] == nil {
		r.by[m.server] = m
	}
}

// of returns the Manager for a proxy that has arrived, which does not end before opened is told.
func (r *registry) of(h *handle) (*Manager, error) {
	r.mu.Lock()
	m, s := r.by[h.server], r.servers[h.server]
	if m != nil {
		m.opening++
	}
	r.mu.Unlock()
	if m != nil {
		return m, nil
	}
	if s != nil {
		address, err := s.local()
		if err != nil {
			return nil, err
		}
		h.network, h.address, h.key = defaultNetwork, address, s.o.Key
	}
	if h.network == "" {
		return nil, refuse(ErrServer, "the proxy is one of a server that this process is not connected to, and a proxy does not take the key of a network along; Dial it first")
	}
	ctx, cancel := context.WithTimeout(context.Background(), openTimeout)
	defer cancel()
	m = newManager(h.network, h.address)
	m.implicit, m.opening, m.o.Key = true, 1, h.key
	if _, err := m.client(ctx); err != nil {
		m.over()
		return nil, err
	}
	if m.server != h.server {
		m.end()
		return nil, refuse(ErrGone, "the server of the proxy has ended, and another one is at its address")
	}
	r.mu.Lock()
	have := r.by[h.server]
	if have == nil {
		r.all[m], r.by[h.server] = struct{}{}, m
	} else {
		have.opening++
	}
	r.mu.Unlock()
	if have != nil {
		m.end()
		return have, nil
	}
	return m, nil
}

// opened says that a proxy was opened with a Manager that of has returned, or was not.
func (r *registry) opened(m *Manager) {
	r.mu.Lock()
	m.opening--
	r.mu.Unlock()
	r.unused(m)
}

// unused ends a Manager that no user has made if nobody has a proxy of it, or is about to.
func (r *registry) unused(m *Manager) {
	if !m.implicit {
		return
	}
	r.mu.Lock()
	over := m.opening == 0 && m.held.Load() == 0
	if over {
		r.take(m)
	}
	r.mu.Unlock()
	if over {
		m.end()
	}
}

// openTimeout bounds what a proxy does where there is no context: to be sent, and to be opened.
const openTimeout = 10 * time.Second

func init() {
	life.OnFork(life.Objects, func() error {
		clear(managers.servers) // they are the parent's
		for m := range managers.all {
			m.forked()
		}
		return nil
	})
}

// forked makes the copy of a Manager in the child of a fork one of the child's: with its first call it connects anew, and refers to what its parent does.
func (m *Manager) forked() {
	if c := m.cur.Swap(nil); c != nil {
		c.abandon()
	}
	if m.control != nil {
		_ = m.control.Close()
	}
	m.drops, m.dropped = nil, 0
	m.session, m.lost, m.secret, m.proc, m.control, m.stop, m.opening, m.turn = 0, nil, [16]byte{}, nil, nil, nil, 0, make(chan struct{}, 1)
}
