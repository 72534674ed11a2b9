package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fb2d3dbd/multiproc"
)

// A readArg is a lock for many readers, and the value that they read.
type readArg struct {
	Lock  *multiproc.RWMutex
	Value *multiproc.Value[uint64]
}

var readTarget = multiproc.NewTarget("bench.read", func(ctx context.Context, m member[readArg]) error {
	mine := m.share()
	value := m.Arg.Value
	if err := m.start(ctx); err != nil {
		return err
	}
	var sum uint64
	for range mine {
		if err := m.Arg.Lock.RLock(ctx); err != nil {
			return err
		}
		v, err := value.Load()
		if err := errors.Join(err, m.Arg.Lock.RUnlock()); err != nil {
			return err
		}
		sum += v
	}
	return m.done(ctx, mine, sum)
})

func multiprocRead(k int) Impl {
	return multiprocImpl(func(ctx context.Context, n int) (_ time.Duration, err error) {
		var a readArg
		if a.Lock, err = multiproc.NewRWMutex(nil); err != nil {
			return 0, err
		}
		defer a.Lock.Free()
		if a.Value, err = multiproc.NewValue[uint64](1); err != nil {
			return 0, err
		}
		defer a.Value.Free()
		elapsed, total, err := runCrew(ctx, readTarget, n, k, a)
		if err != nil {
			return 0, err
		}
		return elapsed, counterShows(total.Sum, n)
	})
}

var semaphoreTarget = multiproc.NewTarget("bench.semaphore", func(ctx context.Context, m member[*multiproc.Semaphore]) error {
	if err := m.start(ctx); err != nil {
		return err
	}
	for range m.N {
		if err := m.Arg.Acquire(ctx); err != nil {
			return err
		}
		if err := m.Arg.Release(); err != nil {
			return err
		}
	}
	return m.done(ctx, m.N, 0)
})

func multiprocSemaphore(permits int) Impl {
	return multiprocImpl(func(ctx context.Context, n int) (time.Duration, error) {
		s, err := multiproc.NewSemaphore(permits, nil)
		if err != nil {
			return 0, err
		}
		defer s.Free()
		elapsed, _, err := runCrew(ctx, semaphoreTarget, n, 1, s)
		if err != nil {
			return 0, err
		}
		if left, err := s.Value(); err != nil || left != permits {
			return 0, errors.Join(err, fmt.Errorf("%d of %d permits are left", left, permits))
		}
		return elapsed, nil
	})
}
