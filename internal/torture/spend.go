package torture

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/fb2d3dbd/multiproc/spawn"
)

// A Life says how a victim is started and what has to hold around it.
type Life struct {
	Order Order
	Start func(ctx context.Context, o Order) (*spawn.Process, error)
	// Others are the slots of those who have to go on while the victim is stopped.
	Others []int
	// MayEnd says that the victim may end without having died at a point.
	MayEnd bool
	// Ending is called when the victim has ended and before its slot is read.
	Ending  func(Death)
	Verdict Verdict
}

// Spend starts a victim, follows it to its end, and buries it in the books. History is that of the round; lock guards it.
func (r *Run) Spend(ctx context.Context, b *Books, life Life, h *Histories) {
	o := life.Order
	b.Clear(o.Slot)
	p, err := life.Start(ctx, o)
	if err != nil {
		if ctx.Err() == nil {
			r.Report(Failed, "%v", err)
			r.cancel()
		}
		return
	}
	if o.Stop {
		r.follow(ctx, b, p, life)
	}
	wait, cancel := context.WithTimeout(context.Background(), r.Patience)
	defer cancel()
	if errors.Is(p.Wait(wait), context.DeadlineExceeded) {
		r.Hang(p, fmt.Sprintf("a victim (process %d, to die at pass %d of %s) has not ended after %v", o.Process, o.Nth, o.Point, r.Patience))
		return
	}
	r.buried(ctx, b, p, life, h)
}

// buried reckons up a victim that has ended.
func (r *Run) buried(ctx context.Context, b *Books, p *spawn.Process, life Life, h *Histories) {
	o := life.Order
	noted := atomic.LoadUint64(b.lane(2*o.Slot, lPoint))
	d := Death{
		Process: o.Process, Slot: o.Slot, Point: o.point(noted),
		Time: atomic.LoadUint64(b.lane(2*o.Slot, lTime)),
	}
	code, _ := p.ExitCode()
	switch {
	case code == -int(syscall.SIGKILL):
		if d.Point == "" && ctx.Err() == nil {
			r.Report(Failed, "process %d was killed, and at no point", o.Process)
		}
		if d.Point == "" {
			d.Time = uint64(time.Now().UnixNano())
		}
		r.Points.Hit(d.Point)
		r.tally.change(func(res *Result) {
			res.Kills++
			if d.Point != "" {
				res.Critical++
			}
		})
	case code == 0 && life.MayEnd:
		d.Point, d.Time = "", uint64(time.Now().UnixNano())
	default:
		err := p.Wait(context.Background())
		r.Report(Corrupt, "process %d, to die at pass %d of %s, ended by itself: %v", o.Process, o.Nth, o.Point, err)
		var exit *spawn.ExitError
		if errors.As(err, &exit) && exit.Stack != "" {
			r.logf("%s", exit.Stack)
		}
		d.Time = uint64(time.Now().UnixNano())
	}
	if life.Ending != nil {
		life.Ending(d)
	}
	h.bury(b, d, life.Verdict)
}

// enough is how much the others have to do while a victim is stopped.
const enough = 3

// follow waits until a victim has stopped, sees that the others go on meanwhile, and lets it go on or kills it where it stands.
func (r *Run) follow(ctx context.Context, b *Books, p *spawn.Process, life Life) {
	o := life.Order
	pause, begin := 200*time.Microsecond, time.Now()
	for atomic.LoadUint64(b.lane(2*o.Slot, lPoint)) != atPoint || !stopped(p.PID()) {
		select {
		case <-p.Done():
			return
		case <-ctx.Done():
			_ = p.Kill()
			return
		case <-time.After(pause):
			pause = min(2*pause, 5*time.Millisecond)
		}
		if atomic.LoadUint64(b.lane(2*o.Slot, lPoint)) > atPoint {
			return // it dies at another point
		}
		if time.Since(begin) > r.Patience {
			return // who waits for its end will say so
		}
	}
	r.Points.Hit(o.Point)
	r.tally.change(func(res *Result) { res.Stops++ })
	before := make([]uint64, len(life.Others))
	for i, slot := range life.Others {
		before[i] = b.Progress(slot)
	}
	begin = time.Now()
	for i, slot := range life.Others {
		for b.Progress(slot) < before[i]+enough && ctx.Err() == nil {
			if time.Since(begin) > r.Patience {
				r.Report(Hung, "survivor %d did nothing for %v while process %d was stopped at %s", slot, r.Patience, o.Process, o.Point)
				r.cancel()
				break
			}
			time.Sleep(200 * time.Microsecond)
		}
	}
	if o.Seed&1 == 0 || ctx.Err() != nil {
		atomic.StoreUint64(b.lane(2*o.Slot, lTime), uint64(time.Now().UnixNano())) // until now it lived
		_ = p.Kill()
		return
	}
	b.Release(o.Slot, resumed)
	resume(p)
}
