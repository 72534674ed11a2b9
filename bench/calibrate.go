package bench

import (
	"context"
	"fmt"
	"math"
	"time"
)

const (
	calibrateGrowth = 100 // a step does at most this many times the operations of the step before
	calibrateEnough = 16  // a trial of a 16th of the target is long enough to scale from
	maxOps          = 1e9 // operations of a sample at the most
)

// calibrate finds how many operations take about target, by trials that grow from one operation. The trials are the
// implementation's warm-up as well. They end early: a sample that turns out longer or shorter than the target is as
// good, only its length is not what was asked for.
func calibrate(ctx context.Context, target time.Duration, trial func(ctx context.Context, n int) (Result, error)) (int, error) {
	n := 1
	for {
		res, err := trial(ctx, n)
		if err != nil {
			return 0, fmt.Errorf("calibrating with %d operations: %w", n, err)
		}
		next, done := nextOps(n, res.Elapsed, target)
		if done {
			return next, nil
		}
		n = next
	}
}

// nextOps returns the operations of the next trial after one of n that took elapsed, or, when that was long enough,
// the operations of a sample and done.
func nextOps(n int, elapsed, target time.Duration) (next int, done bool) {
	want := float64(n) * calibrateGrowth
	if elapsed > 0 {
		want = float64(n) * float64(target) / float64(elapsed)
	}
	want = math.Max(1, math.Min(maxOps, math.Round(want)))
	if elapsed >= target/calibrateEnough || n >= maxOps {
		return int(want), true
	}
	return int(math.Max(float64(n)+1, math.Min(want, float64(n)*calibrateGrowth))), false
}
