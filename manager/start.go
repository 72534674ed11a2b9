package manager

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"time"

	"github.com/fb2d3dbd/multiproc"
	"github.com/fb2d3dbd/multiproc/conn"
	"github.com/fb2d3dbd/multiproc/internal/failure"
)

// Options are for starting a server in a process of its own. Nil and the zero value work.
type Options struct {
	// Server are the server's. TLS and Logger cannot be sent to another process; a [Setup] gives them to [Server.ListenTLS] and [Server.SetLogger].
	Server ServerOptions
	// Process are the process's: the start method among them.
	Process *multiproc.ProcessOptions
	// Network is how this process talks to the server: "ring", which is the default where there are rings, or "unix".
	Network string
	// Drain is how long functions of users may go on running when the server is told to end; 0 means 10 seconds.
	Drain time.Duration
}

// A Setup is a function that a server's process runs before anybody can use the server.
type Setup[A any] struct {
	target *multiproc.Target[startArg[A]]
}

type startArg[A any] struct {
	Limits limits
	Drain  time.Duration
	Ready  *conn.Conn
	Arg    A
}

// limits are what travels of ServerOptions.
type limits struct {
	Key                                         []byte
	MaxClients, MaxCalls, MaxMessage, RingBytes int
	Linger, Keep                                time.Duration
}

// NewSetup registers a function under a unique name, for use in a package-level variable: what a server's process does before clients can use it, such as to listen on a
// network, with TLS, or to make objects that others find by their names, by [Server.Dial]. An error or a panic ends the server, and is a [*RemoteError] for who
// has started it.
func NewSetup[A any](name string, fn func(ctx context.Context, s *Server, arg A) error) *Setup[A] {
	return &Setup[A]{multiproc.NewTarget("manager:"+name, func(ctx context.Context, a startArg[A]) error {
		return runServer(ctx, a.Limits, a.Drain, a.Ready, func(ctx context.Context, s *Server) error { return fn(ctx, s, a.Arg) })
	})}
}

type nothing struct{}

var plain = NewSetup("", func(context.Context, *Server, nothing) error { return nil })

// Start starts a server in a process of its own, and connects to it. The server ends when the Manager is closed or shut down, and when this process ends, however it does. It does
// not end by an interrupt, so that a program which is interrupted at a terminal still has what it needs to end in order.
func Start(ctx context.Context, o *Options) (*Manager, error) { return plain.Start(ctx, nothing{}, o) }

// Start starts a server in a process of its own, has it run the function, and connects to it; see [Start]. The function's error is returned.
func (s *Setup[A]) Start(ctx context.Context, arg A, o *Options) (*Manager, error) {
	if o == nil {
		o = &Options{}
	}
	so := o.Server
	if so.TLS != nil || so.Logger != nil {
		return nil, refuse(ErrValue, "Options.Server.TLS and Logger cannot be sent to another process; use a Setup that calls Server.ListenTLS and SetLogger")
	}
	network := o.Network
	switch {
	case network == "":
		network = defaultNetwork
	case network != "ring" && network != "unix":
		return nil, refuse(ErrValue, "Options.Network is %q; there are ring and unix", network)
	}
	if so.Key == nil {
		so.Key = make([]byte, 32)
		_, _ = rand.Read(so.Key) // it never fails
	}
	drain := o.Drain
	setDefault(&drain, 10*time.Second)
	here, there, err := conn.Pipe(true)
	if err != nil {
		return nil, err
	}
	p, err := s.target.Start(ctx, startArg[A]{
		Limits: limits{so.Key, so.MaxClients, so.MaxCalls, so.MaxMessage, so.RingBytes, so.Linger, so.Keep}, Drain: drain, Ready: there, Arg: arg,
	}, o.Process)
	_ = there.Close()
	if err != nil {
		_ = here.Close()
		return nil, err
	}
	m, err := s.connect(ctx, p, here, network, so.Key)
	if err != nil {
		_ = here.Close()
		_ = p.Kill()
		_ = p.Wait(context.Background())
		return nil, err
	}
	return m, nil
}

func (s *Setup[A]) connect(ctx context.Context, p *multiproc.Process, c *conn.Conn, network string, key []byte) (*Manager, error) {
	is, err := conn.Recv[readiness](ctx, c)
	if err == nil && len(is.Failure) > 0 {
		_ = p.Wait(ctx) // with an error that says less
		failed, err := failure.From(is.Failure)
		if err != nil {
			return nil, refuse(ErrProtocol, "%v", err)
		}
		return nil, fmt.Errorf("manager: the server did not start: %w", failed)
	}
	if err != nil {
		if err == io.EOF { // it has ended, or is about to
			if exit := p.Wait(ctx); exit != nil {
				return nil, fmt.Errorf("manager: the server did not start: %w", exit)
			}
			return nil, refuse(ErrServer, "it ended before it was ready")
		}
		return nil, fmt.Errorf("manager: start a server: %w", err)
	}
	m, err := Dial(ctx, network, is.Address, &DialOptions{Key: key})
	if err != nil {
		return nil, err
	}
	m.proc, m.control = p, c
	return m, nil
}

// runServer is what a server's process does. It ends when who has started it says so over the connection, or ends. An interrupt that is typed at the terminal is for the
// program, which may have something to do yet for which it needs the server.
func runServer(ctx context.Context, l limits, drain time.Duration, control *conn.Conn, setup func(ctx context.Context, s *Server) error) error {
	defer control.Close()
	signal.Notify(make(chan os.Signal, 1), os.Interrupt)
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	s, err := NewServer(&ServerOptions{
		Key: l.Key, MaxClients: l.MaxClients, MaxCalls: l.MaxCalls, MaxMessage: l.MaxMessage, RingBytes: l.RingBytes, Linger: l.Linger, Keep: l.Keep,
	})
	if err != nil {
		return err
	}
	defer s.close()
	a, err := s.Listen("unix", "")
	if err != nil {
		return err
	}
	if f := setUp(ctx, s, setup); f != nil {
		_ = control.Send(ctx, readiness{Failure: f.Append(nil)})
		return fmt.Errorf("the setup: %s", f.Text)
	}
	if err := control.Send(ctx, readiness{Address: a.String()}); err != nil {
		return err
	}
	_, _ = control.RecvBytes(ctx)
	cancel()
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
	defer cancel()
	if err := s.Shutdown(end); !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil // what a user's function does no more than that is waited for
}

// readiness is what a server's process says of itself: its address, or the setup's error or panic, a failure.Record.
type readiness struct {
	Address string
	Failure []byte
}

// setUp runs the setup and returns how it failed, if it did.
func setUp(ctx context.Context, s *Server, setup func(ctx context.Context, s *Server) error) (f *failure.Record) {
	defer func() {
		if v := recover(); v != nil {
			f = failure.OfPanic(v)
		}
	}()
	if err := setup(ctx, s); err != nil {
		return failure.Of(err)
	}
	return nil
}

// Dial connects this process to the server itself, as a client like others: to make objects that they find by their names.
func (s *Server) Dial(ctx context.Context) (*Manager, error) {
	address, err := s.local()
	if err != nil {
		return nil, err
	}
	return Dial(ctx, defaultNetwork, address, &DialOptions{Key: s.o.Key})
}

// local returns an address for this machine.
func (s *Server) local() (string, error) {
	s.smu.Lock()
	for _, l := range s.listeners {
		if l.Addr().Network() == "unix" {
			s.smu.Unlock()
			return l.Addr().String(), nil
		}
	}
	s.smu.Unlock()
	a, err := s.Listen("unix", "")
	if err != nil {
		return "", err
	}
	return a.String(), nil
}

// inventAddress returns a name that nobody has. On Linux it is an abstract one, of which nothing is left when the server is killed.
func inventAddress() string {
	if runtime.GOOS != "linux" {
		return ""
	}
	var b [12]byte
	_, _ = rand.Read(b[:])
	return "@multiproc-manager-" + hex.EncodeToString(b[:])
}
