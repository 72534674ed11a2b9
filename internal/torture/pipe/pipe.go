// Package pipe is the suite that kills the users of ringbuf's pipes: several processes share each end.
package pipe

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fb2d3dbd/multiproc/internal/torture"
	"github.com/fb2d3dbd/multiproc/ringbuf"
	"github.com/fb2d3dbd/multiproc/spawn"
)

// Run kills until the options are fulfilled, or something is wrong.
func Run(ctx context.Context, o torture.Options) torture.Result {
	ctx, r := torture.NewRun(ctx, "pipe", names(), o)
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

func pick[T any](rng *rand.Rand, from ...T) T { return from[rng.IntN(len(from))] }

// In a steady round the pipe lives through so many deaths, and as many messages as there are ids.
const (
	roundKills = 250
	roundIDs   = 1 << 20
)

// steady is a round on one pipe: a survivor at each end, and victims around them, each followed by another.
func (s *suite) steady(ctx context.Context, rng *rand.Rand, n int) error {
	r, c := s.r, drawConfig(rng, n)
	crowd := r.Options.Victims
	t, err := newTable(c, crowd+3, roundIDs)
	if err != nil {
		return err
	}
	defer t.close()
	stay := map[int]*spawn.Process{}
	var others []int
	for end := range 2 {
		j := t.job(torture.Order{Slot: crowd + end, Process: r.Next(), Seed: rng.Uint64()}, end, sender)
		p, err := stayers.Start(ctx, j, nil)
		if err != nil {
			return err
		}
		stay[crowd+end] = p
		others = append(others, crowd+end)
	}
	watching, unwatch := context.WithCancel(ctx)
	var all, watch sync.WaitGroup
	watch.Go(func() { r.Watch(watching, t.books, stay) })
	end := r.Killed() + min(roundKills, max(50, r.Options.Kills/4))
	for slot := range crowd {
		own := rand.New(rand.NewPCG(rng.Uint64(), uint64(slot)))
		all.Go(func() {
			for r.More(ctx) && r.Killed() < end && !t.books.Spent() {
				s.next(ctx, own, t, slot, others)
			}
		})
	}
	all.Wait()
	unwatch()
	watch.Wait()
	t.books.SetControl(noMoreSends)
	time.AfterFunc(waitAtMost, func() { t.books.SetControl(noMoreGets) })
	for slot, p := range stay {
		s.retire(ctx, t, p, slot)
	}
	if ctx.Err() == nil {
		t.quiet(r, crowd+2, t.a, t.b)
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
	t.histories.Bury(t.books, torture.Death{Slot: slot, Time: now()})
}

// next is one victim's life, or one scene of its own: the end of a pipe, or one that is made anew.
func (s *suite) next(ctx context.Context, rng *rand.Rand, t *table, slot int, others []int) {
	r, c := s.r, t.c
	name, ok := r.Points.Draw(rng, func(n string) bool { return !c.Order || find(n).roles[0] == sender })
	if !ok {
		r.Report(torture.Failed, "there is no point to die at")
		r.Stop()
		return
	}
	p := find(name)
	switch {
	case p.anew:
		r.Play(ctx, func() error { return s.making(ctx, rng, p) })
		return
	case p.end || s.draws.Add(1)%12 == 0:
		r.Play(ctx, func() error { return s.ending(ctx, rng, p) })
		return
	}
	end := rng.IntN(2)
	ro := pick(rng, p.roles...)
	switch {
	case c.OneWay && ro == sender || c.Order:
		end = 1
	case c.OneWay && (ro == receiver || ro == heir):
		end = 0
	}
	j := t.job(torture.Order{
		Slot: slot, Process: r.Next(), Point: name, Nth: 1 + rng.IntN(p.most), Seed: rng.Uint64(), Instead: instead,
		Stop: rng.IntN(8) == 0, Two: rng.IntN(4) == 0,
	}, end, ro)
	r.Spend(ctx, t.books, torture.Life{Order: j.Order, Start: startAs(j), Others: others, Verdict: verdict}, &t.histories)
}

func startAs(j job) func(context.Context, torture.Order) (*spawn.Process, error) {
	procs := []string{"1", "2", "4"}[j.Order.Seed>>8%3]
	return func(ctx context.Context, _ torture.Order) (*spawn.Process, error) {
		return victims.Start(ctx, j, &spawn.Options{Env: []string{"GOMAXPROCS=" + procs}})
	}
}

// now is the clock of the notes.
func now() uint64 { return uint64(time.Now().UnixNano()) }

// quiet takes the pipe apart when all others are gone: what it holds has to come out, and then all of its memory, and the segment's, has to be there. It
// writes what is wrong into the books.
func (t *table) quiet(r *torture.Run, slot int, ends ...*ringbuf.PipeEnd) {
	t.books.Clear(slot)
	err := r.Gone(t.seg)
	if err == nil {
		err = t.drain(slot, r.Next(), ends)
	}
	if err != nil {
		t.books.Problem(torture.Corrupt, "at the end of the round: %v", err)
	}
	t.histories.Bury(t.books, torture.Death{Process: 0, Slot: slot, Time: now()})
}

func (t *table) drain(slot int, process uint64, ends []*ringbuf.PipeEnd) error {
	for _, e := range ends {
		if err := repairAll(e); err != nil {
			return err
		}
		if err := e.Check(); err != nil {
			return fmt.Errorf("the Check of a repaired pipe: %w", err)
		}
	}
	for _, e := range ends {
		if !e.CanGet() {
			continue
		}
		end := 0
		if e == t.b {
			end = 1
		}
		w := t.job(torture.Order{Slot: slot, Process: process}, end, receiver).worker(t.books, e, 0)
		w.order = false
		for n := 0; ; n++ {
			err := w.land(func(b []byte) ([]byte, error) {
				b, err := e.TryGet(b)
				if errors.Is(err, ringbuf.ErrEmpty) {
					err = errNothing
				}
				return b, err
			})
			if errors.Is(err, errNothing) || errors.Is(err, errEnd) {
				break
			}
			if err != nil {
				return err
			}
			if n > mostMessages {
				return fmt.Errorf("more than %d messages come out of end %d", n, end)
			}
		}
	}
	for _, e := range ends {
		if in, out, err := e.Waiting(); err != nil || e.CanGet() && in != 0 || len(ends) == 2 && out != 0 {
			return fmt.Errorf("the Waiting of a drained pipe is %d, %d, %v", in, out, err)
		}
		if err := e.Check(); err != nil {
			return fmt.Errorf("the Check of a drained pipe: %w", err)
		}
	}
	return t.whole()
}

var errNothing = errors.New("nothing waits")

const mostMessages = 2*64 + 1 // in a direction: those that wait, and those that were in the hands of the dead

func repairAll(e *ringbuf.PipeEnd) error {
	for range 100 {
		if n, err := e.Repair(); n == 0 || err != nil {
			return err
		}
	}
	return errors.New("the repair buries somebody again and again")
}
