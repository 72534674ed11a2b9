package spawn_test

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"syscall"
	"testing"

	"github.com/fb2d3dbd/multiproc/internal/proctest"
	"github.com/fb2d3dbd/multiproc/spawn"
)

// head starts a line of descendants, each the child of the one before, and waits for ever. All print their pid.
var head *spawn.Target[int]

func init() {
	head = spawn.NewTarget("head", func(ctx context.Context, below int) error {
		fmt.Println(os.Getpid())
		if below > 0 {
			if _, err := head.Start(ctx, below-1, nil); err != nil {
				return err
			}
		}
		select {}
	})
}

// line starts a head with descendants and returns the pids of all, the head's first.
func line(t *testing.T, below int) (*spawn.Process, []int) {
	t.Helper()
	w := newWire(t)
	o := quiet(t)
	o.Stdout = w.w
	p := run(t, head, below, o)
	pids := make([]int, below+1)
	for i := range pids {
		w.read(t, &pids[i])
	}
	return p, pids
}

func gone(t *testing.T, pids []int) {
	t.Helper()
	for i, pid := range pids {
		proctest.Eventually(t, func() bool { return !proctest.Running(t, pid) }, fmt.Sprintf("process %d of the line ends", i))
	}
}

// A family does not outlive its head, however the head ends.
func TestDescendantsDieWithTheirParent(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM, syscall.SIGSEGV} {
		t.Run(sig.String(), func(t *testing.T) {
			t.Parallel()
			p, pids := line(t, 3)
			if err := p.Signal(sig); err != nil {
				t.Fatal(err)
			}
			<-p.Done()
			gone(t, pids)
		})
	}
}

// A stopped process cannot do anything about its end, and ends all the same.
func TestStoppedDescendantsDieToo(t *testing.T) {
	p, pids := line(t, 2)
	for _, pid := range pids[1:] {
		proctest.Stop(t, pid)
	}
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	<-p.Done()
	gone(t, pids)
}

// In the middle of a line: those above go on, and learn of it.
func TestMiddleOfALine(t *testing.T) {
	p, pids := line(t, 3)
	proctest.Signal(t, pids[1], syscall.SIGKILL)
	gone(t, pids[1:])
	if !proctest.Running(t, pids[0]) || !p.Alive() {
		t.Error("the parent has died with its child")
	}
}

// A parent that is stopped is not dead.
func TestStoppedParentKillsNobody(t *testing.T) {
	w := newWire(t)
	p := run(t, ticker, 1, &spawn.Options{Stdout: w.w})
	var parent, child, n int
	w.read(t, &parent)
	w.read(t, &child)
	proctest.Stop(t, parent)
	for range 10 { // the child goes on
		w.read(t, &n)
	}
	if proctest.Stopped(t, child) || !proctest.Running(t, child) {
		t.Error("the child of a stopped parent does not run")
	}
	proctest.Continue(t, parent)
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	gone(t, []int{parent, child})
}

// ticker prints its pid; the last of the line then prints lines for ever.
var ticker *spawn.Target[int]

func init() {
	ticker = spawn.NewTarget("ticker", func(ctx context.Context, below int) error {
		fmt.Println(os.Getpid())
		if below > 0 {
			if _, err := ticker.Start(ctx, below-1, nil); err != nil {
				return err
			}
			select {}
		}
		for n := 0; ; n++ {
			if _, err := fmt.Println(n); err != nil {
				return err
			}
		}
	})
}

// The kernel ties "die with the parent" to the thread that made the child. That thread must not be one that ends before
// its process: golang/go#27505.
func TestThreadsOfTheParentMayEnd(t *testing.T) {
	w := newWire(t)
	ctx := proctest.Context(t)
	var procs []*spawn.Process
	for range 4 {
		tid := make(chan int)
		var p *spawn.Process
		var err error
		go func() {
			runtime.LockOSThread() // and no Unlock: the thread ends with the goroutine
			p, err = sleeper.Start(ctx, struct{}{}, &spawn.Options{Stdout: w.w})
			tid <- syscall.Gettid()
		}()
		id := <-tid
		if err != nil {
			t.Fatal(err)
		}
		defer func() { p.Kill(); <-p.Done() }()
		if id != os.Getpid() { // the main thread never ends
			task := fmt.Sprintf("/proc/self/task/%d", id)
			proctest.Eventually(t, func() bool { _, err := os.Stat(task); return os.IsNotExist(err) }, "a locked thread ends")
		}
		procs = append(procs, p)
	}
	for range procs {
		var pid int
		w.read(t, &pid)
	}
	for range 100 { // threads that come and go by the hundred
		done := make(chan bool)
		go func() {
			runtime.LockOSThread()
			close(done)
		}()
		<-done
	}
	for _, p := range procs {
		if !proctest.Running(t, p.PID()) {
			t.Error("a child has died with the thread from which it was started")
		}
	}
}

// lonely is a program that starts a child and ends without a word to it.
var lonely = proctest.NewProgram("lonely", func() int {
	spawn.Init()
	p, err := sleeper.Start(context.Background(), struct{}{}, nil)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	if len(os.Args) > 1 && os.Args[1] == "killed" {
		proctest.Suicide()
	}
	_ = p
	return 0
})

func TestChildOfAnEndedProgram(t *testing.T) {
	for _, how := range []string{"returned", "killed"} {
		w := newWire(t)
		cmd := lonely.Command(proctest.Context(t), how)
		cmd.Stdout, cmd.Stderr = w.w, os.Stderr
		if err := cmd.Run(); (err == nil) != (how == "returned") {
			t.Fatalf("%s: %v", how, err)
		}
		// The child prints its pid, if it came so far. Its end of the pipe is closed when it is gone.
		w.w.Close()
		for w.lines.Scan() {
			var pid int
			if _, err := fmt.Sscan(w.lines.Text(), &pid); err != nil {
				t.Fatalf("%s: %q: %v", how, w.lines.Text(), err)
			}
			gone(t, []int{pid})
		}
	}
}
