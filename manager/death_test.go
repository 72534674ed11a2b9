package manager_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/fb2d3dbd/multiproc"
	"github.com/fb2d3dbd/multiproc/internal/proctest"
	"github.com/fb2d3dbd/multiproc/manager"
)

// A user is a process that uses a server until it is killed.
type user struct {
	D    *manager.Dict[int, string]
	L    *manager.List[*manager.Dict[int, string]]
	Self int
	Up   *multiproc.Event
}

var use = multiproc.NewTarget("use", func(ctx context.Context, u user) error {
	v, err := u.D.Get(ctx, 1)
	if err != nil || v != "one" {
		return fmt.Errorf("got %q, %w", v, err)
	}
	for i := 0; ; i++ {
		if err := u.D.Set(ctx, u.Self, fmt.Sprint(i)); err != nil {
			return err
		}
		if err := u.L.Append(ctx, u.D); err != nil {
			return err
		}
		d, err := u.L.Pop(ctx, -1)
		if err != nil && !errors.Is(err, manager.ErrEmpty) {
			return err
		}
		if err == nil {
			if err := d.Close(); err != nil {
				return err
			}
		}
		if i == 3 {
			if err := u.Up.Set(); err != nil {
				return err
			}
		}
	}
})

// TestClientKilled kills clients, which leave nothing.
func TestClientKilled(t *testing.T) {
	networks(t, func(t *testing.T, m *manager.Manager) {
		ctx := proctest.Context(t)
		d := must[*manager.Dict[int, string]](t)(manager.NewDict[int, string](ctx, m, nil))
		l := must[*manager.List[*manager.Dict[int, string]]](t)(manager.NewList[*manager.Dict[int, string]](ctx, m, nil))
		check(t, d.Set(ctx, 1, "one"))
		for round := range 5 {
			up := must[*multiproc.Event](t)(multiproc.NewEvent())
			p, err := use.Start(ctx, user{d, l, 10 + round, up}, process)
			check(t, err)
			check(t, up.Wait(ctx))
			check(t, p.Kill())
			_ = p.Wait(ctx)
			check(t, up.Free())
		}
		check(t, l.Clear(ctx))
		proctest.Eventually(t, func() bool {
			st, err := m.Stats(ctx)
			check(t, err)
			return st.Clients == 1 && st.Sessions == 1 && st.Objects == 2
		}, "the dead to be forgotten")
		if v, err := d.Get(ctx, 10); v == "" || err != nil {
			t.Error(v, err)
		}
	})
}

// TestServerKilled gives every call an error at once when the server dies.
func TestServerKilled(t *testing.T) {
	networks(t, func(t *testing.T, m *manager.Manager) {
		ctx := proctest.Context(t)
		v := must[*manager.Value[int]](t)(manager.NewValue(ctx, m, nil, 7))
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				if _, err := manager.UpdateValue(ctx, v, waits, 0); !errors.Is(err, manager.ErrServer) || !errors.Is(err, manager.ErrLost) {
					t.Error(err)
				}
			})
		}
		proctest.Eventually(t, func() bool { st, err := m.Stats(ctx); check(t, err); return st.Waiting == 8 }, "the calls to be under way")
		check(t, m.Process().Kill())
		all.Wait()
		if err := v.Set(ctx, 8); !errors.Is(err, manager.ErrServer) {
			t.Error(err)
		}
	})
}

var waits = manager.NewUpdate("waits", func(ctx context.Context, _ int, _ bool, _ int) (int, bool, error) {
	<-ctx.Done()
	return 0, false, ctx.Err()
})

// TestServerStopped returns to who waits for a server that stands still when the context ends, and goes on with it later.
func TestServerStopped(t *testing.T) {
	networks(t, func(t *testing.T, m *manager.Manager) {
		ctx := proctest.Context(t)
		v := must[*manager.Value[int]](t)(manager.NewValue(ctx, m, nil, 7))
		proctest.Stop(t, m.Process().PID())
		short, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
		defer cancel()
		if _, err := v.Get(short); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		proctest.Continue(t, m.Process().PID())
		if got, err := v.Get(ctx); got != 7 || err != nil { // in the same session
			t.Error(got, err)
		}
	})
}

// TestForked has the child of a fork use what its parent has.
func TestForked(t *testing.T) {
	if err := multiproc.Fork.Available(); err != nil {
		t.Skip(err)
	}
	networks(t, func(t *testing.T, m *manager.Manager) {
		ctx := proctest.Context(t)
		v := must[*manager.Value[int]](t)(manager.NewValue(ctx, m, nil, 7))
		p, err := multiproc.ForkFunc(ctx, func(ctx context.Context) error {
			got, err := v.Get(ctx)
			if err == nil {
				err = v.Set(ctx, got+1)
			}
			return err
		}, &multiproc.ProcessOptions{AllowForkall: true})
		check(t, err)
		check(t, p.Wait(ctx))
		if got, err := v.Get(ctx); got != 8 || err != nil {
			t.Error(got, err)
		}
	})
}

// starter is a process that starts a server and says which process that is.
var starter = multiproc.NewTarget("starter", func(ctx context.Context, pid *manager.Value[int]) error {
	m, err := manager.Start(ctx, nil)
	if err != nil {
		return err
	}
	defer m.Close()
	if err := pid.Set(ctx, m.Process().PID()); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
})

// TestStarterKilled ends a server with the process that has started it.
func TestStarterKilled(t *testing.T) {
	ctx := proctest.Context(t)
	pid := must[*manager.Value[int]](t)(manager.NewValue(ctx, start(t, nil), nil, 0))
	p, err := starter.Start(ctx, pid, nil)
	check(t, err)
	var server int
	proctest.Eventually(t, func() bool {
		server, err = pid.Get(ctx)
		check(t, err)
		return server != 0
	}, "the server to be there")
	check(t, p.Kill())
	_ = p.Wait(ctx)
	proctest.Eventually(t, func() bool { return !proctest.Running(t, server) }, "the server to end")
}
