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

// A curveArg is what the workers of a curve contend for, and how.
type curveArg[On any] struct {
	On        On
	Hold      time.Duration
	Latencies *multiproc.Queue[string] // what each of them has to tell
}

// latencyBytes is room for what 64 workers tell of their latencies.
const latencyBytes = 4 << 20

func (m *member[A]) stopwatch() *stopwatch {
	return newStopwatch(newCommonClock(), timedEvery(m.N), m.Me)
}

// finished reports the work of a worker of a curve, and its latencies.
func finished[On any](ctx context.Context, m *member[curveArg[On]], mine int, sum uint64, w *stopwatch) error {
	r := report{Me: m.Me, Begin: m.begin, End: w.end, Count: mine, Sum: sum}
	return errors.Join(m.Reports.Put(ctx, r), m.Arg.Latencies.Put(ctx, w.times.text()))
}

// multiprocCurve runs so many processes of a target. What they contend for is made by prepare, and given back by the function that
// it returns.
func multiprocCurve[On any](t *multiproc.Target[member[curveArg[On]]], workers int, holdFor time.Duration,
	prepare func() (On, func(), error), check func(n int, total tally) error) Impl {
	im := multiprocImpl(nil)
	im.Least = leastOfCurve
	im.Run = func(ctx context.Context, n int) (Result, error) {
		if err := ctx.Err(); err != nil {
			return Result{}, err
		}
		on, free, err := prepare()
		if err != nil {
			return Result{}, fmt.Errorf("multiproc: %w", err)
		}
		defer free()
		told, err := multiproc.NewQueue[string](&multiproc.QueueOptions{Bytes: latencyBytes})
		if err != nil {
			return Result{}, fmt.Errorf("multiproc: %w", err)
		}
		defer told.Free()
		elapsed, total, err := runCrew(ctx, t, n, workers, curveArg[On]{on, holdFor, told})
		if err == nil {
			err = check(n, total)
		}
		times := newLatencies()
		for i := 0; i < workers && err == nil; i++ {
			var text string
			if text, err = told.TryGet(); err == nil {
				err = times.add(text)
			}
		}
		if err != nil {
			return Result{}, fmt.Errorf("multiproc: %w", err)
		}
		return Result{Ops: n, Elapsed: elapsed, Extra: times.ofCurve(fairness(total.Counts))}, nil
	}
	return im
}

var lockCurveTarget = multiproc.NewTarget("bench.curve.lock", func(ctx context.Context, m member[curveArg[lockArg]]) error {
	mutex, counter, end, holdFor := m.Arg.On.Mutex, m.Arg.On.Segment.Bytes(), uint64(m.N), m.Arg.Hold
	mine, w := 0, m.stopwatch()
	if err := m.start(ctx); err != nil {
		return err
	}
	for seen := uint64(0); seen < end; {
		w.start()
		if err := mutex.Lock(ctx); err != nil {
			return err
		}
		if seen = binary.NativeEndian.Uint64(counter); seen < end {
			binary.NativeEndian.PutUint64(counter, seen+1)
			mine++
			hold(holdFor)
		}
		if err := mutex.Unlock(); err != nil {
			return err
		}
		w.stop()
		if seen == end-1 {
			w.finish()
		}
	}
	return finished(ctx, &m, mine, 0, w)
})

func newLockArg() (a lockArg, free func(), err error) {
	if a.Mutex, err = multiproc.NewMutex(); err != nil {
		return a, nil, err
	}
	if a.Segment, err = shm.New(&shm.Options{Size: 8}); err != nil {
		return a, nil, errors.Join(err, a.Mutex.Free())
	}
	return a, func() {
		_ = a.Mutex.Free() // nobody has it
		_ = a.Segment.Close()
	}, nil
}

func allDone(n int, total tally) error { return counterShows(uint64(total.Count), n) }

func multiprocLockCurve(workers int, holdFor time.Duration) Impl {
	return multiprocCurve(lockCurveTarget, workers, holdFor, newLockArg, allDone)
}

var addCurveTarget = multiproc.NewTarget("bench.curve.add", func(ctx context.Context, m member[curveArg[*multiproc.Value[uint64]]]) error {
	mine, w, end := 0, m.stopwatch(), uint64(m.N)
	if err := m.start(ctx); err != nil {
		return err
	}
	for {
		w.start()
		now, err := multiproc.Add(m.Arg.On, 1)
		w.stop()
		if err != nil {
			return err
		}
		if now > end {
			return finished(ctx, &m, mine, 0, w)
		}
		if now == end {
			w.finish()
		}
		mine++
	}
})

func multiprocAddCurve(workers int) Impl {
	prepare := func() (*multiproc.Value[uint64], func(), error) {
		v, err := multiproc.NewValue[uint64](0)
		return v, func() { _ = v.Free() }, err
	}
	return multiprocCurve(addCurveTarget, workers, 0, prepare, allDone)
}

var readCurveTarget = multiproc.NewTarget("bench.curve.read", func(ctx context.Context, m member[curveArg[readArg]]) error {
	mine, w, end := 0, m.stopwatch(), changes(m.N)
	lock, value := m.Arg.On.Lock, m.Arg.On.Value
	if err := m.start(ctx); err != nil {
		return err
	}
	var sum uint64
	for {
		w.start()
		if err := lock.Lock(ctx); err != nil {
			return err
		}
		seen, err := value.Load()
		if seen < end && err == nil {
			err = value.Store(seen + 1)
		}
		if err := errors.Join(err, lock.Unlock()); err != nil {
			return err
		}
		w.stop()
		if seen >= end {
			return errors.Join(looked(mine, sum), finished(ctx, &m, mine, 0, w))
		}
		reads := readsAfter(m.N, seen)
		for range reads {
			w.start()
			if err := lock.RLock(ctx); err != nil {
				return err
			}
			v, err := value.Load()
			if e := lock.RUnlock(); err != nil || e != nil {
				return errors.Join(err, e)
			}
			sum += v
			w.stop()
		}
		mine += 1 + reads
		if seen == end-1 {
			w.finish()
		}
	}
})

func newReadArg(first uint64) (a readArg, free func(), err error) {
	if a.Lock, err = multiproc.NewRWMutex(nil); err != nil {
		return a, nil, err
	}
	if a.Value, err = multiproc.NewValue(first); err != nil {
		return a, nil, errors.Join(err, a.Lock.Free())
	}
	return a, func() {
		_ = a.Value.Free() // nobody uses them
		_ = a.Lock.Free()
	}, nil
}

func multiprocReadCurve(workers int) Impl {
	prepare := func() (readArg, func(), error) { return newReadArg(0) }
	return multiprocCurve(readCurveTarget, workers, 0, prepare, allDone)
}

// A queueCurve is a queue, and how many of those who put into it are through.
type queueCurve struct {
	Queue *multiproc.Queue[curveMessage]
	Ended *multiproc.Value[int64]
}

var queueCurveTarget = multiproc.NewTarget("bench.curve.queue", func(ctx context.Context, m member[curveArg[queueCurve]]) error {
	queue, w := m.Arg.On.Queue, m.stopwatch()
	producers := producersOf(m.Parts)
	if err := m.start(ctx); err != nil {
		return err
	}
	var sum uint64
	switch {
	case m.Parts == 1:
		for i := range m.N {
			if err := queue.Put(ctx, newCurveMessage(i, w)); err != nil {
				return err
			}
			msg, err := queue.Get(ctx)
			if err == nil {
				err = msg.taken(&sum, w)
			}
			if err != nil {
				return err
			}
		}
		w.finish()
		return finished(ctx, &m, m.N, sum, w)
	case m.Me < producers:
		for i := range shareOf(m.N, producers, m.Me) {
			if err := queue.Put(ctx, newCurveMessage(i*producers+m.Me, w)); err != nil {
				return err
			}
		}
		ended, err := multiproc.Add(m.Arg.On.Ended, 1)
		if err == nil && ended == int64(producers) {
			err = queue.Close()
		}
		return errors.Join(err, m.sent(ctx), m.Arg.Latencies.Put(ctx, ""))
	}
	mine := 0
	for msg, err := range queue.All(ctx) {
		if err == nil {
			err = msg.taken(&sum, w)
		}
		if err != nil {
			return err
		}
		mine++
	}
	w.finishIfNone(mine)
	return finished(ctx, &m, mine, sum, w)
})

func multiprocQueueCurve(workers int) Impl {
	prepare := func() (a queueCurve, free func(), err error) {
		if a.Queue, err = multiproc.NewQueue[curveMessage](&multiproc.QueueOptions{Capacity: queueMessages(64)}); err != nil {
			return a, nil, err
		}
		if a.Ended, err = multiproc.NewValue(int64(0)); err != nil {
			return a, nil, errors.Join(err, a.Queue.Free())
		}
		return a, func() {
			_ = a.Ended.Free() // nobody uses them
			_ = a.Queue.Free()
		}, nil
	}
	return multiprocCurve(queueCurveTarget, workers, 0, prepare, allCame)
}
