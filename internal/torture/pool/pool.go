// Package pool is the suite of torture that kills, stops and cancels the workers of a pool, and keeps a ledger of its tasks: each is run exactly once, or
// its end is reported.
package pool

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/fb2d3dbd/multiproc/internal/torture"
	"github.com/fb2d3dbd/multiproc/pool"
	"github.com/fb2d3dbd/multiproc/shm"
)

// A run is what all rounds share.
type run struct {
	*torture.Rounds
	hits []uint64 // by point
}

const (
	roundTasks = 4096 // of one call
	calls      = 4    // under way at a time
	roundKills = 150
	fewKills   = 2000 // do not yet have to have hit every point
)

// Run kills until as many have been killed as asked for.
func Run(ctx context.Context, o torture.Options) torture.Result {
	r := &run{torture.NewRounds("pool", len(points), o), make([]uint64, len(points))}
	if !r.Play(ctx, r.Patience+2*time.Minute, "tasks", r.round) {
		return r.Result()
	}
	kills, hit := r.Result().Kills, 0
	for i, n := range r.hits {
		if n > 0 {
			hit++
		} else if kills >= fewKills && o.Seconds == 0 {
			r.Complain(torture.FailedOf, "nobody died at %s", points[i])
		}
		if o.Verbose {
			fmt.Fprintf(r.Log, "%8d %s\n", n, points[i])
		}
	}
	r.Change(func(res *torture.Result) { res.PointsHit = hit })
	return r.Result()
}

// round is the life of one pool.
func (r *run) round(ctx context.Context, rng *rand.Rand, n int) error {
	led, err := newLedger(calls * roundTasks)
	if err != nil {
		return err
	}
	defer led.seg.Close()
	o := &pool.Options{Workers: r.Victims, Grace: 20 * time.Millisecond, StartFailures: 1 << 20, Bytes: 16 << 20, Backlog: []int{16384, 64, 1000}[n%3]}
	if n%2 == 1 {
		o.TasksPerWorker = 40
	}
	p, err := pool.New(victim.With(led.arg()), o)
	if err != nil {
		return err
	}
	defer p.Terminate()
	var all, harm sync.WaitGroup
	stop := make(chan struct{})
	harm.Go(func() { r.harm(p, rand.New(rand.NewPCG(rng.Uint64(), 1)), stop) })
	for lane := range calls {
		own := rand.New(rand.NewPCG(rng.Uint64(), uint64(lane)))
		all.Go(func() {
			for k := 0; ctx.Err() == nil && (k == 0 || p.Stats().Died < roundKills && r.Result().Kills+int(p.Stats().Died) < r.Kills); k++ {
				r.call(ctx, p, own, led, lane, o.TasksPerWorker > 0, n%4 < 2)
				if r.Troubled() {
					return
				}
			}
		})
	}
	all.Wait()
	close(stop)
	harm.Wait()
	if err := p.Close(); err != nil {
		return err
	}
	wait, cancel := context.WithTimeout(context.Background(), r.Patience)
	defer cancel()
	if err := p.Join(wait); err != nil {
		r.Complain(torture.HungOf, "Join: %v", err)
	}
	s := p.Stats()
	if s.Begun != s.Ended || s.Workers != 0 {
		r.Complain(torture.ViolationOf, "at the end of a round: %+v", s)
	}
	critical := 0
	for i := range points {
		x, err := led.counts.At(led.points + i)
		if err != nil {
			return err
		}
		r.hits[i] += uint64(x)
		critical += int(x)
	}
	r.Change(func(res *torture.Result) {
		res.Kills += int(s.Died)
		res.Messages += s.Begun
		res.Redelivered += s.Retried
		res.Critical += critical
	})
	return nil
}

// harm kills workers at any instruction, and stops others for a while.
func (r *run) harm(p *pool.Pool[task, []byte], rng *rand.Rand, stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		case <-time.After(time.Duration(rng.IntN(20_000)) * time.Microsecond):
		}
		all := p.Workers()
		if len(all) == 0 {
			continue
		}
		w := all[rng.IntN(len(all))]
		if rng.IntN(3) > 0 {
			_ = w.Kill() // it may have ended
			continue
		}
		if torture.Pause(w) {
			time.Sleep(time.Duration(rng.IntN(30)) * time.Millisecond)
			torture.Resume(w)
			r.Change(func(res *torture.Result) { res.Stops++ })
		}
	}
}

// call makes one call, and settles the ledger of its tasks.
func (r *run) call(ctx context.Context, p *pool.Pool[task, []byte], rng *rand.Rand, led *ledger, lane int, leaving, cheap bool) {
	o := pool.CallOptions{Chunk: []int{0, 1, 3, 64, 1000}[rng.IntN(5)], Retries: []int{0, 0, 2}[rng.IntN(3)]}
	n := 1 + rng.IntN(roundTasks)
	in := make([]task, n)
	for i := range in {
		in[i] = task{ID: lane*roundTasks + i, Bytes: rng.IntN(40), Spin: rng.IntN(60)}
		if cheap { // so that results travel in batches
			in[i].Spin = 0
		}
		switch {
		case rng.IntN(100) == 0:
			in[i].Order = fmt.Sprintf("kill:%s:%d", points[rng.IntN(len(points))], 1+rng.IntN(4))
		case rng.IntN(50) == 0:
			in[i].Bytes = rng.IntN(100_000)
		case leaving && rng.IntN(100) == 0: // workers leave after some tasks
			in[i].Order = "kill:pool.chunk.returned:1"
		}
	}
	if err := led.clear(lane*roundTasks, n); err != nil {
		r.Complain(torture.FailedOf, "%v", err)
		return
	}
	limited, cancel := context.WithTimeout(ctx, r.Patience)
	defer cancel()
	cancelled := rng.IntN(4) == 0
	if cancelled {
		var stop context.CancelFunc
		limited, stop = context.WithTimeout(limited, time.Duration(1+rng.IntN(40))*time.Millisecond)
		defer stop()
		for i := range in {
			if in[i].Wait = i == 0 || rng.IntN(64) == 0; in[i].Wait && rng.IntN(3) > 0 {
				in[i].Order = "kill:pool.task.told:1"
			}
		}
	}
	outs, err := p.With(&o).Map(limited, in)
	if ctx.Err() != nil {
		return
	}
	if !cancelled && limited.Err() != nil {
		r.Complain(torture.HungOf, "a call of %d tasks (%+v) did not end within %v", n, o, r.Patience)
		return
	}
	var m *pool.MapError
	failed := map[int]*pool.TaskError{}
	notBegun := n
	if errors.As(err, &m) {
		for _, t := range m.Tasks {
			if failed[t.Index] != nil {
				r.Complain(torture.DuplicatedOf, "task %d has failed twice: %v, %v", t.Index, failed[t.Index], t)
			}
			failed[t.Index] = t
		}
		notBegun = n - m.NotBegun
	} else if err != nil {
		if !cancelled {
			r.Complain(torture.FailedOf, "%v", err)
		}
		return
	}
	for i := range in {
		r.judge(led, in[i], o.Retries, outs[i], failed[i], i >= notBegun, cancelled)
	}
}

// judge compares what was told of a task with what the ledger says of it.
func (r *run) judge(led *ledger, t task, retries int, out []byte, failed *pool.TaskError, notBegun, cancelled bool) {
	begun, ended := led.of(t.ID)
	switch {
	case failed == nil && notBegun:
		if begun > 0 || !cancelled {
			r.Complain(torture.ViolationOf, "task %d is said not to have begun, and has %d times", t.ID, begun)
		}
	case failed == nil:
		if out == nil {
			r.Complain(torture.LostOf, "task %d has neither a result nor an error; begun %d times", t.ID, begun)
		} else if !t.is(out) {
			r.Complain(torture.CorruptOf, "task %d has a result of another, of %d bytes", t.ID, len(out))
		}
		if ended < 1 || begun < 1 || begun > 1+retries {
			r.Complain(torture.DuplicatedOf, "task %d has a result, was begun %d times and ended %d times, with %d retries", t.ID, begun, ended, retries)
		}
	default:
		if begun > 1+retries || out != nil {
			r.Complain(torture.DuplicatedOf, "task %d failed (%v), has %d bytes of a result, and was begun %d times with %d retries", t.ID, failed, len(out), begun, retries)
		}
		var died *pool.WorkerDiedError
		switch {
		case errors.As(failed, &died) && died.PID != 0 && died.Signal == 9:
		case cancelled && (errors.Is(failed, context.DeadlineExceeded) || errors.Is(failed, context.Canceled)):
		default:
			r.Complain(torture.ViolationOf, "task %d: %v", t.ID, failed)
		}
	}
}

// A ledger says of each task how often it was begun and how often its function has ended, and of each point how often somebody died there.
type ledger struct {
	seg    *shm.Segment
	counts *shm.Array[uint32]
	tasks  int
	points int // where the points begin
}

func newLedger(tasks int) (*ledger, error) {
	seg, err := shm.New(&shm.Options{Arena: 1 << 20})
	if err != nil {
		return nil, err
	}
	counts, err := shm.NewArray[uint32](seg, 2*tasks+len(points))
	if err != nil {
		return nil, errors.Join(err, seg.Close())
	}
	return &ledger{seg, counts, tasks, 2 * tasks}, nil
}

func (l *ledger) arg() ledgerArg { return ledgerArg{l.counts, l.tasks} }

func (l *ledger) clear(from, n int) error {
	for i := range n {
		if err := errors.Join(l.counts.Set(from+i, 0), l.counts.Set(l.tasks+from+i, 0)); err != nil {
			return err
		}
	}
	return nil
}

func (l *ledger) of(id int) (begun, ended int) {
	b, _ := l.counts.At(id)
	e, _ := l.counts.At(l.tasks + id)
	return int(b), int(e)
}
