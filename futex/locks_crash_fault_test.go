//go:build fault && linux

package futex_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/fb2d3dbd/multiproc/futex"
	"github.com/fb2d3dbd/multiproc/internal/proctest"
	"github.com/fb2d3dbd/multiproc/spawn"
)

// Crash tests kill, and stop, a process at each crash point of the locks, at the first and at later passes, while others use the same
// lock, and compare with the ledger.

// A crashCase is how to reach some points.
type crashCase struct {
	role   string
	points []string
	// corpse is killed first, alone, at its point, so that the victim finds something to repair.
	corpse, corpseAt string
	before           func(t *testing.T, s *lockScene) (after func()) // in this process, before the victim starts; after it runs
	others           []string                                        // roles that this process plays meanwhile
}

var crashCases = []crashCase{
	{role: "acquire", points: []string{"semaphore.taken", "semaphore.released", "scene.inside"}, others: []string{"acquire", "acquire", "acquire"}},
	{role: "consume", points: []string{"semaphore.taken", "semaphore.released"}, others: []string{"acquire"}},
	{role: "acquire", corpse: "acquire", corpseAt: "scene.inside", points: []string{"semaphore.reaped"}, before: holdPermit},
	{role: "write", points: []string{"rwmutex.inline", "rwmutex.pending", "rwmutex.locked", "rwmutex.unlocked", "scene.torn"}, others: []string{"write", "read", "read"}},
	{role: "read", points: []string{"rwmutex.raised", "rwmutex.counted", "rwmutex.left", "scene.reading"}, others: []string{"write", "read"}},
	{role: "read", points: []string{"rwmutex.read.inline", "rwmutex.read.counted"}, before: holdForWriting},
	{role: "give up", points: []string{"rwmutex.gaveup"}, before: holdForReading},
	{role: "write", corpse: "write", corpseAt: "rwmutex.locked", points: []string{"rwmutex.settled"}},
	{role: "write", corpse: "write", corpseAt: "rwmutex.pending", points: []string{"rwmutex.settled"}},
	{role: "read", corpse: "write", corpseAt: "scene.torn", points: []string{"rwmutex.settled"}},
	{role: "write", corpse: "read", corpseAt: "rwmutex.counted", points: []string{"rwmutex.buried"}},
	{role: "take", points: []string{"cond.registered", "cond.released", "cond.told", "cond.retaken", "cond.done"}, others: []string{"take"}},
	{role: "give", points: []string{"cond.tell.told"}, others: []string{"take", "take"}},
	{role: "take", corpse: "take", corpseAt: "cond.told", points: []string{"cond.mourn.taken", "cond.mourn.passed"}, before: nil},
	{role: "meet", points: []string{"barrier.come", "barrier.act", "barrier.acted", "barrier.changed", "barrier.left", "scene.action"}, others: []string{"meet", "meet"}},
	{role: "meet", corpse: "meet", corpseAt: "barrier.come", points: []string{"barrier.mourn.broken", "barrier.mourn.emptied"}},
	{role: "abort", points: []string{"barrier.reset"}},
	{role: "event", points: []string{"event.set", "event.cleared"}},
}

// holdPermit has this process hold all permits but the dead one's while the victim waits, so that it finds none free.
func holdPermit(t *testing.T, s *lockScene) func() {
	ok(t, s.sem.Acquire(t.Context()))
	return func() { ok(t, s.sem.Release()) }
}

// holdForWriting has this process write until the victim waits in line, or has ended.
func holdForWriting(t *testing.T, s *lockScene) func() {
	ok(t, s.rw.Lock(t.Context()))
	over, unlocked := make(chan struct{}), make(chan error, 1)
	go func() {
		for !s.rw.Wanted() {
			select {
			case <-time.After(100 * time.Microsecond):
				continue
			case <-over:
			}
			break
		}
		unlocked <- s.rw.Unlock()
	}()
	return func() {
		close(over)
		ok(t, <-unlocked)
	}
}

func holdForReading(t *testing.T, s *lockScene) func() {
	ok(t, s.rw.RLock(t.Context()))
	return func() { ok(t, s.rw.RUnlock()) }
}

// tryGive gives unless somebody, who may be stopped, holds the lock, or there is something to take.
func (s *lockScene) tryGive(t *testing.T) {
	err := s.mu.TryLock()
	if err == futex.ErrOwnerDied {
		err = s.mu.MarkConsistent()
	}
	if err == futex.ErrLocked {
		return
	}
	ok(t, err)
	if s.read(items) == 0 {
		s.add(given, 1)
		s.add(items, 1)
	}
	ok(t, s.con.Notify(1))
	ok(t, s.mu.Unlock())
}

// victim starts a process that plays a role, and returns when it has ended, or, for an order to stop, after it was stopped for longer than any
// slice and has then ended. tell is called all the time.
func (s *lockScene) victim(t *testing.T, role, order string, tell func()) (hit bool) {
	t.Helper()
	ctx := proctest.Context(t)
	p, err := lockVictim.Start(ctx, victimArg{s.seg, role, order}, nil)
	ok(t, err)
	stopped := false
	eventually(t, fmt.Sprintf("%s ends after %s", role, order), func() bool {
		if tell != nil {
			tell()
		}
		if p.Alive() && proctest.Stopped(t, p.PID()) {
			stopped = true
			time.Sleep(70 * time.Millisecond) // for others to do wrong, if they would
			proctest.Continue(t, p.PID())
		}
		return !p.Alive()
	})
	err = p.Wait(ctx)
	var exit *spawn.ExitError
	if errors.As(err, &exit) && exit.Code == -int(syscall.SIGKILL) {
		proctest.Dead(t, s.seg)
		return true
	}
	if err != nil {
		t.Fatalf("%s at %s: %v", role, order, err)
	}
	return stopped
}

// run plays one case with one order and compares.
func (c crashCase) run(t *testing.T, point string, order string, kill bool) (hit bool) {
	t.Helper()
	seg := newSegment(t, sceneSize)
	s := must(makeScene(seg))(t)
	ctx := proctest.Context(t)
	tell := func() {}
	if c.role == "take" { // nobody else gives, or takes what the victim gives
		tell = func() {
			if s.con.Waiting() > 0 {
				s.tryGive(t)
			}
		}
	}
	if c.corpse != "" {
		if !s.victim(t, c.corpse, "kill:"+c.corpseAt+":1", tell) {
			t.Fatalf("no corpse at %s", c.corpseAt)
		}
		if c.corpse == "acquire" {
			s.add(inside, -1)
		}
	}
	after := func() {}
	if c.before != nil {
		after = c.before(t, s)
	}
	if c.corpse == "take" {
		tell = nil // the notification of the dead is there; the victim waits, and mourns
		atomic.StoreUint32(s.word(items), 0)
		atomic.StoreUint32(s.word(given), uint32(s.read(taken)))
	}
	var wg sync.WaitGroup
	play, end := context.WithCancel(ctx)
	var mine [8]atomic.Int64
	for i, role := range c.others {
		f := sceneRoles[role](s)
		if role == "meet" {
			f = func(ctx context.Context) error {
				ok, err := s.meet(ctx)
				if ok {
					mine[i].Add(1)
				}
				return err
			}
		}
		wg.Go(func() {
			for play.Err() == nil {
				if err := f(play); err != nil && play.Err() == nil {
					t.Errorf("%s: %v", role, err)
				}
			}
		})
	}
	if c.role == "abort" || c.role == "event" {
		tell = nil
	}
	if c.corpse == "take" {
		// Without a sleeper that is told, a take would wait for ever when it is not killed: give after a while.
		begin := time.Now()
		tell = func() {
			if time.Since(begin) > 2*time.Second {
				s.tryGive(t)
			}
		}
	}
	if c.corpse == "meet" {
		tell = nil
		begin := time.Now()
		tell = func() {
			if time.Since(begin) > time.Second { // it was not killed: let it pass its rounds
				one, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
				defer cancel()
				wg.Go(func() { _, _ = s.meet(one) })
				_, _ = s.meet(one)
			}
		}
	}
	if kill && point == "scene.inside" {
		s.add(slack, 1) // its permit is given back at its death, and it is taken out of those inside later
	}
	hit = s.victim(t, c.role, order, tell)
	after()
	end()
	wg.Wait()
	s.audit(t, c, point, hit && kill)
	return hit
}

// audit uses every lock once more, and compares what the ledger says.
func (s *lockScene) audit(t *testing.T, c crashCase, point string, killed bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if s.read(torn) != 0 {
		t.Errorf("%d times somebody saw what cannot be", s.read(torn))
	}
	// The permits.
	if killed && point == "scene.inside" {
		s.add(inside, -1)
	}
	want := scenePermits
	if killed && (s.read(state) == 1 && point == "semaphore.taken" || s.read(state) == 2 && point != "semaphore.released") {
		want--
	}
	for range want {
		ok(t, s.sem.Acquire(ctx))
	}
	if err := s.sem.TryAcquire(); err != futex.ErrLocked {
		t.Errorf("more than %d permits: %v", want, err)
	}
	for range want {
		ok(t, s.sem.Release())
	}
	// The data.
	ok(t, s.readData(ctx))
	ok(t, s.write(ctx))
	deaths := 0
	for _, at := range []string{c.corpseAt, point} {
		if (at == point && !killed) || c.role == "" {
			continue
		}
		if at == "rwmutex.locked" || at == "scene.torn" {
			deaths++
		}
	}
	if s.read(died) != deaths {
		t.Errorf("%d owners died while they wrote, %d were reported", deaths, s.read(died))
	}
	// The condition: what is given is taken, one by one.
	takes := []<-chan error{}
	for range 2 {
		takes = append(takes, waiting(func() error { return s.take(ctx) }))
	}
	for n := s.read(taken) + s.read(items); ; {
		for len(takes[0])+len(takes[1]) < 2 && s.read(items) > 0 && ctx.Err() == nil {
			time.Sleep(time.Millisecond)
		}
		if len(takes[0])+len(takes[1]) == 2 {
			break
		}
		_ = n
		ok(t, s.give(ctx))
	}
	for _, c := range takes {
		ok(t, result(t, c))
	}
	ok(t, s.lock(ctx))
	if s.con.Waiting() != 0 && !killed {
		t.Errorf("%d wait", s.con.Waiting())
	}
	ok(t, s.mu.Unlock())
	// The barrier: all pass a round together, after one at most that is broken.
	var rounds [sceneParties]int
	var wg sync.WaitGroup
	for i := range sceneParties {
		wg.Go(func() {
			for rounds[i] < 3 {
				passed, err := s.meet(ctx)
				if err != nil {
					t.Error(err)
					return
				}
				if passed {
					rounds[i]++
				}
			}
		})
	}
	wg.Wait()
	// The event.
	set := waiting(func() error { return s.ev.Wait(ctx) })
	ok(t, s.ev.Set())
	ok(t, result(t, set))
}

// TestLocksCrash kills and stops a process at each point of the locks.
func TestLocksCrash(t *testing.T) {
	killed, stopped := map[string]int{}, map[string]int{}
	for _, c := range crashCases {
		for _, point := range c.points {
			for _, pass := range []int{1, 2, 5} {
				name := fmt.Sprintf("%s/%s/%d", c.role, point, pass)
				if c.corpse != "" {
					name += " after " + c.corpseAt
					if pass > 1 {
						continue
					}
				}
				t.Run("kill/"+name, func(t *testing.T) {
					if c.run(t, point, fmt.Sprintf("kill:%s:%d", point, pass), true) {
						killed[point]++
					}
				})
				if pass == 1 {
					t.Run("stop/"+name, func(t *testing.T) {
						if c.run(t, point, fmt.Sprintf("stop:%s:%d", point, pass), false) {
							stopped[point]++
						}
					})
				}
			}
		}
	}
	var points []string
	for _, prefix := range []string{"semaphore.", "rwmutex.", "cond.", "barrier.", "event.set", "event.cleared"} {
		points = append(points, proctest.Points(t, prefix)...)
	}
	kills, stops := 0, 0
	for _, point := range slices.Compact(points) {
		kills, stops = kills+killed[point], stops+stopped[point]
		if killed[point] == 0 || stopped[point] == 0 {
			t.Errorf("%s: %d killed, %d stopped", point, killed[point], stopped[point])
		}
	}
	t.Logf("%d points, %d kills, %d stops", len(points), kills, stops)
}
