package forkserver_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/fb2d3dbd/multiproc/forkserver"
	"github.com/fb2d3dbd/multiproc/internal/proctest"
)

// warm is what the zygote prepares: who has it was copied, and who made it is not.
var warm struct {
	pid  int
	data []byte
}

func init() {
	// This one first, for the other may take longer than the limit when the machine is busy.
	forkserver.Preload("as told", func() error {
		switch os.Getenv("FORKSERVER_TEST_PRELOAD") {
		case "error":
			return errors.New("no model here")
		case "panic":
			panic("oh dear")
		case "hang":
			select {}
		case "exit":
			os.Exit(3)
		case "goexit":
			var t testing.T
			t.FailNow()
		case "goroutine":
			go func() { select {} }()
		}
		return nil
	})
	forkserver.Preload("warm", func() error {
		warm.pid = os.Getpid()
		warm.data = bytes.Repeat([]byte("warm"), 1<<18)
		return nil
	})
}

var inherit = forkserver.NewTarget("inherit", func(_ context.Context, zygote int) error {
	if warm.pid == 0 || warm.pid == os.Getpid() || zygote != 0 && warm.pid != zygote || len(warm.data) != 4<<18 || warm.data[5] != 'a' {
		return fmt.Errorf("the child has %d bytes of process %d", len(warm.data), warm.pid)
	}
	os.Stdout.WriteString(fmt.Sprint(warm.pid))
	return nil
})

// The functions run once, whatever number of children there are.
func TestPreload(t *testing.T) {
	available(t)
	pid := 0
	for range 3 {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		p := run(t, inherit, pid, &forkserver.Options{Stdout: w})
		w.Close()
		if err := p.Wait(proctest.Context(t)); err != nil {
			t.Fatal(err)
		}
		if _, err := fmt.Fscan(r, &pid); err != nil {
			t.Fatal(err)
		}
		r.Close()
	}
}

// failing is a program whose zygote cannot be made.
var failing = proctest.NewProgram("failing", func() int {
	forkserver.Init()
	ctx := context.Background()
	switch os.Args[1] {
	case "hang":
		forkserver.SetServerOptions(&forkserver.ServerOptions{PreloadTimeout: 300 * time.Millisecond})
	case "deadline":
		// A Start that finds its context ended says no more than that, so it gets more and more time to come so far as to wait for the zygote.
		for d := 100 * time.Millisecond; ; d *= 2 {
			short, cancel := context.WithTimeout(ctx, d)
			defer cancel()
			_, err := end.Start(short, "well", nil)
			if err == nil || strings.Contains(err.Error(), "zygote") {
				fmt.Println(err)
				ctx = short
				break
			}
		}
	}
	for range 2 {
		p, err := end.Start(ctx, "well", nil)
		var pre *forkserver.PreloadError
		fmt.Println(p == nil, errors.As(err, &pre), err)
		if pre != nil && pre.Stack != "" {
			fmt.Println("STACK", strings.Contains(pre.Stack, "preload_linux_test.go"))
		}
	}
	os.Unsetenv("FORKSERVER_TEST_PRELOAD")
	if os.Args[1] == "deadline" {
		_ = forkserver.Stop()
		ctx = context.Background()
	}
	forkserver.SetServerOptions(nil)
	for { // a zygote that has failed may still be about to end
		p, err := end.Start(ctx, "well", nil)
		if err == nil {
			fmt.Println("then", p.Wait(ctx))
			return 0
		}
		time.Sleep(10 * time.Millisecond)
	}
})

// What goes wrong in a preload function is an error of each Start that needs it, and of none later.
func TestPreloadFails(t *testing.T) {
	available(t)
	for how, want := range map[string][]string{
		"error":     {`preload "as told": no model here`},
		"panic":     {`preload "as told": panic: oh dear`, "STACK true"},
		"hang":      {`preload "as told": it has not returned within 300ms`, "STACK true"},
		"exit":      {`preload "as told": it ended before it was ready`, "exit code 3"},
		"goexit":    {`preload "as told": it called runtime.Goexit`},
		"goroutine": {"left goroutines running", "goroutine "},
		"deadline":  {"the zygote is not ready", "deadline exceeded"},
	} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			cmd := failing.Command(proctest.Context(t), how)
			set := how
			if how == "deadline" {
				set = "hang"
			}
			cmd.Env = append(cmd.Env, "FORKSERVER_TEST_PRELOAD="+set)
			out, err := cmd.Output()
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			for _, w := range want {
				starts := 2
				if how == "deadline" {
					starts = 1 // the others find their context ended
				}
				if n := strings.Count(string(out), w); n < starts {
					t.Errorf("%d of %d starts say %q: %s", n, starts, w, out)
				}
			}
			if strings.Count(string(out), "true true") != 2 && how != "deadline" || !strings.HasSuffix(string(out), "then <nil>\n") {
				t.Errorf("the program printed %s", out)
			}
		})
	}
}
