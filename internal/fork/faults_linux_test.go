//go:build fault && amd64 && !race && !msan && !asan

package fork_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"syscall"
	"testing"

	"github.com/fb2d3dbd/multiproc/internal/fork"
	"github.com/fb2d3dbd/multiproc/internal/proctest"
)

// Steps of the parent, before there is a child, and of the child.
var (
	parentSteps = []string{
		"prepare memory", "make the status pipe", "block signals", "install the stop handler", "list the threads", "signal the threads", "stop the threads",
		"check the threads", "read the poller", "read the timers", "check the profiler", "clone the process", "await the child",
	}
	childSteps = []string{
		"bind to the parent", "make the poller", "make the poller's wake-up", "register with the poller", "wake the poller", "make the timers", "draw a seed", "make a thread",
		"make the caller's thread", "turn the leader into the first thread", "resend pending signals",
	}
	zygoteSteps = []string{"receive a request", "read a request", "reply"}
)

func TestStepsKnown(t *testing.T) {
	known := slices.Concat(parentSteps, childSteps, zygoteSteps)
	for _, s := range fork.Steps() {
		if !slices.Contains(known, s) {
			t.Errorf("no test makes the step %q fail", s)
		}
	}
}

// onThread runs f by a goroutine that is locked to the first thread of the process or to another.
func onThread(f func()) {
	done := make(chan bool)
	var again func()
	again = func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if os.Getpid() == syscall.Gettid() { // keep it, and look for another
			next := make(chan bool)
			go func() { again(); close(next) }()
			<-next
			return
		}
		f()
	}
	go func() { again(); close(done) }()
	<-done
}

func childless(t *testing.T) {
	t.Helper()
	if pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); err != syscall.ECHILD {
		t.Fatalf("there is a child left: %d, %v", pid, err)
	}
}

// TestFaults makes every call of every step fail in its turn, and then the child die there. Each time Fork returns an error and there is neither a
// child nor a thread that stands still, nor a descriptor more than before.
func TestFaults(t *testing.T) {
	need(t)
	defer staleTimers()()
	bound := all
	bound.DieWithThread = true
	old := runtime.GOMAXPROCS(4)
	defer runtime.GOMAXPROCS(old)
	steps := map[string]bool{}
	for _, s := range parentSteps {
		steps[s] = false
	}
	for _, s := range childSteps {
		steps[s] = true
	}
	for name, inChild := range steps {
		errnos := []syscall.Errno{syscall.EMFILE}
		if inChild {
			errnos = append(errnos, 0) // death
		}
		for _, errno := range errnos {
			hits := 0
			for nth := 1; nth < 40; nth++ {
				before := proctest.FDs(t)
				var pid, pidfd int
				var err error
				onThread(func() {
					fork.Inject(name, nth, errno)
					pid, pidfd, err = fork.Fork(bound, func() int { return 0 })
					fork.Inject("", 0, 0)
				})
				if err == nil { // it has fewer calls
					syscall.Close(pidfd)
					if ws := waitFor(t, pid); ws != 0 {
						t.Errorf("%s %d: status %#x", name, nth, int(ws))
					}
					break
				}
				hits++
				var step *fork.StepError
				var fact *fork.FactError
				switch {
				case errors.As(err, &fact) && !inChild:
				case !errors.As(err, &step):
					t.Errorf("%s %d: %v", name, nth, err)
				case errno == 0 && (step.Step != "await the child" || !step.Child || step.Err != io.EOF):
					t.Errorf("%s %d, died: %v", name, nth, err)
				case errno != 0 && name != "prepare memory" && (step.Step != name || step.Child != inChild || step.Err != errno):
					t.Errorf("%s %d: %v", name, nth, err)
				}
				childless(t)
				if after := proctest.FDs(t); after != before {
					t.Fatalf("%s %d: %d descriptors, %d before", name, nth, after, before)
				}
				runtime.GC() // no thread stands still
			}
			if hits == 0 {
				t.Errorf("the step %q was never come to", name)
			}
			t.Logf("%s: %d failures with %v", name, hits, errno)
		}
	}
}

// faults makes a zygote fail where its environment says.
func faults() {
	var nth, errno int
	var name string
	if n, _ := fmt.Sscanf(os.Getenv("ZYGOTE_FAULT"), "%d %d %q", &nth, &errno, &name); n == 3 {
		if err := fork.Available(); err != nil {
			panic(err)
		}
		if name == "make the timers" {
			fork.AllowGoroutine("fork_test.staleTimers.")
			staleTimers()
		}
		fork.Inject(name, nth, syscall.Errno(errno))
	}
}

// TestFreezeFaults makes the steps of a zygote's child fail, which it tells the asker, or dies.
func TestFreezeFaults(t *testing.T) {
	for _, name := range childSteps {
		if name == "bind to the parent" || name == "make the caller's thread" || name == "turn the leader into the first thread" || name == "resend pending signals" {
			continue // the zygote binds no child, has no other first thread, and mostly nothing pending
		}
		for _, errno := range []syscall.Errno{syscall.EMFILE, 0} {
			z := start(t, nil, fmt.Sprintf("ZYGOTE_FAULT=%d %d %q", 1, int(errno), name))
			for id := range uint64(3) {
				r, w, err := os.Pipe()
				if err != nil {
					t.Fatal(err)
				}
				z.send(fork.AppendRequest(nil, id, []byte{1}), int(w.Fd()))
				w.Close()
				a := z.reply()
				if errno != 0 {
					b := z.reply()
					if a.Kind == fork.Failed {
						a, b = b, a
					}
					var step *fork.StepError
					if b.Kind != fork.Failed || b.PID != a.PID || !errors.As(b.Err(), &step) || step.Step != name || step.Err != errno {
						t.Errorf("%s: %+v, %v", name, b, b.Err())
					}
				}
				if a.Kind != fork.Started {
					t.Fatalf("%s: %+v", name, a)
				}
				if ws := waitFor(t, a.PID); errno != 0 && ws.ExitStatus() != fork.FailedChild || errno == 0 && ws.Signal() != syscall.SIGKILL {
					t.Errorf("%s: status %#x", name, int(ws))
				}
				if text, err := io.ReadAll(r); len(text) > 0 || err != nil {
					t.Errorf("%s: a failed child ran: %q, %v", name, text, err)
				}
				r.Close()
			}
			z.end()
		}
	}
}

// A zygote whose own calls fail refuses, or ends; the asker sees which.
func TestZygoteFaults(t *testing.T) {
	for _, c := range []struct {
		name  string
		errno syscall.Errno
		ends  bool
	}{
		{"clone the process", syscall.EAGAIN, false},
		{"read a request", syscall.EIO, false},
		{"receive a request", syscall.EINTR, false},
		{"receive a request", syscall.EIO, true},
	} {
		z := start(t, nil, fmt.Sprintf("ZYGOTE_FAULT=%d %d %q", 1, int(c.errno), c.name))
		z.send(fork.AppendRequest(nil, 1, []byte{3}))
		if c.ends {
			z.cmd.Wait()
			if code := z.cmd.ProcessState.ExitCode(); code != fork.FailedChild {
				t.Errorf("%s: code %d", c.name, code)
			}
			continue
		}
		if c.errno != syscall.EINTR {
			if r := z.reply(); r.Kind != fork.Refused || !errors.Is(r.Err(), c.errno) {
				t.Errorf("%s: %+v", c.name, r)
			}
			z.send(fork.AppendRequest(nil, 1, []byte{3}))
		}
		for range 2 {
			if r := z.reply(); r.Err() != nil {
				t.Errorf("%s: afterwards %v", c.name, r.Err())
			} else if r.Kind == fork.Started {
				defer func() {
					if ws := waitFor(t, r.PID); ws.ExitStatus() != 3 {
						t.Errorf("%s: status %#x", c.name, int(ws))
					}
				}()
			}
		}
	}
}
