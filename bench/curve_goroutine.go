package bench

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"
)

// A goroutineWorker is what one goroutine of a curve does: it takes turns at s until all have done n operations together, and
// says how many were its own.
type goroutineWorker[S any] func(ctx context.Context, s *S, n int, w *stopwatch) (mine int, err error)

// goroutineCurve runs so many workers on what prepare makes, and has check, if there is one, look at it afterwards. Those before first
// do not take turns.
func goroutineCurve[S any](workers, first int, prepare func() *S, work func(me int) goroutineWorker[S], check func(s *S, n int) error) Impl {
	return Impl{
		Name: "goroutine", Least: leastOfCurve,
		Run: func(ctx context.Context, n int) (Result, error) {
			shared, counts := prepare(), make([]int, workers)
			clock, begins, watches := newCommonClock(), make([]int64, workers), make([]*stopwatch, workers)
			var bodies []func(ctx context.Context) error
			for me := range workers {
				watches[me] = newStopwatch(clock, timedEvery(n), me)
				bodies = append(bodies, func(ctx context.Context) (err error) {
					begins[me] = clock.now()
					counts[me], err = work(me)(ctx, shared, n, watches[me])
					return err
				})
			}
			if _, err := together(ctx, bodies...); err != nil {
				return Result{}, fmt.Errorf("goroutines: %w", err)
			}
			if check != nil {
				if err := check(shared, n); err != nil {
					return Result{}, fmt.Errorf("goroutines: %w", err)
				}
			}
			total, end, times := 0, int64(0), newLatencies()
			for me, c := range counts {
				total += c
				end = max(end, watches[me].end)
				times.Merge(watches[me].times.Histogram)
			}
			if total != n {
				return Result{}, fmt.Errorf("goroutines: %d turns instead of %d", total, n)
			}
			return Result{Ops: n, Elapsed: time.Duration(end - slices.Min(begins)), Extra: times.ofCurve(fairness(counts[first:]))}, nil
		},
	}
}

func goroutineLockCurve(workers int, holdFor time.Duration) Impl {
	turns := func(ctx context.Context, a *apart, n int, w *stopwatch) (mine int, err error) {
		for seen, i := 0, 0; seen < n; i++ {
			w.start()
			a.mu.Lock()
			if seen = a.counter; seen < n {
				a.counter = seen + 1
				mine++
				hold(holdFor)
			}
			a.mu.Unlock()
			w.stop()
			if seen == n-1 {
				w.finish()
			}
			if i%checkEvery == 0 && ctx.Err() != nil {
				return mine, stopped(ctx)
			}
		}
		return mine, nil
	}
	return goroutineCurve(workers, 0, func() *apart { return new(apart) }, func(int) goroutineWorker[apart] { return turns }, nil)
}

func goroutineAddCurve(workers int) Impl {
	turns := func(ctx context.Context, a *atomically, n int, w *stopwatch) (mine int, err error) {
		for {
			w.start()
			now := a.value.Add(1)
			w.stop()
			if now > int64(n) {
				return mine, nil
			}
			if now == int64(n) {
				w.finish()
			}
			if mine++; mine%checkEvery == 0 && ctx.Err() != nil {
				return mine, stopped(ctx)
			}
		}
	}
	return goroutineCurve(workers, 0, func() *atomically { return new(atomically) }, func(int) goroutineWorker[atomically] { return turns }, nil)
}

// curveReads is how many looks at a value there are to each change of it.
const curveReads = 9

// changes returns how often a value is changed in n turns, of which each change is one.
func changes(n int) uint64 { return uint64(n+curveReads) / (1 + curveReads) }

// readsAfter returns how many looks follow the change that found seen changes before it: the last one may have fewer.
func readsAfter(n int, seen uint64) int { return min(curveReads, n-int(seen)*(1+curveReads)-1) }

func goroutineReadCurve(workers int) Impl {
	turns := func(ctx context.Context, s *shared, n int, w *stopwatch) (mine int, err error) {
		end, sum := changes(n), uint64(0)
		for i := 0; ; i++ {
			w.start()
			s.mu.Lock()
			seen := s.value
			if seen < end {
				s.value = seen + 1
			}
			s.mu.Unlock()
			w.stop()
			if seen >= end {
				return mine, looked(mine, sum)
			}
			reads := readsAfter(n, seen)
			for range reads {
				w.start()
				s.mu.RLock()
				sum += s.value
				s.mu.RUnlock()
				w.stop()
			}
			mine += 1 + reads
			if seen == end-1 {
				w.finish()
			}
			if i%checkEvery == 0 && ctx.Err() != nil {
				return mine, stopped(ctx)
			}
		}
	}
	return goroutineCurve(workers, 0, func() *shared { return new(shared) }, func(int) goroutineWorker[shared] { return turns }, nil)
}

// looked says whether the looks of one worker can have been at a value that was changed before.
func looked(mine int, sum uint64) error {
	if mine > 1 && sum == 0 {
		return fmt.Errorf("%d turns without a change seen", mine)
	}
	return nil
}

// A curveMessage is a number at both ends, and when it was sent, if it is timed.
type curveMessage [8]uint64

func newCurveMessage(number int, w *stopwatch) (msg curveMessage) {
	msg[0], msg[len(msg)-1] = uint64(number), uint64(number)
	if w.due() {
		msg[1] = uint64(w.clock.now())
	}
	return msg
}

// taken looks at a message that was received, and adds up the numbers.
func (msg *curveMessage) taken(sum *uint64, w *stopwatch) error {
	if msg[0] != msg[len(msg)-1] {
		return errTorn
	}
	if msg[1] != 0 {
		w.came(int64(msg[1]))
	}
	*sum += msg[0]
	return nil
}

// producersOf returns how many of the workers at a queue produce: half of them. One alone puts and gets in turn.
func producersOf(workers int) int { return workers / 2 }

// A channelCurve is a channel, and what those who use it tell each other.
type channelCurve struct {
	ch      chan curveMessage
	ended   atomic.Int64
	sum     atomic.Uint64
	workers int
}

func goroutineQueueCurve(workers int) Impl {
	producers := producersOf(workers)
	prepare := func() *channelCurve {
		return &channelCurve{ch: make(chan curveMessage, queueMessages(64)), workers: workers}
	}
	work := func(me int) goroutineWorker[channelCurve] {
		switch {
		case workers == 1:
			return channelAlone
		case me < producers:
			return func(ctx context.Context, s *channelCurve, n int, w *stopwatch) (int, error) {
				return 0, channelProducer(ctx, s, n, me, w)
			}
		}
		return channelConsumer
	}
	return goroutineCurve(workers, producers, prepare, work, func(s *channelCurve, n int) error { return verdict(n, n, s.sum.Load()) })
}

func channelAlone(ctx context.Context, s *channelCurve, n int, w *stopwatch) (mine int, err error) {
	var sum uint64
	for i := range n {
		s.ch <- newCurveMessage(i, w)
		msg := <-s.ch
		if err := msg.taken(&sum, w); err != nil {
			return i, err
		}
		if i%checkEvery == 0 && ctx.Err() != nil {
			return i, stopped(ctx)
		}
	}
	w.finish()
	s.sum.Add(sum)
	return n, nil
}

func channelProducer(ctx context.Context, s *channelCurve, n, me int, w *stopwatch) error {
	producers := producersOf(s.workers)
	defer func() {
		if s.ended.Add(1) == int64(producers) {
			close(s.ch)
		}
	}()
	for i := range shareOf(n, producers, me) {
		s.ch <- newCurveMessage(i*producers+me, w)
		if i%checkEvery == 0 && ctx.Err() != nil {
			return stopped(ctx)
		}
	}
	return nil
}

func channelConsumer(ctx context.Context, s *channelCurve, n int, w *stopwatch) (mine int, err error) {
	var sum uint64
	for msg := range s.ch { // to the end, so that no producer is left waiting
		if e := msg.taken(&sum, w); e != nil {
			err = e
		}
		mine++
	}
	w.finishIfNone(mine)
	s.sum.Add(sum)
	return mine, err
}
