// Package bench compares processes over shared memory with goroutines, with the kernel's own means, with CPython's
// multiprocessing and with small C programs: the same scenarios, the same machine, the same run.
//
// A [Scenario] is one thing measured; an [Impl] is one way of doing it. The [Runner] interleaves the
// implementations of a scenario round by round and brackets every sample with a cache-line ping-pong, so that a figure
// can be read as a ratio to its peers under the same conditions.
package bench

import (
	"context"
	"time"
)

// A Scenario is one thing measured, for example "queue/spsc/64B": messages of 64 bytes from one producer to one
// consumer. Every value is in nanoseconds per operation; lower is better.
type Scenario struct {
	Name  string // unique, slash separated
	Doc   string // one sentence: what one operation is
	Impls []Impl // in the order in which tables show them

	// Long says that the quick comparison leaves the scenario out, unless it is asked for by name: of those that are many,
	// or take long.
	Long bool

	Rounds int // the most samples that are taken of each implementation; 0: as many as the runner takes
}

// An Impl is one implementation of a scenario.
type Impl struct {
	Name string // "multiproc", "goroutine", "pipe", "unixsocket", "exec", "cpython", "pthread", "cring"

	// Missing says why the implementation cannot run on this machine, or "" when it can. Nil means it always can.
	Missing func() string

	// Run does n operations and reports how long they took. Set-up and tear-down (starting processes, making queues)
	// are not in the time reported. It returns early with ctx's error when ctx ends.
	Run func(ctx context.Context, n int) (Result, error)

	// Fixed, when positive, is the number of operations of every sample: a job of given size that is not to be
	// calibrated.
	Fixed int

	// Least, when positive, is the number of operations of the first trial, where it would take too long to begin with one.
	Least int

	// Most, when positive, is the greatest number of operations of a sample: of those that take much longer to set up
	// than to do.
	Most int
}

// A Result is what one sample measured.
type Result struct {
	Ops     int           // operations done
	Elapsed time.Duration // wall time of the measured part
	// Extra holds further figures of the sample by name: those of [P50] and the others beside it, and for example "digest"
	// or "files"; shown, never compared.
	Extra map[string]string
}

// NsPerOp returns nanoseconds for one operation.
func (r Result) NsPerOp() float64 {
	if r.Ops == 0 {
		return 0
	}
	return float64(r.Elapsed.Nanoseconds()) / float64(r.Ops)
}
