package manager

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fb2d3dbd/multiproc/conn"
)

// ServerOptions are for a server. Nil and the zero value work.
type ServerOptions struct {
	// Key authenticates both sides to each other; who connects has the same. Nil means a random one, which proxies take along to other processes of this
	// machine; see [Server.Key].
	Key []byte
	// TLS encrypts the connections of networks.
	TLS *tls.Config
	// MaxClients is the most clients at a time; 0 means 4096. One more is told ErrLimit.
	MaxClients int
	// MaxCalls is the most calls of a client that wait at a time; 0 means 4096. One more is ErrLimit.
	MaxCalls int
	// MaxMessage is the most bytes of a call or an answer; 0 means 64 MiB. A larger one is ErrTooLarge for who sends it.
	MaxMessage int
	// RingBytes is the memory for messages in each direction of a connection over rings; 0 means 64 KiB. Larger messages pass in parts.
	RingBytes int
	// Linger is how long a client whose connection broke may come back to what it has: over a network, and after a call that it gave up because the server
	// did not answer. Until then its locks are held. 0 means 5 seconds, a negative number no time at all. A client of the same machine that dies is gone at once.
	Linger time.Duration
	// Keep is how long an object stays for a proxy that is on its way to somebody when nobody else refers to it; 0 means a minute.
	Keep time.Duration
	// Logger is told of clients that come, go and are refused. Nil means nobody is.
	Logger *slog.Logger
}

func (o *ServerOptions) filled() ServerOptions {
	f := ServerOptions{}
	if o != nil {
		f = *o
	}
	if f.Key == nil {
		f.Key = make([]byte, 32)
		_, _ = rand.Read(f.Key) // it never fails
	}
	setDefault(&f.MaxClients, 4096)
	setDefault(&f.MaxCalls, 4096)
	setDefault(&f.MaxMessage, 64<<20)
	setDefault(&f.RingBytes, ringBytes)
	setDefault(&f.Linger, 5*time.Second)
	setDefault(&f.Keep, time.Minute)
	if f.Logger == nil {
		f.Logger = slog.New(slog.DiscardHandler)
	}
	return f
}

func setDefault[T int | time.Duration](v *T, x T) {
	if *v == 0 {
		*v = x
	}
}

// A Server holds objects for the clients that connect to it. A program that wants one in a process of its own calls [Start], or [Setup.Start].
type Server struct {
	o  ServerOptions
	id uint64
	table
	instances instances
	closers   closers

	ctx    context.Context // ends when the server closes
	cancel context.CancelFunc
	work   sync.WaitGroup // calls of user's functions under way, and the goroutines of sessions

	smu       sync.Mutex
	listeners []*conn.Listener
	sessions  map[uint64]*session
	clients   int
	lastID    uint64
	running   int           // user's functions under way
	idle      chan struct{} // closed when running is 0 and the server drains
	draining  bool
	ending    atomic.Bool // draining or closed: for those who only look
	closed    bool
}

// NewServer makes a server that nobody can reach yet; see [Server.Listen].
func NewServer(o *ServerOptions) (*Server, error) {
	s := &Server{o: o.filled(), sessions: map[uint64]*session{}}
	if s.o.MaxClients < 0 || s.o.MaxCalls < 0 || s.o.MaxMessage < 0 || s.o.RingBytes < minRingBytes || s.o.Keep < 0 {
		return nil, refuse(ErrValue, "negative limits, or rings of less than %d bytes, in ServerOptions: MaxClients %d, MaxCalls %d, MaxMessage %d, RingBytes %d, Keep %v",
			minRingBytes, s.o.MaxClients, s.o.MaxCalls, s.o.MaxMessage, s.o.RingBytes, s.o.Keep)
	}
	var seed [16]byte
	_, _ = rand.Read(seed[:])
	s.id = binary.LittleEndian.Uint64(seed[:]) | 1
	s.table = table{
		// Numbers of 47 bits from a random start: those of one server mean nothing to another.
		last: binary.LittleEndian.Uint64(seed[8:]) >> 18 << 1, all: map[uint64]*object{}, names: map[string]*object{}, tickets: map[uint64]ticket{}, keepFor: s.o.Keep,
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s, nil
}

// Key returns the key that clients need.
func (s *Server) Key() []byte { return append([]byte(nil), s.o.Key...) }

// Listen lets clients connect at an address and returns it. The networks are "unix", with a path or an abstract name after an "@", for clients over rings or over the socket
// itself, and "tcp", "tcp4" and "tcp6" with host:port; an empty address makes one up. A server may listen at several.
func (s *Server) Listen(network, address string) (net.Addr, error) {
	return s.ListenTLS(network, address, s.o.TLS)
}

// SetLogger has l told of clients that come, go and are refused from now on. It is for a [Setup], before anybody can connect.
func (s *Server) SetLogger(l *slog.Logger) { s.o.Logger = l }

// ListenTLS is Listen with a configuration for the connections of this listener.
func (s *Server) ListenTLS(network, address string, config *tls.Config) (net.Addr, error) {
	o := &conn.ListenOptions{Key: s.o.Key, OnRefused: func(peer net.Addr, err error) {
		s.o.Logger.Warn("manager: client refused", "network", network, "peer", peer, "error", err)
	}}
	if network != "unix" {
		o.TLS = config
	}
	if network == "unix" && address == "" {
		address = inventAddress()
	}
	l, err := conn.Listen(network, address, o)
	if err != nil {
		return nil, err
	}
	s.smu.Lock()
	if s.closed || s.draining {
		s.smu.Unlock()
		_ = l.Close()
		return nil, ErrShutdown
	}
	s.listeners = append(s.listeners, l)
	managers.serves(s)
	s.work.Add(1)
	s.smu.Unlock()
	go s.accept(l)
	return l.Addr(), nil
}

func (s *Server) accept(l *conn.Listener) {
	defer s.work.Done()
	for {
		c, err := l.Accept(s.ctx)
		if err != nil {
			if s.ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return
			}
			s.o.Logger.Warn("manager: accept", "error", err)
			select { // out of descriptors, say
			case <-time.After(10 * time.Millisecond):
				continue
			case <-s.ctx.Done():
				return
			}
		}
		s.smu.Lock()
		why := error(nil)
		switch {
		case s.closed || s.draining:
			why = ErrShutdown
		case s.clients >= s.o.MaxClients:
			why = refuse(ErrLimit, "the server has %d clients", s.clients)
		default:
			s.clients++
			s.work.Add(1)
		}
		s.smu.Unlock()
		if why != nil {
			s.o.Logger.Warn("manager: client refused", "peer", c.RemoteAddr(), "error", why)
			go func() { // a peer that does not read delays nobody
				ctx, cancel := context.WithTimeout(s.ctx, time.Second)
				defer cancel()
				_, _ = c.RecvBytesLimit(ctx, 1<<10) // its greeting: a socket that is closed with something unread takes the answer along
				_ = c.SendBytes(ctx, frameError(nil, 0, why))
				_ = c.Close()
			}()
			continue
		}
		go s.serve(c)
	}
}

// Shutdown ends the server: nobody can connect any more, calls that wait get ErrShutdown, functions and methods of users that run are waited for until ctx ends, whose error
// is then returned, and every client is told.
func (s *Server) Shutdown(ctx context.Context) error {
	s.smu.Lock()
	s.draining = true
	s.ending.Store(true)
	idle := s.idle
	if idle == nil {
		idle = make(chan struct{})
		s.idle = idle
		if s.running == 0 {
			close(idle)
		}
	}
	listeners, all := s.unlisten(), s.everybody()
	s.smu.Unlock()
	err := closeAll(listeners)
	for _, x := range all {
		x.mu.Lock()
		var cancels []func()
		for _, c := range x.calls {
			if !c.runs {
				cancels = append(cancels, c.cancel)
			}
		}
		x.mu.Unlock()
		for _, cancel := range cancels {
			cancel()
		}
	}
	select {
	case <-idle:
	case <-ctx.Done():
		err = errors.Join(err, fmt.Errorf("manager: shutdown: %w", ctx.Err()))
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
	defer cancel()
	for _, x := range all {
		x.send(head(nil, isGoodbye, 0))
	}
	for _, x := range all {
		x.drain(last)
	}
	err = errors.Join(err, s.close())
	if e := s.closers.wait(ctx); e != nil {
		err = errors.Join(err, fmt.Errorf("manager: shutdown: %w", e))
	}
	return err
}

// farewell is how long clients may take to receive their last answers.
const farewell = time.Second

// Close ends the server at once. Calls under way get ErrServer. It waits for the Close methods of objects.
func (s *Server) Close() error {
	err := s.close()
	_ = s.closers.wait(context.Background())
	return err
}

func (s *Server) close() error {
	s.smu.Lock()
	if s.closed {
		s.smu.Unlock()
		return nil
	}
	s.closed = true
	s.ending.Store(true)
	managers.ended(s)
	listeners, all := s.unlisten(), s.everybody()
	s.smu.Unlock()
	err := closeAll(listeners)
	s.cancel()
	for _, x := range all {
		x.detach(false)
	}
	s.work.Wait()
	s.table.dropAll()
	return err
}

// unlisten takes the listeners, which the caller closes. s.smu is held, here and in everybody.
func (s *Server) unlisten() []*conn.Listener {
	listeners := s.listeners
	s.listeners = nil
	return listeners
}

func closeAll(listeners []*conn.Listener) (err error) {
	for _, l := range listeners {
		err = errors.Join(err, l.Close())
	}
	return err
}

// everybody returns the sessions that there are.
func (s *Server) everybody() []*session { return slices.Collect(maps.Values(s.sessions)) }

// dropAll ends every object.
func (t *table) dropAll() {
	t.mu.Lock()
	all := t.all
	t.all, t.names = map[uint64]*object{}, map[string]*object{}
	for _, o := range all {
		o.gone.Store(true)
	}
	t.mu.Unlock()
	for _, o := range all {
		o.ent.drop()
	}
}

// begin counts a function of a user's that runs, unless the server drains.
func (s *Server) begin() error {
	s.smu.Lock()
	defer s.smu.Unlock()
	if s.draining || s.closed {
		return ErrShutdown
	}
	s.running++
	return nil
}

func (s *Server) done() {
	s.smu.Lock()
	if s.running--; s.running == 0 && s.idle != nil {
		close(s.idle)
	}
	s.smu.Unlock()
}

func (s *Server) over() bool { return s.ending.Load() }

// forget takes a session that has ended out of the tables.
func (s *Server) forget(x *session, refs map[uint64]int, pins map[uint64]uint64) {
	s.smu.Lock()
	delete(s.sessions, x.id)
	s.smu.Unlock()
	s.table.forget(refs, pins)
}
