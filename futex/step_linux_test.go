//go:build amd64 || arm64

package futex_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fb2d3dbd/multiproc/futex"
	"github.com/fb2d3dbd/multiproc/internal/fault"
	"github.com/fb2d3dbd/multiproc/internal/proctest"
	"github.com/fb2d3dbd/multiproc/shm"
)

// These tests run a child one instruction at a time through the calls of a mutex. After every instruction that has changed the
// word, a survivor, to whom all others are dead, takes the lock on a copy: it must get it, and hear of a death exactly when the
// child held the lock, or nobody had mended it. Some children are killed in earnest, to see that it is the same.

// nobody is the token of a participant that there has never been.
const nobody = 777

// A stepOp is one call, on a word that is set before. before and after say whether the survivor hears of a death when the call has
// had no effect, and when it has had all of it; between them there is one change.
type stepOp struct {
	name          string
	set           func(word uint32) uint32 // nil: as it is
	settled       bool                     // and the mode is one in which somebody has slept
	do            func(m *futex.Mutex) error
	want          error
	before, after bool
}

func setTo(w uint32) func(uint32) uint32 { return func(uint32) uint32 { return w } }

// A Lock that sleeps is not among them: its wake-ups come from other threads of the child, and those stand still. The crash points
// are killed there.
func stepOps() []stepOp {
	lock := func(m *futex.Mutex) error { return m.Lock(context.Background()) }
	unlock := (*futex.Mutex).Unlock
	return []stepOp{
		{"Lock", setTo(0), false, lock, nil, false, true},
		{"Unlock", nil, false, unlock, nil, true, false},
		{"Lock after a sleeper", nil, true, lock, nil, false, true},
		{"Unlock by an exchange", nil, false, unlock, nil, true, false},
		{"Lock after that", nil, false, lock, nil, false, true},
		{"Unlock that resets the mode", nil, false, unlock, nil, true, false},
		{"TryLock", nil, false, (*futex.Mutex).TryLock, nil, false, true},
		{"Unlock with waiters", func(w uint32) uint32 { return w | 1 }, false, unlock, nil, true, false},
		{"Lock of a damaged one", setTo(2), false, lock, futex.ErrOwnerDied, true, true},
		{"Unlock of a damaged one", nil, false, unlock, nil, true, true},
		{"TryLock of a damaged one", nil, false, (*futex.Mutex).TryLock, futex.ErrOwnerDied, true, true},
		{"MarkConsistent", nil, false, (*futex.Mutex).MarkConsistent, nil, true, true},
		{"Unlock when mended", nil, false, unlock, nil, true, false},
		{"TryLock of a dead one's", setTo(nobody<<2 | 1), false, (*futex.Mutex).TryLock, futex.ErrOwnerDied, true, true},
		{"Unlock when done", nil, false, unlock, nil, true, true},
		{"Unlock of another's", setTo(nobody << 2), false, unlock, futex.ErrNotOwner, true, true},
	}
}

// The child carries the steps out on the mutex at byte 64 of the segment that it inherits. The word at byte 0 is 2i+1 while it is
// in step i and 2i+2 after it.
const stepWord = 64

var stepChild = proctest.NewProgram("futex-step", func() int {
	fail := func(err error) int {
		fmt.Fprintln(os.Stderr, "the traced child:", err)
		return 1
	}
	seg, err := shm.Attach(3)
	if err != nil {
		return fail(err)
	}
	ctl, word := wordAt(seg.Bytes(), 0), wordAt(seg.Bytes(), stepWord)
	m, err := futex.NewMutex(seg.Bytes()[stepWord:], seg)
	if err == nil {
		err = proctest.Traced(1)
	}
	if err != nil {
		return fail(err)
	}
	futex.SetCalm(2)
	for i, op := range stepOps() {
		if op.settled {
			atomic.StoreUint32(wordAt(seg.Bytes(), stepWord+4), isSettled)
		}
		if op.set != nil {
			atomic.StoreUint32(word, op.set(atomic.LoadUint32(word)))
		}
		atomic.StoreUint32(ctl, uint32(2*i+1))
		err := op.do(m)
		atomic.StoreUint32(ctl, uint32(2*i+2))
		if !errors.Is(err, op.want) {
			return fail(fmt.Errorf("%s: %w", op.name, err))
		}
	}
	return 0
})

// survivor is the one who is left of all participants.
type survivor struct{}

func (survivor) Self() uint32          { return 1<<30 - 2 }
func (survivor) Alive(tok uint32) bool { return tok == 1<<30-2 }

// told takes the lock and gives it back mended. It reports whether there was news of a death.
func told(t *testing.T, m *futex.Mutex) bool {
	t.Helper()
	err := m.Lock(proctest.Context(t))
	died := errors.Is(err, futex.ErrOwnerDied)
	if died {
		err = m.MarkConsistent()
	}
	ok(t, err)
	ok(t, m.Unlock())
	ok(t, m.TryLock())
	ok(t, m.Unlock())
	return died
}

// traceSteps starts a child and stops it before its first step.
func traceSteps(t *testing.T) (x *proctest.Tracee, seg *shm.Segment) {
	t.Helper()
	seg = newSegment(t, 128)
	fd, err := seg.Export()
	ok(t, err)
	file := os.NewFile(uintptr(fd), "segment")
	defer file.Close()
	return proctest.Trace(t, stepChild, []*os.File{file}), seg
}

// walk steps through the child's calls and calls each after every instruction that has changed one of the mutex's words, and once in each call
// before that. It returns false when each has.
func walk(t *testing.T, x *proctest.Tracee, seg *shm.Segment, each func(op int) bool) bool {
	ctl, word, mode := wordAt(seg.Bytes(), 0), wordAt(seg.Bytes(), stepWord), wordAt(seg.Bytes(), stepWord+4)
	ops := uint32(len(stepOps()))
	op, last := -1, [2]uint32{}
	for {
		x.Step()
		c := atomic.LoadUint32(ctl)
		if c >= 2*ops {
			return true
		}
		if c%2 == 0 {
			continue
		}
		if w := [2]uint32{atomic.LoadUint32(word), atomic.LoadUint32(mode)}; int(c/2) != op || w != last {
			op, last = int(c/2), w
			if !each(op) {
				return false
			}
		}
	}
}

// TestEveryInstruction looks at what the child would leave behind after each instruction that has changed the word.
func TestEveryInstruction(t *testing.T) {
	if raceEnabled {
		t.Skip("the instructions would be the race detector's")
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	x, seg := traceSteps(t)
	ops := stepOps()
	seen := make([]int, len(ops)) // states in each call
	done := make([]bool, len(ops))
	walk(t, x, seg, func(op int) bool {
		mem := make([]byte, 8)
		w := atomic.LoadUint32(wordAt(seg.Bytes(), stepWord))
		atomic.StoreUint32(wordAt(mem, 0), w)
		atomic.StoreUint32(wordAt(mem, 4), atomic.LoadUint32(wordAt(seg.Bytes(), stepWord+4)))
		m, err := futex.NewMutex(mem, survivor{})
		ok(t, err)
		o := ops[op]
		news := told(t, m)
		seen[op]++
		if news != o.before && news != o.after || done[op] && news != o.after {
			x.Kill()
			t.Fatalf("a death in %s, with the word %#x, leaves a lock that tells of a death: %v", o.name, w, news)
		}
		done[op] = done[op] || o.before != o.after && news == o.after
		return true
	})
	x.Let()
	for i, o := range ops {
		if seen[i] == 0 || o.before != o.after && !done[i] {
			t.Errorf("%s: %d states were seen, its effect %v", o.name, seen[i], done[i])
		}
	}
	t.Logf("states seen in the calls: %v", seen)
}

// TestKillAtInstruction kills a child in earnest after each change of the word.
func TestKillAtInstruction(t *testing.T) {
	if raceEnabled {
		t.Skip("the instructions would be the race detector's")
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	ops := stepOps()
	for k := 1; ; k++ {
		x, seg := traceSteps(t)
		n, at := 0, 0
		if walk(t, x, seg, func(op int) bool {
			n++
			at = op
			return n < k
		}) {
			x.Let()
			t.Logf("%d children were killed", k-1)
			return
		}
		x.Kill()
		proctest.Dead(t, seg)
		m, err := futex.NewMutex(seg.Bytes()[stepWord:], seg)
		ok(t, err)
		if news := told(t, m); news != ops[at].before && news != ops[at].after {
			t.Fatalf("killed in %s (change %d): the survivor hears of a death: %v", ops[at].name, k, news)
		}
		ok(t, seg.Close())
	}
}

var overtakenChild = proctest.NewProgram("futex-step-overtaken", func() int {
	seg, err := shm.Attach(3)
	if err != nil {
		return 1
	}
	ctl := wordAt(seg.Bytes(), 0)
	m, err := futex.NewMutex(seg.Bytes()[stepWord:], seg)
	if err != nil || m.Lock(context.Background()) != nil || proctest.Traced(1) != nil {
		return 1
	}
	atomic.StoreUint32(ctl, 1)
	err = m.Unlock()
	atomic.StoreUint32(ctl, 2)
	if err != nil {
		return 1
	}
	return 0
})

// TestOvertakenAtEveryInstruction has somebody come to wait after each instruction of an unlock that is a plain store. Whoever comes has no slice to
// help it, and gets the lock when the unlock goes on.
//
// Red, for those who come between the look at the word and the store, when the mode is not looked at again.
func TestOvertakenAtEveryInstruction(t *testing.T) {
	if raceEnabled || fault.Enabled {
		t.Skip("the instructions would be the race detector's, or the crash points'")
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer futex.SetNap(futex.SetNap(time.Hour))
	slept := 0
	for k := 0; ; k++ {
		seg := newSegment(t, 128)
		fd, err := seg.Export()
		ok(t, err)
		file := os.NewFile(uintptr(fd), "segment")
		x := proctest.Trace(t, overtakenChild, []*os.File{file})
		file.Close()
		ctl, word := wordAt(seg.Bytes(), 0), wordAt(seg.Bytes(), stepWord)
		for atomic.LoadUint32(ctl) == 0 {
			x.Step()
		}
		for i := 0; i < k && atomic.LoadUint32(ctl) != 2; i++ {
			x.Step()
		}
		if atomic.LoadUint32(ctl) == 2 {
			x.Let()
			t.Logf("%d instructions, at %d of them somebody fell asleep", k, slept)
			if slept == 0 || slept == k {
				t.Error("the store was not among them")
			}
			return
		}
		m, err := futex.NewMutex(seg.Bytes()[stepWord:], seg)
		ok(t, err)
		var got atomic.Bool
		end := waiting(func() error {
			err := m.Lock(proctest.Context(t))
			got.Store(true)
			return err
		})
		proctest.Eventually(t, func() bool { return got.Load() || atomic.LoadUint32(word)&1 != 0 }, "somebody has the lock or waits for it")
		if !got.Load() {
			slept++
			time.Sleep(2 * time.Millisecond) // let it fall asleep: nothing depends on it
		}
		x.Let()
		ok(t, <-end)
		ok(t, m.Unlock())
		ok(t, seg.Close())
	}
}
