// Package manager is the suite of torture that kills and stops clients of a manager's server, at any instruction and at its crash points, and keeps a ledger of
// what they have done: no update is lost or made twice, nothing stays behind, and nothing is held.
package manager

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fb2d3dbd/multiproc"
	"github.com/fb2d3dbd/multiproc/internal/codec"
	"github.com/fb2d3dbd/multiproc/internal/torture"
	"github.com/fb2d3dbd/multiproc/manager"
)

// A run is what all rounds share.
type run struct {
	*torture.Rounds
	points *torture.Points
}

const (
	roundKills = 100
	fewKills   = 1000 // do not yet have to have hit every point
)

// Run kills until as many have been killed as asked for.
func Run(ctx context.Context, o torture.Options) torture.Result {
	r := &run{torture.NewRounds("manager", len(points), o), torture.NewPoints(points)}
	if !r.Play(ctx, 4*r.Patience+2*time.Minute, "operations", r.round) {
		return r.Result()
	}
	missed := r.points.Missed()
	res := r.Result()
	if len(missed) > 0 && res.Kills >= fewKills && o.Seconds == 0 {
		r.Complain(torture.FailedOf, "nobody died at %q", missed)
	}
	if o.Verbose {
		r.points.Each(func(name string, tries, hits int) { fmt.Fprintf(r.Log, "%8d of %8d %s\n", hits, tries, name) })
	}
	r.Change(func(res *torture.Result) { res.PointsHit = len(points) - len(missed) })
	return r.Result()
}

var key = []byte("torture")

// round is the life of one server.
func (r *run) round(ctx context.Context, rng *rand.Rand, n int) (err error) {
	b, err := newBook(r.Victims)
	if err != nil {
		return err
	}
	defer b.seg.Close()
	m, err := manager.Start(ctx, &manager.Options{
		Network: []string{"ring", "ring", "unix"}[n%3],
		// A client that was stopped is given up for a while and may come back.
		Server: manager.ServerOptions{Key: key, Linger: 500 * time.Millisecond, Keep: 200 * time.Millisecond},
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	job, err := makeObjects(ctx, m, b)
	if err != nil {
		return err
	}
	job.Network, job.Address, job.Key = m.Network(), m.Address(), key
	before, err := m.Stats(ctx)
	if err != nil {
		return err
	}
	var all sync.WaitGroup
	var taken atomic.Int32 // items of the queue that the dead may have got and not written down
	kills := min(roundKills, r.Kills-r.Result().Kills)
	for lane := range r.Victims {
		own := rand.New(rand.NewPCG(rng.Uint64(), uint64(lane)))
		all.Go(func() {
			for k := lane; k < kills && ctx.Err() == nil && !r.Troubled(); k += r.Victims {
				if err := r.life(ctx, own, job, lane, &taken); err != nil {
					r.Complain(torture.FailedOf, "%v", err)
				}
			}
		})
	}
	all.Wait()
	if r.Troubled() || ctx.Err() != nil {
		return nil
	}
	return r.settle(ctx, m, job, before, kills, int(taken.Load()))
}

// life starts a client and kills it.
func (r *run) life(ctx context.Context, rng *rand.Rand, j job, lane int, taken *atomic.Int32) error {
	j.Lane, j.Seed = lane, rng.Uint64()
	if rng.IntN(2) == 0 {
		if name, ok := r.points.Draw(rng, func(string) bool { return true }); ok {
			j.Order = fmt.Sprintf("kill:%s:%d", name, 1+rng.IntN(20))
			if seldom[name] {
				j.Order = fmt.Sprintf("kill:%s:1", name)
			}
		}
	}
	proxies, err := codec.Append(nil, &j.Up, nil)
	if err != nil {
		return err
	}
	j.Proxies = proxies
	if err := j.Book.begin(lane); err != nil {
		return err
	}
	p, err := victim.Start(ctx, j, &multiproc.ProcessOptions{Name: fmt.Sprintf("victim %d", lane)})
	if err != nil {
		return err
	}
	limit, cancel := context.WithTimeout(ctx, r.Patience)
	defer cancel()
	early := rng.IntN(4) == 0 // while it connects, or before
	for at := rng.IntN(60); ; at = rng.IntN(60) {
		for !early && !j.Book.live(lane) && p.Alive() && limit.Err() == nil {
			time.Sleep(time.Millisecond)
		}
		select {
		case <-p.Done():
		case <-time.After(time.Duration(at) * time.Millisecond):
			if rng.IntN(4) == 0 && torture.Pause(p) {
				time.Sleep(time.Duration(rng.IntN(40)) * time.Millisecond)
				torture.Resume(p)
				r.Change(func(res *torture.Result) { res.Stops++ })
				continue
			}
			_ = p.Kill() // it may have ended
		}
		break
	}
	if err := p.Wait(limit); limit.Err() != nil {
		r.Complain(torture.HungOf, "a client does not die: %v", err)
		return nil
	} else if exit, ok := errors.AsType[*multiproc.ExitError](err); !ok || exit.Code != -9 {
		r.Complain(torture.FailedOf, "a client ended by itself: %v", err)
		return nil
	}
	if j.Book.took(lane) {
		taken.Add(1)
	}
	if name := j.Book.diedAt(lane); name != "" {
		r.points.Hit(name)
		r.Change(func(res *torture.Result) { res.Critical++ })
	}
	r.Change(func(res *torture.Result) { res.Kills++ })
	return nil
}

// settle compares what there is at the end with the book, and looks for what the dead have left.
func (r *run) settle(ctx context.Context, m *manager.Manager, j job, before manager.Stats, kills, taken int) error {
	limit, cancel := context.WithTimeout(ctx, r.Patience)
	defer cancel()
	if err := j.Up.Scrap.Clear(ctx); err != nil {
		return err
	}
	for {
		st, err := m.Stats(limit)
		if err == nil && st == before {
			break
		}
		if limit.Err() != nil {
			r.Complain(torture.ViolationOf, "the dead have left something: %+v, before %+v, %v", st, before, err)
			return nil
		}
		time.Sleep(5 * time.Millisecond)
	}
	return errors.Join(r.settleCounters(limit, j), r.settleLocks(limit, j), r.settleQueues(limit, j, kills, taken))
}
