package forkserver_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/fb2d3dbd/multiproc/forkserver"
	"github.com/fb2d3dbd/multiproc/internal/proctest"
	"github.com/fb2d3dbd/multiproc/shm"
)

// An entry is one start in the books.
type entry struct {
	Books *shm.Array[int32]
	N     int
}

var enter = forkserver.NewTarget("enter", func(_ context.Context, e entry) error {
	atomic.AddInt32(&e.Books.Elems()[e.N], 1)
	return nil
})

// zygotes lists the children of this process that are zygotes: their environment says so.
func zygotes(t *testing.T) (pids []int) {
	t.Helper()
	tasks := must(os.ReadDir("/proc/self/task"))(t)
	for _, task := range tasks {
		b, _ := os.ReadFile("/proc/self/task/" + task.Name() + "/children") // a thread may have ended
		for f := range strings.FieldsSeq(string(b)) {
			env, _ := os.ReadFile("/proc/" + f + "/environ") // of a process that may have ended
			cmd, _ := os.ReadFile("/proc/" + f + "/status")
			pid, err := strconv.Atoi(f)
			if err == nil && strings.Contains(string(env), "MULTIPROC_ZYGOTE=1") && !strings.Contains(string(cmd), "State:\tZ") {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

// Whoever is killed, and whenever: each start ran its target once, or reported an error and ran it at most once. Copies have the zygote's first
// environment, so children that are about to begin are killed as well.
func TestZygoteKilledAtRandom(t *testing.T) {
	available(t)
	starts, kills, most := 200, 0, 30
	if testing.Short() {
		starts, most = 60, 10
	}
	ctx := proctest.Context(t)
	seg := must(shm.New(&shm.Options{Arena: 1 << 20}))(t)
	defer seg.Close()
	books := must(shm.NewArray[int32](seg, starts))(t)
	result := make([]error, starts)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				n := int(next.Add(1)) - 1
				if n >= starts {
					return
				}
				p, err := enter.Start(ctx, entry{books, n}, nil)
				if err == nil {
					err = p.Wait(ctx)
				}
				result[n] = err
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	for running := true; running; {
		select {
		case <-done:
			running = false
		case <-time.After(time.Duration(rand.Int64N(int64(200 * time.Millisecond)))): // which is when it happens, and nothing waits for it
			for _, pid := range zygotes(t) {
				if kills >= most {
					break // a loaded machine needs longer for a zygote than the next kill takes to come
				}
				if syscall.Kill(pid, syscall.SIGKILL) == nil {
					kills++
				}
			}
		}
	}
	ok := 0
	for n, err := range result {
		ran := must(books.At(n))(t)
		switch {
		case err == nil && ran != 1:
			t.Errorf("start %d ran %d times and reported no error", n, ran)
		case err != nil && ran > 1:
			t.Errorf("start %d ran %d times: %v", n, ran, err)
		case err == nil:
			ok++
		}
		var exit *forkserver.ExitError
		var pre *forkserver.PreloadError
		if err != nil && !errors.As(err, &exit) && !errors.As(err, &pre) && !errors.Is(err, forkserver.ErrZygoteDied) {
			t.Errorf("start %d: %v", n, err)
		}
		if !errors.As(err, &exit) && err != nil && ran != 0 {
			t.Errorf("start %d ran although Start says that it did not: %v", n, err)
		}
	}
	t.Logf("%d starts, %d of them well, %d kills", starts, ok, kills)
	if err := run(t, end, "well", nil).Wait(ctx); err != nil {
		t.Errorf("after all: %v", err)
	}
}

// A zygote that is stopped holds up those who wait for it, but no longer than their contexts; it goes on where it was, or another is made when it is killed.
func TestStoppedZygote(t *testing.T) {
	available(t)
	for _, how := range []string{"continued", "killed"} {
		if err := forkserver.EnsureRunning(proctest.Context(t)); err != nil {
			t.Fatal(err)
		}
		var pids []int
		proctest.Eventually(t, func() bool { pids = zygotes(t); return len(pids) == 1 }, "copies that nobody wants are gone")
		proctest.Stop(t, pids[0])
		ctx, cancel := context.WithCancel(proctest.Context(t))
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				if p, err := end.Start(ctx, "well", nil); p != nil || !errors.Is(err, context.Canceled) {
					t.Errorf("Start returned %v, %v", p, err)
				}
			})
		}
		cancel()
		wg.Wait()
		for range 5 {
			wg.Go(func() {
				p, err := end.Start(proctest.Context(t), "well", nil)
				if err == nil {
					err = p.Wait(proctest.Context(t))
				}
				if err != nil {
					t.Error(err)
				}
			})
		}
		if how == "killed" {
			proctest.Signal(t, pids[0], syscall.SIGKILL)
		} else {
			proctest.Continue(t, pids[0])
		}
		wg.Wait()
	}
}
