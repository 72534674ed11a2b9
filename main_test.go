package multiproc_test

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/fb2d3dbd/multiproc"
	"github.com/fb2d3dbd/multiproc/internal/proctest"
	"github.com/fb2d3dbd/multiproc/shm"
)

// methodVariable says by which start method the processes of a run of the tests are started; TestEveryMethod has a run for each.
const methodVariable = "MULTIPROC_TEST_METHOD"

func TestMain(m *testing.M) {
	proctest.Main(m, func() {
		if method := os.Getenv(methodVariable); method != "" {
			if err := multiproc.SetStartMethod(multiproc.StartMethod(method)); err != nil {
				panic(err)
			}
			multiproc.SetForkServerOptions(&multiproc.ForkServerOptions{PreloadTimeout: time.Minute})
		}
	})
}

// options allows what a test needs to fork: the goroutines of package testing.
func options(o *multiproc.ProcessOptions) *multiproc.ProcessOptions {
	var c multiproc.ProcessOptions
	if o != nil {
		c = *o
	}
	c.AllowForkall = true
	return &c
}

// mixed is for tests that start processes while goroutines of their own use what they share with them: a process that does so cannot be forked.
func mixed(t testing.TB) {
	t.Helper()
	if multiproc.DefaultStartMethod() == multiproc.Fork {
		t.Skip("it starts processes while its own goroutines use shared memory")
	}
}

// start starts a process that is killed and waited for at the end of the test, if it has not ended before.
func start[A any](t testing.TB, target *multiproc.Target[A], arg A, o *multiproc.ProcessOptions) *multiproc.Process {
	t.Helper()
	p, err := target.Start(proctest.Context(t), arg, options(o))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.Kill() // it may have ended
		<-p.Done()
	})
	return p
}

// wait waits for processes that must end well.
func wait(t testing.TB, procs ...*multiproc.Process) {
	t.Helper()
	for _, p := range procs {
		if err := p.Wait(proctest.Context(t)); err != nil {
			t.Error(err)
		}
	}
}

// kill kills a process and returns when it is gone.
func kill(t testing.TB, p *multiproc.Process) {
	t.Helper()
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	<-p.Done()
}

// must is for what a test needs and does not test.
func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// check fails the test unless err is nil.
func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// want fails the test unless err matches target.
func want(t testing.TB, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Errorf("got error %v, want one that matches %v", err, target)
	}
}

func newQueue[T any](t testing.TB, o *multiproc.QueueOptions) *multiproc.Queue[T] {
	t.Helper()
	q := must(multiproc.NewQueue[T](o))(t)
	t.Cleanup(func() {
		if err := q.Free(); err != nil && !errors.Is(err, multiproc.ErrClosed) {
			t.Error(err)
		}
	})
	return q
}

func newMutex(t testing.TB) *multiproc.Mutex {
	t.Helper()
	return must(multiproc.NewMutex())(t)
}

// closeDefault closes the segment that the objects made so far stand in; the next object gets a new one.
func closeDefault(t testing.TB) {
	t.Helper()
	check(t, must(shm.Default())(t).Close())
}

// ended returns a context that is over.
func ended() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}
