package manager_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fb2d3dbd/multiproc"
	"github.com/fb2d3dbd/multiproc/internal/proctest"
	"github.com/fb2d3dbd/multiproc/manager"
	"github.com/fb2d3dbd/multiproc/pool"
)

var (
	task = pool.NewFunc("manager_test.task", func(ctx context.Context, n int) (int, error) {
		switch n {
		case -1:
			return 0, fmt.Errorf("task: %w", errTooMuch)
		case -2:
			panic("minus two")
		case -3:
			proctest.Suicide()
		case -4:
			<-ctx.Done()
			return 0, ctx.Err()
		case -5:
			return os.Getppid(), nil
		}
		return n * n, nil
	})
	tasks = manager.NewPoolType(task)

	// unknown is a function of whose pools a server knows nothing that was started before a test registers it.
	unknown         = pool.NewFunc("manager_test.unknown", func(context.Context, int) (int, error) { return 0, nil })
	registerUnknown = sync.OnceValue(func() *manager.PoolType[int, int] { return manager.NewPoolType(unknown) })

	count = pool.NewFunc("manager_test.count", func(ctx context.Context, d *manager.Dict[string, int]) (string, error) {
		defer d.Close()
		_, _, err := manager.UpdateDict(ctx, d, "n", addTo, 1)
		return strings.Repeat("x", 10), err
	})
	counting = manager.NewPoolType(count)
)

// workers are options for a few of them, which are no forks whatever else is.
func workers(n int) *pool.Options {
	o := &pool.Options{Workers: n, Grace: 50 * time.Millisecond}
	if os.Getenv(methodVariable) == string(multiproc.Fork) {
		o.Process.Method = multiproc.Spawn
	}
	return o
}

func TestPool(t *testing.T) {
	soon(t, func(t *testing.T, m *manager.Manager) {
		ctx := proctest.Context(t)
		p, err := tasks.New(ctx, m, workers(2), nil)
		check(t, err)
		if n, err := p.Apply(ctx, 7); n != 49 || err != nil {
			t.Fatal(n, err)
		}
		if n, err := p.Apply(ctx, -5); n != m.Process().PID() || err != nil {
			t.Errorf("the parent of a worker is %d (%v), the server %d", n, err, m.Process().PID())
		}
		if all, err := p.Map(ctx, []int{1, 2, 3}); err != nil || !slices.Equal(all, []int{1, 4, 9}) {
			t.Fatal(all, err)
		}
		if all, err := p.Map(ctx, nil); err != nil || len(all) != 0 {
			t.Fatal(all, err)
		}
		var one *pool.TaskError
		var remote *manager.RemoteError
		var died *pool.WorkerDiedError
		if _, err := p.Apply(ctx, -1); !errors.As(err, &one) || one.Func != "manager_test.task" || !errors.Is(err, errTooMuch) || !errors.As(err, &remote) {
			t.Error(err)
		}
		if _, err := p.Apply(ctx, -2); !errors.As(err, &remote) || !remote.Panic || !strings.Contains(remote.Stack, "pool_test.go") {
			t.Error(err)
		}
		if _, err := p.With(&pool.CallOptions{Retries: 1}).Apply(ctx, -3); !errors.Is(err, pool.ErrWorkerDied) || !errors.Is(err, pool.ErrPoison) || !errors.As(err, &died) || died.PID == 0 {
			t.Error(err)
		}
		var some *pool.MapError
		all, err := p.Map(ctx, []int{1, -1, 2, -3})
		if !errors.As(err, &some) || len(some.Tasks) != 2 || some.Tasks[0].Index != 1 || !errors.Is(err, errTooMuch) || !errors.Is(err, pool.ErrWorkerDied) {
			t.Error(err)
		}
		if !slices.Equal(all, []int{1, 0, 4, 0}) {
			t.Error(all)
		}
		if _, err := p.With(&pool.CallOptions{Timeout: time.Millisecond}).Apply(ctx, -4); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		short, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
		defer cancel()
		if _, err := p.Apply(short, -4); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if err := p.Join(ctx); !errors.Is(err, pool.ErrOpen) {
			t.Error(err)
		}
		// another process uses it
		c, err := applier.Start(ctx, p, process)
		check(t, err)
		check(t, c.Wait(ctx))
		check(t, p.ClosePool(ctx))
		if _, err := p.Apply(ctx, 1); !errors.Is(err, manager.ErrClosed) {
			t.Error(err)
		}
		check(t, p.Join(ctx))
		if st, err := p.Stats(ctx); err != nil || st.Workers != 0 || st.Ended == 0 {
			t.Error(st, err)
		}
		check(t, p.Close())
		quiet(t, m, 0)
	})
}

var applier = multiproc.NewTarget("manager_test.applier", func(ctx context.Context, p *manager.Pool[int, int]) error {
	if n, err := p.Apply(ctx, 3); n != 9 || err != nil {
		return fmt.Errorf("3 squared is %d, %v", n, err)
	}
	return p.Close()
})

// A pool ends with its last proxy, with whatever it does.
func TestPoolEnds(t *testing.T) {
	ctx := proctest.Context(t)
	m := start(t, nil)
	p, err := tasks.New(ctx, m, workers(1), &manager.ObjectOptions{Name: "p"})
	check(t, err)
	same, err := tasks.New(ctx, m, nil, &manager.ObjectOptions{Name: "p", Existing: true})
	check(t, err)
	done := make(chan error)
	go func() { _, err := p.Apply(ctx, -4); done <- err }()
	proctest.Eventually(t, func() bool { st, err := same.Stats(ctx); check(t, err); return st.Begun == 1 }, "the task runs")
	check(t, m.Delete(ctx, "p"))
	check(t, same.Close())
	check(t, p.Close())
	if err := <-done; !errors.Is(err, pool.ErrTerminated) {
		t.Error(err)
	}
	quiet(t, m, 0)
	q, err := tasks.New(ctx, m, workers(1), nil)
	check(t, err)
	check(t, q.Terminate(ctx))
	if _, err := q.Apply(ctx, 1); !errors.Is(err, manager.ErrClosed) {
		t.Error(err)
	}
}

func TestPoolMisuse(t *testing.T) {
	ctx := proctest.Context(t)
	m := start(t, nil)
	if _, err := tasks.New(ctx, m, &pool.Options{Process: multiproc.ProcessOptions{Method: multiproc.Fork}}, nil); !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), "forkserver or spawn") {
		t.Error(err)
	}
	if _, err := tasks.New(ctx, m, &pool.Options{Process: multiproc.ProcessOptions{Stdout: os.Stdout}}, nil); !errors.Is(err, manager.ErrValue) {
		t.Error(err)
	}
	if _, err := tasks.New(ctx, m, &pool.Options{Workers: -1}, nil); err == nil {
		t.Error("a pool of -1 workers")
	}
	if _, err := registerUnknown().New(ctx, m, workers(1), nil); os.Getenv(methodVariable) == "" && !errors.Is(err, manager.ErrUnknown) || err != nil && !strings.Contains(err.Error(), "manager_test.count, manager_test.task") {
		t.Error(err)
	}
	p, err := tasks.New(ctx, m, workers(1), nil)
	check(t, err)
	if _, err := p.With(&pool.CallOptions{Progress: func(int, int) {}}).Apply(ctx, 1); !errors.Is(err, manager.ErrValue) {
		t.Error(err)
	}
	if n, err := p.Apply(ctx, 2); n != 4 || err != nil {
		t.Error(n, err)
	}
	if n := len(multiproc.ActiveChildren()); n != 1 {
		t.Errorf("%d children", n)
	}
	check(t, p.Close())
	quiet(t, m, 0)
}

// The arguments of tasks are proxies of the same server's objects.
func TestPoolWithProxies(t *testing.T) {
	ctx := proctest.Context(t)
	m := start(t, nil)
	d, err := manager.NewDict[string, int](ctx, m, nil)
	check(t, err)
	p, err := counting.New(ctx, m, workers(2), nil)
	check(t, err)
	all, err := p.Map(ctx, slices.Repeat([]*manager.Dict[string, int]{d}, 10))
	check(t, err)
	if n, err := d.Get(ctx, "n"); n != 10 || err != nil || len(all) != 10 || all[0] != "xxxxxxxxxx" {
		t.Error(n, err, all)
	}
}
