package proctest

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/fb2d3dbd/multiproc/shm"
	"github.com/fb2d3dbd/multiproc/spawn"
)

func TestMain(m *testing.M) { Main(m) }

// The ways to leave something behind, and what the report has to name.
var leaks = map[string]struct {
	leak func() error
	want string
}{
	"nothing": {func() error { return nil }, ""},
	"default segment": {func() error { // closed by the check itself
		_, err := shm.Default()
		return err
	}, ""},
	"descriptor": {func() error {
		f, err := os.Open(os.DevNull)
		kept = append(kept, f)
		return err
	}, " of /dev/null"},
	"child": {func() error {
		p, err := nap.Start(context.Background(), struct{}{}, nil)
		kept = append(kept, p)
		return err
	}, "child process"},
	"orphan": {func() error { // nobody's child any more, and no sleeping one either
		cmd := exec.Command("sh", "-c", "sleep 1000 & :")
		return cmd.Run()
	}, "descendant process"},
	"zombie": {func() error {
		cmd := exec.Command("true")
		kept = append(kept, cmd)
		if err := cmd.Start(); err != nil {
			return err
		}
		return poller(func() bool { p, _ := readState(cmd.Process.Pid); return p == 'Z' })
	}, "(true, never waited for)"},
	"segment": {func() error {
		s, err := shm.New(&shm.Options{Size: 4096})
		kept = append(kept, s)
		return err
	}, "mapping"},
	"named segment": {func() error {
		s, err := shm.Create("test-"+runID+"-x", &shm.Options{Keep: true})
		if err != nil {
			return err
		}
		return s.Close()
	}, "named segment /dev/shm/multiproc-test-"},
	"goroutine": {func() error {
		go func() { select {} }()
		return nil
	}, "created by"},
	"threads": {func() error {
		for range 2 * maxThreads {
			go func() {
				runtime.LockOSThread()
				select {}
			}()
		}
		return poller(func() bool { return look().threads > maxThreads })
	}, "threads"},
}

var kept []any

func poller(cond func() bool) error {
	if !poll(cond) {
		return context.DeadlineExceeded
	}
	return nil
}

var nap = spawn.NewTarget("nap", func(context.Context, struct{}) error { select {} })

// leaky leaves something behind and prints what the check finds.
var leaky = NewProgram("leaky", func() int {
	spawn.Init()
	prepare()
	before := look()
	if err := leaks[os.Args[1]].leak(); err != nil {
		fmt.Println("failed:", err)
		return 1
	}
	fmt.Println(strings.Join(leftovers(before, time.Second/2), "\n"))
	_ = shm.Unlink("test-" + runID + "-x")
	return 0
})

func TestLeftovers(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the checks are Linux's")
	}
	for name, l := range leaks {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := leaky.Command(Context(t), name)
			var out bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &out
			if name == "orphan" {
				defer killDescendants(t)
			}
			if err := cmd.Run(); err != nil {
				t.Fatalf("%v: %s", err, &out)
			}
			if got := strings.TrimSpace(out.String()); l.want == "" && got != "" || !strings.Contains(got, l.want) {
				t.Errorf("the check found %q, want it to name %q", got, l.want)
			}
		})
	}
}

func TestProgram(t *testing.T) {
	out, err := greeter.Command(Context(t), "bob").Output()
	if err != nil || string(out) != "hello bob\n" {
		t.Errorf("the program printed %q, and ended with %v", out, err)
	}
}

var greeter = NewProgram("greeter", func() int {
	fmt.Println("hello", os.Args[1])
	return 0
})

func TestEventually(t *testing.T) {
	n := 0
	Eventually(t, func() bool { n++; return n > 3 }, "a count passes 3")
}

func TestStopAndContinue(t *testing.T) {
	cmd := exec.CommandContext(Context(t), "sleep", "1000")
	if err := cmd.Start(); err != nil {
		t.Skip(err)
	}
	pid := cmd.Process.Pid
	if !Running(t, pid) || Stopped(t, pid) {
		t.Error("a process that was just started does not run")
	}
	Stop(t, pid)
	if !Running(t, pid) {
		t.Error("a stopped process counts as ended")
	}
	Continue(t, pid)
	Eventually(t, func() bool { return !Stopped(t, pid) }, "a process goes on after SIGCONT")
	cmd.Process.Kill()
	cmd.Wait()
	if Running(t, pid) {
		t.Error("a process that was waited for still runs")
	}
}
