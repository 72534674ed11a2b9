package pool_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/fb2d3dbd/multiproc"
	"github.com/fb2d3dbd/multiproc/internal/proctest"
	"github.com/fb2d3dbd/multiproc/pool"
)

// TestEveryMethod runs the tests of this package with workers that are started by each method that a pool can use and that is not the default.
func TestEveryMethod(t *testing.T) {
	if os.Getenv(methodVariable) != "" {
		t.Skip("it is such a run")
	}
	for _, m := range multiproc.StartMethods()[1:] {
		if m == multiproc.Fork {
			continue // see TestFork
		}
		t.Run(string(m), func(t *testing.T) {
			proctest.Again(t, methodVariable+"="+string(m), "-test.run=^Test", "-test.short")
		})
	}
}

// A pool does not fork, whoever says so and however much is allowed, and starts nothing.
func TestFork(t *testing.T) {
	for _, o := range []multiproc.ProcessOptions{{Method: multiproc.Fork}, {Method: multiproc.Fork, AllowForkall: true}} {
		p, err := pool.New(square, &pool.Options{Process: o})
		if p != nil || !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), "forkserver") {
			t.Errorf("New returned %v, %v", p, err)
		}
	}
	if _, err := pool.New(square, &pool.Options{Process: multiproc.ProcessOptions{Method: "none"}}); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("with a method that does not exist New returned %v", err)
	}
	if n := len(multiproc.ActiveChildren()); n != 0 {
		t.Errorf("%d children", n)
	}
}

// lineage tells who a worker's parent is, by what method it was started, and what was preloaded into it.
var lineage = pool.NewFunc("lineage", func(context.Context, int) ([3]int, error) {
	return [3]int{os.Getpid(), os.Getppid(), preloaded}, nil
})

var preloaded int

func init() {
	multiproc.Preload("pid", func() error { preloaded = os.Getpid(); return nil })
}

// Workers that are copies of a prepared process have what it has prepared, those that take another's place too, and are children of this process.
func TestForkServer(t *testing.T) {
	if err := multiproc.ForkServer.Available(); err != nil {
		t.Skip(err)
	}
	ctx := proctest.Context(t)
	p := start(t, lineage, &pool.Options{Workers: 2, TasksPerWorker: 1, Process: multiproc.ProcessOptions{Method: multiproc.ForkServer}})
	got, err := p.Map(ctx, numbers(6))
	if err != nil {
		t.Fatal(err)
	}
	seen := map[int]bool{}
	for _, v := range got {
		if v[1] != os.Getpid() || v[2] == 0 || v[2] == v[0] || v[2] != got[0][2] || seen[v[0]] {
			t.Errorf("the workers are %v", got)
		}
		seen[v[0]] = true
	}
	finish(t, p)
}
