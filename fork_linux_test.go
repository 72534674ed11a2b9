package multiproc_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fb2d3dbd/multiproc"
	"github.com/fb2d3dbd/multiproc/internal/proctest"
)

func canFork(t testing.TB) {
	t.Helper()
	if err := multiproc.Fork.Available(); err != nil {
		want(t, err, errors.ErrUnsupported)
		if !strings.Contains(err.Error(), "spawn") {
			t.Errorf("the error does not say what to use instead: %v", err)
		}
		t.Skip(err)
	}
}

// quietly runs a program that has no goroutine but its main one, as a test never has, and returns what it prints.
func quietly(t *testing.T, p *proctest.Program, args ...string) string {
	t.Helper()
	canFork(t)
	cmd := p.Command(proctest.Context(t), args...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return string(out)
}

// closures forks closures one in the other, and each sees what it refers to as it was.
var closures = proctest.NewProgram("closures", func() int {
	multiproc.Init()
	ctx := context.Background()
	n := 1
	total, err := multiproc.NewValue(0)
	if err != nil {
		panic(err)
	}
	parent := os.Getpid()
	child := func(ctx context.Context) error {
		n += 10 // its own
		if os.Getppid() != parent || multiproc.ParentPID() != parent || multiproc.ProcessName() == "" {
			return fmt.Errorf("the parent is %d, %d", os.Getppid(), multiproc.ParentPID())
		}
		if len(multiproc.ActiveChildren()) != 0 {
			return errors.New("it has children")
		}
		// Everything that a runtime does goes on: goroutines, timers, collections, other programs, and forks.
		done := make(chan error)
		go func() { time.Sleep(time.Millisecond); runtime.GC(); done <- exec.Command("true").Run() }()
		if err := <-done; err != nil {
			return err
		}
		grandchild, err := multiproc.ForkFunc(ctx, func(ctx context.Context) error {
			return total.Update(ctx, func(x *int) { *x += n })
		}, &multiproc.ProcessOptions{Name: "grandchild"})
		if err != nil {
			return err
		}
		return grandchild.Wait(ctx)
	}
	for range 3 {
		p, err := multiproc.ForkFunc(ctx, child, nil)
		if err == nil {
			err = p.Wait(ctx)
		}
		if err != nil {
			fmt.Println(err)
		}
	}
	x, err := total.Load()
	fmt.Println(n, x, err)

	// The end of a child is as that of others.
	for _, end := range []func() error{
		func() error { return errors.New("oh no") },
		func() error { panic("oh dear") },
		func() error { runtime.Goexit(); return nil },
		func() error { os.Exit(7); return nil },
		func() error { return syscall.Kill(os.Getpid(), syscall.SIGTERM) },
	} {
		p, err := multiproc.ForkFunc(ctx, func(context.Context) error {
			err := end()
			if err == nil {
				select {}
			}
			return err
		}, nil)
		if err != nil {
			panic(err)
		}
		var exit *multiproc.ExitError
		errors.As(p.Wait(ctx), &exit)
		fmt.Println(exit.Code, exit.Text)
	}

	// Another goroutine is named.
	go func() { select {} }()
	runtime.Gosched()
	var busy *multiproc.BusyError
	_, err = multiproc.ForkFunc(ctx, child, nil)
	fmt.Println(errors.As(err, &busy), busy != nil && len(busy.Goroutines) == 1 && strings.Contains(busy.Goroutines[0], "fork_linux_test.go"))
	p, err := multiproc.ForkFunc(ctx, func(context.Context) error { return nil }, &multiproc.ProcessOptions{AllowForkall: true})
	fmt.Println(err, p.Wait(ctx))
	return 0
})

func TestForkFunc(t *testing.T) {
	const want = `1 33 <nil>
1 oh no
1 panic: oh dear
1 the target called runtime.Goexit
7 
-15 
true true
<nil> <nil>
`
	if got := quietly(t, closures); got != want {
		t.Errorf("the program printed\n%s\nwant\n%s", got, want)
	}
}

// An heir is what a forked child and the test talk by.
type heir struct {
	Mine, Childs *multiproc.Mutex
	PIDs         *multiproc.Queue[int]
	Errs         *multiproc.Queue[string]
}

// forker holds a lock and has a child that holds another, and that survives it.
var forker = multiproc.NewTarget("forker", func(ctx context.Context, h heir) error {
	if err := h.Mine.Lock(ctx); err != nil {
		return err
	}
	relock, err := multiproc.NewRLock()
	if err != nil {
		return err
	}
	if err := relock.Lock(ctx); err != nil {
		return err
	}
	p, err := multiproc.ForkFunc(ctx, func(ctx context.Context) error {
		if _, _, errno := syscall.AllThreadsSyscall(syscall.SYS_PRCTL, syscall.PR_SET_PDEATHSIG, 0, 0); errno != 0 {
			return errno
		}
		// What the parent holds is not the child's.
		for _, err := range []error{h.Mine.Unlock(), relock.Unlock()} {
			if err := h.Errs.Put(ctx, fmt.Sprint(errors.Is(err, multiproc.ErrNotOwner))); err != nil {
				return err
			}
		}
		if err := h.Childs.Lock(ctx); err != nil {
			return err
		}
		if err := h.PIDs.Put(ctx, os.Getpid()); err != nil {
			return err
		}
		select {}
	}, nil)
	if err != nil {
		return err
	}
	<-p.Done()
	select {}
})

// A forked child shares its parent's descriptors and mappings, and yet each of the two is seen dead when it is, and alive while it is.
func TestForkedDeaths(t *testing.T) {
	canFork(t)
	if multiproc.DefaultStartMethod() == multiproc.Fork {
		t.Skip("a forked child has goroutines of package testing")
	}
	for _, first := range []string{"parent", "child"} {
		t.Run(first, func(t *testing.T) {
			ctx := proctest.Context(t)
			h := heir{newMutex(t), newMutex(t), newQueue[int](t, nil), newQueue[string](t, nil)}
			parent := start(t, forker, h, nil)
			for range 2 {
				if s := must(h.Errs.Get(ctx))(t); s != "true" {
					t.Errorf("the child has unlocked what its parent holds: %s", s)
				}
			}
			child := must(h.PIDs.Get(ctx))(t)
			defer func() {
				_ = syscall.Kill(child, syscall.SIGKILL) // it may have gone
				proctest.Eventually(t, func() bool { return !proctest.Running(t, child) }, "the child ends")
			}()
			want(t, h.Mine.TryLock(), multiproc.ErrLocked)
			want(t, h.Childs.TryLock(), multiproc.ErrLocked)
			dead, alive := h.Mine, h.Childs
			if first == "parent" {
				kill(t, parent)
			} else {
				proctest.Signal(t, child, syscall.SIGKILL)
				dead, alive = alive, dead
			}
			want(t, dead.Lock(ctx), multiproc.ErrOwnerDied)
			check(t, dead.Unlock())
			want(t, alive.TryLock(), multiproc.ErrLocked)
			if first == "parent" && !proctest.Running(t, child) {
				t.Error("the child has not survived, so nothing is proven")
			}
			if first == "child" && !parent.Alive() {
				t.Error("the parent has not survived, so nothing is proven")
			}
		})
	}
}

// A child that says nothing of the matter dies with its parent.
var orphans = multiproc.NewTarget("orphans", func(ctx context.Context, pids *multiproc.Queue[int]) error {
	_, err := multiproc.ForkFunc(ctx, func(ctx context.Context) error {
		if err := pids.Put(ctx, os.Getpid()); err != nil {
			return err
		}
		select {}
	}, &multiproc.ProcessOptions{AllowForkall: true})
	if err != nil {
		return err
	}
	select {}
})

func TestForkedChildDiesWithItsParent(t *testing.T) {
	canFork(t)
	pids := newQueue[int](t, nil)
	p := start(t, orphans, pids, nil)
	child := must(pids.Get(proctest.Context(t)))(t)
	proctest.Stop(t, child)
	kill(t, p)
	proctest.Eventually(t, func() bool { return !proctest.Running(t, child) }, "the forked child ends with its parent")
}

// The method is chosen by the options, else by the context, else by the default, which children inherit.
var howStarted = multiproc.NewTarget("how started", func(ctx context.Context, out *multiproc.Queue[string]) error {
	return out.Put(ctx, string(multiproc.DefaultStartMethod()))
})

func TestChoiceOfMethod(t *testing.T) {
	for _, m := range append(multiproc.StartMethods(), "none") {
		err := m.Available()
		if (err == nil) == (m == "none") {
			t.Errorf("%q: %v", m, err)
		}
	}
	want(t, multiproc.SetStartMethod("none"), errors.ErrUnsupported)
	out := newQueue[string](t, nil)
	before := multiproc.DefaultStartMethod()
	_, err := howStarted.Start(multiproc.WithStartMethod(proctest.Context(t), "none"), out, nil)
	want(t, err, errors.ErrUnsupported)
	p, err := howStarted.Start(multiproc.WithStartMethod(proctest.Context(t), "none"), out, &multiproc.ProcessOptions{Method: multiproc.Spawn})
	check(t, err)
	wait(t, p)
	if s := must(out.Get(proctest.Context(t)))(t); s != string(before) {
		t.Errorf("the child's default is %q, its parent's is %q", s, before)
	}
}

// notified asks for signals, and forks children that are sent them.
var notified = proctest.NewProgram("notified", func() int {
	multiproc.Init()
	ctx := context.Background()
	got := make(chan os.Signal, 8)
	signal.Notify(got, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGUSR1)
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGHUP} {
		p, err := multiproc.ForkFunc(ctx, func(context.Context) error {
			_ = syscall.Kill(os.Getpid(), sig)
			select {}
		}, nil)
		if err != nil {
			fmt.Println(err)
			return 1
		}
		var exit *multiproc.ExitError
		errors.As(p.Wait(ctx), &exit)
		fmt.Println(exit.Code)
	}
	// In the parent they are asked for as before.
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGHUP} {
		_ = syscall.Kill(os.Getpid(), sig)
		for s := range got {
			if s == sig {
				break
			}
		}
	}
	// What the child asks for it receives, and nothing else.
	p, err := multiproc.ForkFunc(ctx, func(ctx context.Context) error {
		mine := make(chan os.Signal, 1)
		signal.Notify(mine, syscall.SIGUSR1)
		_ = syscall.Kill(os.Getpid(), syscall.SIGUSR1)
		<-mine
		_ = syscall.Kill(os.Getpid(), syscall.SIGINT)
		<-ctx.Done()
		if len(got) > 0 {
			return errors.New("the parent's channel receives")
		}
		return nil
	}, nil)
	if err == nil {
		err = p.Wait(ctx)
	}
	fmt.Println(err)
	return 0
})

func TestForkNotify(t *testing.T) {
	proctest.Heeds(t, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGINT)
	if got, want := quietly(t, notified), fmt.Sprintf("-%d\n-%d\n<nil>\n", syscall.SIGTERM, syscall.SIGHUP); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
