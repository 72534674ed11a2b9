package spawn_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fb2d3dbd/multiproc/internal/proctest"
	"github.com/fb2d3dbd/multiproc/spawn"
)

func TestWait(t *testing.T) {
	w := newWire(t)
	p := run(t, sleeper, struct{}{}, &spawn.Options{Stdout: w.w})

	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	if err := p.Wait(cancelled); !errors.Is(err, context.Canceled) {
		t.Errorf("Wait with a cancelled context returned %v", err)
	}
	short, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	if err := p.Wait(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Wait past its deadline returned %v", err)
	}
	select {
	case <-p.Done():
		t.Error("Done is closed while the process runs")
	default:
	}
	if code, exited := p.ExitCode(); exited {
		t.Errorf("ExitCode of a process that runs returned %d", code)
	}
	if err := p.Close(); !errors.Is(err, spawn.ErrRunning) {
		t.Errorf("Close of a process that runs returned %v", err)
	}

	// Any number may wait, before and after the end.
	errs := make([]error, 8)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() { errs[i] = p.Wait(proctest.Context(t)) })
	}
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	<-p.Done()
	wg.Wait()
	errs = append(errs, p.Wait(proctest.Context(t)), p.Wait(cancelled)) // the end is known: a context that has ended does not hide it
	for i, err := range errs {
		var exit *spawn.ExitError
		if !errors.As(err, &exit) || exit.Code != -9 {
			t.Errorf("waiter %d got %v", i, err)
		}
	}
	for range 2 {
		if err := p.Close(); err != nil {
			t.Errorf("Close after the end returned %v", err)
		}
	}
}

// The context of Start bounds the start alone.
func TestStartContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	w := newWire(t)
	p, err := sleeper.Start(ctx, struct{}{}, &spawn.Options{Stdout: w.w})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { p.Kill(); <-p.Done() }()
	cancel()
	var pid int
	w.read(t, &pid) // it lives
	if !p.Alive() {
		t.Error("the end of the context has ended the process")
	}
	for range 20 {
		if _, err := sleeper.Start(ctx, struct{}{}, nil); !errors.Is(err, context.Canceled) {
			t.Fatalf("Start with a cancelled context returned %v", err)
		}
	}
}

func TestManyAtOnce(t *testing.T) {
	ctx := proctest.Context(t)
	fds := proctest.FDs(t)
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
	if n := len(spawn.ActiveChildren()); n != 0 {
		t.Errorf("%d children are listed after all have ended", n)
	}
	if now := proctest.FDs(t); now > fds {
		t.Errorf("%d descriptors are open, %d were before", now, fds)
	}
}

// A process that waits for many children needs no thread for each: the goroutine that waits for a child's end stands in the
// runtime's poller, and those that call Wait wait for it. The threads themselves are not counted: the runtime keeps those that
// the starts have needed, and on a loaded machine every short system call of theirs may have needed one.
func TestWaitingTakesNoThreads(t *testing.T) {
	const n = 64
	procs := make([]*spawn.Process, n)
	w := newWire(t)
	for i := range procs {
		procs[i] = run(t, sleeper, struct{}{}, &spawn.Options{Stdout: w.w})
	}
	for range procs {
		var pid int
		w.read(t, &pid)
	}
	if got := len(spawn.ActiveChildren()); got != n {
		t.Errorf("Children lists %d of %d", got, n)
	}
	var wg sync.WaitGroup
	for _, p := range procs {
		for range 2 {
			wg.Go(func() { _ = p.Wait(proctest.Context(t)) })
		}
	}
	want := map[string]map[string]int{
		"child.(*Process).reap(": {"IO wait": n},
		"child.(*Process).Wait(": {"select": 2 * n},
	}
	for fn, states := range want {
		proctest.Eventually(t, func() bool { return maps.Equal(goroutinesIn(fn), states) }, fmt.Sprintf("the goroutines in %s are %v", fn, states))
	}
	for _, p := range procs {
		p.Kill()
	}
	wg.Wait()
}

// goroutinesIn counts the goroutines that have a call of fn on their stacks, by what they wait for. One that occupies a thread
// is "running" or in a "syscall".
func goroutinesIn(fn string) map[string]int {
	stacks := make([]byte, 4<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	count := map[string]int{}
	for g := range bytes.SplitSeq(stacks, []byte("\n\n")) {
		if bytes.Contains(g, []byte(fn)) {
			_, state, _ := strings.Cut(string(g), "[")
			state, _, _ = strings.Cut(state, "]")
			state, _, _ = strings.Cut(state, ",") // since when
			count[state]++
		}
	}
	return count
}
