//go:build amd64 || arm64

package futex_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"runtime"
	"testing"

	"github.com/fb2d3dbd/multiproc/internal/proctest"
	"github.com/fb2d3dbd/multiproc/shm"
)

// These tests run a child one instruction at a time through the calls of every lock. After each instruction that has changed the
// memory it is copied, and an heir, to whom all others are dead, must find on the copy what a death there may leave, and nothing else. Some children are
// killed in earnest, to see that it is the same.

const lockPage = 4096 // the locks stand behind the first page

var lockChild = proctest.NewProgram("futex-locks-step", func() int {
	fail := func(err error) int {
		fmt.Fprintln(os.Stderr, "the traced child:", err)
		return 1
	}
	seg, err := shm.Attach(3)
	if err != nil {
		return fail(err)
	}
	ctl, mem := seg.Bytes()[:16], seg.Bytes()[lockPage:]
	steps, err := lockWalks[os.Args[1]].steps(mem, seg)
	if err != nil {
		return fail(err)
	}
	// A call that waits lets other goroutines run, in threads that stand still: with one P it is the only one.
	runtime.GOMAXPROCS(1)
	if err := proctest.Traced(1); err != nil {
		return fail(err)
	}
	for i, s := range steps {
		ctl[0] = byte(2*i + 1)
		err := s.do()
		ctl[0] = byte(2*i + 2)
		if !errors.Is(err, s.want) {
			return fail(fmt.Errorf("step %d, %s: %v", i, s.name, err))
		}
	}
	return 0
})

// heirOf is the one who is left.
type heirOf struct{}

func (heirOf) Self() uint32          { return 1<<30 - 2 }
func (heirOf) Alive(tok uint32) bool { return tok == 1<<30-2 }

// walkLocks steps a child through its calls, and calls each after every change of the memory until it returns false.
func walkLocks(t *testing.T, name string, each func(seg *shm.Segment, x *proctest.Tracee, step int) bool) (x *proctest.Tracee, finished bool) {
	t.Helper()
	w := lockWalks[name]
	seg := newSegment(t, lockPage+w.size)
	ctl, mem := seg.Bytes()[:16], seg.Bytes()[lockPage:]
	ok(t, w.create(mem, seg))
	n := 0
	if s, err := w.steps(mem, seg); err != nil {
		t.Fatal(err)
	} else {
		n = len(s)
	}
	fd, err := seg.Export()
	ok(t, err)
	file := os.NewFile(uintptr(fd), "segment")
	defer file.Close()
	x = proctest.Trace(t, lockChild, []*os.File{file}, name)
	last := bytes.Clone(mem)
	for int(ctl[0]) != 2*n {
		x.Step()
		if ctl[0]%2 == 0 {
			continue
		}
		step := (int(ctl[0]) - 1) / 2
		if w.help != nil {
			w.help(mem, seg, step)
		}
		if !bytes.Equal(mem, last) {
			copy(last, mem)
			if !each(seg, x, step) {
				return x, false
			}
		}
	}
	return x, true
}

// TestLocksEveryInstruction looks at what a death after each instruction that changes the memory would leave.
func TestLocksEveryInstruction(t *testing.T) {
	if raceEnabled {
		t.Skip("the instructions would be the race detector's")
	}
	for name, w := range lockWalks {
		t.Run(name, func(t *testing.T) {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			changes, last, done := 0, -1, 0
			var failed error
			x, finished := walkLocks(t, name, func(seg *shm.Segment, x *proctest.Tracee, step int) bool {
				if step != last {
					last, done = step, 0
				}
				changes++
				how, err := w.heir(bytes.Clone(seg.Bytes()[lockPage:]), heirOf{}, step)
				if err == nil && how < done {
					err = errors.New("the effect of the call was there and is gone")
				}
				if err != nil {
					failed = fmt.Errorf("death in step %d, after change %d: %w", step, changes, err)
				}
				done = how
				return err == nil
			})
			if !finished {
				x.Kill()
				t.Fatal(failed)
			}
			x.Let()
			t.Logf("%d instructions changed the memory", changes)
			if changes < 2 {
				t.Error("the child was not seen at work")
			}
		})
	}
}

// TestLocksKillAtInstruction kills children in earnest after the instructions that change the memory, every seventh of them or
// with FUTEX_STEPS=all each.
func TestLocksKillAtInstruction(t *testing.T) {
	if raceEnabled {
		t.Skip("the instructions would be the race detector's")
	}
	stride := 7
	if os.Getenv("FUTEX_STEPS") == "all" {
		stride = 1
	}
	for name, w := range lockWalks {
		t.Run(name, func(t *testing.T) {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			kills := 0
			for at := 1; ; at += stride {
				changes := 0
				x, finished := walkLocks(t, name, func(seg *shm.Segment, x *proctest.Tracee, step int) bool {
					if changes++; changes < at {
						return true
					}
					x.Kill()
					proctest.Dead(t, seg)
					kills++
					if _, err := w.heir(seg.Bytes()[lockPage:], seg, step); err != nil {
						t.Fatalf("killed in step %d, after change %d: %v", step, changes, err)
					}
					return false
				})
				if finished {
					x.Let()
					break
				}
			}
			t.Logf("%d kills", kills)
		})
	}
}
