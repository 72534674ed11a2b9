package bench

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/fb2d3dbd/multiproc/pool"
)

// poolWorkers is how many workers the pools of the comparison have.
const poolWorkers = 2

var poolSquare = pool.NewFunc("bench.square", func(_ context.Context, n int64) (int64, error) { return n * n, nil })

func poolScenarios(o ScenarioOptions) []Scenario {
	doc := fmt.Sprintf("one task, which squares a number, by a pool of %d workers that have been started before: ", poolWorkers)
	return []Scenario{
		{
			Name:  "pool/map-chunk1",
			Doc:   doc + "a map over all of them, each in a message of its own",
			Impls: []Impl{multiprocPoolMap(1), goroutinePoolMap(1), cpythonImpl("pool_map", poolWorkers, 1)},
		},
		{
			Name:  "pool/map-auto",
			Doc:   doc + "a map over all of them, in chunks of the size that the pool chooses",
			Impls: []Impl{multiprocPoolMap(0), goroutinePoolMap(0), cpythonImpl("pool_map", poolWorkers, 0)},
		},
		{
			Name:  "pool/apply",
			Doc:   doc + "handed over, and waited for, before the next",
			Impls: []Impl{multiprocPoolApply(), goroutinePoolApply(), cpythonImpl("pool_apply", poolWorkers)},
		},
		poolTaskScenario(10 * time.Microsecond),
		poolTaskScenario(time.Millisecond),
		{
			Name: "pool/wordcount/2",
			Doc: fmt.Sprintf("the job of wordcount by a pool of %d processes, in %d tasks of files for each, whose counts the parent merges; goroutine is that of wordcount",
				poolWorkers, partsPerWorker),
			Impls: []Impl{
				poolWordcount(o.Dir, poolWorkers),
				wordcountImpl("goroutine", nil, o.Dir, func(ctx context.Context, files []string) (Result, error) {
					return goroutineWordcount(ctx, files, poolWorkers)
				}),
			},
		},
	}
}

// withPool calls body with a pool whose workers are all there, and ends the pool.
func withPool[In, Out any](ctx context.Context, f *pool.Func[In, Out], workers int, ready In, body func(p *pool.Pool[In, Out]) (time.Duration, error)) (time.Duration, error) {
	p, err := pool.New(f, &pool.Options{Workers: workers})
	if err != nil {
		return 0, err
	}
	elapsed, err := time.Duration(0), error(nil)
	for range 4 * workers { // all are there when they have had something to do; this much is enough to be likely
		if _, err = p.Apply(ctx, ready); err != nil {
			break
		}
	}
	if err == nil {
		elapsed, err = body(p)
	}
	if e := p.Terminate(); err == nil {
		err = e
	}
	return elapsed, err
}

func multiprocPoolMap(chunk int) Impl {
	return multiprocImpl(func(ctx context.Context, n int) (time.Duration, error) {
		return withPool(ctx, poolSquare, poolWorkers, 1, func(p *pool.Pool[int64, int64]) (time.Duration, error) {
			return inMaps(n, func(n int) (time.Duration, error) {
				in := poolNumbers(n)
				begin := time.Now()
				out, err := p.With(&pool.CallOptions{Chunk: chunk}).Map(ctx, in)
				elapsed := time.Since(begin)
				if err != nil {
					return 0, err
				}
				return elapsed, poolVerdict(out, n)
			})
		})
	})
}

func multiprocPoolApply() Impl {
	return multiprocImpl(func(ctx context.Context, n int) (time.Duration, error) {
		return withPool(ctx, poolSquare, poolWorkers, 1, func(p *pool.Pool[int64, int64]) (time.Duration, error) {
			begin := time.Now()
			for i := range int64(n) {
				v, err := p.Apply(ctx, i)
				if err != nil {
					return 0, err
				}
				if v != i*i {
					return 0, errTorn
				}
			}
			return time.Since(begin), nil
		})
	})
}

// inMaps does n tasks in maps of a size that fits into memory, and adds up their times.
func inMaps(n int, one func(n int) (time.Duration, error)) (total time.Duration, err error) {
	const most = 1 << 19
	for n > 0 && err == nil {
		var d time.Duration
		d, err = one(min(n, most))
		total += d
		n -= most
	}
	return total, err
}

func poolNumbers(n int) []int64 {
	in := make([]int64, n)
	for i := range in {
		in[i] = int64(i)
	}
	return in
}

func poolVerdict(out []int64, n int) error {
	if len(out) != n {
		return fmt.Errorf("%d results of %d", len(out), n)
	}
	for i, v := range out {
		if v != int64(i)*int64(i) {
			return fmt.Errorf("result %d is %d", i, v)
		}
	}
	return nil
}

// A goroutinePool is workers that take parts of a slice from a channel, and say on another which they have done.
type goroutinePool struct {
	in, out []int64
	tasks   chan [2]int
	results chan int
	workers sync.WaitGroup
}

func newGoroutinePool(n int) *goroutinePool {
	p := &goroutinePool{in: poolNumbers(n), out: make([]int64, n), tasks: make(chan [2]int, queueMessages(0)), results: make(chan int, queueMessages(0))}
	for range poolWorkers {
		p.workers.Go(func() {
			for part := range p.tasks {
				for i := part[0]; i < part[1]; i++ {
					p.out[i] = p.in[i] * p.in[i]
				}
				p.results <- part[1] - part[0]
			}
		})
	}
	return p
}

func goroutinePoolMap(chunk int) Impl {
	return goroutineImpl(func(ctx context.Context, n int) (time.Duration, error) {
		return inMaps(n, func(n int) (time.Duration, error) { return goroutineMap(ctx, n, chunk) })
	})
}

func goroutineMap(ctx context.Context, n, chunk int) (time.Duration, error) {
	p := newGoroutinePool(n)
	if chunk == 0 {
		chunk = (n + 4*poolWorkers - 1) / (4 * poolWorkers) // what CPython's map chooses
	}
	begin := time.Now()
	go func() {
		defer close(p.tasks)
		for from := 0; from < n; from += chunk {
			if (from/chunk)%checkEvery == 0 && ctx.Err() != nil {
				return
			}
			p.tasks <- [2]int{from, min(from+chunk, n)}
		}
	}()
	go func() { p.workers.Wait(); close(p.results) }()
	done := 0
	for k := range p.results {
		done += k
	}
	elapsed := time.Since(begin)
	if done != n {
		return 0, stopped(ctx)
	}
	return elapsed, poolVerdict(p.out, n)
}

func goroutinePoolApply() Impl {
	return goroutineImpl(func(ctx context.Context, n int) (time.Duration, error) {
		p := newGoroutinePool(1)
		defer p.workers.Wait()
		defer close(p.tasks)
		begin := time.Now()
		for i := range n {
			if i%checkEvery == 0 && ctx.Err() != nil {
				return 0, stopped(ctx)
			}
			p.in[0] = int64(i)
			p.tasks <- [2]int{0, 1}
			<-p.results
			if p.out[0] != int64(i)*int64(i) {
				return 0, errTorn
			}
		}
		return time.Since(begin), nil
	})
}

// partsPerWorker is in how many tasks the files are cut: few, because the parent merges what each one has counted, and several, so that all
// workers end at about the same time.
const partsPerWorker = 4

var poolCount = pool.NewFunc("bench.pool-wordcount", func(_ context.Context, files []string) ([]byte, error) {
	counts := newWordCounts()
	for _, name := range files {
		if err := counts.file(name); err != nil {
			return nil, err
		}
	}
	var msg []byte
	for i, word := range counts.words {
		msg = appendCount(msg, word, counts.counts[i])
	}
	return msg, nil
})

func poolWordcount(dir string, workers int) Impl {
	return wordcountImpl("multiproc", multiprocMissing, dir, func(ctx context.Context, files []string) (Result, error) {
		if err := ctx.Err(); err != nil {
			return Result{}, err
		}
		total := newWordCounts()
		elapsed, err := withPool(ctx, poolCount, workers, nil, func(p *pool.Pool[[]string, []byte]) (time.Duration, error) {
			var parts [][]string
			begin := time.Now()
			for i := range partsPerWorker * workers { // of files that lie apart: those of one folder are alike in size
				var part []string
				for k := i; k < len(files); k += partsPerWorker * workers {
					part = append(part, files[k])
				}
				parts = append(parts, part)
			}
			for msg, err := range p.With(&pool.CallOptions{Chunk: 1}).IMapUnordered(ctx, slices.Values(parts)) {
				if err != nil {
					return 0, err
				}
				if err := total.mergeMessage(msg); err != nil {
					return 0, err
				}
			}
			return time.Since(begin), nil
		})
		if err != nil {
			return Result{}, err
		}
		return Result{Ops: 1, Elapsed: elapsed, Extra: total.extra(len(files))}, nil
	})
}
