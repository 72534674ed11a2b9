package bench

import (
	"context"
	"sync"
	"time"
)

// goroutineMPMCBuffers copies messages into buffers that travel to some consumer, who copies them out, and back.
func goroutineMPMCBuffers(producers, consumers, size, capacity int) Impl {
	return goroutineImpl(func(ctx context.Context, n int) (time.Duration, error) {
		buffers := capacity + producers + consumers
		full, free := make(chan []byte, capacity), make(chan []byte, buffers)
		for range buffers {
			free <- make([]byte, size)
		}
		counts, sums := make([]int, consumers), make([]uint64, consumers)
		var producing sync.WaitGroup
		producing.Add(producers)
		var bodies []func(ctx context.Context) error
		for me := range producers {
			bodies = append(bodies, func(ctx context.Context) error {
				defer producing.Done()
				msg := make([]byte, size)
				for i := range shareOf(n, producers, me) {
					stamp(msg, me+i*producers)
					buf := <-free
					copy(buf, msg)
					full <- buf
					if i%checkEvery == 0 && ctx.Err() != nil {
						return stopped(ctx)
					}
				}
				return nil
			})
		}
		for me := range consumers {
			bodies = append(bodies, func(ctx context.Context) error {
				msg := make([]byte, size)
				var wrong error
				for buf := range full { // to the end, so that no producer is left waiting
					copy(msg, buf)
					free <- buf
					number, err := numberOf(msg)
					if err != nil {
						wrong = err
					}
					counts[me]++
					sums[me] += number
				}
				return wrong
			})
		}
		go func() {
			producing.Wait()
			close(full)
		}()
		elapsed, err := together(ctx, bodies...)
		if err != nil {
			return 0, err
		}
		count, sum := 0, uint64(0)
		for me := range consumers {
			count += counts[me]
			sum += sums[me]
		}
		return elapsed, verdict(n, count, sum)
	})
}
