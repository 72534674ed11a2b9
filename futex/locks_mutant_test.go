//go:build linux

package futex_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/fb2d3dbd/multiproc/futex"
)

// Mutants: what goes wrong when repair is left out, and when time is taken for proof. They are made by participants that lie, and
// show that the checks of the crash tests would see it.

// noRepair finds nobody dead.
type noRepair struct{ futex.Participants }

func (noRepair) Alive(uint32) bool { return true }

// noProof takes everybody else for dead who is asked about, as who repairs on a time-out does.
type noProof struct{ futex.Participants }

func (p noProof) Alive(token uint32) bool { return token == p.Self() }

// mutantCases return an error when the promise of a lock is broken: one process has taken the lock, which dead says has died since, and
// another wants it.
var mutantCases = map[string]func(limit func() context.Context, one, two futex.Participants, die func(leaves bool), dead bool) error{
	"semaphore": func(limit func() context.Context, one, two futex.Participants, die func(leaves bool), dead bool) error {
		mem := make([]byte, futex.SemaphoreSize(1))
		a, e1 := futex.CreateSemaphore(mem, 1, 1, one)
		b, e2 := futex.OpenSemaphore(mem, two)
		if err := errors.Join(e1, e2, a.Acquire(context.Background())); err != nil {
			return err
		}
		die(true)
		return takenIff(b.Acquire(limit()), dead)
	},
	"rwmutex, written": func(limit func() context.Context, one, two futex.Participants, die func(leaves bool), dead bool) error {
		mem := make([]byte, futex.RWMutexSize(2))
		a, e1 := futex.CreateRWMutex(mem, 2, one)
		b, e2 := futex.OpenRWMutex(mem, two)
		if err := errors.Join(e1, e2, a.Lock(context.Background())); err != nil {
			return err
		}
		die(true)
		err := b.Lock(limit())
		if dead && err == nil {
			return errors.New("the damage was not reported")
		}
		if err == futex.ErrOwnerDied {
			err = nil
		}
		return takenIff(err, dead)
	},
	"rwmutex, read": func(limit func() context.Context, one, two futex.Participants, die func(leaves bool), dead bool) error {
		mem := make([]byte, futex.RWMutexSize(2))
		a, e1 := futex.CreateRWMutex(mem, 2, one)
		b, e2 := futex.OpenRWMutex(mem, two)
		if err := errors.Join(e1, e2, a.RLock(context.Background())); err != nil {
			return err
		}
		die(true)
		return takenIff(b.Lock(limit()), dead)
	},
	"barrier": func(limit func() context.Context, one, two futex.Participants, die func(leaves bool), dead bool) error {
		mem := make([]byte, futex.BarrierSize(3))
		a, e1 := futex.CreateBarrier(mem, 3, one)
		b, e2 := futex.OpenBarrier(mem, two)
		if err := errors.Join(e1, e2); err != nil {
			return err
		}
		alone, cancel := context.WithCancel(context.Background())
		left := make(chan bool)
		go func() {
			_, _ = a.Wait(alone)
			close(left)
		}()
		for a.Waiting() == 0 {
			time.Sleep(time.Millisecond)
		}
		die(true)
		_, err := b.Wait(limit())
		cancel()
		<-left
		if errors.Is(err, context.DeadlineExceeded) {
			return takenIff(err, dead)
		}
		if errors.Is(err, futex.ErrBrokenBarrier) {
			err = nil
		}
		return takenIff(err, dead)
	},
	"cond": func(limit func() context.Context, one, two futex.Participants, die func(leaves bool), dead bool) error {
		mem := make([]byte, 64+futex.CondSize(2))
		mu1, e1 := futex.NewMutex(mem, one)
		mu2, e2 := futex.NewMutex(mem, two)
		a, e3 := futex.CreateCond(mem[64:], 2, mu1, one)
		b, e4 := futex.OpenCond(mem[64:], mu2, two)
		if err := errors.Join(e1, e2, e3, e4, mu1.Lock(context.Background())); err != nil {
			return err
		}
		alone, cancel := context.WithCancel(context.Background())
		left := make(chan bool)
		go func() {
			_ = a.Wait(alone)
			_ = mu1.Unlock()
			close(left)
		}()
		for a.Waiting() == 0 {
			time.Sleep(time.Millisecond)
		}
		defer func() {
			die(true)
			cancel()
			<-left
		}()
		if err := mu2.Lock(context.Background()); err != nil {
			return err
		}
		die(false) // on its way out it would hand on what it was told, which a dead process does not
		// The second waits too; the notification is for the first, unless that is dead.
		got := make(chan error, 1)
		go func() {
			err := b.Wait(limit())
			_ = mu2.Unlock()
			got <- err
		}()
		// The lock is free once the second has its place.
		if err := mu2.Lock(context.Background()); err != nil {
			return err
		}
		if err := errors.Join(b.Notify(1), mu2.Unlock()); err != nil {
			return err
		}
		return takenIff(<-got, dead)
	},
}

// takenIff: whoever waits gets what it waits for if, and only if, the one who had it is dead.
func takenIff(err error, dead bool) error {
	switch {
	case dead && err != nil:
		return errors.New("nobody repaired what the dead had left")
	case !dead && err == nil:
		return errors.New("the living was robbed")
	case !dead && !errors.Is(err, context.DeadlineExceeded):
		return err
	}
	return nil
}

func TestLocksMutants(t *testing.T) {
	for name, f := range mutantCases {
		for _, c := range []struct {
			mutant  string
			lie     func(futex.Participants) futex.Participants
			deadRed bool // the mutant shows where the owner is dead
			liveRed bool // and where it lives
		}{
			{"none", func(p futex.Participants) futex.Participants { return p }, false, false},
			{"no repair", func(p futex.Participants) futex.Participants { return noRepair{p} }, true, false},
			{"no proof", func(p futex.Participants) futex.Participants { return noProof{p} }, false, true},
		} {
			for _, dead := range []bool{true, false} {
				var all folk
				patience := 150 * time.Millisecond
				red := dead && c.deadRed || !dead && c.liveRed
				if dead != red { // it does not come to that
					patience = time.Minute
				}
				var cancel context.CancelFunc
				err := f(func() (ctx context.Context) { // from when the second begins to wait
					ctx, cancel = context.WithTimeout(t.Context(), patience)
					return ctx
				}, all.one(1), c.lie(all.one(2)), func(leaves bool) {
					if dead {
						all.kill(1)
						if leaves {
							all.leave(1) // what is left of it here does nothing more
						}
					}
				}, dead)
				cancel()
				if (err != nil) != red {
					t.Errorf("%s, mutant %q, owner dead: %v: %v", name, c.mutant, dead, err)
				}
			}
		}
	}
}
