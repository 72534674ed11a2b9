package forkserver_test

import (
	"context"
	"errors"
	"os"
	"testing"

	"github.com/fb2d3dbd/multiproc/forkserver"
	"github.com/fb2d3dbd/multiproc/internal/proctest"
)

func TestMain(m *testing.M) { proctest.Main(m) }

func available(t testing.TB) {
	t.Helper()
	if err := forkserver.Available(); err != nil {
		if !errors.Is(err, errors.ErrUnsupported) {
			t.Fatal(err)
		}
		t.Skip(err)
	}
}

// run starts a process that the test need not wait for: it is killed and waited for at the end.
func run[A any](t testing.TB, target *forkserver.Target[A], arg A, o *forkserver.Options) *forkserver.Process {
	t.Helper()
	available(t)
	p, err := target.Start(proctest.Context(t), arg, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.Kill() // it may have ended
		<-p.Done()
	})
	return p
}

// exitError returns the error of a process that does not end well.
func exitError(t testing.TB, p *forkserver.Process) *forkserver.ExitError {
	t.Helper()
	err := p.Wait(proctest.Context(t))
	var exit *forkserver.ExitError
	if !errors.As(err, &exit) {
		t.Fatalf("Wait returned %v, want an *ExitError", err)
	}
	return exit
}

// quiet is for processes that are meant to crash.
func quiet(t testing.TB) *forkserver.Options {
	t.Helper()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { null.Close() })
	return &forkserver.Options{Stdout: null, Stderr: null}
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

var end = forkserver.NewTarget("end", func(_ context.Context, how string) error {
	switch how {
	case "error":
		return errors.New("oh no")
	case "panic":
		panic("oh dear")
	case "exit 7":
		os.Exit(7)
	case "crash":
		var m map[string]int
		done := make(chan bool)
		go func() { m["x"] = 1; close(done) }()
		<-done
	}
	return nil
})

func TestEnds(t *testing.T) {
	if err := run(t, end, "well", nil).Wait(proctest.Context(t)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		how  string
		code int
		text string
	}{{"error", 1, "oh no"}, {"panic", 1, "panic: oh dear"}, {"exit 7", 7, ""}, {"crash", 2, "panic: assignment to entry in nil map"}} {
		if e := exitError(t, run(t, end, c.how, quiet(t))); e.Code != c.code || e.Text != c.text && c.how != "crash" {
			t.Errorf("%s: code %d, text %q", c.how, e.Code, e.Text)
		}
	}
}
