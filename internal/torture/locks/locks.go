package locks

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/fb2d3dbd/multiproc/futex"
	"github.com/fb2d3dbd/multiproc/internal/fault"
	"github.com/fb2d3dbd/multiproc/internal/torture"
	"github.com/fb2d3dbd/multiproc/spawn"
)

type arg struct {
	Scene handle
	Role  int
	Slot  int
	Order string
}

var victim = spawn.NewTarget("torture.locks.victim", func(ctx context.Context, a arg) error {
	s, err := a.Scene.open()
	if err != nil {
		return err
	}
	if err := fault.Arm(a.Order); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() { // what waits when the round ends ends too
		for s.get(stop) == 0 {
			time.Sleep(5 * time.Millisecond)
		}
		cancel()
	}()
	rounds := perSlot + 2*a.Slot + 1
	for end := time.Now().Add(time.Second); time.Now().Before(end); { // then another order is tried
		if err := roles[a.Role].round(s, ctx, a.Slot); err != nil {
			if ctx.Err() != nil && s.get(violations) == 0 {
				return nil
			}
			return fmt.Errorf("%s: %w", roles[a.Role].name, err)
		}
		s.set(rounds, s.get(rounds)+1)
	}
	return nil
})

// A run is what all rounds share.
type run struct {
	torture.Options
	mu   sync.Mutex
	rng  *rand.Rand
	hits map[string]int
	res  torture.Result
}

func (r *run) change(fn func(*torture.Result)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	fn(&r.res)
}

func (r *run) complain(kind *int, format string, args ...any) {
	r.change(func(*torture.Result) {
		*kind++
		fmt.Fprintf(r.Log, format+"\n", args...)
	})
}

func points() (all []string) {
	for _, role := range roles {
		all = append(all, role.points...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

const killsPerRound = 100

// Run kills until as many have been killed as asked for.
func Run(ctx context.Context, o torture.Options) torture.Result {
	if o.Log == nil {
		o.Log = io.Discard
	}
	r := &run{Options: o, rng: rand.New(rand.NewPCG(o.Seed, 1)), hits: map[string]int{}}
	r.res.Suite, r.res.Points = "locks", len(points())
	begin := time.Now()
	for ctx.Err() == nil && r.res.Kills < o.Kills && !r.res.Trouble() && (o.Seconds == 0 || time.Since(begin).Seconds() < o.Seconds) {
		if err := r.round(ctx); err != nil {
			r.complain(&r.res.Failed, "%v", err)
		}
		r.res.Rounds++
		fmt.Fprintf(o.Log, "locks: %d killed at %d of %d points\n", r.res.Kills, len(r.hits), r.res.Points)
	}
	r.res.PointsHit, r.res.Seconds = len(r.hits), time.Since(begin).Seconds()
	if o.Verbose {
		for _, p := range points() {
			fmt.Fprintf(o.Log, "%6d %s\n", r.hits[p], p)
		}
	}
	return r.res
}

// round kills in one scene, lets those who are left end, and counts.
func (r *run) round(ctx context.Context) error {
	h, err := create()
	if err != nil {
		return err
	}
	defer h.Seg.Close()
	s, err := h.open()
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	var lostPermits int
	target := min(r.res.Kills+killsPerRound, r.Kills)
	// Each role has a process at least, and those that need each other two.
	for slot := range max(r.Victims, 2*len(roles)) {
		wg.Go(func() {
			for s.get(stop) == 0 && ctx.Err() == nil {
				point, state, ok := r.life(ctx, h, s, slot)
				r.mu.Lock()
				if point != "" && roles[slot%len(roles)].name == "consume" && lost(state, point) {
					lostPermits++
					s.set(perSlot+2*slot, 0)
					_ = s.sem.Release() // so that the others go on
				}
				if r.res.Kills >= target || !ok {
					s.set(stop, 1)
				}
				r.mu.Unlock()
			}
		})
	}
	wg.Wait()
	return r.audit(ctx, s)
}

// life is one victim's. It returns the point that it was killed at, and its state then.
func (r *run) life(ctx context.Context, h handle, s *scene, slot int) (point string, state uint64, ok bool) {
	role := slot % len(roles)
	r.mu.Lock()
	point = roles[role].points[r.rng.IntN(len(roles[role].points))]
	stops := r.rng.IntN(8) == 0
	how := "kill"
	if stops {
		how = "stop"
	}
	order := fmt.Sprintf("%s:%s:%d", how, point, 1+r.rng.IntN(1+r.rng.IntN(12))) // mostly soon: some points are seldom passed
	r.mu.Unlock()
	p, err := victim.Start(ctx, arg{h, role, slot, order}, nil)
	if err != nil {
		r.complain(&r.res.Failed, "%v", err)
		return "", 0, false
	}
	rounds := perSlot + 2*slot + 1
	last, since := s.get(rounds), time.Now()
	tick := time.NewTicker(80 * time.Millisecond)
	defer tick.Stop()
	for alive := true; alive; {
		select {
		case <-p.Done():
			alive = false
		case <-tick.C:
			resume(p) // it may have stopped itself: longer than any slice, or shorter
			if n := s.get(rounds); n != last {
				last, since = n, time.Now()
			}
			if time.Since(since) > r.Patience {
				r.complain(&r.res.Hung, "a %s has done nothing for %v (%s)", roles[role].name, r.Patience, order)
				_ = p.Kill()
				<-p.Done()
				return "", 0, false
			}
		}
	}
	var exit *spawn.ExitError
	err = p.Wait(ctx)
	switch {
	case err == nil:
		if stops {
			r.change(func(res *torture.Result) { res.Stops++ })
		}
		return "", 0, true
	case errors.As(err, &exit) && exit.Code == -9 && !stops:
		r.change(func(res *torture.Result) {
			res.Kills++
			res.Critical++
			r.hits[point]++
		})
		return point, s.get(perSlot + 2*slot), true
	}
	r.complain(&r.res.Violations, "%v (%s)", err, order)
	return "", 0, false
}

// audit counts what must be left when nobody is.
func (r *run) audit(ctx context.Context, s *scene) error {
	ctx, cancel := context.WithTimeout(ctx, r.Patience)
	defer cancel()
	if n := s.get(violations); n != 0 {
		r.complain(&r.res.Violations, "%d violations", n)
	}
	for range permits {
		if err := s.sem.Acquire(ctx); err != nil {
			r.complain(&r.res.Lost, "a permit of the semaphore: %v", err)
			return nil
		}
	}
	if err := s.sem.TryAcquire(); err != futex.ErrLocked {
		r.complain(&r.res.Violations, "more permits than %d: %v", permits, err)
	}
	if err := s.bar.Reset(); err != nil {
		return err
	}
	meet := make(chan error, 1)
	go func() { meet <- s.meet(ctx, 0) }()
	err := errors.Join(s.acquire(ctx, 0), s.read(ctx, 0), s.write(ctx, 1), s.give(ctx, 0), s.take(ctx, 0), s.event(ctx, 0), s.meet(ctx, 0), <-meet)
	if errors.Is(err, context.DeadlineExceeded) {
		r.complain(&r.res.Hung, "at the end of a round: %v", err)
		return nil
	}
	return err
}
