//go:build fault && linux

package ringbuf_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/fb2d3dbd/multiproc/internal/fault"
	"github.com/fb2d3dbd/multiproc/internal/proctest"
	"github.com/fb2d3dbd/multiproc/shm"
	"github.com/fb2d3dbd/multiproc/spawn"
)

// Crash tests kill or stop a process at each crash point of this package, at the first and at later passes, and let others
// go on. A ledger in a segment of its own keeps what the dead have done: it survives them.

// passes are the passes of a point at which a process is killed.
var passes = []int{1, 2, 5, 19}

// hits are the points at which a process was killed or stopped.
type hits map[string]bool

func (h hits) wantAll(t *testing.T, points []string) {
	t.Helper()
	for _, p := range points {
		if !h[p] {
			t.Errorf("no process passed the crash point %s", p)
		}
	}
}

// A ledger is a row of counters in a segment of its own.
type ledger = *shm.Array[uint64]

func newLedger(t *testing.T, n int) ledger {
	t.Helper()
	seg, err := shm.New(&shm.Options{Arena: 16*n + 4096, Participants: 16})
	ok(t, err)
	t.Cleanup(func() { seg.Close() })
	l, err := shm.NewArray[uint64](seg, n)
	ok(t, err)
	return l
}

func note(l ledger, i int, v uint64) {
	if err := l.Set(i, v); err != nil {
		panic(err)
	}
}

func read(t testing.TB, l ledger, i int) uint64 {
	t.Helper()
	v, err := l.At(i)
	ok(t, err)
	return v
}

// startSeeing starts a process that prints the crash points that it has passed when it ends.
func startSeeing[A any](t *testing.T, target *spawn.Target[A], arg A) (p *spawn.Process, seen func() []string) {
	t.Helper()
	r, w, err := os.Pipe()
	ok(t, err)
	p, err = target.Start(proctest.Context(t), arg, &spawn.Options{Stdout: w})
	w.Close()
	ok(t, err)
	return p, func() []string {
		out, err := io.ReadAll(r)
		r.Close()
		ok(t, err)
		return strings.Fields(string(out))
	}
}

func tellSeen(order string) {
	if order != "" {
		return
	}
	for _, name := range fault.Seen() {
		fmt.Println(name)
	}
}

// wasKilled waits for the end of a process and reports whether it was killed; other ends than that and a good one fail the
// test.
func wasKilled(t *testing.T, p *spawn.Process) bool {
	t.Helper()
	err := p.Wait(proctest.Context(t))
	var exit *spawn.ExitError
	if errors.As(err, &exit) && exit.Code == -int(syscall.SIGKILL) {
		return true
	}
	ok(t, err)
	return false
}

// awaitStop returns true when the process has stopped, and false when it has ended.
func awaitStop(t *testing.T, p *spawn.Process) (stopped bool) {
	t.Helper()
	proctest.Eventually(t, func() bool {
		stopped = proctest.Stopped(t, p.PID())
		return stopped || !p.Alive()
	}, "a process stops at a crash point, or ends")
	return stopped
}

// idle returns when whoever sleeps on word has looked again for some time, or has ended, so that it would have noticed a
// death.
func idle(t *testing.T, word *uint32, done chan error) {
	t.Helper()
	for range 3 {
		before := atomic.LoadUint32(word)
		proctest.Eventually(t, func() bool { return atomic.LoadUint32(word) != before || len(done) > 0 }, "the other side looks again")
	}
}

// TestCrashEveryPointDeclared fails when a crash point has a name that no crash test runs.
func TestCrashEveryPointDeclared(t *testing.T) {
	all := proctest.Points(t, "")
	covered := slices.Concat(proctest.Points(t, "spsc."), proctest.Points(t, "mpmc."), proctest.Points(t, "pipe."))
	slices.Sort(covered)
	if !slices.Equal(all, covered) {
		t.Fatalf("the package has the crash points %q; the crash tests run %q", all, covered)
	}
	if len(all) < 10 || bytes.Contains([]byte(all[0]), []byte(" ")) {
		t.Fatalf("crash points: %q", all)
	}
}
