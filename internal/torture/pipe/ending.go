package pipe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/fb2d3dbd/multiproc/internal/torture"
	"github.com/fb2d3dbd/multiproc/ringbuf"
	"github.com/fb2d3dbd/multiproc/shm"
	"github.com/fb2d3dbd/multiproc/spawn"
)

// mayClose lets the closers go on, when all who are to have the end have it.
const mayClose = 1

// ending has processes share end 1 of a pipe, send, and close it or die, one after the other; processes at end 0 die, too. Who is left at end 0 gets what was
// sent, and then the end of the pipe: not before the last holder has gone, and soon after.
func (s *suite) ending(ctx context.Context, rng *rand.Rand, p point) error {
	r, c := s.r, drawConfig(rng, rng.IntN(3))
	atZero := p.roles[0] == receiver || p.roles[0] == waiter
	holders := 1 + rng.IntN(3) // of end 1
	crowd := holders
	if atZero || rng.IntN(2) == 0 {
		crowd++
	}
	t, err := newTable(c, crowd+1, 1<<14)
	if err != nil {
		return err
	}
	defer t.close()
	survivors := make(chan end, 3)
	number := 2
	for lane := range 2 {
		w := t.job(torture.Order{Slot: crowd, Process: r.Next(), Seed: rng.Uint64()}, 0, receiver).worker(t.books, t.a, lane)
		go func() { survivors <- w.untilEnd(ctx) }()
	}
	if !c.OneWay {
		number++
		go func() { survivors <- fillUntilEnd(ctx, t.a) }()
	}
	var all, ready sync.WaitGroup
	var mu sync.Mutex
	deaths := map[int]torture.Death{}
	for slot := range crowd {
		o := torture.Order{Slot: slot, Process: r.Next(), Point: p.name, Nth: 1, Seed: rng.Uint64(), Instead: instead, Stop: rng.IntN(8) == 0}
		j := t.job(o, 1, closer)
		if slot >= holders {
			j = t.job(o, 0, receiver)
		}
		if atZero != (j.End == 0) { // the point is of the others
			j.Order.Point = pick(rng, "pipe.leave", "pipe.leaving", "pipe.left", "mpmc.fast.claimed", "mpmc.fast.published", "pipe.block.claimed", "pipe.closed")
			if j.End == 0 {
				j.Order.Point = pick(rng, "mpmc.fast.taken", "mpmc.get.taken", "mpmc.get.ending", "mpmc.fast.released")
			}
		}
		j.Ends = true
		start := startAs(j)
		ready.Add(1)
		life := torture.Life{Order: j.Order, MayEnd: true, Verdict: verdict, Start: func(ctx context.Context, o torture.Order) (*spawn.Process, error) {
			defer ready.Done()
			p, err := start(ctx, o)
			for err == nil && t.books.Reached(slot) != isReady {
				select {
				case <-p.Done():
					return p, nil
				case <-ctx.Done():
					_ = p.Kill()
					return p, nil
				case <-time.After(500 * time.Microsecond):
				}
			}
			return p, err
		}, Ending: func(d torture.Death) {
			if slot < holders {
				mu.Lock()
				deaths[slot] = d
				mu.Unlock()
			}
		}}
		all.Go(func() { r.Spend(ctx, t.books, life, &t.histories) })
	}
	ready.Wait()
	if err := t.b.Close(); err != nil {
		return err
	}
	for slot := range crowd {
		t.books.Release(slot, mayClose)
	}
	all.Wait()
	late := time.NewTimer(r.Patience)
	defer late.Stop()
	for range number {
		select {
		case got := <-survivors:
			if got.err != nil && ctx.Err() == nil {
				t.books.Problem(torture.Corrupt, "a survivor of the end of a pipe: %v", got.err)
			}
			t.judge(r, got.at, deaths)
		case <-late.C:
			r.Hang(nil, fmt.Sprintf("a survivor does not hear of the end of a pipe; the holders died at %v", deaths))
			return nil
		}
	}
	if ctx.Err() == nil {
		t.quiet(r, crowd, t.a)
	}
	r.Settle(ctx, t.books, &t.histories)
	return nil
}

// An end is when a survivor heard of the end of a pipe, or what else it was told.
type end struct {
	at  uint64
	err error
}

// judge looks whether the end came too early, and notes how late it came.
func (t *table) judge(r *torture.Run, at uint64, deaths map[int]torture.Death) {
	var last torture.Death
	for _, d := range deaths {
		if !gone(d.Point) && at < d.Time {
			t.books.Problem(torture.Corrupt, "the end of the pipe came %v before process %d, which had it, died at %s", time.Duration(d.Time-at), d.Process, d.Point)
		}
		if d.Time > last.Time {
			last = d
		}
	}
	if last.Point != "" && at > last.Time {
		r.Wake(time.Duration(at - last.Time))
	}
}

// untilEnd receives until the pipe has ended.
func (w *worker) untilEnd(ctx context.Context) end {
	w.order = false
	for n := 0; ; n++ {
		var err error
		if n%2 == 0 {
			err = w.land(func(b []byte) ([]byte, error) { return w.e.Get(ctx, b) })
		} else {
			err = w.view(func(fn func([]byte) error) error { return w.e.View(ctx, fn) })
		}
		if errors.Is(err, errEnd) {
			return end{now(), nil}
		}
		if err != nil || ctx.Err() != nil {
			return end{now(), err}
		}
	}
}

// fillUntilEnd sends what nobody reads until it is told that nobody has the other end.
func fillUntilEnd(ctx context.Context, e *ringbuf.PipeEnd) end {
	for {
		err := e.Put(ctx, nil)
		if errors.Is(err, ringbuf.ErrPeerDied) {
			return end{now(), nil}
		}
		if err != nil || ctx.Err() != nil {
			return end{now(), err}
		}
	}
}

// making has a process make a pipe anew again and again and die in it, while this one opens the ends that it finds.
func (s *suite) making(ctx context.Context, rng *rand.Rand, p point) error {
	r, c := s.r, drawConfig(rng, rng.IntN(3))
	seg, err := c.newSegment(32)
	if err != nil {
		return err
	}
	defer seg.Close()
	books, err := torture.NewBooks(2, 1024, 64)
	if err != nil {
		return err
	}
	defer books.Close()
	j := job{Order: torture.Order{Books: books.Segment(), Process: r.Next(), Point: p.name, Nth: 1 + rng.IntN(p.most), Seed: rng.Uint64(), Instead: instead, Stop: rng.IntN(8) == 0}, Pipe: seg, Role: int(maker), Config: c}
	var guest sync.WaitGroup
	over := make(chan struct{})
	guest.Go(func() {
		for n := 0; ctx.Err() == nil; n++ {
			last := false
			select {
			case <-over:
				last = true
			case <-time.After(time.Duration(n*7%23) * 100 * time.Microsecond):
			}
			if books.Reached(0) != isReady {
				if last {
					return
				}
				continue
			}
			if err := s.visit(ctx, seg, n%2, c, last); err != nil && ctx.Err() == nil {
				r.Report(torture.Corrupt, "an end of a pipe whose maker dies at %s: %v", p.name, err)
			}
			if last && n%2 == 1 {
				return
			}
		}
	})
	var h torture.Histories
	r.Spend(ctx, books, torture.Life{Order: j.Order, Start: startAs(j), Verdict: verdict}, &h)
	close(over)
	guest.Wait()
	if err := seg.Check(); err != nil {
		r.Report(torture.Corrupt, "the segment after its maker's death: %v", err)
	}
	r.Settle(ctx, books, &h)
	return nil
}

// visit opens an end, if there is one, and reads what there is; all of it, and the end, when the maker is dead.
func (s *suite) visit(ctx context.Context, seg *shm.Segment, n int, c config, dead bool) error {
	e, err := ringbuf.OpenPipe(seg.Bytes(), n, optionsIn(seg))
	if errors.Is(err, ringbuf.ErrClosed) {
		return nil
	}
	if err != nil {
		return err
	}
	defer e.Close()
	ctx, cancel := context.WithTimeout(ctx, s.r.Patience)
	defer cancel()
	for e.CanGet() {
		var msg []byte
		if dead {
			msg, err = e.Get(ctx, nil)
		} else {
			msg, err = e.TryGet(nil)
		}
		switch {
		case errors.Is(err, io.EOF), !dead && errors.Is(err, ringbuf.ErrEmpty):
			return nil
		case err != nil:
			return fmt.Errorf("end %d, the maker dead is %v: %w", n, dead, err)
		}
		if _, err := c.Sizes.check(msg, 1-n); err != nil {
			return err
		}
	}
	if dead {
		if err := e.Put(ctx, make([]byte, c.Sizes.Block)); !errors.Is(err, ringbuf.ErrPeerDied) && err != nil {
			return fmt.Errorf("a put when the maker is dead: %w", err)
		}
	}
	return nil
}

// makes is the life of a maker.
func makes(ctx context.Context, j job, v *torture.Victim) error {
	o := j.Config.options()
	o.Participants, o.Blocks = j.Pipe, j.Pipe.Blocks()
	a, b, err := ringbuf.CreatePipe(j.Pipe.Bytes(), &o)
	if err != nil {
		return err
	}
	v.Books.Lane(j.Order.Slot, 0, j.Order.Process).Ready(isReady)
	if err := v.Arm(); err != nil {
		return err
	}
	rng := rand.New(rand.NewPCG(j.Order.Seed, 0))
	for {
		for range rng.IntN(6) {
			if err := b.TryPut(j.Config.Sizes.make(1+rng.Uint64N(1<<20), 1)); err != nil && !errors.Is(err, ringbuf.ErrFull) {
				return err
			}
		}
		if rng.IntN(2) == 0 {
			if _, err := a.TryGet(nil); err != nil && !errors.Is(err, ringbuf.ErrEmpty) {
				return err
			}
		}
		if err := errors.Join(a.Close(), b.Close()); err != nil {
			return err
		}
		for ok := false; !ok; {
			if err := v.Step(); err != nil {
				return err
			}
			x, y, made, err := a.Remake(&o)
			if err != nil {
				return err
			}
			if ok = made; ok {
				a, b = x, y
			} else {
				time.Sleep(50 * time.Microsecond) // somebody has an end of it
			}
		}
	}
}
