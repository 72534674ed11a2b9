package queue

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/fb2d3dbd/multiproc/internal/torture"
	"github.com/fb2d3dbd/multiproc/ringbuf"
	"github.com/fb2d3dbd/multiproc/shm"
	"github.com/fb2d3dbd/multiproc/spawn"
)

// A job is what a process of this suite is started with.
type job struct {
	Order torture.Order
	Queue *shm.Segment
	Role  int
	Sizes sizes
	Limit int
	Blind bool
	Scene int // of a probe
}

// worker opens what the job needs.
func (j job) worker(books *torture.Books, q *ringbuf.MPMC, lane int) *worker {
	return &worker{
		q: q, first: q, seg: j.Queue, books: books, lane: books.Lane(j.Order.Slot, lane, j.Order.Process),
		rng: rand.New(rand.NewPCG(j.Order.Seed, uint64(lane))), sizes: j.Sizes, limit: j.Limit,
	}
}

func (j job) open() (*ringbuf.MPMC, error) {
	return ringbuf.OpenMPMC(j.Queue.Bytes(), &ringbuf.MPMCOptions{Participants: j.Queue})
}

// victims work until they die.
var victims = spawn.NewTarget("torture-queue-victim", func(ctx context.Context, j job) error {
	v, err := j.Order.Victim()
	if err != nil {
		return err
	}
	early := role(j.Role) == joiner && j.Order.Seed&8 == 0
	if early { // it may die while it joins for the first time
		if err := v.Arm(); err != nil {
			return err
		}
	}
	q, err := j.open()
	if err != nil {
		return err
	}
	w := j.worker(v.Books, q, 0)
	mix := mixOf(role(j.Role), j.Blind)
	for range w.rng.IntN(20) { // it has lived before it dies
		if err := w.do(ctx, w.draw(mix)); err == errEnd {
			return endOf(w.drain(ctx))
		} else if err != nil {
			return err
		}
	}
	if !early {
		if err := v.Arm(); err != nil {
			return err
		}
	}
	var second sync.WaitGroup
	failed := make(chan error, 1)
	if j.Order.Two {
		second.Go(func() { failed <- secondLane(ctx, j, v.Books, q) })
	}
	err = w.work(ctx, j, v, mix)
	if j.Order.Two && err == errEnd {
		second.Wait()
		if e := <-failed; e != nil {
			err = e
		}
	}
	return endOf(err)
})

func endOf(err error) error {
	if errors.Is(err, errEnd) {
		return nil
	}
	return err
}

// work is the life of a victim's first goroutine.
func (w *worker) work(ctx context.Context, j job, v *torture.Victim, mix [ops]int) error {
	other := mixOf(joiner, false) // has some of everything
	for i := 0; ; i++ {
		if err := v.Step(); err != nil {
			return err
		}
		o := w.draw(mix)
		if v.Lost() {
			o = w.draw(other)
		}
		if role(j.Role) == closer && i >= 20 {
			if err := w.q.Close(); err != nil {
				return err
			}
			return w.drain(ctx)
		}
		if err := w.do(ctx, o); err != nil {
			if err == errEnd {
				return w.drain(ctx)
			}
			return err
		}
		if i%16 == 15 && role(j.Role) != repairer {
			time.Sleep(50 * time.Microsecond) // the others are to come between
		}
	}
}

// drain takes what is left in a closed queue and lets go of all.
func (w *worker) drain(ctx context.Context) error {
	for {
		if err := w.dropAll(); err != nil && err != errEnd {
			return err
		}
		d, err := w.q.Receive(ctx)
		if err := w.hold(d, err, false); err != nil {
			return err
		}
		if err != nil {
			return err
		}
	}
}

// secondLane is the life of its second, which nobody kills by itself. It uses the same handle.
func secondLane(ctx context.Context, j job, b *torture.Books, q *ringbuf.MPMC) error {
	w := j.worker(b, q, 1)
	w.lane.Mine()
	mix := mixOf(role(j.Role), j.Blind)
	mix[opJoin] = 0
	for {
		if err := w.do(ctx, w.draw(mix)); err != nil {
			if err == errEnd {
				err = w.drain(ctx)
			}
			return endOf(err)
		}
		time.Sleep(50 * time.Microsecond)
	}
}
