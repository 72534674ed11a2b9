package spawn_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/fb2d3dbd/multiproc/internal/proctest"
	"github.com/fb2d3dbd/multiproc/spawn"
)

var end = spawn.NewTarget("end", func(ctx context.Context, how string) error {
	switch how {
	case "well":
		return nil
	case "exit 0":
		os.Exit(0)
	case "exit 7":
		os.Exit(7)
	case "error":
		return errors.New("it went wrong:\nin two lines")
	case "nothing to say":
		return errors.New("")
	case "huge error":
		return errors.New(strings.Repeat("x", 10<<20))
	case "panic":
		panic(fmt.Errorf("aargh"))
	case "nil dereference":
		var p *int
		*p = 1
	case "panic elsewhere":
		go panicking()
		select {}
	case "fatal":
		new(sync.Mutex).Unlock()
	case "goexit":
		runtime.Goexit()
	}
	return nil
})

//go:noinline
func panicking() { panic("elsewhere") }

func TestExit(t *testing.T) {
	for _, c := range []struct {
		how   string
		code  int
		text  string // what the text is, or contains after "…"
		stack string // what the stack contains
	}{
		{how: "well"},
		{how: "exit 0"},
		{how: "exit 7", code: 7},
		{how: "error", code: 1, text: "it went wrong:\nin two lines"},
		{how: "nothing to say", code: 1},
		{how: "huge error", code: 1, text: "…xxxx"},
		{how: "panic", code: 1, text: "panic: aargh", stack: "exit_test.go"},
		{how: "nil dereference", code: 1, text: "…nil pointer dereference", stack: "exit_test.go"},
		{how: "panic elsewhere", code: 2, text: "…panic: elsewhere", stack: "spawn_test.panicking"},
		{how: "fatal", code: 2, text: "…fatal error", stack: "exit_test.go"},
		{how: "goexit", code: 1, text: "…Goexit"},
	} {
		t.Run(c.how, func(t *testing.T) {
			t.Parallel()
			p := run(t, end, c.how, quiet(t))
			if c.code == 0 {
				if err := p.Wait(proctest.Context(t)); err != nil {
					t.Error(err)
				}
				if code, exited := p.ExitCode(); code != 0 || !exited {
					t.Errorf("ExitCode returned %d, %v", code, exited)
				}
				return
			}
			exit := exitError(t, p)
			if exit.Code != c.code {
				t.Errorf("exit code %d, want %d", exit.Code, c.code)
			}
			if part, ok := strings.CutPrefix(c.text, "…"); exit.Text != c.text && !(ok && strings.Contains(exit.Text, part)) {
				t.Errorf("text %q, want %q", exit.Text, c.text)
			}
			if !strings.Contains(exit.Stack, c.stack) || c.stack == "" && exit.Stack != "" {
				t.Errorf("stack %q, want one with %q", exit.Stack, c.stack)
			}
			if msg := exit.Error(); !strings.Contains(msg, fmt.Sprintf("exit code %d", c.code)) || !strings.Contains(msg, p.Name()) {
				t.Errorf("the error reads %q", msg)
			}
		})
	}
}

func TestSignals(t *testing.T) {
	for _, c := range []struct {
		name string
		send func(*spawn.Process) error
		sig  syscall.Signal
	}{
		{"kill", (*spawn.Process).Kill, syscall.SIGKILL},
		{"terminate", (*spawn.Process).Terminate, syscall.SIGTERM},
		{"abort", func(p *spawn.Process) error { return p.Signal(syscall.SIGHUP) }, syscall.SIGHUP},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWire(t)
			p := run(t, sleeper, struct{}{}, &spawn.Options{Stdout: w.w})
			var pid int
			if w.read(t, &pid); pid != p.PID() {
				t.Errorf("the child is process %d, PID returns %d", pid, p.PID())
			}
			if !p.Alive() {
				t.Error("a child that runs is not Alive")
			}
			if err := c.send(p); err != nil {
				t.Fatal(err)
			}
			exit := exitError(t, p)
			if exit.Code != -int(c.sig) || !strings.Contains(exit.Error(), fmt.Sprintf("signal %d", c.sig)) {
				t.Errorf("exit code %d (%v), want %d", exit.Code, exit, -int(c.sig))
			}
			if p.Alive() {
				t.Error("a child that was killed is Alive")
			}
			for _, send := range []func(*spawn.Process) error{(*spawn.Process).Kill, (*spawn.Process).Terminate, (*spawn.Process).Interrupt} {
				if err := send(p); !errors.Is(err, os.ErrProcessDone) {
					t.Errorf("a signal to a process that has ended: %v", err)
				}
			}
		})
	}
}

var polite = spawn.NewTarget("polite", func(ctx context.Context, stay bool) error {
	fmt.Println("ready")
	<-ctx.Done()
	fmt.Println("asked")
	if stay {
		select {}
	}
	return ctx.Err()
})

func TestInterrupt(t *testing.T) {
	w := newWire(t)
	p := run(t, polite, false, &spawn.Options{Stdout: w.w})
	var word string
	w.read(t, &word)
	if err := p.Interrupt(); err != nil {
		t.Fatal(err)
	}
	if exit := exitError(t, p); exit.Code != 1 || exit.Text != context.Canceled.Error() {
		t.Errorf("exit code %d, text %q", exit.Code, exit.Text)
	}
}

// The second interrupt is for those who do not listen to the first.
func TestSecondInterrupt(t *testing.T) {
	proctest.Heeds(t, os.Interrupt)
	w := newWire(t)
	p := run(t, polite, true, &spawn.Options{Stdout: w.w})
	var word string
	w.read(t, &word)
	if err := p.Interrupt(); err != nil {
		t.Fatal(err)
	}
	w.read(t, &word)
	proctest.Eventually(t, func() bool {
		err := p.Interrupt() // the handler goes away a moment after ctx has ended
		return errors.Is(err, os.ErrProcessDone)
	}, "an interrupt kills a process that was interrupted before")
	if exit := exitError(t, p); exit.Code != -int(syscall.SIGINT) {
		t.Errorf("exit code %d", exit.Code)
	}
}
