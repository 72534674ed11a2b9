package zygote_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/fb2d3dbd/multiproc/internal/child"
	"github.com/fb2d3dbd/multiproc/internal/proctest"
	"github.com/fb2d3dbd/multiproc/internal/zygote"
)

func TestMain(m *testing.M) { proctest.Main(m) }

var idle = child.NewTarget("idle", func(context.Context, int) error { select {} })

func call(t *testing.T) *child.Call {
	t.Helper()
	arg := 0
	c, err := idle.Encode(&arg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// fake is a zygote that is this test, so that its copies can be at any point that the test wants.
func fake(t *testing.T) *zygote.Fake {
	t.Helper()
	p, err := child.Spawn(proctest.Context(t), call(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	f, err := zygote.NewFake(p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.End)
	return f
}

// copyOf makes a process that stands for the copy of a request, and never says that it is ready.
func copyOf(t *testing.T, f *zygote.Fake) (pid int) {
	t.Helper()
	id, err := f.Receive()
	if err != nil {
		t.Fatal(err)
	}
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Skip(err)
	}
	p, err := os.StartProcess(sleep, []string{"sleep", "3600"}, &os.ProcAttr{})
	if err != nil {
		t.Fatal(err)
	}
	pid = p.Pid // Release forgets it, and a signal to what it leaves there goes to everybody
	if err := errors.Join(f.Started(id, pid), p.Release()); err != nil {
		t.Fatal(err)
	}
	return pid
}

type outcome struct {
	p   *child.Process
	err error
}

func begin(ctx context.Context, t *testing.T, f *zygote.Fake) <-chan outcome {
	c, got := call(t), make(chan outcome, 1)
	go func() {
		p, err := f.Start(ctx, c)
		got <- outcome{p, err}
	}()
	return got
}

// A copy that is killed before it is ready tells nobody, and the zygote lives on: Start returns all the same.
func TestCopyKilledBeforeItIsReady(t *testing.T) {
	f := fake(t)
	got := begin(context.Background(), t, f)
	proctest.Signal(t, copyOf(t, f), syscall.SIGKILL)
	o := <-got
	if o.err != nil {
		t.Fatal(o.err)
	}
	var exit *child.ExitError
	if err := o.p.Wait(proctest.Context(t)); !errors.As(err, &exit) || exit.Code != -int(syscall.SIGKILL) {
		t.Errorf("Wait returned %v", err)
	}
}

// One that is stopped then ends with the context of its Start.
func TestCopyStoppedBeforeItIsReady(t *testing.T) {
	f := fake(t)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	got := begin(ctx, t, f)
	pid := copyOf(t, f)
	proctest.Stop(t, pid)
	cancel()
	if o := <-got; o.p != nil || !errors.Is(o.err, context.Canceled) {
		t.Errorf("Start returned %v, %v", o.p, o.err)
	}
	proctest.Eventually(t, func() bool { return !proctest.Running(t, pid) }, "the copy is killed")
}

// And with its zygote: another is asked then.
func TestZygoteAndStoppedCopy(t *testing.T) {
	f := fake(t)
	got := begin(context.Background(), t, f)
	pid := copyOf(t, f)
	proctest.Stop(t, pid)
	f.End()
	if o := <-got; o.p != nil || !zygote.IsLost(o.err) {
		t.Errorf("Start returned %v, %v", o.p, o.err)
	}
	if proctest.Running(t, pid) {
		t.Error("the copy runs")
	}
}

// A zygote that reads nothing: when its socket is full, calls wait for room, and end with their contexts.
func TestZygoteThatReadsNothing(t *testing.T) {
	f := fake(t)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var wg sync.WaitGroup
	var refused atomic.Bool
	const calls = 600 // more than a socket holds
	for i := range calls {
		if i%32 == 0 { // what is packed at a time: each call of the kernel may take a thread
			proctest.Eventually(t, func() bool { return refused.Load() || f.Waiting() == i }, "the calls so far wait")
		}
		c := call(t)
		wg.Go(func() {
			p, err := f.Start(ctx, c)
			if errors.Is(err, syscall.ETOOMANYREFS) {
				refused.Store(true) // an unprivileged user may have only so many descriptors under way
			} else if p != nil || !errors.Is(err, context.Canceled) {
				t.Errorf("Start returned %v, %v", p, err)
			}
		})
	}
	proctest.Eventually(t, func() bool { return refused.Load() || f.Full(calls) }, "the socket is full")
	cancel()
	wg.Wait()
}
