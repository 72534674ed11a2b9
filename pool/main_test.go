package pool_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/fb2d3dbd/multiproc"
	"github.com/fb2d3dbd/multiproc/internal/proctest"
	"github.com/fb2d3dbd/multiproc/pool"
)

// methodVariable says by which start method the workers of a run of the tests are started; TestEveryMethod has a run for each.
const methodVariable = "MULTIPROC_TEST_METHOD"

func TestMain(m *testing.M) { proctest.Main(m, setMethod) }

func setMethod() {
	if method := os.Getenv(methodVariable); method != "" {
		if err := multiproc.SetStartMethod(multiproc.StartMethod(method)); err != nil {
			panic(err)
		}
	}
}

type pair struct{ X, Y int }

var (
	square = pool.NewFunc("square", func(_ context.Context, n int) (int, error) { return n * n, nil })
	mul    = pool.NewFunc("mul", func(_ context.Context, p pair) (int, error) { return p.X * p.Y, nil })

	// act does what it is told.
	act = pool.NewFunc("act", func(ctx context.Context, what string) (string, error) {
		verb, arg, _ := strings.Cut(what, " ")
		switch verb {
		case "echo":
			return arg, nil
		case "error":
			return "", errors.New(arg)
		case "wrapped":
			return "", fmt.Errorf("looking for it: %w", os.ErrNotExist)
		case "typed":
			return "", fmt.Errorf("deep: %w", ageError{7})
		case "panic":
			panic(arg)
		case "goexit":
			runtime.Goexit()
		case "exit":
			os.Exit(3)
		case "crash":
			go func() { panic(arg) }()
			select {}
		case "kill":
			return "", suicide()
		case "wait":
			<-ctx.Done()
			return "", ctx.Err()
		case "ignore":
			select {}
		case "sleep":
			d, err := time.ParseDuration(arg)
			time.Sleep(d)
			return arg, err
		case "pid":
			return fmt.Sprint(os.Getpid()), nil
		case "stop":
			if err := stopSelf(); err != nil {
				return "", err
			}
			select {} // another thread may take the signal, and this one go on for a while
		}
		return "", fmt.Errorf("what is %q?", what)
	})
)

type ageError struct{ Age int }

func (e ageError) Error() string { return fmt.Sprint("age ", e.Age) }

func init() { multiproc.Register[ageError]() }

func suicide() error {
	proctest.Suicide()
	select {}
}

// quiet is for workers that crash.
func quiet(t testing.TB) multiproc.ProcessOptions {
	t.Helper()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { null.Close() })
	return multiproc.ProcessOptions{Stderr: null}
}

// start makes a pool that is terminated at the end of the test.
func start[In, Out any](t testing.TB, f *pool.Func[In, Out], o *pool.Options) *pool.Pool[In, Out] {
	t.Helper()
	p, err := pool.New(f, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Terminate(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// finish closes and joins a pool.
func finish[In, Out any](t testing.TB, p *pool.Pool[In, Out]) {
	t.Helper()
	if err := errors.Join(p.Close(), p.Join(proctest.Context(t))); err != nil {
		t.Fatal(err)
	}
}

func numbers(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}

func squares(t testing.TB, got []int, n int) {
	t.Helper()
	if len(got) != n {
		t.Fatalf("%d results, want %d", len(got), n)
	}
	for i, v := range got {
		if v != i*i {
			t.Fatalf("result %d is %d", i, v)
		}
	}
}
