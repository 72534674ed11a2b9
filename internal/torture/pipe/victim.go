package pipe

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
	Order  torture.Order
	Pipe   *shm.Segment
	End    int
	Role   int
	Config config
	Stays  bool
	Ends   bool // of the scene of an end: it reads, or writes, alone
}

// worker returns a worker of this process for a handle.
func (j job) worker(books *torture.Books, e *ringbuf.PipeEnd, lane int) *worker {
	return &worker{
		e: e, first: e, end: j.End, seg: j.Pipe, books: books, lane: books.Lane(j.Order.Slot, lane, j.Order.Process),
		rng: rand.New(rand.NewPCG(j.Order.Seed, uint64(lane))), sizes: j.Config.Sizes, order: j.Config.Order, dies: j.Order.Point != "" && !j.Ends,
	}
}

func (j job) open() (*ringbuf.PipeEnd, error) {
	return ringbuf.OpenPipe(j.Pipe.Bytes(), j.End, optionsIn(j.Pipe))
}

// mix is what the job's role does; with only one direction where the scene says so.
func (j job) mix() *[ops]int {
	m := mixes[j.Role]
	if j.Ends && j.End == 0 {
		m[opTrySend], m[opSend], m[opLeave] = 0, 0, 0
	}
	if j.Ends && j.End == 1 {
		for o := opTryLand; o <= opPoll; o++ {
			m[o] = 0
		}
	}
	return &m
}

const isReady = 1

// victims work until they die, or until the pipe has ended.
var victims = spawn.NewTarget("torture-pipe-victim", func(ctx context.Context, j job) error {
	v, err := j.Order.Victim()
	if err != nil {
		return err
	}
	if role(j.Role) == maker {
		return makes(ctx, j, v)
	}
	early := !j.Ends && (role(j.Role) == joiner || role(j.Role) == opener) && j.Order.Seed&8 == 0
	if early { // it may die while it opens the end for the first time
		if err := v.Arm(); err != nil {
			return err
		}
	}
	e, err := j.open()
	if err != nil {
		return err
	}
	w, mix := j.worker(v.Books, e, 0), j.mix()
	w.lane.Ready(isReady)
	if role(j.Role) == closer {
		return w.close(ctx, v, mix)
	}
	if !early {
		for range w.rng.IntN(20) { // it has lived before it dies
			if err := w.do(ctx, w.draw(mix)); err != nil {
				return ended(err)
			}
		}
		if err := v.Arm(); err != nil {
			return err
		}
	}
	var second sync.WaitGroup
	failed := make(chan error, 1)
	if j.Order.Two {
		second.Go(func() { failed <- secondLane(ctx, j, v.Books, e) })
	}
	err = w.work(ctx, v, mix)
	if j.Order.Two && err == nil {
		second.Wait()
		err = <-failed
	}
	return err
})

func ended(err error) error {
	if errors.Is(err, errEnd) {
		return nil
	}
	return err
}

// work is the life of a victim's first goroutine.
func (w *worker) work(ctx context.Context, v *torture.Victim, mix *[ops]int) error {
	for i := 0; ; i++ {
		if err := v.Step(); err != nil {
			return err
		}
		o := w.draw(mix)
		if v.Lost() && mix[opTrySend] > 0 && mix[opTryLand] > 0 {
			o = w.draw(&mixes[opener])
		}
		if err := w.do(ctx, o); err != nil {
			return ended(err)
		}
		if i%16 == 15 {
			time.Sleep(50 * time.Microsecond) // the others are to come between
		}
	}
}

// close is the life of one that sends a little, closes its handles, and dies in it or ends.
func (w *worker) close(ctx context.Context, v *torture.Victim, mix *[ops]int) error {
	for w.lane.Go() != mayClose {
		if err := w.do(ctx, w.draw(mix)); err != nil {
			return err
		}
		time.Sleep(20 * time.Microsecond)
	}
	if err := v.Arm(); err != nil {
		return err
	}
	for range w.rng.IntN(40) {
		if err := w.do(ctx, w.draw(mix)); err != nil {
			return err
		}
	}
	for _, e := range append(w.more, w.e) {
		if err := e.Close(); err != nil {
			return err
		}
	}
	return nil
}

// secondLane is the life of its second goroutine, which nobody kills by itself. It uses the same handle.
func secondLane(ctx context.Context, j job, b *torture.Books, e *ringbuf.PipeEnd) error {
	w, mix := j.worker(b, e, 1), j.mix()
	w.lane.Mine()
	mix[opJoin], mix[opLeave] = 0, 0
	for {
		if err := w.do(ctx, w.draw(mix)); err != nil {
			return ended(err)
		}
		time.Sleep(50 * time.Microsecond)
	}
}

// What the supervisor tells the survivors of a round, one after the other.
const (
	goOn uint64 = iota
	noMoreSends
	noMoreGets
)

const waitAtMost = 20 * time.Millisecond // for a message or for room, before a look at what the supervisor says

// stayers are the survivors of a round: one at each end, which sends and receives, by calls that wait, while the others die around them.
var stayers = spawn.NewTarget("torture-pipe-stayer", func(ctx context.Context, j job) error {
	v, err := j.Order.Victim()
	if err != nil {
		return err
	}
	e, err := j.open()
	if err != nil {
		return err
	}
	out, in := j.worker(v.Books, e, 0), j.worker(v.Books, e, 1)
	sent := make(chan error, 1)
	go func() {
		var err error
		for n := 0; e.CanPut() && err == nil && v.Books.Control() == goOn; n++ {
			if err = out.waitSend(ctx, waitAtMost); n%32 == 31 {
				time.Sleep(time.Millisecond)
			}
		}
		sent <- err
	}()
	for n := 0; e.CanGet() && err == nil && v.Books.Control() != noMoreGets; n++ {
		if n%2 == 0 {
			err = in.waitLand(ctx, waitAtMost)
		} else {
			err = in.waitView(ctx, waitAtMost)
		}
	}
	return errors.Join(err, <-sent, e.Close())
})
