package manager

import (
	"context"
	"errors"

	"github.com/fb2d3dbd/multiproc/internal/torture"
	"github.com/fb2d3dbd/multiproc/manager"
)

// settleCounters compares what was added with what there is: all that was said to be done, and of what was only begun any part.
func (r *run) settleCounters(ctx context.Context, j job) error {
	b := j.Book
	ops, err := b.Ops.Load()
	if err != nil {
		return err
	}
	r.Change(func(res *torture.Result) { res.Messages += ops })
	if wrong, err := b.Wrong.Load(); err != nil {
		return err
	} else if wrong > 0 {
		what, _ := b.What.Load()
		r.Complain(torture.ViolationOf, "%d clients have found something wrong: %s", wrong, what)
	}
	judge := func(what any, has, begun, done uint64) {
		switch {
		case has < done:
			r.Complain(torture.LostOf, "%v has %d, and %d were added", what, has, done)
		case has > begun:
			r.Complain(torture.DuplicatedOf, "%v has %d, and only %d were begun to be added", what, has, begun)
		}
	}
	for k := range keys {
		has, err := j.Up.Dict.Get(ctx, k)
		if err != nil && !errors.Is(err, manager.ErrKey) {
			return err
		}
		begun, e1 := b.Begun.At(k)
		done, e2 := b.Done.At(k)
		if err := errors.Join(e1, e2); err != nil {
			return err
		}
		judge(k, has, begun, done)
	}
	has, e1 := j.Up.Value.Get(ctx)
	begun, e2 := b.SwapBegun.Load()
	done, e3 := b.SwapDone.Load()
	judge("the value", has, begun, done)
	return errors.Join(e1, e2, e3)
}

// settleLocks finds every lock free, and every permit there.
func (r *run) settleLocks(ctx context.Context, j job) error {
	err := j.Up.Lock.TryLock(ctx)
	if err != nil && !errors.Is(err, manager.ErrOwnerDied) {
		r.Complain(torture.ViolationOf, "the lock: %v", err)
		return nil
	}
	if err := j.Up.Lock.Unlock(ctx); err != nil {
		return err
	}
	if n, err := j.Up.Sema.Value(ctx); err != nil || n != permits {
		r.Complain(torture.ViolationOf, "%d permits of %d, %v", n, permits, err)
	}
	return nil
}

// settleQueues empties the queues and compares what was put with what was got. taken is how many clients died
// that may have got an item of the queue and not written it down.
func (r *run) settleQueues(ctx context.Context, j job, kills, taken int) error {
	b := j.Book
	c := &client{j: j}
	for {
		n, err := j.Up.Queue.TryGet(ctx)
		if errors.Is(err, manager.ErrEmpty) {
			break
		}
		if err == nil {
			err = c.got(n, 0)
		}
		if err != nil {
			return err
		}
	}
	for {
		n, err := j.Up.Work.TryGet(ctx)
		if errors.Is(err, manager.ErrEmpty) {
			break
		}
		if err == nil {
			err = errors.Join(c.got(n, 1), j.Up.Work.Done(ctx))
		}
		if err != nil {
			return err
		}
	}
	if err := j.Up.Work.Join(ctx); err != nil {
		r.Complain(torture.HungOf, "Join: %v", err)
	}
	next, err := b.Next.Load()
	if err != nil {
		return err
	}
	missing := 0
	for i := range int(min(next+1, items)) {
		put, e1 := b.Put.At(i)
		got, e2 := b.Got.At(i)
		if err := errors.Join(e1, e2); err != nil {
			return err
		}
		work := i%2 == 1
		switch {
		case put == 0 && got > 0:
			r.Complain(torture.ViolationOf, "item %d was got, and its put was given up", i)
		case put == putDone && got == 0 && work:
			r.Complain(torture.LostOf, "item %d of the queue of work", i)
		case put == putDone && got == 0:
			missing++
		case got > 1 && !work:
			r.Complain(torture.DuplicatedOf, "item %d was got %d times", i, got)
		case got > 1:
			r.Change(func(res *torture.Result) { res.Redelivered += uint64(got - 1) })
			if int(got)-1 > kills {
				r.Complain(torture.DuplicatedOf, "item %d of the queue of work was got %d times, of %d clients that died", i, got, kills)
			}
		}
	}
	if missing > taken {
		r.Complain(torture.LostOf, "%d items of the queue, and %d clients died that may have got one", missing, taken)
	}
	return nil
}
