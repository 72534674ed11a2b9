package futex_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fb2d3dbd/multiproc/futex"
	"github.com/fb2d3dbd/multiproc/internal/proctest"
	"github.com/fb2d3dbd/multiproc/shm"
	"github.com/fb2d3dbd/multiproc/spawn"
)

func newMutex(t testing.TB, seg *shm.Segment) *futex.Mutex {
	t.Helper()
	m, err := futex.NewMutex(seg.Bytes(), seg)
	ok(t, err)
	return m
}

func TestNewMutex(t *testing.T) {
	mem := make([]byte, 16)
	for name, f := range map[string]func() error{
		"seven bytes":     func() error { _, err := futex.NewMutex(mem[:7], futex.Local{}); return err },
		"no bytes":        func() error { _, err := futex.NewMutex(nil, futex.Local{}); return err },
		"odd address":     func() error { _, err := futex.NewMutex(mem[1:], futex.Local{}); return err },
		"half aligned":    func() error { _, err := futex.NewMutex(mem[4:], futex.Local{}); return err },
		"no participants": func() error { _, err := futex.NewMutex(mem, nil); return err },
		"count, short":    func() error { _, err := futex.NewEventCount(mem[:3]); return err },
		"count, odd":      func() error { _, err := futex.NewEventCount(mem[2:]); return err },
	} {
		if f() == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// A rush is what several processes do under one mutex: byte 0 the mutex, 8 and 12 two counters, 16 who is inside.
type rush struct {
	Seg    *shm.Segment
	Rounds int
}

// enter does the rounds. The words are written without atomics but for the one that shows who is inside: the lock guards them.
func (c rush) enter(ctx context.Context) error {
	mem := c.Seg.Bytes()
	m, err := futex.NewMutex(mem, c.Seg)
	if err != nil {
		return err
	}
	inside, a, b := wordAt(mem, 16), wordAt(mem, 8), wordAt(mem, 12)
	for i := range c.Rounds {
		if err := m.Lock(ctx); err != nil {
			return err
		}
		if !atomic.CompareAndSwapUint32(inside, 0, c.Seg.Self()) {
			return fmt.Errorf("two are inside: %#x and %#x", atomic.LoadUint32(inside), c.Seg.Self())
		}
		*a++
		if i%64 == 0 {
			runtime.Gosched()
		}
		*b++
		if *a != *b {
			return fmt.Errorf("the counters are %d and %d", *a, *b)
		}
		atomic.StoreUint32(inside, 0)
		if err := m.Unlock(); err != nil {
			return err
		}
	}
	return nil
}

var rushTarget = spawn.NewTarget("futex.rush", func(ctx context.Context, c rush) error {
	other := make(chan error)
	go func() { other <- c.enter(ctx) }()
	return errors.Join(c.enter(ctx), <-other)
})

// One is inside at a time, of three processes with two goroutines each, and no round is lost.
func TestExclusion(t *testing.T) {
	const procs, rounds = 3, 2000
	seg := newSegment(t, 64)
	var all []*spawn.Process
	for range procs {
		p, err := rushTarget.Start(proctest.Context(t), rush{seg, rounds}, nil)
		ok(t, err)
		all = append(all, p)
	}
	ok(t, rush{seg, rounds}.enter(proctest.Context(t)))
	for _, p := range all {
		ok(t, p.Wait(proctest.Context(t)))
	}
	if n := *wordAt(seg.Bytes(), 8); n != 2*procs*rounds+rounds {
		t.Errorf("%d rounds were counted, want %d", n, 2*procs*rounds+rounds)
	}
	if owner, held := newMutex(t, seg).Holder(); held || owner != 0 {
		t.Errorf("the lock is held by %#x at the end", owner)
	}
}

// The lock of a dead owner comes with the news, again and again until somebody declares that all is mended.
func TestOwnerDies(t *testing.T) {
	seg := newSegment(t, 64)
	m := newMutex(t, seg)
	take := map[string]func() error{
		"Lock":    func() error { return m.Lock(proctest.Context(t)) },
		"TryLock": m.TryLock,
	}
	for name, take := range take {
		t.Run(name, func(t *testing.T) {
			p := startHolder(t, seg, 0)
			p.Kill()
			<-p.Done()
			proctest.Dead(t, seg)
			for range 3 {
				wantErr(t, take(), futex.ErrOwnerDied)
				if owner, held := m.Holder(); !held || owner != seg.Self() {
					t.Fatalf("after ErrOwnerDied the lock is held by %#x, want %#x", owner, seg.Self())
				}
				wantErr(t, m.TryLock(), futex.ErrLocked)
				ok(t, m.Unlock()) // not declared whole
			}
			wantErr(t, take(), futex.ErrOwnerDied)
			ok(t, m.MarkConsistent())
			ok(t, m.MarkConsistent())
			ok(t, m.Unlock())
			ok(t, take())
			ok(t, m.Unlock())
		})
	}
}

// Of many that wait for a lock whose owner dies one is told, if it mends the damage, and all get it.
func TestOwnerDiesBeforeCrowd(t *testing.T) {
	seg := newSegment(t, 64)
	m := newMutex(t, seg)
	p := startHolder(t, seg, 0)
	var told atomic.Int32
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			err := m.Lock(proctest.Context(t))
			if errors.Is(err, futex.ErrOwnerDied) {
				told.Add(1)
				err = m.MarkConsistent()
			}
			if err = errors.Join(err, m.Unlock()); err != nil {
				t.Error(err)
			}
		})
	}
	proctest.Eventually(t, func() bool { return atomic.LoadUint32(wordAt(seg.Bytes(), 0))&1 != 0 }, "somebody waits")
	p.Kill()
	wg.Wait()
	if n := told.Load(); n != 1 {
		t.Errorf("%d were told of the death, want 1", n)
	}
}

// What cannot be had is refused: another's lock, stopped or not, one's own, and a lock that is not held.
func TestRefusals(t *testing.T) {
	seg := newSegment(t, 64)
	m := newMutex(t, seg)
	wantErr(t, m.Unlock(), futex.ErrNotOwner)
	wantErr(t, m.MarkConsistent(), futex.ErrNotOwner)
	ok(t, m.TryLock())
	wantErr(t, m.TryLock(), futex.ErrLocked)
	ok(t, m.Unlock())

	p := startHolder(t, seg, 0)
	tok := atomic.LoadUint32(wordAt(seg.Bytes(), 12))
	for range 2 {
		if owner, held := m.Holder(); !held || owner != tok {
			t.Errorf("Locked returned %#x, %v; the owner is %#x", owner, held, tok)
		}
		wantErr(t, m.TryLock(), futex.ErrLocked)
		wantErr(t, m.Unlock(), futex.ErrNotOwner)
		wantErr(t, m.MarkConsistent(), futex.ErrNotOwner)
		wantErr(t, m.Lock(ended()), context.Canceled)
		proctest.Stop(t, p.PID())
	}
}

// A context ends a Lock, and leaves the lock as it was for the others.
func TestLockContext(t *testing.T) {
	seg := newSegment(t, 64)
	m := newMutex(t, seg)
	ok(t, m.Lock(ended())) // a free lock can be had all the same
	for _, past := range []time.Duration{0, time.Microsecond, time.Millisecond, 120 * time.Millisecond} {
		ctx, cancel := context.WithTimeout(context.Background(), past)
		wantErr(t, m.Lock(ctx), context.DeadlineExceeded)
		cancel()
	}
	for range 20 {
		ctx, cancel := context.WithCancel(context.Background())
		end, next := make(chan error), make(chan error)
		go func() { end <- m.Lock(ctx) }()
		go func() { next <- m.Lock(proctest.Context(t)) }()
		cancel()
		wantErr(t, <-end, context.Canceled)
		ok(t, m.Unlock())
		ok(t, <-next) // who waits longer gets it
	}
	ok(t, m.Unlock())
}

// After the segment is closed every call says so, at once.
func TestClosed(t *testing.T) {
	seg := newSegment(t, 64)
	m := newMutex(t, seg)
	ok(t, m.Lock(proctest.Context(t)))
	end := make(chan error)
	go func() { end <- m.Lock(context.Background()) }()
	ok(t, seg.Close())
	for name, err := range map[string]error{
		"Lock, waiting": <-end, "Lock": m.Lock(context.Background()), "TryLock": m.TryLock(), "Unlock": m.Unlock(), "MarkConsistent": m.MarkConsistent(),
	} {
		if !errors.Is(err, futex.ErrClosed) || !errors.Is(err, os.ErrClosed) {
			t.Errorf("%s after Close returned %v", name, err)
		}
	}
	if owner, held := m.Holder(); held {
		t.Errorf("a mutex without memory is held by %#x", owner)
	}
}

const handed = 1<<30 - 1 // what stands for an owner in a lock that is on its way to one who waits

// Whatever stands in the word, no call panics or hangs, and a lock that is got can be given back.
func FuzzMutexWord(f *testing.F) {
	seg, err := shm.New(&shm.Options{Size: 64})
	ok(f, err)
	f.Cleanup(func() { seg.Close() })
	m := newMutex(f, seg)
	self := seg.Self()
	for _, w := range []uint32{0, 1, 2, 3, 4, self << 2, self<<2 | 3, 1<<32 - 1, 1<<32 - 4, 4095 << 2, (self + 1<<12) << 2} {
		f.Add(w)
	}
	f.Fuzz(func(t *testing.T, w uint32) {
		for name, take := range map[string]func(context.Context) error{"Lock": m.Lock, "TryLock": func(context.Context) error { return m.TryLock() }} {
			atomic.StoreUint32(wordAt(seg.Bytes(), 0), w)
			m.Holder()
			ctx, cancel := context.WithTimeout(proctest.Context(t), time.Minute)
			if w>>2 == self {
				cancel() // it is held, by ourselves
			}
			err := take(ctx)
			cancel()
			switch {
			case w>>2 == self:
				if err == nil || errors.Is(err, futex.ErrOwnerDied) {
					t.Errorf("%s of %#x, which is our own, returned %v", name, w, err)
				}
			case (w>>2 == 0 || w>>2 == handed) && w&2 == 0:
				ok(t, err)
			default:
				wantErr(t, err, futex.ErrOwnerDied)
			}
			ok(t, m.MarkConsistent())
			ok(t, m.Unlock())
			wantErr(t, m.Unlock(), futex.ErrNotOwner)
		}
	})
}
