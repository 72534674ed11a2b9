// Package queue is the suite that kills the users of ringbuf.MPMC, the queue of many producers and consumers.
package queue

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fb2d3dbd/multiproc/internal/torture"
	"github.com/fb2d3dbd/multiproc/spawn"
)

// Run kills until the options are fulfilled, or something is wrong.
func Run(ctx context.Context, o torture.Options) torture.Result {
	ctx, r := torture.NewRun(ctx, "queue", names(), o)
	s := &suite{r: r}
	for n := 0; r.More(ctx); n++ {
		rng := rand.New(rand.NewPCG(o.Seed, uint64(n)))
		r.Play(ctx, func() error { return s.steady(ctx, rng, n) })
	}
	return r.Finish()
}

type suite struct {
	r     *torture.Run
	draws atomic.Uint64
}

// In a steady round the queue lives through so many deaths, and as many messages as there are ids.
const (
	roundKills = 400
	roundIDs   = 1 << 21
)

// steady is a round on one queue: two survivors, and victims around them, each followed by another.
func (s *suite) steady(ctx context.Context, rng *rand.Rand, n int) error {
	r, c := s.r, draw(rng, n)
	crowd := r.Options.Victims
	t, err := newTable(c, crowd+3, roundIDs)
	if err != nil {
		return err
	}
	defer t.close()
	t.blind = n%5 == 4
	stay := map[int]*spawn.Process{}
	for i, ro := range []role{producer, consumer} {
		j := t.job(torture.Order{Slot: crowd + i, Process: r.Next(), Seed: rng.Uint64()}, ro)
		j.Order.Point = "" // it does not die
		p, err := stayers.Start(ctx, j, nil)
		if err != nil {
			return err
		}
		stay[crowd+i] = p
		t.stay = append(t.stay, crowd+i)
		t.numbers = append(t.numbers, j.Order.Process)
	}
	watching, unwatch := context.WithCancel(ctx)
	var all, watch sync.WaitGroup
	watch.Go(func() { r.Watch(watching, t.books, stay) })
	end := r.Killed() + min(roundKills, max(50, r.Options.Kills/4))
	for slot := range crowd {
		own := rand.New(rand.NewPCG(rng.Uint64(), uint64(slot)))
		all.Go(func() {
			for r.More(ctx) && r.Killed() < end && !t.books.Spent() {
				s.next(ctx, own, t, slot)
			}
		})
	}
	all.Wait()
	unwatch()
	watch.Wait()
	for i, word := range []uint64{noMorePuts, noMoreGets} {
		t.books.SetControl(word)
		s.retire(ctx, t, stay[crowd+i], crowd+i)
	}
	if ctx.Err() == nil {
		t.quiet(r, crowd+2, false)
	}
	r.Settle(ctx, t.books, &t.histories)
	return nil
}

// retire waits for the end of a survivor.
func (s *suite) retire(ctx context.Context, t *table, p *spawn.Process, slot int) {
	wait, cancel := context.WithTimeout(context.Background(), s.r.Patience)
	defer cancel()
	if ctx.Err() != nil {
		_ = p.Kill()
	}
	switch err := p.Wait(wait); {
	case wait.Err() != nil:
		s.r.Hang(p, "a survivor does not come to its end")
	case err != nil && ctx.Err() == nil:
		s.r.Report(torture.Corrupt, "a survivor: %v", err)
	}
	t.retired(slot)
}

// next is one victim's life, or one scene of its own: the end of a queue, or a wait for the dead.
func (s *suite) next(ctx context.Context, rng *rand.Rand, t *table, slot int) {
	r := s.r
	if s.draws.Add(1)%10 == 0 {
		r.Play(ctx, func() error { return s.probe(ctx, rng) })
		return
	}
	has := t.c.has() | anEnd
	name, ok := r.Points.Draw(rng, func(n string) bool { return find(n).needs&^has == 0 })
	if !ok {
		r.Report(torture.Failed, "there is no point to die at")
		r.Stop()
		return
	}
	p := find(name)
	if p.needs&anEnd != 0 {
		r.Play(ctx, func() error { return s.ending(ctx, rng, p) })
		return
	}
	j := t.job(torture.Order{
		Slot: slot, Process: r.Next(), Point: name, Nth: 1 + rng.IntN(p.most), Seed: rng.Uint64(), Instead: instead,
		Stop: rng.IntN(8) == 0 && !t.c.tight, Two: rng.IntN(4) == 0,
	}, pick(rng, p.roles...))
	r.Spend(ctx, t.books, torture.Life{Order: j.Order, Start: startAs(j), Others: t.stay, Verdict: torture.QueueVerdict}, &t.histories)
}

func startAs(j job) func(context.Context, torture.Order) (*spawn.Process, error) {
	procs := []string{"1", "2", "4"}[j.Order.Seed>>8%3]
	return func(ctx context.Context, _ torture.Order) (*spawn.Process, error) {
		return victims.Start(ctx, j, &spawn.Options{Env: []string{"GOMAXPROCS=" + procs}})
	}
}

// now is the clock of the notes.
func now() uint64 { return uint64(time.Now().UnixNano()) }
