package manager_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/fb2d3dbd/multiproc"
	"github.com/fb2d3dbd/multiproc/internal/proctest"
	"github.com/fb2d3dbd/multiproc/internal/selfsigned"
	"github.com/fb2d3dbd/multiproc/manager"
)

// TestEveryMethod runs the tests of this package with servers and clients that are started by each method that is not the default.
func TestEveryMethod(t *testing.T) {
	if os.Getenv(methodVariable) != "" {
		t.Skip("it is such a run")
	}
	for _, m := range multiproc.StartMethods()[1:] {
		t.Run(string(m), func(t *testing.T) {
			args := []string{"-test.run=^Test", "-test.short"}
			if m == multiproc.Fork {
				// They start processes where a server runs in goroutines of its own, which would accept in both, or a server in such a process.
				args = append(args, "-test.skip=^Test(Death|RemoteManager|Crowd|StarterKilled)")
			}
			proctest.Again(t, methodVariable+"="+string(m), args...)
		})
	}
}

type setupArg struct {
	How  string
	N    int
	Text []string
}

// initializer does what its argument says before the server is ready.
var initializer = manager.NewSetup("manager_test.initializer", func(ctx context.Context, s *manager.Server, a setupArg) error {
	switch a.How {
	case "error":
		return fmt.Errorf("setup: %w", errTooMuch)
	case "panic":
		panic("in the setup")
	case "wait":
		<-ctx.Done()
		return ctx.Err()
	case "die":
		proctest.Suicide()
	}
	m, err := s.Dial(ctx)
	if err != nil {
		return err
	}
	_, err = manager.NewValue(ctx, m, &manager.ObjectOptions{Name: "n"}, a.N)
	if err != nil {
		return err
	}
	_, err = manager.NewList(ctx, m, &manager.ObjectOptions{Name: "text"}, a.Text...)
	return err
})

// What an initializer makes is there when the server is.
func TestInitializer(t *testing.T) {
	ctx := proctest.Context(t)
	m, err := initializer.Start(ctx, setupArg{N: 42, Text: []string{"a", "b"}}, options(nil))
	check(t, err)
	defer m.Close()
	v, err := manager.NewValue(ctx, m, &manager.ObjectOptions{Name: "n", Existing: true}, 0)
	check(t, err)
	if n, err := v.Get(ctx); n != 42 || err != nil {
		t.Error(n, err)
	}
	l, err := manager.NewList[string](ctx, m, &manager.ObjectOptions{Name: "text", Existing: true})
	check(t, err)
	if all, err := l.Copy(ctx); err != nil || strings.Join(all, "") != "ab" {
		t.Error(all, err)
	}
}

// An initializer that fails ends the server, and says why.
func TestInitializerFails(t *testing.T) {
	ctx := proctest.Context(t)
	var remote *manager.RemoteError
	if _, err := initializer.Start(ctx, setupArg{How: "error"}, options(nil)); !errors.Is(err, errTooMuch) || !errors.As(err, &remote) || !strings.Contains(err.Error(), "setup: too much") {
		t.Error(err)
	}
	if _, err := initializer.Start(ctx, setupArg{How: "panic"}, options(nil)); !errors.As(err, &remote) || !remote.Panic || !strings.Contains(remote.Stack, "setup_test.go") {
		t.Error(err)
	}
	var exit *multiproc.ExitError
	if _, err := initializer.Start(ctx, setupArg{How: "die"}, options(nil)); !errors.As(err, &exit) {
		t.Error(err)
	}
	short, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
	defer cancel()
	if _, err := initializer.Start(short, setupArg{How: "wait"}, options(nil)); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	if n := len(multiproc.ActiveChildren()); n != 0 {
		t.Errorf("%d servers are left", n)
	}
}

// An interrupt at the terminal goes to the server as well, and is not for it.
func TestServerInterrupted(t *testing.T) {
	ctx := proctest.Context(t)
	m, err := manager.Start(ctx, options(nil))
	check(t, err)
	defer m.Close()
	for range 3 {
		check(t, m.Process().Interrupt())
		check(t, m.Ping(ctx))
	}
	l, err := manager.NewList(ctx, m, nil, 1)
	check(t, err)
	has(t, 1)(l.Len(ctx))
	check(t, m.Shutdown(ctx))
}

// A server listens at several addresses, and whoever comes uses the same objects.
func TestSeveralAddresses(t *testing.T) {
	ctx := proctest.Context(t)
	config, err := selfsigned.Config()
	check(t, err)
	s, err := manager.NewServer(&manager.ServerOptions{TLS: config})
	check(t, err)
	defer s.Close()
	var all []*manager.Value[int]
	listen := func(network string, config *tlsConfig) net.Addr {
		a, err := s.ListenTLS(network, "", config)
		check(t, err)
		return a
	}
	for _, x := range []struct {
		network string
		a       net.Addr
		tls     *tlsConfig
	}{
		{"unix", listen("unix", nil), nil}, {"unix", listen("unix", nil), nil}, {"ring", listen("unix", nil), nil}, {"tcp", listen("tcp", nil), nil}, {"tcp", listen("tcp", config), config},
	} {
		m, err := manager.Dial(ctx, x.network, x.a.String(), &manager.DialOptions{Key: s.Key(), TLS: x.tls})
		if x.network == "ring" && errors.Is(err, errors.ErrUnsupported) {
			continue
		}
		check(t, err)
		defer m.Close()
		v, err := manager.NewValue(ctx, m, &manager.ObjectOptions{Name: "v"}, 0)
		check(t, err)
		all = append(all, v)
	}
	for i, v := range all {
		if n, err := v.Get(ctx); n != i || err != nil {
			t.Error(i, n, err)
		}
		check(t, v.Set(ctx, i+1))
	}
}

// document is the function of Python's document.
var document = multiproc.NewTarget("manager_test.document", func(ctx context.Context, a documentArg) error {
	return errors.Join(a.D.Set(ctx, 1, "1"), a.D.Set(ctx, "2", 2), a.D.Set(ctx, 0.25, nil), a.L.Reverse(ctx))
})

type documentArg struct {
	D *manager.Dict[any, any]
	L *manager.List[int]
}

func runDocument(ctx context.Context, o *manager.Options) (d map[any]any, l []int, err error) {
	m, err := manager.Start(ctx, options(o))
	if err != nil {
		return nil, nil, err
	}
	defer m.Close()
	dict, err := manager.NewDict[any, any](ctx, m, nil)
	if err != nil {
		return nil, nil, err
	}
	list, err := manager.NewList(ctx, m, nil, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9)
	if err != nil {
		return nil, nil, err
	}
	p, err := document.Start(ctx, documentArg{dict, list}, process)
	if err != nil {
		return nil, nil, err
	}
	if err := p.Wait(ctx); err != nil {
		return nil, nil, err
	}
	if d, err = dict.Copy(ctx); err != nil {
		return nil, nil, err
	}
	l, err = list.Copy(ctx)
	return d, l, err
}

// The document's example with servers and processes of every start method; under each as the default it is run by TestEveryMethod.
func TestDocument(t *testing.T) {
	want := fmt.Sprint(map[any]any{1: "1", "2": 2, 0.25: nil}, []int{9, 8, 7, 6, 5, 4, 3, 2, 1, 0})
	networks := []string{"ring", "unix"}
	for _, method := range multiproc.StartMethods() {
		for _, network := range networks {
			t.Run(string(method)+"/"+network, func(t *testing.T) {
				ctx := multiproc.WithStartMethod(proctest.Context(t), method)
				d, l, err := runDocument(ctx, &manager.Options{Network: network})
				if got := fmt.Sprint(d, l); got != want || err != nil {
					t.Errorf("%s, %v", got, err)
				}
			})
		}
	}
}
