package bench

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/fb2d3dbd/multiproc/pool"
)

// poolTaskScenario has tasks that take so long. Two workers could do two in that time.
func poolTaskScenario(takes time.Duration) Scenario {
	name := map[time.Duration]string{10 * time.Microsecond: "10us", time.Millisecond: "1ms"}[takes]
	return Scenario{
		Name: "pool/task-" + name,
		Doc: fmt.Sprintf("one task, which takes a CPU for %v, by a pool of %d workers that have been started before, each in a message of its own: "+
			"from what size of a task on a pool is as good as it can be, which is half the time of a task", takes, poolWorkers),
		Impls: []Impl{multiprocPoolTask(takes), goroutinePoolTask(takes), cpythonImpl("pool_task", poolWorkers, int(takes))},
		Long:  true, Rounds: curveRounds,
	}
}

var poolSpin = pool.NewFunc("bench.spin", func(_ context.Context, ns int64) (int64, error) {
	hold(time.Duration(ns))
	return ns, nil
})

func multiprocPoolTask(takes time.Duration) Impl {
	return multiprocImpl(func(ctx context.Context, n int) (time.Duration, error) {
		return withPool(ctx, poolSpin, poolWorkers, 1, func(p *pool.Pool[int64, int64]) (time.Duration, error) {
			return inMaps(n, func(n int) (time.Duration, error) {
				in := slices.Repeat([]int64{int64(takes)}, n)
				begin := time.Now()
				out, err := p.With(&pool.CallOptions{Chunk: 1}).Map(ctx, in)
				elapsed := time.Since(begin)
				if err == nil && len(out) != n {
					err = fmt.Errorf("%d results of %d", len(out), n)
				}
				return elapsed, err
			})
		})
	})
}

func goroutinePoolTask(takes time.Duration) Impl {
	return goroutineImpl(func(ctx context.Context, n int) (time.Duration, error) {
		tasks, results := make(chan time.Duration, queueMessages(0)), make(chan time.Duration, queueMessages(0))
		var workers sync.WaitGroup
		for range poolWorkers {
			workers.Go(func() {
				for d := range tasks {
					hold(d)
					results <- d
				}
			})
		}
		begin := time.Now()
		go func() {
			defer close(tasks)
			for range n {
				if ctx.Err() != nil {
					return
				}
				tasks <- takes
			}
		}()
		go func() { workers.Wait(); close(results) }()
		done := 0
		for range results {
			done++
		}
		if done != n {
			return 0, stopped(ctx)
		}
		return time.Since(begin), nil
	})
}
