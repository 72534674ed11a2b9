//go:build fault && linux

package futex_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/fb2d3dbd/multiproc/futex"
	"github.com/fb2d3dbd/multiproc/internal/fault"
	"github.com/fb2d3dbd/multiproc/shm"
	"github.com/fb2d3dbd/multiproc/spawn"
)

// A lockScene is one of each lock in a segment, with a ledger of what its users have done, which no death takes away.
type lockScene struct {
	seg *shm.Segment
	sem *futex.Semaphore
	rw  *futex.RWMutex
	mu  *futex.Mutex
	con *futex.Cond
	bar *futex.Barrier
	ev  *futex.Event
}

const (
	scenePermits = 2
	sceneParties = 3
	sceneSize    = 1 << 14

	atSem, atRW, atMu, atCond, atBar, atEv = 0, 1024, 4096, 4224, 8192, 9216

	// Words of the ledger.
	ledgerAt = 10240
	inside   = ledgerAt + 4*iota // who is between Acquire and Release, by who counts itself; the dead are taken out by the test
	state                        // of the victim: 1 Consume is under way, 2 Release is
	dataA                        // under the RWMutex, equal outside of changes
	dataB
	died    // ErrOwnerDied was returned
	items   // under the condition's mutex: to be taken
	given   // in all
	taken   // in all
	actions // of the barrier
	passed  // rounds that the victim has passed
	torn    // somebody saw what cannot be
	slack   // the dead who count among those inside
)

func (s *lockScene) word(off int) *uint32 { return wordAt(s.seg.Bytes(), off) }

func (s *lockScene) read(off int) int { return int(atomic.LoadUint32(s.word(off))) }

func (s *lockScene) add(off, n int) int { return int(int32(atomic.AddUint32(s.word(off), uint32(n)))) }

func makeScene(seg *shm.Segment) (s *lockScene, err error) {
	mem := seg.Bytes()
	if _, err = futex.CreateSemaphore(mem[atSem:], scenePermits, 4, seg); err != nil {
		return nil, err
	}
	if _, err = futex.CreateRWMutex(mem[atRW:], 8, seg); err != nil {
		return nil, err
	}
	mu, err := futex.NewMutex(mem[atMu:], seg)
	if err != nil {
		return nil, err
	}
	if _, err = futex.CreateCond(mem[atCond:], 8, mu, seg); err != nil {
		return nil, err
	}
	if _, err = futex.CreateBarrier(mem[atBar:], sceneParties, seg); err != nil {
		return nil, err
	}
	return openScene(seg)
}

func openScene(seg *shm.Segment) (*lockScene, error) {
	mem := seg.Bytes()
	sem, e1 := futex.OpenSemaphore(mem[atSem:], seg)
	rw, e2 := futex.OpenRWMutex(mem[atRW:], seg)
	mu, e3 := futex.NewMutex(mem[atMu:], seg)
	con, e4 := futex.OpenCond(mem[atCond:], mu, seg)
	bar, e5 := futex.OpenBarrier(mem[atBar:], seg)
	ev, e6 := futex.NewEvent(mem[atEv:], seg)
	return &lockScene{seg, sem, rw, mu, con, bar, ev}, errors.Join(e1, e2, e3, e4, e5, e6)
}

func (s *lockScene) violation(format string, args ...any) error {
	s.add(torn, 1)
	return fmt.Errorf(format, args...)
}

// acquire takes a permit and gives it back.
func (s *lockScene) acquire(ctx context.Context) error {
	if err := s.sem.Acquire(ctx); err != nil {
		return err
	}
	if n := s.add(inside, 1); n > scenePermits+s.read(slack) {
		return s.violation("%d permits are out", n)
	}
	fault.Point("scene.inside")
	s.add(inside, -1)
	return s.sem.Release()
}

// consume takes a permit away and makes one.
func (s *lockScene) consume(ctx context.Context) error {
	atomic.StoreUint32(s.word(state), 1)
	if err := s.sem.Consume(ctx); err != nil {
		return err
	}
	atomic.StoreUint32(s.word(state), 2)
	if err := s.sem.Release(); err != nil {
		return err
	}
	atomic.StoreUint32(s.word(state), 0)
	return nil
}

// write changes the data in two steps; whoever hears of a death mends it.
func (s *lockScene) write(ctx context.Context) error {
	err := s.rw.Lock(ctx)
	if err == futex.ErrOwnerDied {
		s.add(died, 1)
		atomic.StoreUint32(s.word(dataB), uint32(s.read(dataA)))
		err = s.rw.MarkConsistent()
	}
	if err != nil {
		return err
	}
	if a, b := s.read(dataA), s.read(dataB); a != b {
		return s.violation("a writer finds %d and %d", a, b)
	}
	s.add(dataA, 1)
	fault.Point("scene.torn")
	s.add(dataB, 1)
	return s.rw.Unlock()
}

func (s *lockScene) readData(ctx context.Context) error {
	err := s.rw.RLock(ctx)
	if err == futex.ErrDamaged {
		return s.write(ctx)
	}
	if err != nil {
		return err
	}
	if a, b := s.read(dataA), s.read(dataB); a != b {
		return s.violation("a reader finds %d and %d", a, b)
	}
	fault.Point("scene.reading")
	return s.rw.RUnlock()
}

// lock takes the condition's mutex. What it guards is never torn: each change is one store.
func (s *lockScene) lock(ctx context.Context) error {
	err := s.mu.Lock(ctx)
	if err == futex.ErrOwnerDied {
		err = s.mu.MarkConsistent()
	}
	return err
}

func (s *lockScene) give(ctx context.Context) error {
	if err := s.lock(ctx); err != nil {
		return err
	}
	s.add(given, 1)
	s.add(items, 1)
	if err := s.con.Notify(1); err != nil {
		return err
	}
	return s.mu.Unlock()
}

func (s *lockScene) take(ctx context.Context) error {
	if err := s.lock(ctx); err != nil {
		return err
	}
	for s.read(items) == 0 {
		err := s.con.Wait(ctx)
		if err == futex.ErrOwnerDied {
			err = s.mu.MarkConsistent()
		}
		if err != nil {
			if _, held := s.mu.Holder(); held {
				_ = s.mu.Unlock()
			}
			return err
		}
	}
	s.add(items, -1)
	s.add(taken, 1)
	return s.mu.Unlock()
}

// meet passes the barrier; whoever finds it broken resets it.
func (s *lockScene) meet(ctx context.Context) (passed bool, err error) {
	_, err = s.bar.WaitAction(ctx, func() error { s.add(actions, 1); fault.Point("scene.action"); return nil })
	if errors.Is(err, futex.ErrBrokenBarrier) && ctx.Err() == nil {
		err = nil
		if s.bar.Broken() {
			err = s.bar.Reset()
		}
		return false, err
	}
	return err == nil, err
}

const sceneRounds = 8

func repeat(f func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		for range sceneRounds {
			if err := f(ctx); err != nil {
				return err
			}
		}
		return nil
	}
}

// sceneRoles are what a victim does. All end by themselves when it is not killed.
var sceneRoles = map[string]func(*lockScene) func(context.Context) error{
	"acquire": func(s *lockScene) func(context.Context) error { return repeat(s.acquire) },
	"consume": func(s *lockScene) func(context.Context) error { return repeat(s.consume) },
	"write":   func(s *lockScene) func(context.Context) error { return repeat(s.write) },
	"read":    func(s *lockScene) func(context.Context) error { return repeat(s.readData) },
	"give":    func(s *lockScene) func(context.Context) error { return repeat(s.give) },
	"take":    func(s *lockScene) func(context.Context) error { return repeat(s.take) },
	"meet": func(s *lockScene) func(context.Context) error {
		return repeat(func(ctx context.Context) error {
			ok, err := s.meet(ctx)
			if ok {
				s.add(passed, 1)
			}
			return err
		})
	},
	"abort": func(s *lockScene) func(context.Context) error {
		return func(context.Context) error { return errors.Join(s.bar.Abort(), s.bar.Reset()) }
	},
	"event": func(s *lockScene) func(context.Context) error {
		return repeat(func(ctx context.Context) error { return errors.Join(s.ev.Set(), s.ev.Wait(ctx), s.ev.Clear()) })
	},
	"give up": func(s *lockScene) func(context.Context) error {
		return func(ctx context.Context) error {
			ctx, cancel := context.WithTimeout(ctx, 5*time.Millisecond)
			defer cancel()
			if err := s.rw.Lock(ctx); !errors.Is(err, context.DeadlineExceeded) {
				return fmt.Errorf("Lock returned %w", err)
			}
			return nil
		}
	},
}

type victimArg struct {
	Seg   *shm.Segment
	Role  string
	Fault string
}

var lockVictim = spawn.NewTarget("futex-locks-victim", func(ctx context.Context, a victimArg) error {
	s, err := openScene(a.Seg)
	if err != nil {
		return err
	}
	if err := fault.Arm(a.Fault); err != nil {
		return err
	}
	return sceneRoles[a.Role](s)(ctx)
})
