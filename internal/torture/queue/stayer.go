package queue

import (
	"context"
	"time"

	"github.com/fb2d3dbd/multiproc/spawn"
)

// What the supervisor tells the survivors of a round, one after the other.
const (
	goOn uint64 = iota
	noMorePuts
	noMoreGets
)

// stayers are the survivors of a round: one puts and one gets, by calls that wait, while the others die around them.
var stayers = spawn.NewTarget("torture-queue-stayer", func(ctx context.Context, j job) error {
	v, err := j.Order.Victim()
	if err != nil {
		return err
	}
	q, err := j.open()
	if err != nil {
		return err
	}
	w := j.worker(v.Books, q, 0)
	if role(j.Role) == producer {
		return w.stayPutting(ctx)
	}
	return w.stayGetting(ctx)
})

const waitAtMost = 20 * time.Millisecond // for a message or for room, before a look at what the supervisor says

func (w *worker) stayPutting(ctx context.Context) error {
	for n := 0; w.books.Control() == goOn; n++ {
		var err error
		switch w.rng.IntN(16) {
		case 0:
			err = w.putBatch(ctx)
		case 1:
			err = w.reserve()
		default:
			err = w.waitPut(ctx, waitAtMost)
		}
		if err != nil {
			return err
		}
		if n%32 == 31 || w.spent {
			time.Sleep(time.Millisecond)
		}
	}
	return nil
}

func (w *worker) stayGetting(ctx context.Context) error {
	for n := 0; w.books.Control() != noMoreGets; n++ {
		var err error
		switch w.rng.IntN(16) {
		case 0:
			err = w.do(ctx, opDead)
		case 1:
			err = w.drop(true)
		case 2, 3, 4:
			err = w.blind(ctx, waitAtMost)
		case 5:
			err = w.land()
		default:
			c, cancel := context.WithTimeout(ctx, waitAtMost)
			d, e := w.q.Receive(c)
			cancel()
			err = w.hold(d, e, false)
		}
		if err == nil && len(w.held) > w.rng.IntN(maxHeld) {
			err = w.drop(false)
		}
		if err != nil {
			return err
		}
		if n%64 == 63 {
			time.Sleep(100 * time.Microsecond)
		}
	}
	return w.dropAll()
}
