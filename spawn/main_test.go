package spawn_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/fb2d3dbd/multiproc/internal/proctest"
	"github.com/fb2d3dbd/multiproc/spawn"
)

func TestMain(m *testing.M) { proctest.Main(m) }

// run starts a process that the test need not wait for: it is killed and waited for at the end.
func run[A any](t testing.TB, target *spawn.Target[A], arg A, o *spawn.Options) *spawn.Process {
	t.Helper()
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

// quiet is for processes that are meant to crash.
func quiet(t testing.TB) *spawn.Options {
	t.Helper()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { null.Close() })
	return &spawn.Options{Stdout: null, Stderr: null}
}

// exitError returns the error of a process that does not end well.
func exitError(t testing.TB, p *spawn.Process) *spawn.ExitError {
	t.Helper()
	err := p.Wait(proctest.Context(t))
	var exit *spawn.ExitError
	if !errors.As(err, &exit) {
		t.Fatalf("Wait returned %v, want an *ExitError", err)
	}
	if exit.PID != p.PID() || exit.Name != p.Name() {
		t.Errorf("the error is of process %q (pid %d), want %q (pid %d)", exit.Name, exit.PID, p.Name(), p.PID())
	}
	if code, exited := p.ExitCode(); !exited || code != exit.Code {
		t.Errorf("ExitCode returns %d, %v; the error says %d", code, exited, exit.Code)
	}
	return exit
}

// A wire is a pipe on which processes tell the test what they have to say, a line at a time.
type wire struct {
	w     *os.File
	lines *bufio.Scanner
}

func newWire(t testing.TB) *wire {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	return &wire{w, bufio.NewScanner(r)}
}

// read scans the next line into the values.
func (w *wire) read(t testing.TB, values ...any) {
	t.Helper()
	if !w.lines.Scan() {
		t.Fatalf("no more lines: %v", w.lines.Err())
	}
	if _, err := fmt.Sscan(w.lines.Text(), values...); err != nil {
		t.Fatalf("line %q: %v", w.lines.Text(), err)
	}
}

// sleeper says its pid and waits for a signal to end it.
var sleeper = spawn.NewTarget("sleeper", func(ctx context.Context, _ struct{}) error {
	fmt.Println(os.Getpid())
	select {}
})
