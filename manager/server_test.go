package manager_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fb2d3dbd/multiproc/conn"
	"github.com/fb2d3dbd/multiproc/internal/proctest"
	"github.com/fb2d3dbd/multiproc/internal/selfsigned"
	"github.com/fb2d3dbd/multiproc/manager"
)

// serve makes a server in this process.
func serve(t testing.TB, o *manager.ServerOptions) *manager.Server {
	t.Helper()
	s := must[*manager.Server](t)(manager.NewServer(o))
	t.Cleanup(func() { check(t, s.Close()) })
	return s
}

// transports are the ways to talk to a server.
var transports = []string{"ring", "unix", "tcp", "tls"}

// dial connects to a server over one of the transports.
func dial(t testing.TB, s *manager.Server, transport string) *manager.Manager {
	t.Helper()
	m, err := connect(t, s, transport, proctest.Context(t))
	check(t, err)
	return m
}

func connect(t testing.TB, s *manager.Server, transport string, ctx context.Context) (*manager.Manager, error) {
	t.Helper()
	network, o := transport, &manager.DialOptions{Key: s.Key()}
	var a net.Addr
	var err error
	switch transport {
	case "ring", "unix":
		a, err = s.Listen("unix", "")
	case "tls":
		network = "tcp"
		o.TLS = must[*tlsConfig](t)(selfsigned.Config())
		a, err = s.ListenTLS("tcp", "", o.TLS)
	default:
		a, err = s.Listen("tcp", "")
	}
	check(t, err)
	m, err := manager.Dial(ctx, network, a.String(), o)
	if err == nil {
		t.Cleanup(func() { check(t, m.Close()) })
	}
	return m, err
}

// each calls fn for each transport, with a server in this process and a client of it.
func each(t *testing.T, fn func(t *testing.T, s *manager.Server, m *manager.Manager)) {
	for _, transport := range transports {
		t.Run(transport, func(t *testing.T) {
			s := serve(t, nil)
			fn(t, s, dial(t, s, transport))
		})
	}
}

// hold is an update that waits until it is let go, or its context ends.
var (
	holding = make(chan struct{}, 1)
	letGo   = make(chan struct{})
	gaveUp  atomic.Int32
	hold    = manager.NewUpdate("hold", func(ctx context.Context, old int, _ bool, _ int) (int, bool, error) {
		holding <- struct{}{}
		select {
		case <-letGo:
			return old + 1, true, nil
		case <-ctx.Done():
			gaveUp.Add(1)
			return 0, false, ctx.Err()
		}
	})
)

// A deadline is a context whose time is over when that is closed: not before the call has come to where it is to be given up.
type deadline struct {
	context.Context
	over chan struct{}
}

func (d deadline) Done() <-chan struct{} { return d.over }

func (d deadline) Err() error {
	select {
	case <-d.over:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

// TestCancel gives a call up that runs in the server.
func TestCancel(t *testing.T) {
	each(t, func(t *testing.T, s *manager.Server, m *manager.Manager) {
		v := must[*manager.Value[int]](t)(manager.NewValue(proctest.Context(t), m, nil, 7))
		before := gaveUp.Load()
		ctx, cancel := context.WithCancel(context.Background())
		go func() {
			<-holding
			cancel()
		}()
		if _, err := manager.UpdateValue(ctx, v, hold, 0); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		proctest.Eventually(t, func() bool { return gaveUp.Load() == before+1 }, "the function to be told")
		late := deadline{context.Background(), make(chan struct{})}
		go func() {
			<-holding
			close(late.over)
		}()
		_, err := manager.UpdateValue(late, v, hold, 0)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		if got, err := v.Get(proctest.Context(t)); got != 7 || err != nil {
			t.Fatal(got, err)
		}
		proctest.Eventually(t, func() bool { return s.Stats().Waiting == 0 }, "no call to be left")
	})
}

// TestManyGoroutines has goroutines share a connection, some of which give up.
func TestManyGoroutines(t *testing.T) {
	each(t, func(t *testing.T, s *manager.Server, m *manager.Manager) {
		ctx := proctest.Context(t)
		d := must[*manager.Dict[int, string]](t)(manager.NewDict[int, string](ctx, m, nil))
		l := must[*manager.List[int]](t)(manager.NewList[int](ctx, m, nil))
		var all sync.WaitGroup
		var appended atomic.Int32
		for g := range 16 {
			all.Go(func() {
				for i := range 200 {
					want := strings.Repeat(fmt.Sprint(g, i), 1+i%50)
					if err := d.Set(ctx, g, want); err != nil {
						t.Error(err)
						return
					}
					if got, err := d.Get(ctx, g); got != want || err != nil {
						t.Errorf("%d has %q, %v; want %q", g, got, err, want)
						return
					}
					short, cancel := context.WithTimeout(ctx, time.Duration(i%7)*time.Microsecond*50)
					err := l.Append(short, i)
					cancel()
					switch {
					case err == nil:
						appended.Add(1)
					case !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, manager.ErrLost):
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
		if n, err := l.Len(ctx); n != int(appended.Load()) || err != nil {
			t.Errorf("%d elements, %v; %d were appended", n, err, appended.Load())
		}
	})
}

// TestShutdown waits for what runs, and tells everybody.
func TestShutdown(t *testing.T) {
	each(t, func(t *testing.T, s *manager.Server, m *manager.Manager) {
		ctx := proctest.Context(t)
		v := must[*manager.Value[int]](t)(manager.NewValue(ctx, m, nil, 7))
		result := make(chan error, 1)
		go func() {
			got, err := manager.UpdateValue(ctx, v, hold, 0)
			if err == nil && got != 8 {
				err = fmt.Errorf("got %d", got)
			}
			result <- err
		}()
		<-holding
		ended := make(chan error, 1)
		go func() { ended <- s.Shutdown(ctx) }()
		proctest.Eventually(t, func() bool { _, err := v.Get(ctx); return errors.Is(err, manager.ErrShutdown) }, "calls to be refused")
		letGo <- struct{}{}
		check(t, <-result)
		check(t, <-ended)
		if _, err := v.Get(ctx); !errors.Is(err, manager.ErrServer) && !errors.Is(err, manager.ErrShutdown) {
			t.Error(err)
		}
	})
}

func TestClosed(t *testing.T) {
	each(t, func(t *testing.T, s *manager.Server, m *manager.Manager) {
		ctx := proctest.Context(t)
		v := must[*manager.Value[int]](t)(manager.NewValue(ctx, m, nil, 7))
		other := must[*manager.Value[int]](t)(manager.NewValue(ctx, m, nil, 7))
		check(t, other.Close())
		check(t, other.Close())
		if _, err := other.Get(ctx); !errors.Is(err, manager.ErrClosed) {
			t.Error(err)
		}
		check(t, m.Close())
		check(t, m.Close())
		if _, err := v.Get(ctx); !errors.Is(err, manager.ErrClosed) {
			t.Error(err)
		}
		check(t, v.Close())
		var zero manager.Value[int]
		if _, err := zero.Get(ctx); !errors.Is(err, manager.ErrClosed) {
			t.Error(err)
		}
		check(t, zero.Close())
		proctest.Eventually(t, func() bool { return s.Stats() == manager.Stats{} }, "everything to be let go")
	})
}

// TestReferences counts who has an object.
func TestReferences(t *testing.T) {
	each(t, func(t *testing.T, s *manager.Server, m *manager.Manager) {
		ctx := proctest.Context(t)
		outer := must[*manager.Dict[string, *manager.List[int]]](t)(manager.NewDict[string, *manager.List[int]](ctx, m, nil))
		inner := must[*manager.List[int]](t)(manager.NewList(ctx, m, nil, 1, 2, 3))
		check(t, outer.Set(ctx, "a", inner))
		check(t, outer.Set(ctx, "b", inner))
		check(t, inner.Close())
		got := must[*manager.List[int]](t)(outer.Get(ctx, "a"))
		check(t, outer.Delete(ctx, "a"))
		if all, err := got.Copy(ctx); len(all) != 3 || err != nil {
			t.Error(all, err)
		}
		check(t, got.Close())
		if n := s.Stats().Objects; n != 2 {
			t.Errorf("%d objects", n)
		}
		again := must[*manager.List[int]](t)(outer.Pop(ctx, "b"))
		if all, err := again.Copy(ctx); len(all) != 3 || err != nil { // it is on its way
			t.Error(all, err)
		}
		named := must[*manager.List[int]](t)(manager.NewList(ctx, m, &manager.ObjectOptions{Name: "list"}, 1))
		same := must[*manager.List[int]](t)(manager.NewList(ctx, m, &manager.ObjectOptions{Name: "list", Existing: true}, 2))
		if all, err := same.Copy(ctx); len(all) != 1 || all[0] != 1 || err != nil {
			t.Error(all, err)
		}
		if _, err := manager.NewList[string](ctx, m, &manager.ObjectOptions{Name: "list"}); !errors.Is(err, manager.ErrName) {
			t.Error(err)
		}
		if _, err := manager.NewDict[string, int](ctx, m, &manager.ObjectOptions{Name: "none", Existing: true}); !errors.Is(err, manager.ErrName) {
			t.Error(err)
		}
		check(t, errors.Join(named.Close(), same.Close()))
		same = must[*manager.List[int]](t)(manager.NewList(ctx, m, &manager.ObjectOptions{Name: "list", Existing: true}, 2))
		check(t, m.Delete(ctx, "list"))
		if err := m.Delete(ctx, "list"); !errors.Is(err, manager.ErrName) {
			t.Error(err)
		}
		if n, err := same.Len(ctx); n != 1 || err != nil {
			t.Error(n, err)
		}
	})
}

// TestCollected lets proxies go that the garbage collector has found.
func TestCollected(t *testing.T) {
	s := serve(t, &manager.ServerOptions{Linger: -1})
	m := dial(t, s, "ring")
	for range 10 {
		if _, err := manager.NewDict[int, int](proctest.Context(t), m, nil); err != nil {
			t.Fatal(err)
		}
	}
	proctest.Eventually(t, func() bool { collect(); return s.Stats().Objects == 0 }, "the objects to be let go")
}

// TestBadInput has the server refuse what is wrong, and go on.
func TestBadInput(t *testing.T) {
	ctx := proctest.Context(t)
	var log lockedBuffer
	s := serve(t, &manager.ServerOptions{MaxMessage: 100_000, MaxClients: 3, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	a := must[net.Addr](t)(s.Listen("unix", ""))
	m := dial(t, s, "ring")
	d := must[*manager.Dict[string, []byte]](t)(manager.NewDict[string, []byte](ctx, m, nil))
	u := dial(t, s, "unix")
	list := must[*manager.List[[]byte]](t)(manager.NewList[[]byte](ctx, u, nil))

	if _, err := manager.Dial(ctx, "ring", a.String(), &manager.DialOptions{Key: []byte("wrong")}); !errors.Is(err, manager.ErrAuthentication) {
		t.Error(err)
	}
	if _, err := manager.Dial(ctx, "carrier pigeon", "", nil); !errors.Is(err, manager.ErrValue) {
		t.Error(err)
	}
	if _, err := manager.Dial(ctx, "unix", "@nobody-is-here", nil); !errors.Is(err, manager.ErrServer) {
		t.Error(err)
	}
	for range 20 { // peers that know the key, and talk nonsense
		c, err := conn.Dial(ctx, "unix", a.String(), &conn.DialOptions{Key: s.Key()})
		check(t, err)
		check(t, c.SendBytes(ctx, []byte("GET / HTTP/1.1")))
		if _, err := c.RecvBytes(ctx); err != nil && err != io.EOF && !errors.Is(err, conn.ErrBroken) {
			t.Error(err)
		}
		check(t, c.Close())
		proctest.Eventually(t, func() bool { return s.Stats().Clients == 2 }, "the peer to be gone")
	}
	if err := d.Set(ctx, "big", make([]byte, 200_000)); !errors.Is(err, manager.ErrTooLarge) {
		t.Error(err)
	}
	if err := list.Append(ctx, make([]byte, 200_000)); !errors.Is(err, manager.ErrTooLarge) {
		t.Error(err)
	}
	for range 3 {
		check(t, list.Append(ctx, make([]byte, 50_000)))
	}
	if _, err := list.Copy(ctx); !errors.Is(err, manager.ErrTooLarge) {
		t.Error(err)
	}
	if n, err := list.Len(ctx); n != 3 || err != nil {
		t.Error(n, err)
	}
	third := dial(t, s, "unix")
	if _, err := manager.Dial(ctx, "unix", a.String(), &manager.DialOptions{Key: s.Key()}); !errors.Is(err, manager.ErrLimit) {
		t.Error(err)
	}
	check(t, third.Close())
	for _, o := range []manager.ServerOptions{{MaxClients: -1}, {MaxMessage: -1}, {RingBytes: 1}} {
		if _, err := manager.NewServer(&o); !errors.Is(err, manager.ErrValue) {
			t.Error(err)
		}
	}
	type unknown struct{ F func() }
	v := must[*manager.Value[any]](t)(manager.NewValue[any](ctx, m, nil, nil))
	if err := v.Set(ctx, unknown{}); !errors.Is(err, manager.ErrValue) {
		t.Error(err)
	}
	if err := d.Set(ctx, "small", nil); err != nil {
		t.Error(err)
	}
	for _, what := range []string{"client refused", "no client of this version", "authentication"} {
		if !strings.Contains(log.String(), what) {
			t.Errorf("the log says nothing of %q:\n%s", what, log.String())
		}
	}
}

// TestLost cuts a connection when a call is under way, and goes on.
func TestLost(t *testing.T) {
	ctx := proctest.Context(t)
	s := serve(t, nil)
	p, m := far(t, s, 0)
	v := must[*manager.Value[int]](t)(manager.NewValue(ctx, m, nil, 7))
	for range 5 {
		lost := make(chan error, 1)
		go func() {
			_, err := manager.UpdateValue(ctx, v, hold, 0)
			lost <- err
		}()
		<-holding
		p.cut()
		if err := <-lost; !errors.Is(err, manager.ErrLost) {
			t.Fatal(err)
		}
		if got, err := v.Get(ctx); got != 7 || err != nil { // over a new connection, in the same session
			t.Fatal(got, err)
		}
		if st := s.Stats(); st.Sessions != 1 {
			t.Errorf("%+v", st)
		}
	}
	p.close()
	if _, err := v.Get(ctx); !errors.Is(err, manager.ErrServer) && !errors.Is(err, manager.ErrLost) {
		t.Error(err)
	}
}

// TestLinger ends the session of a client that does not come back in time.
func TestLinger(t *testing.T) {
	ctx := proctest.Context(t)
	s := serve(t, &manager.ServerOptions{Linger: 20 * time.Millisecond, Keep: time.Nanosecond})
	p, m := far(t, s, 0)
	v := must[*manager.Value[int]](t)(manager.NewValue(ctx, m, nil, 7))
	p.refuse(true)
	p.cut()
	proctest.Eventually(t, func() bool { return s.Stats() == manager.Stats{} }, "the session to end")
	p.refuse(false)
	proctest.Eventually(t, func() bool { _, err := v.Get(ctx); return errors.Is(err, manager.ErrGone) }, "the object to be gone")
	w := must[*manager.Value[int]](t)(manager.NewValue(ctx, m, nil, 8))
	if got, err := w.Get(ctx); got != 8 || err != nil {
		t.Error(got, err)
	}
}

// TestSilence gives up a peer that is silent.
func TestSilence(t *testing.T) {
	ctx := proctest.Context(t)
	s := serve(t, &manager.ServerOptions{Linger: 2 * time.Second})
	p, m := far(t, s, 20*time.Millisecond)
	v := must[*manager.Value[int]](t)(manager.NewValue(ctx, m, nil, 7))
	time.Sleep(200 * time.Millisecond)
	for { // where the machine is busy it may not have been kept alive
		got, err := v.Get(ctx)
		if errors.Is(err, manager.ErrLost) {
			continue
		}
		if got != 7 || err != nil {
			t.Error(got, err)
		}
		break
	}
	lost := make(chan error, 1)
	go func() {
		_, err := manager.UpdateValue(ctx, v, hold, 0)
		lost <- err
	}()
	<-holding
	p.pause(true)
	if err := <-lost; !errors.Is(err, manager.ErrLost) {
		t.Error(err)
	}
	proctest.Eventually(t, func() bool { return s.Stats() == manager.Stats{} }, "the server to give the client up")
	p.pause(false)
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
