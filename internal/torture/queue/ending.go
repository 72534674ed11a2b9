package queue

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/fb2d3dbd/multiproc/internal/torture"
)

// endingVictims is how many there are in the scene of a queue's end.
const endingVictims = 3

// ending closes a queue while some put, some get and some die. All who live come to the end, and what was put before it comes out.
func (s *suite) ending(ctx context.Context, rng *rand.Rand, p point) error {
	r, c := s.r, draw(rng, rng.IntN(12))
	t, err := newTable(c, endingVictims+2, 1<<14)
	if err != nil {
		return err
	}
	defer t.close()
	survivors := make(chan error, 2)
	for lane := range 2 {
		w := t.worker(endingVictims, lane, r.Next())
		go func() { survivors <- w.untilEnd(ctx, lane == 0) }()
	}
	var all sync.WaitGroup
	for slot := range endingVictims {
		o := torture.Order{Slot: slot, Process: r.Next(), Point: p.name, Nth: 1, Seed: rng.Uint64(), Instead: instead, Two: slot == 0 && rng.IntN(2) == 0}
		ro := pick(rng, p.roles...)
		if slot == 2 {
			ro = producer
			other, _ := r.Points.Draw(rng, func(n string) bool { return find(n).roles[0] == producer && find(n).needs&^c.has() == 0 })
			o.Point, o.Nth = other, 1+rng.IntN(find(other).most)
		}
		j := t.job(o, ro)
		all.Go(func() {
			r.Spend(ctx, t.books, torture.Life{Order: j.Order, Start: startAs(j), MayEnd: true, Verdict: torture.QueueVerdict}, &t.histories)
		})
	}
	closing := time.AfterFunc(time.Duration(10+rng.IntN(60))*time.Millisecond, func() { _ = t.q.Close() })
	all.Wait()
	closing.Stop()
	if err := t.q.Close(); err != nil {
		return err
	}
	late := time.NewTimer(r.Patience)
	defer late.Stop()
	for range 2 {
		select {
		case err := <-survivors:
			if err != nil && ctx.Err() == nil {
				t.books.Problem(torture.Corrupt, "a survivor of the end of a queue: %v", err)
			}
		case <-late.C:
			r.Hang(nil, "a survivor does not hear of the end of a queue")
			return nil
		}
	}
	if ctx.Err() == nil {
		t.quiet(r, endingVictims+1, true)
	}
	t.histories.Bury(t.books, torture.Death{Slot: endingVictims, Time: now()})
	r.Settle(ctx, t.books, &t.histories)
	return nil
}

// untilEnd puts, or gets, until the queue has ended.
func (w *worker) untilEnd(ctx context.Context, puts bool) error {
	for ctx.Err() == nil {
		var err error
		if puts {
			err = w.waitPut(ctx, time.Minute)
			time.Sleep(20 * time.Microsecond)
		} else {
			d, e := w.q.Receive(ctx)
			if err = w.hold(d, e, false); err == nil {
				err = w.dropAll()
			}
		}
		if errors.Is(err, errEnd) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return ctx.Err()
}
