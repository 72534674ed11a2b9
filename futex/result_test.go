package futex_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fb2d3dbd/multiproc/futex"
	"github.com/fb2d3dbd/multiproc/internal/proctest"
	"github.com/fb2d3dbd/multiproc/shm"
	"github.com/fb2d3dbd/multiproc/spawn"
)

func wantErr(t testing.TB, err, want error) {
	if !errors.Is(err, want) {
		t.Helper()
		t.Errorf("got error %v, want %v", err, want)
	}
}

// wake wakes n of those that are about to wait on word, as they fall asleep.
func wake(t testing.TB, word *uint32, n int) {
	t.Helper()
	proctest.Eventually(t, func() bool {
		got, err := futex.Wake(word, n)
		ok(t, err)
		if got > n {
			t.Errorf("Wake(%d) has woken %d", n, got)
		}
		n -= got
		return n == 0
	}, "somebody sleeps on the word")
}

type waited struct {
	res futex.Result
	err error
}

func TestWaitResults(t *testing.T) {
	word := new(uint32)
	wait := func(ctx context.Context, val uint32) chan waited {
		end := make(chan waited, 1)
		go func() {
			r, err := futex.Wait(ctx, word, val)
			end <- waited{r, err}
		}()
		return end
	}
	want := func(what string, got, want waited) {
		t.Helper()
		if got.res != want.res || !errors.Is(got.err, want.err) || want.err == nil && got.err != nil {
			t.Errorf("%s: Wait returned %v, %v; want %v, %v", what, got.res, got.err, want.res, want.err)
		}
	}
	want("another value", <-wait(proctest.Context(t), 7), waited{futex.Changed, nil})

	short, cancel := context.WithTimeout(context.Background(), 120*time.Millisecond) // several slices
	defer cancel()
	want("a deadline", <-wait(short, 0), waited{futex.TimedOut, context.DeadlineExceeded})
	want("a deadline that has passed", <-wait(short, 0), waited{futex.TimedOut, context.DeadlineExceeded})
	want("a context that has ended", <-wait(ended(), 7), waited{futex.Interrupted, context.Canceled})

	for range 20 {
		ctx, cancel := context.WithCancel(proctest.Context(t))
		end := wait(ctx, 0)
		cancel()
		want("cancellation", <-end, waited{futex.Interrupted, context.Canceled})
	}
	end := wait(proctest.Context(t), 0)
	proctest.Eventually(t, func() bool {
		n, err := futex.Wake(word, 1)
		ok(t, err)
		select {
		case got := <-end:
			if n == 0 { // for no reason, as it may; on a machine that is busy the Wake comes too late
				want("a wake for no reason", got, waited{futex.Woken, nil})
				end = wait(proctest.Context(t), 0)
			} else {
				end <- got
			}
		default:
		}
		return n == 1
	}, "somebody sleeps on the word")
	want("a wake", <-end, waited{futex.Woken, nil})
	if n, err := futex.Wake(word, -1); n != 0 || err != nil {
		t.Errorf("Wake of nobody returned %d, %v", n, err)
	}
	for r, text := range map[futex.Result]string{futex.Woken: "woken", futex.Changed: "changed", futex.TimedOut: "timed out",
		futex.Interrupted: "interrupted", 9: "Result(9)"} {
		if r.String() != text {
			t.Errorf("Result %d is %q, want %q", int(r), r.String(), text)
		}
	}
}

type words struct{ Seg *shm.Segment }

var waiter = spawn.NewTarget("futex.waiter", func(ctx context.Context, w words) error {
	r, err := futex.Wait(ctx, wordAt(w.Seg.Bytes(), 0), 5)
	if err != nil || r != futex.Woken {
		return fmt.Errorf("wait returned %v, %v", r, err)
	}
	return nil
})

// A process sleeps on a word of shared memory and another wakes it.
func TestWaitAcrossProcesses(t *testing.T) {
	seg := newSegment(t, 64)
	word := wordAt(seg.Bytes(), 0)
	atomic.StoreUint32(word, 5)
	const n = 3
	var all []*spawn.Process
	for range n {
		p, err := waiter.Start(proctest.Context(t), words{seg}, nil)
		ok(t, err)
		all = append(all, p)
	}
	wake(t, word, n)
	for _, p := range all {
		ok(t, p.Wait(proctest.Context(t)))
	}
}
