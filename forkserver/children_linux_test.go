package forkserver_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/fb2d3dbd/multiproc/forkserver"
	"github.com/fb2d3dbd/multiproc/internal/proctest"
	"github.com/fb2d3dbd/multiproc/shm"
)

// tell prints what a child sees of its surroundings, a line for each word of what.
var tell = forkserver.NewTarget("tell", func(_ context.Context, what []string) error {
	for _, w := range what {
		switch key, value, _ := strings.Cut(w, " "); key {
		case "stdin":
			b, err := io.ReadAll(os.Stdin)
			if err != nil {
				return err
			}
			fmt.Println(string(b))
		case "stderr":
			fmt.Fprintln(os.Stderr, value)
		case "env":
			v, ok := os.LookupEnv(value)
			fmt.Printf("%q %v\n", v, ok)
		case "dir":
			dir, err := os.Getwd()
			if err != nil {
				return err
			}
			fmt.Println(dir)
		case "pids":
			fmt.Println(os.Getppid())
		case "procs":
			fmt.Println(runtime.GOMAXPROCS(0))
		}
	}
	return nil
})

func output(t *testing.T, o forkserver.Options, what ...string) []string {
	t.Helper()
	out := must(os.Create(filepath.Join(t.TempDir(), "out")))(t)
	defer out.Close()
	o.Stdout = out
	if err := run(t, tell, what, &o).Wait(proctest.Context(t)); err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(must(os.ReadFile(out.Name()))(t)), "\n"), "\n")
}

// What a child has is the asker's, at the time of the start, and nothing of it is the zygote's.
func TestSurroundings(t *testing.T) {
	available(t)
	if err := forkserver.EnsureRunning(proctest.Context(t)); err != nil {
		t.Fatal(err)
	}
	dir := must(filepath.EvalSymlinks(t.TempDir()))(t)
	in := filepath.Join(dir, "in")
	if err := os.WriteFile(in, []byte("read by the child"), 0o600); err != nil {
		t.Fatal(err)
	}
	stdin := must(os.Open(in))(t)
	defer stdin.Close()
	stderr := must(os.Create(filepath.Join(dir, "err")))(t)
	defer stderr.Close()
	t.Setenv("FORKSERVER_TEST_A", "parent") // after the zygote was started
	t.Chdir(dir)
	lines := output(t, forkserver.Options{Stdin: stdin, Stderr: stderr, Env: []string{"FORKSERVER_TEST_B=child"}},
		"stdin", "stderr oh dear", "env FORKSERVER_TEST_A", "env FORKSERVER_TEST_B", "env GOMAXPROCS", "env MULTIPROC_ZYGOTE", "dir", "pids", "procs")
	procs, set := os.LookupEnv("GOMAXPROCS")
	want := []string{"read by the child", `"parent" true`, `"child" true`, fmt.Sprintf("%q %v", procs, set), `"" false`, dir, fmt.Sprint(os.Getpid()), fmt.Sprint(runtime.GOMAXPROCS(0))}
	if !slices.Equal(lines, want) {
		t.Errorf("the child sees %q, want %q", lines, want)
	}
	if b := must(os.ReadFile(stderr.Name()))(t); string(b) != "oh dear\n" {
		t.Errorf("standard error is %q", b)
	}
	if lines := output(t, forkserver.Options{Dir: "/"}, "dir"); lines[0] != "/" {
		t.Errorf("the child runs in %q", lines[0])
	}
	if p, err := tell.Start(proctest.Context(t), nil, &forkserver.Options{Dir: filepath.Join(dir, "none")}); p != nil || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Start in a folder that does not exist returned %v, %v", p, err)
	}
}

var add = forkserver.NewTarget("add", func(_ context.Context, v []*shm.Value[int64]) error {
	for i, x := range v {
		if _, err := shm.Add(x, int64(i+1)); err != nil {
			return err
		}
	}
	return nil
})

// Handles of many segments travel; of too many, they are refused by an error that says what to do.
func TestSegments(t *testing.T) {
	available(t)
	var all []*shm.Value[int64]
	for range 249 {
		s := must(shm.New(&shm.Options{Arena: 4096, Participants: 4}))(t)
		t.Cleanup(func() { s.Close() })
		all = append(all, must(shm.NewValue(s, int64(0)))(t))
	}
	if err := run(t, add, all[:100], nil).Wait(proctest.Context(t)); err != nil {
		t.Fatal(err)
	}
	for i, v := range all {
		if x, want := must(v.Load())(t), int64(i+1); i < 100 && x != want {
			t.Errorf("value %d is %d", i, x)
		}
	}
	p, err := add.Start(proctest.Context(t), all, nil)
	if p != nil || !errors.Is(err, forkserver.ErrTooManySegments) || !strings.Contains(err.Error(), "249") {
		t.Errorf("Start with handles of 249 segments returned %v, %v", p, err)
	}
	if err := run(t, add, nil, nil).Wait(proctest.Context(t)); err != nil {
		t.Errorf("after a start that was refused: %v", err)
	}
}

var sleeper = forkserver.NewTarget("sleeper", func(context.Context, struct{}) error { select {} })

// Native status, signals and reaping.
func TestSignals(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM} {
		p := run(t, sleeper, struct{}{}, nil)
		if err := p.Signal(sig); err != nil {
			t.Fatal(err)
		}
		if e := exitError(t, p); e.Code != -int(sig) {
			t.Errorf("after %v the code is %d", sig, e.Code)
		}
	}
	p := run(t, waiter, struct{}{}, nil)
	proctest.Eventually(t, func() bool { _ = p.Interrupt(); return !p.Alive() }, "an interrupt ends the target")
}

var waiter = forkserver.NewTarget("waiter", func(ctx context.Context, _ struct{}) error {
	<-ctx.Done()
	return ctx.Err()
})

func TestManyAtOnce(t *testing.T) {
	available(t)
	ctx := proctest.Context(t)
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			p, err := end.Start(ctx, "well", nil)
			if err == nil {
				err = p.Wait(ctx)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// family prints its pid and starts further ones, each the child of the one before.
var family *forkserver.Target[int]

func init() {
	family = forkserver.NewTarget("family", func(ctx context.Context, below int) error {
		fmt.Println(os.Getpid())
		if below > 0 {
			if _, err := family.Start(ctx, below-1, nil); err != nil {
				return err
			}
		}
		select {}
	})
}

// A family does not outlive its head, stopped members included; each member has a zygote of its own, which goes too.
func TestDescendantsDieWithTheirParent(t *testing.T) {
	available(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	p := run(t, family, 2, &forkserver.Options{Stdout: w})
	w.Close()
	pids := make([]int, 3)
	for i := range pids {
		if _, err := fmt.Fscan(r, &pids[i]); err != nil {
			t.Fatal(err)
		}
	}
	proctest.Stop(t, pids[2])
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	<-p.Done()
	for _, pid := range pids {
		proctest.Eventually(t, func() bool { return !proctest.Running(t, pid) }, "a member of the family ends")
	}
}

// Children outlive the zygote, and the next start makes another.
func TestZygoteStopped(t *testing.T) {
	p := run(t, sleeper, struct{}{}, nil)
	if err := forkserver.Stop(); err != nil {
		t.Fatal(err)
	}
	if !p.Alive() || !proctest.Running(t, p.PID()) {
		t.Error("a child has died with the zygote")
	}
	if err := run(t, end, "well", nil).Wait(proctest.Context(t)); err != nil {
		t.Fatal(err)
	}
}
