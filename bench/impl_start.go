package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"

	"github.com/fb2d3dbd/multiproc"
)

// A startArg says how processes are started, by one that does nothing else: a process in which others are measured could not be forked.
type startArg struct {
	Method multiproc.StartMethod
	N      int
	Heap   int           // MiB that the process which starts them has
	Init   time.Duration // what each of them takes before it is ready
	Ready  *multiproc.Value[int64]
	Sum    *multiproc.Value[int64]
}

// preloadVariable says what the zygote of such a process has: MiB, and how long its initialisation takes.
const preloadVariable = "MULTIPROC_BENCH_PRELOAD"

func init() {
	multiproc.Preload("bench", func() error {
		var mib int
		var takes time.Duration
		if s := os.Getenv(preloadVariable); s != "" {
			if _, err := fmt.Sscan(s, &mib, &takes); err != nil {
				return fmt.Errorf("%s=%q: %w", preloadVariable, s, err)
			}
		}
		ballast = heap(mib)
		time.Sleep(takes)
		return nil
	})
}

var ballast []byte

// heap returns memory that is there.
func heap(mib int) []byte {
	b := make([]byte, mib<<20)
	for i := 0; i < len(b); i += 4096 {
		b[i] = 1
	}
	return b
}

type readyArg struct {
	Init  time.Duration
	Ready *multiproc.Value[int64]
}

// readyTarget says when it runs and has what it needs.
var readyTarget = multiproc.NewTarget("bench.ready", func(ctx context.Context, a readyArg) error {
	time.Sleep(a.Init)
	return a.Ready.Store(monotonic())
})

var startTarget = multiproc.NewTarget("bench.start", func(ctx context.Context, a startArg) error {
	ballast = heap(a.Heap)
	var sum int64
	for i := range a.N + 1 {
		begin := monotonic()
		p, err := readyTarget.Start(ctx, readyArg{a.Init, a.Ready}, &multiproc.ProcessOptions{Method: a.Method})
		if err == nil {
			err = p.Wait(ctx)
		}
		at, e := a.Ready.Load()
		if err = errors.Join(err, e); err != nil {
			return err
		}
		if i > 0 { // the first starts what the method keeps for all
			sum += at - begin
		}
	}
	runtime.KeepAlive(ballast)
	return a.Sum.Store(sum)
})

// runAlone runs a target in a process of its own, with a variable in its environment, and waits for its end. When ctx ends the process is
// killed, and so are those that it has started.
func runAlone[A any](ctx context.Context, t *multiproc.Target[A], arg A, env string) error {
	p, err := t.Start(ctx, arg, &multiproc.ProcessOptions{Method: multiproc.Spawn, Env: []string{env}})
	if err != nil {
		return err
	}
	if err := p.Wait(ctx); err != nil {
		_ = p.Kill()
		_ = p.Wait(context.WithoutCancel(ctx)) // says that it was killed
		return errors.Join(err, p.Close())
	}
	return p.Close()
}

// multiprocReady measures how long it takes from the start of a process until its target runs and is ready.
func multiprocReady(name string, a startArg, preload int, takes time.Duration) Impl {
	im := multiprocImpl(func(ctx context.Context, n int) (_ time.Duration, err error) {
		a := a
		a.N = n
		if a.Ready, err = multiproc.NewValue(int64(0)); err != nil {
			return 0, err
		}
		defer a.Ready.Free()
		if a.Sum, err = multiproc.NewValue(int64(0)); err != nil {
			return 0, err
		}
		defer a.Sum.Free()
		if err := runAlone(ctx, startTarget, a, fmt.Sprintf("%s=%d %v", preloadVariable, preload, takes)); err != nil {
			return 0, err
		}
		sum, err := a.Sum.Load()
		return time.Duration(sum), err
	})
	im.Name = name
	missing := im.Missing
	im.Missing = func() string {
		if err := a.Method.Available(); err != nil {
			return err.Error()
		}
		return missing()
	}
	return im
}

// startScenarios are those of the start methods that copy a process.
func startScenarios() []Scenario {
	const mib = 10
	server := startArg{Method: multiproc.ForkServer}
	slow := multiprocReady("spawn", startArg{Method: multiproc.Spawn, Init: time.Second}, 0, 0)
	slow.Most = 1
	warm := multiprocReady("multiproc", server, mib, time.Second)
	return []Scenario{
		{
			Name: "start/fork",
			Doc:  "one process from its start until it notes the time in shared memory: a copy of a process with a heap of 10 MiB; cfork is fork(2) in C",
			Impls: []Impl{
				multiprocReady("multiproc", startArg{Method: multiproc.Fork, Heap: mib}, 0, 0), cImpl("cfork", "fork", mib), cpythonImpl("ready", 1, mib), goroutineStart(),
			},
		},
		{
			Name: "start/fork-1GiB",
			Doc:  "start/fork of a process with a heap of 1 GiB",
			Impls: []Impl{
				multiprocReady("multiproc", startArg{Method: multiproc.Fork, Heap: 1024}, 0, 0), cImpl("cfork", "fork", 1024), goroutineStart(),
			},
			Long:   true,
			Rounds: curveRounds,
		},
		{
			Name: "start/forkserver",
			Doc:  "the same as a copy of a server process with a heap of 10 MiB; cfork copies the process that asks",
			Impls: []Impl{
				multiprocReady("multiproc", server, mib, 0), cImpl("cfork", "fork", mib), cpythonImpl("ready", 2, mib), goroutineStart(),
			},
		},
		{
			Name:  "start/forkserver-preloaded",
			Doc:   "the same with an initialisation that takes a second: multiproc has done it in the server, spawn does it in each process",
			Impls: []Impl{warm, slow, goroutineStart()},
		},
		{
			Name: "start/forkserver-1GiB",
			Doc:  "start/forkserver where the server process has a heap of 1 GiB; cfork copies the process that asks, which has it",
			Impls: []Impl{
				multiprocReady("multiproc", server, 1024, 0), cImpl("cfork", "fork", 1024), goroutineStart(),
			},
			Long:   true,
			Rounds: curveRounds,
		},
		{
			Name: "start/forkserver-1GiB-parent",
			Long: true,
			Doc:  "start/forkserver where the process that asks has a heap of 1 GiB; cfork has to copy it",
			Impls: []Impl{
				multiprocReady("multiproc", startArg{Method: multiproc.ForkServer, Heap: 1024}, mib, 0), cImpl("cfork", "fork", 1024), goroutineStart(),
			},
		},
	}
}
