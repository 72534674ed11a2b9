package bench

import (
	"context"
	"errors"
	"time"

	"github.com/fb2d3dbd/multiproc"
)

// fallAsleep is what a process that waits has to fall asleep before what it waits for is made to happen.
const fallAsleep = time.Millisecond

// A deathArg is a lock, and the queues by which a survivor is told to wait for it and tells when it had it.
type deathArg struct {
	Mutex *multiproc.Mutex
	Go    *multiproc.Queue[int]
	Freed *multiproc.Queue[int64] // CLOCK_MONOTONIC, nanoseconds
}

// survivorTarget waits for the lock again and again, and each time it must hear that its owner died.
var survivorTarget = multiproc.NewTarget("bench.survivor", func(ctx context.Context, a deathArg) error {
	for _, err := range a.Go.All(ctx) {
		if err != nil {
			return err
		}
		err = a.Mutex.Lock(ctx)
		at := monotonic()
		if !errors.Is(err, multiproc.ErrOwnerDied) {
			return errors.Join(err, errors.New("the lock does not tell of the death"))
		}
		if err := errors.Join(a.Mutex.MarkConsistent(), a.Mutex.Unlock()); err != nil {
			return err
		}
		if err := a.Freed.Put(ctx, at); err != nil {
			return err
		}
	}
	return nil
})

// A victimArg is a lock, and the queue by which its owner tells that it has it.
type victimArg struct {
	Mutex *multiproc.Mutex
	Held  *multiproc.Queue[byte]
}

var victimTarget = multiproc.NewTarget("bench.victim", func(ctx context.Context, a victimArg) error {
	if err := a.Mutex.Lock(ctx); err != nil {
		return err
	}
	if err := a.Held.Put(ctx, 0); err != nil {
		return err
	}
	<-ctx.Done()
	return ctx.Err()
})

// multiprocDeath measures how long a process that waits for a lock goes on waiting after its owner was killed.
func multiprocDeath() Impl {
	im := multiprocImpl(func(ctx context.Context, n int) (_ time.Duration, err error) {
		var a deathArg
		if a.Mutex, err = multiproc.NewMutex(); err != nil {
			return 0, err
		}
		defer a.Mutex.Free()
		if a.Go, err = multiproc.NewQueue[int](nil); err != nil {
			return 0, err
		}
		defer a.Go.Free()
		if a.Freed, err = multiproc.NewQueue[int64](nil); err != nil {
			return 0, err
		}
		defer a.Freed.Free()

		ctx, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		c := newCrew(cancel)
		defer func() { err = c.dismiss(ctx, err) }()
		if err := addToCrew(ctx, c, survivorTarget, a); err != nil {
			return 0, err
		}
		var sum time.Duration
		for i := range n {
			waited, err := oneDeath(ctx, a, i)
			if err != nil {
				return 0, err
			}
			sum += waited
		}
		return sum, a.Go.Close()
	})
	im.Most = deaths
	return im
}

// deaths is the most of them in a sample: each takes a new process.
const deaths = 16

func oneDeath(ctx context.Context, a deathArg, i int) (waited time.Duration, err error) {
	held, err := multiproc.NewQueue[byte](&multiproc.QueueOptions{Capacity: 1})
	if err != nil {
		return 0, err
	}
	defer held.Free()
	victim, err := victimTarget.Start(ctx, victimArg{a.Mutex, held}, nil)
	if err != nil {
		return 0, err
	}
	defer func() {
		_ = victim.Kill()
		_ = victim.Wait(context.WithoutCancel(ctx)) // says that it was killed
		err = errors.Join(err, victim.Close())
	}()
	if _, err := held.Get(ctx); err != nil {
		return 0, err
	}
	if err := a.Go.Put(ctx, i); err != nil {
		return 0, err
	}
	time.Sleep(fallAsleep)
	begin := monotonic()
	if err := victim.Kill(); err != nil {
		return 0, err
	}
	at, err := a.Freed.Get(ctx)
	return time.Duration(at - begin), err
}
