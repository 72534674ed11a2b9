// Package proctest is for tests that start processes and share memory: a [Main] for TestMain that fails the run when the
// tests leave something behind, and the few helpers that such tests need.
//
// It imports spawn and shm, so the tests of the packages below those use it from their external package (foo_test).
package proctest

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fb2d3dbd/multiproc/shm"
	"github.com/fb2d3dbd/multiproc/spawn"
)

// Main is the whole of a TestMain. In a child it runs the target, in a [Program] its main function. Otherwise it runs
// the tests and exits, with code 1 when they pass but leave behind a descriptor, a process, a mapping, a named segment, a
// goroutine or hundreds of threads. The checks are Linux's; elsewhere only goroutines are counted. before is called before the tests.
func Main(m *testing.M, before ...func()) {
	runProgram()
	spawn.Init()
	for _, fn := range before {
		fn()
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	prepare()
	before := look()
	code := m.Run()
	if code != 0 {
		return code // a test that failed may not have cleaned up
	}
	if left := leftovers(before, settle); len(left) > 0 {
		fmt.Fprintf(os.Stderr, "FAIL: the tests left behind:\n\t%s\n", strings.Join(left, "\n\t"))
		return 1
	}
	return 0
}

// settle is how long what is on its way out may take.
const settle = 20 * time.Second

// runVariable marks everything that descends from this run, so that what outlives its parent is found too.
const runVariable = "MULTIPROC_TEST_RUN"

var runID string

func prepare() {
	runID = strconv.Itoa(os.Getpid()) + "-" + strconv.FormatInt(time.Now().UnixNano(), 36)
	setenv(runVariable, os.Getenv(runVariable)+"/"+runID) // a run inside another run belongs to both
	// A program with the race detector sleeps for a second before it ends, and here hundreds of children end.
	setenv("GORACE", strings.TrimSpace(os.Getenv("GORACE")+" atexit_sleep_ms=0"))
}

func setenv(key, value string) {
	if err := os.Setenv(key, value); err != nil {
		panic(err)
	}
}

// SegmentName returns a name for a named segment that no other test uses. The test removes the segment; if it does not, the
// run fails.
func SegmentName(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("test-%s-%d", runID, names.Add(1))
	t.Cleanup(func() {
		if t.Failed() {
			_ = shm.Unlink(name) // a test that failed could not
		}
	})
	return name
}

var names atomic.Int64 // segments named so far
