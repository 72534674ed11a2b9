package bench

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/fb2d3dbd/multiproc"
	"github.com/fb2d3dbd/multiproc/shm"
)

// A lockArg is a mutex, and the segment in whose first eight bytes the counter stands that it guards.
type lockArg struct {
	Mutex   *multiproc.Mutex
	Segment *shm.Segment
}

var lockTarget = multiproc.NewTarget("bench.lock", func(ctx context.Context, m member[lockArg]) error {
	counter, end := m.Arg.Segment.Bytes(), uint64(m.N)
	mine := 0
	if err := m.start(ctx); err != nil {
		return err
	}
	for seen := uint64(0); seen < end; {
		if err := m.Arg.Mutex.Lock(ctx); err != nil {
			return err
		}
		if seen = binary.NativeEndian.Uint64(counter); seen < end {
			binary.NativeEndian.PutUint64(counter, seen+1)
			mine++
		}
		if err := m.Arg.Mutex.Unlock(); err != nil {
			return err
		}
	}
	return m.done(ctx, mine, 0)
})

func multiprocLock(k int) Impl {
	return multiprocTurns(func(ctx context.Context, n int) (time.Duration, []int, error) {
		mu, err := multiproc.NewMutex()
		if err != nil {
			return 0, nil, err
		}
		defer mu.Free()
		seg, err := shm.New(&shm.Options{Size: 8})
		if err != nil {
			return 0, nil, err
		}
		defer seg.Close()
		elapsed, total, err := runCrew(ctx, lockTarget, n, k, lockArg{mu, seg})
		if err != nil {
			return 0, nil, err
		}
		return elapsed, total.Counts, counterShows(uint64(total.Count), n)
	})
}

func counterShows(counter uint64, n int) error {
	if counter != uint64(n) {
		return fmt.Errorf("the counter shows %d after %d operations", counter, n)
	}
	return nil
}

var addLockedTarget = multiproc.NewTarget("bench.add-locked", func(ctx context.Context, m member[*multiproc.Value[uint64]]) error {
	end := uint64(m.N)
	mine := 0
	if err := m.start(ctx); err != nil {
		return err
	}
	seen := uint64(0)
	turn := func(v *uint64) {
		if seen = *v; seen < end {
			*v = seen + 1
			mine++
		}
	}
	for seen < end {
		if err := m.Arg.Update(ctx, turn); err != nil {
			return err
		}
	}
	return m.done(ctx, mine, 0)
})

var addAtomicTarget = multiproc.NewTarget("bench.add-atomic", func(ctx context.Context, m member[*multiproc.Value[uint64]]) error {
	mine := m.share()
	if err := m.start(ctx); err != nil {
		return err
	}
	for range mine {
		if _, err := multiproc.Add(m.Arg, 1); err != nil {
			return err
		}
	}
	return m.done(ctx, mine, 0)
})

func multiprocAddLocked(k int) Impl {
	return multiprocTurns(func(ctx context.Context, n int) (time.Duration, []int, error) {
		elapsed, total, err := runAdders(ctx, addLockedTarget, n, k)
		return elapsed, total.Counts, err
	})
}

func multiprocAddAtomic(k int) Impl {
	return multiprocImpl(func(ctx context.Context, n int) (time.Duration, error) {
		elapsed, _, err := runAdders(ctx, addAtomicTarget, n, k)
		return elapsed, err
	})
}

// runAdders runs k processes that count a value up to n.
func runAdders(ctx context.Context, t *multiproc.Target[member[*multiproc.Value[uint64]]], n, k int) (time.Duration, tally, error) {
	v, err := multiproc.NewValue[uint64](0)
	if err != nil {
		return 0, tally{}, err
	}
	defer v.Free()
	elapsed, total, err := runCrew(ctx, t, n, k, v)
	if err != nil {
		return 0, tally{}, err
	}
	shown, err := v.Load()
	if err != nil {
		return 0, tally{}, err
	}
	return elapsed, total, errors.Join(counterShows(shown, n), counterShows(uint64(total.Count), n))
}

var nothingTarget = multiproc.NewTarget("bench.nothing", func(context.Context, struct{}) error { return nil })

func multiprocStart() Impl {
	return multiprocImpl(func(ctx context.Context, n int) (time.Duration, error) {
		begin := time.Now()
		for range n {
			if err := ctx.Err(); err != nil {
				return 0, err
			}
			p, err := nothingTarget.Start(ctx, struct{}{}, nil)
			if err != nil {
				return 0, err
			}
			err = p.Wait(ctx)
			if err != nil {
				_ = p.Kill()
				_ = p.Wait(context.WithoutCancel(ctx))
			}
			if closeErr := p.Close(); err == nil {
				err = closeErr
			}
			if err != nil {
				return 0, err
			}
		}
		return time.Since(begin), nil
	})
}
