package bench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// checkEvery is how many operations a goroutine does between two looks at its context: rarely enough not to be measured.
const checkEvery = 1024

// together runs the bodies in goroutines of their own, which start at once, and returns the time from the first begin
// to the last end.
func together(ctx context.Context, bodies ...func(ctx context.Context) error) (time.Duration, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	begins, ends, errs := make([]time.Time, len(bodies)), make([]time.Time, len(bodies)), make([]error, len(bodies))
	gun := make(chan struct{})
	var ready, done sync.WaitGroup
	for i, body := range bodies {
		ready.Add(1)
		done.Go(func() {
			ready.Done()
			<-gun
			begins[i] = time.Now()
			errs[i] = body(ctx)
			ends[i] = time.Now()
		})
	}
	ready.Wait()
	close(gun)
	done.Wait()
	first, last := begins[0], ends[0]
	for i := range bodies {
		if errs[i] != nil {
			return 0, errs[i]
		}
		if begins[i].Before(first) {
			first = begins[i]
		}
		if ends[i].After(last) {
			last = ends[i]
		}
	}
	return last.Sub(first), nil
}

// shareOf returns the part of n operations that falls to participant i of k.
func shareOf(n, k, i int) int {
	if i < n%k {
		return n/k + 1
	}
	return n / k
}

// A verdict is the checksum of what consumers received: the numbers 0..n-1, each once.
func verdict(n, count int, sum uint64) error {
	want := uint64(n) * uint64(n-1) / 2
	if count != n || sum != want {
		return fmt.Errorf("received %d of %d messages, checksum %d instead of %d", count, n, sum, want)
	}
	return nil
}

func stopped(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return errors.New("the other side ended early")
}

// goroutineImpl makes an Impl of a body that returns the time it measured.
func goroutineImpl(run func(ctx context.Context, n int) (time.Duration, error)) Impl {
	return Impl{
		Name: "goroutine",
		Run: func(ctx context.Context, n int) (Result, error) {
			elapsed, err := run(ctx, n)
			if err != nil {
				return Result{}, fmt.Errorf("goroutines: %w", err)
			}
			return Result{Ops: n, Elapsed: elapsed}, nil
		},
	}
}

// A turner is shared state at which goroutines take turns: take does n operations, count tells how many were done in all.
type turner interface {
	take(ctx context.Context, n int) error
	count() int
}

// goroutineTurns runs k goroutines that do n operations together, and checks that the counter shows them.
func goroutineTurns(k int, make func() turner) Impl {
	return goroutineImpl(func(ctx context.Context, n int) (time.Duration, error) {
		t := make()
		var bodies []func(ctx context.Context) error
		for i := range k {
			bodies = append(bodies, func(ctx context.Context) error { return t.take(ctx, shareOf(n, k, i)) })
		}
		elapsed, err := together(ctx, bodies...)
		if err == nil && t.count() != n {
			err = fmt.Errorf("the counter shows %d after %d operations", t.count(), n)
		}
		return elapsed, err
	})
}

// apart is a counter on a line of its own, away from its lock.
type apart struct {
	mu      sync.Mutex
	_       [120]byte
	counter int
	_       [120]byte
}

func (a *apart) take(ctx context.Context, n int) error {
	for i := range n {
		a.mu.Lock()
		a.counter++
		a.mu.Unlock()
		if i%checkEvery == 0 && ctx.Err() != nil {
			return stopped(ctx)
		}
	}
	return nil
}

func (a *apart) count() int { return a.counter }

// beside is a value together with its lock.
type beside struct {
	mu    sync.Mutex
	value int
}

func (b *beside) take(ctx context.Context, n int) error {
	for i := range n {
		b.mu.Lock()
		b.value++
		b.mu.Unlock()
		if i%checkEvery == 0 && ctx.Err() != nil {
			return stopped(ctx)
		}
	}
	return nil
}

func (b *beside) count() int { return b.value }

type atomically struct {
	_     [120]byte
	value atomic.Int64
	_     [120]byte
}

func (a *atomically) take(ctx context.Context, n int) error {
	for i := range n {
		a.value.Add(1)
		if i%checkEvery == 0 && ctx.Err() != nil {
			return stopped(ctx)
		}
	}
	return nil
}

func (a *atomically) count() int { return int(a.value.Load()) }

func goroutineLock(k int) Impl { return goroutineTurns(k, func() turner { return new(apart) }) }

func goroutineAddLocked(k int) Impl { return goroutineTurns(k, func() turner { return new(beside) }) }

func goroutineAddAtomic(k int) Impl {
	return goroutineTurns(k, func() turner { return new(atomically) })
}

func goroutineStart() Impl {
	return goroutineImpl(func(ctx context.Context, n int) (time.Duration, error) {
		begin := time.Now()
		for i := range n {
			var wg sync.WaitGroup
			wg.Go(func() {})
			wg.Wait()
			if i%checkEvery == 0 && ctx.Err() != nil {
				return 0, stopped(ctx)
			}
		}
		return time.Since(begin), nil
	})
}
