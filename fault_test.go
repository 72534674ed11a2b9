//go:build fault && linux

package multiproc_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/fb2d3dbd/multiproc"
	"github.com/fb2d3dbd/multiproc/internal/proctest"
)

// Every role is killed at every point that it passes, the first times and later. Whatever its Put has returned for is
// delivered once, and nobody waits for it.
func TestKilledAtEveryPoint(t *testing.T) {
	died := map[string]int{}
	for role := range roles {
		t.Run(role, func(t *testing.T) {
			for _, point := range pointsOf(t, role) {
				for _, nth := range []int{1, 2, 3, 10, 40} {
					order := fmt.Sprintf("kill:%s:%d", point, nth)
					s := newScene(t, role)
					killed := s.play(t, order)
					s.Ledger.audit(t, inHand(role, point, killed))
					if t.Failed() {
						t.Fatal("at ", order)
					}
					if !killed {
						break // it does not come by so often
					}
					died[point]++
				}
			}
		})
	}
	if t.Failed() {
		return
	}
	for _, point := range []string{
		"arena.filled", "arena.freed", "arena.popped",
		"mutex.locked", "mutex.unlocked", "mutex.waiting",
		"mpmc.closed", "mpmc.get.ended", "mpmc.get.taken", "mpmc.put.claimed", "mpmc.put.announced", "mpmc.put.published",
		"mpmc.fast.claimed", "mpmc.fast.announced", "mpmc.fast.published", "mpmc.fast.taken", "mpmc.fast.released",
		"mpmc.units.claimed", "mpmc.units.freed", "mpmc.release.emptied", "mpmc.released",
		"owner.join.filled", "owner.join.locked", "owner.leave.marked",
	} {
		if died[point] == 0 {
			t.Errorf("nobody died at %s; deaths were at %v", point, slices.Sorted(maps.Keys(died)))
		}
	}
}

// pointsOf returns the points that a role passes.
func pointsOf(t *testing.T, role string) []string {
	t.Helper()
	s := newScene(t, role)
	s.Seen = newQueue[[]string](t, nil)
	if s.play(t, "list") {
		t.Fatalf("%s was killed by nobody", role)
	}
	s.Ledger.audit(t, 0)
	return must(s.Seen.TryGet())(t)
}

// inHand returns how many messages the victim may have had in hand: given up by the queue, and not yet in the ledger. At all
// other points what it looks at is still the queue's, and comes again.
func inHand(role, point string, killed bool) int {
	switch {
	case !killed || !strings.HasPrefix(role, "get"):
		return 0
	case point != "mpmc.fast.released" && point != "mpmc.released" && point != "mpmc.release.emptied" && point != "mpmc.units.freed" &&
		point != "event.raised": // whom the release wakes
		return 0
	case role == "getbatch":
		return sceneBatch
	}
	return 1
}

// play runs the victim with others at the other end of what it works on, and what comes after it. It reports whether the victim was killed.
func (s *scene) play(t *testing.T, order string) bool {
	t.Helper()
	ctx := proctest.Context(t)
	var producers, consumers sync.WaitGroup
	join := func(wg *sync.WaitGroup, number int) {
		wg.Go(func() {
			err := part{s.Ledger, number}.play(ctx)
			if err != nil && !(s.Role == "close" && errors.Is(err, multiproc.ErrClosed)) {
				t.Errorf("%s %s: part %d: %v", s.Role, order, number, err)
			}
		})
	}
	p := start(t, victim, s, &multiproc.ProcessOptions{Env: []string{"MULTIPROC_FAULT=" + order}})
	join(&producers, 1)
	getter := strings.HasPrefix(s.Role, "get")
	if getter { // the victim is the only consumer, and ends when the queue does
		join(&producers, 2)
		closing := make(chan error)
		go func() {
			producers.Wait()
			closing <- s.Ledger.Queue.Close()
		}()
		defer func() { check(t, <-closing) }()
	} else {
		join(&consumers, -1)
	}
	if s.Role == "lock" {
		s.contend(t, p)
	}
	killed := s.outcome(t, p, order)
	if getter { // a newcomer takes the rest
		join(&consumers, -1)
	}
	if killed && strings.Contains(s.Role, "put") {
		wait(t, start(t, player, part{s.Ledger, 0}, nil)) // a newcomer puts the rest
	}
	producers.Wait()
	check(t, s.Ledger.Queue.Close())
	consumers.Wait()
	check(t, s.lock(ctx)) // nobody holds it
	check(t, s.Lock.Unlock())
	return killed
}

// outcome waits for a victim, and for the proof of its death if it was killed, which it reports: what it held is in a living one's hands before that, and
// then a closed queue has ended for the others.
func (s *scene) outcome(t *testing.T, p *multiproc.Process, order string) bool {
	t.Helper()
	err := p.Wait(proctest.Context(t))
	var exit *multiproc.ExitError
	if err != nil && !(errors.As(err, &exit) && exit.Code == -9) {
		t.Fatalf("%s %s: %v", s.Role, order, err)
	}
	if err != nil {
		proctest.Dead(t, s.Lock.Segment(), p.PID())
	}
	return err != nil
}

// contend has the lock whenever the victim wants it, so that it must wait, until the victim ends.
func (s *scene) contend(t *testing.T, p *multiproc.Process) {
	t.Helper()
	ctx, cancel := context.WithCancel(proctest.Context(t))
	defer cancel()
	go func() {
		<-p.Done()
		cancel()
	}()
	for {
		i, err := s.Ask.Get(ctx)
		if err != nil {
			return
		}
		check(t, s.lock(proctest.Context(t)))
		check(t, s.Held.TryPut(i))
		proctest.Eventually(t, func() bool { return !p.Alive() || hasWaiters(t, s.Lock) }, "the victim waits for the lock")
		check(t, s.Lock.Unlock())
	}
}

// Those who repair what a dead process has left are killed at every point of the repair, and so are their successors.
func TestKilledWhileRepairing(t *testing.T) {
	points := []string{"members.claimed", "mpmc.repair.cells", "mpmc.repair.slots", "mpmc.repair.told", "members.repaired"}
	died := map[string]int{}
	for _, c := range []struct {
		corpse, order string // what the first victim does, and what it dies of, with something in its hand
		role          string // what the repairers are about
	}{
		{"put", "kill:mpmc.fast.claimed:1", "get"},
		{"put", "kill:mpmc.fast.announced:1", "getbatch"},
		{"get", "kill:mpmc.fast.taken:2", "get"},
		{"get", "kill:mpmc.get.taken:1", "getbatch"},
	} {
		for _, point := range points {
			for nth := 1; nth <= 4; nth++ {
				order := fmt.Sprintf("kill:%s:%d", point, nth)
				s := newScene(t, c.role)
				s.corpse(t, c.corpse, c.order)
				for range 3 {
					if s.repair(t, order) {
						died[point]++
					}
				}
				s.finish(t)
				if t.Failed() {
					t.Fatalf("%s %s, then %s %s", c.corpse, c.order, c.role, order)
				}
			}
		}
	}
	for _, point := range points {
		if died[point] == 0 {
			t.Errorf("nobody died at %s; deaths were %v", point, died)
		}
	}
}

// corpse leaves a queue with some messages of producer 1, and something in the hand of a dead process.
func (s *scene) corpse(t *testing.T, role, order string) {
	t.Helper()
	l := s.Ledger
	for i := range 3 {
		id := l.Each + i
		check(t, l.Begun.Set(1, uint32(i)+1))
		check(t, l.Queue.TryPut(body(id)))
		check(t, l.Acked.Set(id, 1))
	}
	first := *s
	first.Role = role
	p := start(t, victim, &first, &multiproc.ProcessOptions{Env: []string{"MULTIPROC_FAULT=" + order}})
	if !s.outcome(t, p, order) {
		t.Fatalf("the first victim did not die of %s", order)
	}
}

// repair runs one process that comes upon what the dead one has left, and reports whether it was killed.
func (s *scene) repair(t *testing.T, order string) bool {
	t.Helper()
	ctx, cancel := context.WithCancel(proctest.Context(t))
	defer cancel()
	var wg sync.WaitGroup
	if strings.HasPrefix(s.Role, "get") {
		check(t, s.Ledger.Queue.Close()) // so that it ends
	} else {
		wg.Go(func() { _ = s.Ledger.consume(ctx) }) // so that it finds room
	}
	p := start(t, victim, s, &multiproc.ProcessOptions{Env: []string{"MULTIPROC_FAULT=" + order}})
	killed := s.outcome(t, p, order)
	cancel()
	wg.Wait()
	return killed
}

// finish drains the queue and compares: whoever died, died before it had anything in hand.
func (s *scene) finish(t *testing.T) {
	t.Helper()
	ctx := proctest.Context(t)
	result := make(chan error)
	go func() { result <- s.Ledger.consume(ctx) }()
	if err := s.Ledger.produce(ctx, 2); err != nil && !errors.Is(err, multiproc.ErrClosed) {
		t.Error(err)
	}
	check(t, s.Ledger.Queue.Close())
	check(t, <-result)
	s.Ledger.audit(t, 0)
}
