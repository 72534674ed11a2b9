package bench

import (
	"context"
	"fmt"
)

// peerLatencies is the further figure in which a peer tells its latencies, and out of which the percentiles are made.
const peerLatencies = "latencies"

// peerCurve runs a program that is told to time one operation in so many.
func peerCurve(im Impl, run func(ctx context.Context, n, every int) (Result, error)) Impl {
	im.Least = leastOfCurve
	im.Run = func(ctx context.Context, n int) (Result, error) {
		r, err := run(ctx, n, timedEvery(n))
		if err != nil {
			return Result{}, err
		}
		times := newLatencies()
		if err := times.add(r.Extra[peerLatencies]); err != nil {
			return Result{}, fmt.Errorf("%s: %w", im.Name, err)
		}
		delete(r.Extra, peerLatencies)
		r.Extra = times.ofCurve(r.Extra)
		return r, nil
	}
	return im
}

// leastOfCurve is with how many operations the trials of curves begin: sixty-four processes take long to start.
const leastOfCurve = 200

func cLockCurve(name, kind string, workers, holdNs int) Impl {
	return peerCurve(cImpl(name, "lock"), func(ctx context.Context, n, every int) (Result, error) {
		return runC(ctx, n, "lock", workers, "apart", kind, holdNs, every)
	})
}

func cAddCurve(workers int) Impl {
	return peerCurve(cImpl("cring", "add"), func(ctx context.Context, n, every int) (Result, error) {
		return runC(ctx, n, "add", workers, every)
	})
}

func cReadCurve(workers int) Impl {
	return peerCurve(cImpl("pthread", "readwrite"), func(ctx context.Context, n, every int) (Result, error) {
		return runC(ctx, n, "readwrite", workers, every)
	})
}

func cQueueCurve(name, means string, workers int) Impl {
	return peerCurve(cImpl(name, "curve_queue"), func(ctx context.Context, n, every int) (Result, error) {
		return runC(ctx, n, "curve_queue", workers, every, means)
	})
}

// cpythonCurve runs a mode that is told how many workers there are, how often to time an operation, and more.
func cpythonCurve(mode string, workers int, more ...int) Impl {
	return peerCurve(cpythonImpl(mode), func(ctx context.Context, n, every int) (Result, error) {
		return runCPython(ctx, n, nil, mode, append([]int{workers, every}, more...)...)
	})
}
