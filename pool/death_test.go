package pool_test

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fb2d3dbd/multiproc/internal/proctest"
	"github.com/fb2d3dbd/multiproc/pool"
)

// Exactly the task in the hands of a worker that dies fails, and is told how; the pool is back at its strength.
func TestWorkerDeath(t *testing.T) {
	p := start(t, act, &pool.Options{Workers: 2, Process: quiet(t)})
	ctx := proctest.Context(t)
	for _, chunk := range []int{0, 1, 4, 100} {
		in := slices.Repeat([]string{"echo x", "kill", "echo y", "exit", "echo z", "crash oh"}, 3)
		got, err := p.With(&pool.CallOptions{Chunk: chunk}).Map(ctx, in)
		var m *pool.MapError
		if !errors.As(err, &m) || len(m.Tasks) != 9 {
			t.Fatal(err)
		}
		for i, v := range got {
			if i%2 == 0 && v != strings.TrimPrefix(in[i], "echo ") || i%2 == 1 && v != "" {
				t.Errorf("%d: %q", i, v)
			}
		}
		for _, e := range m.Tasks {
			var died *pool.WorkerDiedError
			if !errors.As(e, &died) || !errors.Is(e, pool.ErrWorkerDied) || died.PID == 0 || !strings.HasPrefix(died.Worker, "act-") {
				t.Fatalf("%#v", e)
			}
			switch {
			case in[e.Index] == "kill" && died.Signal != syscall.SIGKILL,
				in[e.Index] == "exit" && (died.Signal != 0 || died.Code != 3),
				in[e.Index] == "crash oh" && (died.Code != 2 || !strings.Contains(died.Text, "panic: oh") || died.Stack == ""):
				t.Errorf("%s: %+v", in[e.Index], died)
			}
		}
	}
	proctest.Eventually(t, func() bool { return p.Stats().Workers == 2 }, "the pool is back at its strength")
	finish(t, p)
}

// Workers that are killed while they wait, from outside: nobody notices.
func TestIdleWorkersKilled(t *testing.T) {
	p := start(t, act, &pool.Options{Workers: 2, Process: quiet(t)})
	ctx := proctest.Context(t)
	for range 5 {
		for _, w := range p.Workers() {
			_ = w.Kill()
		}
		if v, err := p.Apply(ctx, "echo a"); err != nil && !errors.Is(err, pool.ErrWorkerDied) || err == nil && v != "a" {
			t.Fatal(v, err)
		}
	}
	finish(t, p)
}

// A retry goes to another worker; what kills all of them is named.
func TestRetries(t *testing.T) {
	p := start(t, act, &pool.Options{Workers: 2, Process: quiet(t)})
	ctx := proctest.Context(t)
	q := p.With(&pool.CallOptions{Retries: 2, Chunk: 3})
	got, err := q.Map(ctx, []string{"echo a", "kill", "echo b"})
	var m *pool.MapError
	if !errors.As(err, &m) || len(m.Tasks) != 1 || !slices.Equal(got, []string{"a", "", "b"}) {
		t.Fatal(got, err)
	}
	e := m.Tasks[0]
	if !errors.Is(err, pool.ErrPoison) || e.Index != 1 || e.Attempts != 3 || !strings.Contains(e.Error(), `task 1 of "act" has killed 3 workers`) {
		t.Error(err)
	}
	if s := p.Stats(); s.Retried != 2 {
		t.Errorf("%+v", s)
	}
	once := start(t, dieOnce, &pool.Options{Workers: 1})
	first := t.TempDir() + "/first"
	if v, err := once.With(&pool.CallOptions{Retries: 1}).Apply(ctx, first); v != "second" || err != nil {
		t.Error(v, err)
	}
	if _, err := p.Apply(ctx, "kill"); errors.Is(err, pool.ErrPoison) {
		t.Error("one death makes no poison")
	}
	finish(t, p)
}

var dieOnce = pool.NewFunc("die once", func(_ context.Context, mark string) (string, error) {
	if _, err := os.Stat(mark); err == nil {
		return "second", nil
	}
	if err := os.WriteFile(mark, nil, 0o600); err != nil {
		return "", err
	}
	return "", suicide()
})

// A context that ends is the task's; one that takes no notice costs its worker, and nobody else.
func TestCancel(t *testing.T) {
	ctx := proctest.Context(t)
	patient := start(t, act, &pool.Options{Workers: 2, Grace: time.Minute})
	short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
	defer cancel()
	if _, err := patient.Apply(short, "wait"); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, pool.ErrWorkerDied) {
		t.Error(err)
	}
	finish(t, patient)
	if s := patient.Stats(); s.Died != 0 {
		t.Errorf("%+v", s)
	}
	p := start(t, act, &pool.Options{Workers: 2, Grace: 50 * time.Millisecond})
	for _, verb := range []string{"ignore", "stop"} {
		end, cancel := context.WithCancel(ctx)
		h := p.ApplyAsync(end, verb)
		other := p.ApplyAsync(ctx, "sleep 10ms")
		proctest.Eventually(t, func() bool { return p.Stats().Begun >= 2 }, "both are handed over")
		cancel()
		if _, err := h.Get(ctx); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if v, err := other.Get(ctx); v != "10ms" || err != nil {
			t.Error(v, err)
		}
	}
	finish(t, p)
}

// Of a call that is cancelled what waits never runs, also behind a running one in the same chunk.
func TestCancelWaiting(t *testing.T) {
	for _, chunk := range []int{1, 50} {
		p := start(t, act, &pool.Options{Workers: 1, Grace: 50 * time.Millisecond})
		ctx, cancel := context.WithCancel(proctest.Context(t))
		mark := t.TempDir() + "/ran"
		h := p.With(&pool.CallOptions{Chunk: chunk}).MapAsync(ctx, append([]string{"wait"}, slices.Repeat([]string{"wait"}, 49)...))
		proctest.Eventually(t, func() bool { return p.Stats().Begun == 50 }, "all are handed over")
		cancel()
		_, err := h.Get(context.Background())
		var m *pool.MapError
		if !errors.As(err, &m) || len(m.Tasks) != 50 || !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if _, err := os.Stat(mark); err == nil {
			t.Error("it ran")
		}
		if v, err := p.Apply(proctest.Context(t), "echo on"); v != "on" || err != nil {
			t.Error(v, err)
		}
		finish(t, p)
	}
}

// The time-out of a task counts from its own beginning.
func TestTimeout(t *testing.T) {
	ctx := proctest.Context(t)
	patient := start(t, act, &pool.Options{Workers: 1, Grace: time.Minute})
	got, err := patient.With(&pool.CallOptions{Timeout: time.Second, Chunk: 4}).Map(ctx, []string{"echo a", "wait", "echo b"})
	if e := taskError(t, err); e.Index != 1 || !errors.Is(e, context.DeadlineExceeded) || errors.Is(e, pool.ErrTimeout) || got[0] != "a" || got[2] != "b" {
		t.Error(got, err)
	}
	finish(t, patient)
	p := start(t, act, &pool.Options{Workers: 1, Grace: 40 * time.Millisecond})
	_, err = p.With(&pool.CallOptions{Timeout: 50 * time.Millisecond}).Apply(ctx, "ignore")
	if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, pool.ErrTimeout) {
		t.Error(err)
	}
	if v, err := p.Apply(ctx, "echo on"); v != "on" || err != nil {
		t.Error(v, err)
	}
	finish(t, p)
}
