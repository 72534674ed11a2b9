package futex_test

import (
	"context"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/anishathalye/porcupine"

	"github.com/fb2d3dbd/multiproc/futex"
	"github.com/fb2d3dbd/multiproc/internal/proctest"
)

// A lockClient makes random calls and remembers what it holds. It waits without end only while it holds nothing, and gives back what
// it was given: so somebody always goes on.
type lockClient struct {
	lockHandle
	rnd          *rand.Rand
	client, part int
	sole         bool // of its participant
	clock        *atomic.Int64
	steps        []histStep
	held         []lockKind // the calls that undo what was taken
}

func (c *lockClient) step(ctx context.Context, kind lockKind) error {
	s := histStep{client: c.client, part: c.part, kind: kind, call: c.clock.Add(1)}
	s.err = c.do(kind, ctx)
	s.ret = c.clock.Add(1)
	c.steps = append(c.steps, s)
	if s.err == nil || s.err == futex.ErrOwnerDied {
		switch kind {
		case doLock, doTry:
			c.held = append(c.held, doUnlock)
		case doRLock, doTryR:
			c.held = append(c.held, doRUnlock)
		}
	}
	return s.err
}

func (c *lockClient) giveBack(ctx context.Context) {
	last := len(c.held) - 1
	kind := c.held[last]
	c.held = c.held[:last]
	_ = c.step(ctx, kind)
}

func (c *lockClient) run(ctx context.Context, steps int, die func()) {
	for range steps {
		for range c.rnd.IntN(2) {
			runtime.Gosched()
		}
		kind := []lockKind{doLock, doTry, doRLock, doTryR}[c.rnd.IntN(4)]
		if c.rlock == nil {
			kind %= 2
		}
		if n := c.rnd.IntN(20); n == 0 {
			kind = doUnlock // perhaps of what it does not hold
		} else if n == 1 && c.rlock != nil && c.sole {
			kind = doRUnlock
		} else if n == 2 && c.mend != nil {
			kind = doMend
		} else if len(c.held) > 0 && n < 15 {
			c.giveBack(ctx)
			continue
		}
		call, cancel := context.WithCancel(ctx)
		switch n := c.rnd.IntN(4); {
		case len(c.held) > 0 || n == 0:
			cancel()
		case n == 1:
			go cancel()
		}
		if err := c.step(call, kind); err == futex.ErrOwnerDied && c.rnd.IntN(2) == 0 {
			_ = c.step(ctx, doMend)
		}
		cancel()
	}
	if die != nil {
		s := histStep{client: c.client, part: c.part, kind: doDie, call: c.clock.Add(1)}
		die()
		s.ret = c.clock.Add(1)
		c.steps = append(c.steps, s)
		return
	}
	for len(c.held) > 0 {
		c.giveBack(ctx)
	}
}

// A restless participant lets others run while it looks whether somebody is alive: so they move what it has looked at.
type restless struct{ futex.Participants }

func (r restless) Self() uint32 {
	if rand.IntN(4) == 0 {
		runtime.Gosched()
	}
	return r.Participants.Self()
}

func (r restless) Alive(token uint32) bool {
	for range rand.IntN(8) {
		runtime.Gosched()
	}
	return r.Participants.Alive(token)
}

// TestLockHistories has goroutines of three participants call one lock, one of which may die, and looks for an order of the calls
// that explains what they returned.
//
// Red when two have the lock, a permit is lost or out twice, a try refuses what is free, or a death is not told.
func TestLockHistories(t *testing.T) {
	rounds := 250
	if raceEnabled {
		rounds = 40
	}
	for name, k := range lockHists {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(rounds) {
				steps := k.history(t, seed)
				switch k.check(steps) {
				case porcupine.Illegal:
					for _, s := range steps {
						t.Log(s)
					}
					t.Fatalf("seed %d: no order of these calls is that of a %s", seed, name)
				case porcupine.Unknown:
					t.Log("a history was too hard to decide")
				}
			}
		})
	}
}

func (k lockHist) history(t *testing.T, seed uint64) (all []histStep) {
	var folk folk
	var clock atomic.Int64
	mem := make([]byte, k.size)
	if k.make != nil {
		ok(t, k.make(mem, folk.one(1)))
	}
	ctx := proctest.Context(t)
	var clients []*lockClient
	var wg sync.WaitGroup
	for i, part := range []int{1, 1, 2, 3} {
		h := must(k.open(mem, restless{folk.one(uint32(part))}))(t)
		c := &lockClient{lockHandle: h, rnd: rand.New(rand.NewPCG(seed, uint64(i))), client: i, part: part, sole: part > 1, clock: &clock}
		clients = append(clients, c)
	}
	for _, c := range clients {
		var die func()
		if c.part == 3 && seed%3 == 0 {
			die = func() { folk.kill(3) }
		}
		wg.Go(func() { c.run(ctx, 10, die) })
	}
	wg.Wait()
	for _, c := range clients {
		all = append(all, c.steps...)
	}
	slices.SortFunc(all, func(a, b histStep) int { return int(a.call - b.call) })
	for i, s := range all {
		all[i].alone = !slices.ContainsFunc(all, func(o histStep) bool {
			return o.client != s.client && o.call < s.ret && o.ret > s.call
		})
	}
	return all
}
