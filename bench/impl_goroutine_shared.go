package bench

import (
	"context"
	"sync"
	"time"
)

// shared is a value that many may read at a time.
type shared struct {
	mu    sync.RWMutex
	_     [104]byte
	value uint64
}

// goroutineRead runs k goroutines that hold a lock for reading again and again.
func goroutineRead(k int) Impl {
	return goroutineImpl(func(ctx context.Context, n int) (time.Duration, error) {
		s := &shared{value: 1}
		sums := make([]uint64, k)
		var bodies []func(ctx context.Context) error
		for me := range k {
			bodies = append(bodies, func(ctx context.Context) error {
				var sum uint64
				for i := range shareOf(n, k, me) {
					s.mu.RLock()
					sum += s.value
					s.mu.RUnlock()
					if i%checkEvery == 0 && ctx.Err() != nil {
						return stopped(ctx)
					}
				}
				sums[me] = sum
				return nil
			})
		}
		elapsed, err := together(ctx, bodies...)
		if err != nil {
			return 0, err
		}
		var sum uint64
		for _, s := range sums {
			sum += s
		}
		return elapsed, counterShows(sum, n)
	})
}

// goroutineSemaphore takes permits from a channel and gives them back.
func goroutineSemaphore(permits int) Impl {
	return goroutineImpl(func(ctx context.Context, n int) (time.Duration, error) {
		ch := make(chan struct{}, permits)
		return together(ctx, func(ctx context.Context) error {
			for i := range n {
				ch <- struct{}{}
				<-ch
				if i%checkEvery == 0 && ctx.Err() != nil {
					return stopped(ctx)
				}
			}
			return nil
		})
	})
}
