//go:build fault && linux

package futex_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/fb2d3dbd/multiproc/futex"
	"github.com/fb2d3dbd/multiproc/internal/fault"
	"github.com/fb2d3dbd/multiproc/internal/proctest"
	"github.com/fb2d3dbd/multiproc/shm"
	"github.com/fb2d3dbd/multiproc/spawn"
)

// A crash is what a process does until it is killed: byte 0 the mutex, 8 and 12 two counters that are equal but while
// somebody is inside, 16 how often they were mended, 20 who is inside.
type crash struct {
	Seg    *shm.Segment
	Order  string // of package fault
	Rounds int
}

func (c crash) enter(ctx context.Context) error {
	mem := c.Seg.Bytes()
	m, err := futex.NewMutex(mem, c.Seg)
	if err != nil {
		return err
	}
	inside, a, b := wordAt(mem, 20), wordAt(mem, 8), wordAt(mem, 12)
	for range c.Rounds {
		err := m.Lock(ctx)
		if errors.Is(err, futex.ErrOwnerDied) {
			if c.Seg.Alive(atomic.LoadUint32(inside)) && *inside != 0 {
				return fmt.Errorf("the lock of a living process, %#x, was given away", *inside)
			}
			*b = *a
			*wordAt(mem, 16)++
			atomic.StoreUint32(inside, 0)
			err = m.MarkConsistent()
		}
		if err != nil {
			return err
		}
		if *a != *b || !atomic.CompareAndSwapUint32(inside, 0, c.Seg.Self()) {
			return fmt.Errorf("damage without news: the counters are %d and %d, %#x is inside", *a, *b, *inside)
		}
		*a++
		time.Sleep(50 * time.Microsecond) // so that others come to wait
		*b++
		atomic.StoreUint32(inside, 0)
		if err := m.Unlock(); err != nil {
			return err
		}
	}
	return nil
}

var crashTarget = spawn.NewTarget("futex.crash", func(ctx context.Context, c crash) error {
	if err := fault.Arm(c.Order); err != nil {
		return err
	}
	futex.SetCalm(1)
	other := make(chan error)
	go func() { other <- c.enter(ctx) }()
	return errors.Join(c.enter(ctx), <-other)
})

// overtakenTarget is alone with the lock, but the mode changes at each of its unlocks, as others that begin to sleep and then no longer do would change it.
var overtakenTarget = spawn.NewTarget("futex.overtaken", func(ctx context.Context, c crash) error {
	if err := fault.Arm(c.Order); err != nil {
		return err
	}
	futex.SetCalm(1)
	mode := wordAt(c.Seg.Bytes(), 4)
	fault.Follow(func(point string) {
		if g := atomic.LoadUint32(mode); point == "mutex.stored" && g&3 == isBlind {
			atomic.CompareAndSwapUint32(mode, g, g+4)
		}
	})
	return c.enter(ctx)
})

// lockMended takes the lock, and declares what it guards mended if its owner has died.
func lockMended(ctx context.Context, m *futex.Mutex) error {
	err := m.Lock(ctx)
	if errors.Is(err, futex.ErrOwnerDied) {
		err = m.MarkConsistent()
	}
	return err
}

// waitInVain waits for a lock that is held.
func waitInVain(ctx context.Context, m *futex.Mutex, d time.Duration) error {
	short, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	if err := m.Lock(short); !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("a lock that is held was taken: %w", err)
	}
	return nil
}

// unwantedTarget hands the lock over when those who had waited have given up.
var unwantedTarget = spawn.NewTarget("futex.unwanted", func(ctx context.Context, c crash) error {
	if err := fault.Arm(c.Order); err != nil {
		return err
	}
	m, err := futex.NewMutex(c.Seg.Bytes(), c.Seg)
	if err != nil {
		return err
	}
	for range c.Rounds {
		for range 2 { // at the first unlock with a waiter the turn begins, at the second it is over
			if err := lockMended(ctx, m); err != nil {
				return err
			}
			if err := waitInVain(ctx, m, 10*time.Millisecond); err != nil {
				return err
			}
			if err := m.Unlock(); err != nil {
				return err
			}
		}
	}
	return nil
})

// modesTarget waits for a lock that it holds, so that the mode is settled, and then finds nobody waiting, so that it is reset.
var modesTarget = spawn.NewTarget("futex.modes", func(ctx context.Context, c crash) error {
	if err := fault.Arm(c.Order); err != nil {
		return err
	}
	futex.SetCalm(1)
	m, err := futex.NewMutex(c.Seg.Bytes(), c.Seg)
	if err != nil {
		return err
	}
	for i := range 2 * c.Rounds {
		if err := lockMended(ctx, m); err != nil {
			return err
		}
		if i%2 == 0 {
			if err := waitInVain(ctx, m, 5*time.Millisecond); err != nil {
				return err
			}
		}
		if err := m.Unlock(); err != nil {
			return err
		}
	}
	return nil
})

// targetOf returns who passes a crash point, and whether others may want the lock meanwhile.
func targetOf(point string) (target *spawn.Target[crash], alone bool) {
	if point == "mutex.unwanted" {
		return unwantedTarget, true
	}
	switch point {
	case "mutex.blind", "mutex.stored", "mutex.overtaken":
		return overtakenTarget, true
	case "mutex.announced", "mutex.settled", "mutex.reset":
		return modesTarget, true
	}
	return crashTarget, point == "mutex.robbed" // the others leave the dead one's lock to it
}

// TestCrashMutex kills a process at each crash point of the mutex, at the first and at later passes, while others want the lock too.
// They get it, and learn of the damage if there is any. The process starts at a lock whose owner was dead before.
func TestCrashMutex(t *testing.T) {
	for _, point := range proctest.Points(t, "mutex.") {
		passes := []int{1, 2, 7}
		if point == "mutex.robbed" {
			passes = []int{1} // there is one dead owner
		}
		for _, pass := range passes {
			t.Run(fmt.Sprintf("%s/%d", point, pass), func(t *testing.T) {
				seg := newSegment(t, 64)
				first := startHolder(t, seg, 0)
				first.Kill()
				<-first.Done()
				proctest.Dead(t, seg, first.PID())
				atomic.StoreUint32(wordAt(seg.Bytes(), 8), 0) // the holder's words are others
				atomic.StoreUint32(wordAt(seg.Bytes(), 12), 0)

				target, alone := targetOf(point)
				// Far more rounds than it takes to come by the point so often, and others want the lock all the time: how often it is waited for is luck.
				p, err := target.Start(proctest.Context(t), crash{seg, fmt.Sprintf("kill:%s:%d", point, pass), 2000}, nil)
				ok(t, err)
				for !alone && p.Alive() {
					ok(t, crash{seg, "", 30}.enter(proctest.Context(t)))
				}
				err = p.Wait(proctest.Context(t))
				var exit *spawn.ExitError
				if !errors.As(err, &exit) || exit.Code != -int(syscall.SIGKILL) {
					t.Fatalf("the process ended with %v, and should have been killed at %s", err, point)
				}
				ok(t, crash{seg, "", 10}.enter(proctest.Context(t)))
				mem := seg.Bytes()
				if a, b := *wordAt(mem, 8), *wordAt(mem, 12); a != b || a < 10 {
					t.Errorf("the counters are %d and %d", a, b)
				}
				if n := *wordAt(mem, 16); n > 3 {
					t.Errorf("damage was mended %d times after two deaths", n)
				}
			})
		}
	}
}

// TestStopMutex stops a process at each crash point where it does not hold the lock: the others go on. Where it holds it they wait,
// and are told of no death.
func TestStopMutex(t *testing.T) {
	holds := []string{"mutex.locked", "mutex.robbed", "mutex.blind"}
	for _, point := range proctest.Points(t, "mutex.") {
		t.Run(point, func(t *testing.T) {
			seg := newSegment(t, 64)
			m := newMutex(t, seg)
			first := startHolder(t, seg, 0)
			first.Kill()
			<-first.Done()
			proctest.Dead(t, seg, first.PID())
			atomic.StoreUint32(wordAt(seg.Bytes(), 8), 0)
			atomic.StoreUint32(wordAt(seg.Bytes(), 12), 0)
			target, _ := targetOf(point)
			p, err := target.Start(proctest.Context(t), crash{seg, "stop:" + point + ":1", 20}, nil)
			ok(t, err)
			proctest.Eventually(t, func() bool { return proctest.Stopped(t, p.PID()) || !p.Alive() }, "a process stops at "+point)
			if !p.Alive() {
				t.Fatalf("no process passed %s", point)
			}
			short, cancel := context.WithTimeout(context.Background(), 120*time.Millisecond)
			defer cancel()
			err = m.Lock(short)
			owner, held := m.Holder()
			switch {
			case slices.Contains(holds, point):
				wantErr(t, err, context.DeadlineExceeded)
				if !held || owner == seg.Self() {
					t.Errorf("the lock of a stopped process is held by %#x, %v", owner, held)
				}
			case err == nil, errors.Is(err, futex.ErrOwnerDied): // the first one's: it is not mended here
				ok(t, m.Unlock())
			default: // its other goroutine holds it
				if !held || !seg.Alive(owner) {
					t.Errorf("Lock returned %v, and %#x holds the lock", err, owner)
				}
			}
			proctest.Continue(t, p.PID())
			ok(t, p.Wait(proctest.Context(t)))
			ok(t, crash{seg, "", 10}.enter(proctest.Context(t)))
		})
	}
}

// TestOvertaken stops a process between its look at the word and its plain store. Who goes to sleep meanwhile is woken by it, although it has not seen
// the waiters bit that it overwrites; and needs no slice.
//
// Red when the mode is not looked at again.
func TestOvertaken(t *testing.T) {
	defer futex.SetNap(futex.SetNap(time.Hour))
	for _, point := range []string{"mutex.blind", "mutex.stored"} {
		t.Run(point, func(t *testing.T) {
			seg := newSegment(t, 64)
			p, err := overtakenTarget.Start(proctest.Context(t), crash{seg, "stop:" + point + ":3", 20}, nil)
			ok(t, err)
			proctest.Eventually(t, func() bool { return proctest.Stopped(t, p.PID()) }, "a process stops at "+point)
			m := newMutex(t, seg)
			got := waiting(func() error { return m.Lock(proctest.Context(t)) })
			if point == "mutex.blind" {
				word := wordAt(seg.Bytes(), 0)
				proctest.Eventually(t, func() bool { return atomic.LoadUint32(word)&1 != 0 }, "somebody waits")
				time.Sleep(20 * time.Millisecond) // let it fall asleep: nothing depends on it
			}
			proctest.Continue(t, p.PID())
			ok(t, <-got)
			ok(t, m.Unlock())
			ok(t, p.Wait(proctest.Context(t)))
		})
	}
}
