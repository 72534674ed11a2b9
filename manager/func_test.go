package manager_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/fb2d3dbd/multiproc/internal/proctest"
	"github.com/fb2d3dbd/multiproc/manager"
)

var (
	square = manager.NewFunc("square", func(ctx context.Context, n int) (int, error) {
		switch n {
		case -1:
			return 0, errTooMuch
		case -2:
			panic("minus two")
		case -3:
			<-ctx.Done()
			return 0, ctx.Err()
		}
		return n * n, nil
	})
	lookUp = manager.NewFunc("look up", func(ctx context.Context, d *manager.Dict[string, int]) (int, error) {
		defer d.Close()
		return d.Get(ctx, "a")
	})
	madeDict = manager.NewFunc("made dict", func(ctx context.Context, a manager.Dict[string, int]) (*manager.Dict[string, int], error) {
		return &a, a.Set(ctx, "made", 1)
	})
	unsendable = manager.NewFunc("unsendable", func(context.Context, int) (any, error) { return kelvin{1}, nil })
)

func TestFunc(t *testing.T) {
	networks(t, func(t *testing.T, m *manager.Manager) {
		ctx := proctest.Context(t)
		if n, err := square.Call(ctx, m, 7); n != 49 || err != nil {
			t.Fatal(n, err)
		}
		var remote *manager.RemoteError
		if _, err := square.Call(ctx, m, -1); !errors.Is(err, errTooMuch) {
			t.Error(err)
		}
		if _, err := square.Call(ctx, m, -2); !errors.As(err, &remote) || !remote.Panic || !strings.Contains(remote.Stack, "func_test.go") {
			t.Error(err)
		}
		short, cancel := context.WithCancel(ctx)
		cancel()
		if _, err := square.Call(short, m, -3); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if _, err := unsendable.Call(ctx, m, 0); !errors.Is(err, manager.ErrValue) || !strings.Contains(err.Error(), "kelvin") {
			t.Error(err)
		}
		d, err := manager.NewDict[string, int](ctx, m, nil)
		check(t, err)
		check(t, d.Set(ctx, "a", 5))
		if n, err := lookUp.Call(ctx, m, d); n != 5 || err != nil {
			t.Fatal(n, err)
		}
		same, err := madeDict.Call(ctx, m, *d)
		check(t, err)
		check(t, d.Close())
		if n, err := same.Get(ctx, "made"); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		check(t, same.Close())
	})
}

// atServer is a server's process that listens on a network too, and returns its address by a named object.
var atServer = manager.NewSetup("manager_test.listen", func(ctx context.Context, s *manager.Server, network string) error {
	a, err := s.Listen(network, "")
	if err != nil {
		return err
	}
	m, err := s.Dial(ctx)
	if err != nil {
		return err
	}
	_, err = manager.NewValue(ctx, m, &manager.ObjectOptions{Name: "address"}, a.String())
	return err
})

// dialed starts a server in a process of its own and returns a Manager that is connected to it over a network.
func dialed(t *testing.T, network string) *manager.Manager {
	t.Helper()
	ctx := proctest.Context(t)
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	local, err := atServer.Start(ctx, network, options(&manager.Options{Server: manager.ServerOptions{Key: key}}))
	check(t, err)
	t.Cleanup(func() { check(t, local.Close()) })
	a, err := manager.NewValue(ctx, local, &manager.ObjectOptions{Name: "address", Existing: true}, "")
	check(t, err)
	address, err := a.Get(ctx)
	check(t, err)
	m, err := manager.Dial(ctx, network, address, &manager.DialOptions{Key: key})
	check(t, err)
	t.Cleanup(func() { check(t, m.Close()) })
	return m
}

// Proxies are arguments also where they come over a network, whose key they do not take along.
func TestProxyArgumentsOverNetwork(t *testing.T) {
	ctx := proctest.Context(t)
	m := dialed(t, "tcp")
	d, err := manager.NewDict[string, int](ctx, m, nil)
	check(t, err)
	check(t, d.Set(ctx, "a", 5))
	if n, err := lookUp.Call(ctx, m, d); n != 5 || err != nil {
		t.Fatal(n, err)
	}
	c, err := counters.New(ctx, m, 0, nil)
	check(t, err)
	if n, err := manager.Call[int](ctx, c, "Get", d, "a"); n != 5 || err != nil {
		t.Fatal(n, err)
	}
	k, err := manager.Call[*manager.Object](ctx, c, "Child", 9)
	check(t, err)
	if n, err := manager.Call[int](ctx, c, "Take", k); n != 9 || err != nil {
		t.Fatal(n, err)
	}
}

// A door says on the way what becomes of it.
type door struct {
	o     doorOptions
	ended atomic.Bool
}

type doorOptions struct {
	File         string
	Panics, Errs bool
}

var doors = manager.NewType("door", func(_ context.Context, o doorOptions) (*door, error) { return &door{o: o}, nil })

func (d *door) Linger(ctx context.Context) {
	<-ctx.Done()
	d.ended.Store(true)
}

func (d *door) Close() error {
	text := "closed"
	if d.ended.Load() {
		text += " after a method"
	}
	f, err := os.OpenFile(d.o.File, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	fmt.Fprintln(f, text)
	if d.o.Panics {
		panic("close")
	}
	if d.o.Errs {
		return errors.New("close")
	}
	return f.Close()
}

// An object that can be closed is, once: with its last proxy, after its last method, with its server.
func TestTypeClose(t *testing.T) {
	ctx := proctest.Context(t)
	m, err := manager.Start(ctx, options(nil))
	check(t, err)
	defer m.Close()
	file := t.TempDir() + "/closed"
	closes := func(text string) {
		t.Helper()
		proctest.Eventually(t, func() bool { b, _ := os.ReadFile(file); return string(b) == text }, fmt.Sprintf("%q is written", text))
	}
	a, err := doors.New(ctx, m, doorOptions{File: file}, nil)
	check(t, err)
	if _, err := a.Call(ctx, "Close"); !errors.Is(err, manager.ErrUnknown) {
		t.Error(err)
	}
	check(t, a.Close())
	closes("closed\n")
	all := "closed\n"
	for _, o := range []doorOptions{{File: file, Panics: true}, {File: file, Errs: true}} {
		b, err := doors.New(ctx, m, o, nil)
		check(t, err)
		check(t, b.Close())
		all += "closed\n"
		closes(all)
	}
	b, err := doors.New(ctx, m, doorOptions{File: file}, nil)
	check(t, err)
	short, cancel := context.WithCancel(ctx)
	done := make(chan error)
	go func() { _, err := b.Call(short, "Linger"); done <- err }()
	proctest.Eventually(t, func() bool { st, err := m.Stats(ctx); return err == nil && st.Waiting == 1 }, "the method runs")
	check(t, b.Close())
	quietExcept(t, m)
	closes(all)
	cancel()
	<-done
	all += "closed after a method\n"
	closes(all)
	_, err = doors.New(ctx, m, doorOptions{File: file}, nil)
	check(t, err)
	check(t, m.Shutdown(ctx))
	if b, _ := os.ReadFile(file); string(b) != all+"closed\n" {
		t.Errorf("after the shutdown there is %q", b)
	}
}

// quietExcept waits until the server has no objects, whatever runs.
func quietExcept(t *testing.T, m *manager.Manager) {
	t.Helper()
	proctest.Eventually(t, func() bool {
		st, err := m.Stats(proctest.Context(t))
		check(t, err)
		return st.Objects == 0
	}, "no objects")
}

// What is begun is ended before the server is.
func TestTypeShutdown(t *testing.T) {
	ctx := proctest.Context(t)
	s, err := manager.NewServer(nil)
	check(t, err)
	m, err := s.Dial(ctx)
	check(t, err)
	defer m.Close()
	file := t.TempDir() + "/closed"
	d, err := doors.New(ctx, m, doorOptions{File: file}, nil)
	check(t, err)
	done := make(chan error)
	short, cancel := context.WithCancel(ctx)
	go func() { _, err := d.Call(short, "Linger"); done <- err }()
	proctest.Eventually(t, func() bool { return s.Stats().Waiting == 1 }, "the method runs")
	down := make(chan error)
	go func() { down <- s.Shutdown(ctx) }()
	proctest.Eventually(t, func() bool {
		_, err := square.Call(ctx, m, 1)
		return errors.Is(err, manager.ErrShutdown)
	}, "no new calls")
	select {
	case err := <-down:
		t.Fatal("the shutdown did not wait", err)
	default:
	}
	cancel()
	<-done
	check(t, <-down)
	if b, _ := os.ReadFile(file); string(b) != "closed after a method\n" {
		t.Errorf("after the shutdown there is %q", b)
	}
}
