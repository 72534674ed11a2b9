package bench

import (
	"context"
	"fmt"
	"math"
	"time"
)

const (
	calibrateGrowth = 100 // a step does at most this many times the operations of the step before
	calibrateEnough = 4   // a trial of a quarter of the target is long enough to scale from
	calibrateRise   = 8   // with fewer times the operations of the shortest trial a difference may be chance
	maxOps          = 1e9 // operations of a sample at the most
)

// calibrate finds how many operations take about target, by trials that grow from one operation. The trials are the
// implementation's warm-up as well. They end early: a sample that turns out longer or shorter than the target is as
// good, only its length is not what was asked for. What is taken for long enough must be the operations' own time: where
// many processes start, one operation takes as long as a thousand. It begins with least, if that is positive, and then never takes the first
// trial for anything but the start. It finds no more than most, if that is positive.
func calibrate(ctx context.Context, target time.Duration, least, most int, trial func(ctx context.Context, n int) (Result, error)) (int, error) {
	most = mostOps(most)
	var start shot // the shortest trial so far: getting started takes no longer
	for n := min(max(1, least), most); ; {
		res, err := trial(ctx, n)
		if err != nil {
			return 0, fmt.Errorf("calibrating with %d operations: %w", n, err)
		}
		this := shot{n, res.Elapsed}
		next, done := nextOps(this, start, target, most)
		if least > 1 && n < most { // the start may take longer than the target
			if done = done && start.n > 0 && n >= calibrateRise*start.n; !done {
				next = min(most, max(next, calibrateRise*n))
			}
		}
		if done {
			return next, nil
		}
		if start.n == 0 || this.elapsed < start.elapsed {
			start = this
		}
		n = next
	}
}

// A shot is a trial of n operations.
type shot struct {
	n       int
	elapsed time.Duration
}

// nextOps returns the operations of the next trial after this one and the shortest before it, or, when this one was long
// enough, the operations of a sample and done.
func nextOps(this, start shot, target time.Duration, most int) (next int, done bool) {
	ops, own := this.n-start.n, this.elapsed-start.elapsed // what this one did more than the shortest
	enough := own >= target || this.n >= calibrateRise*start.n && start.n > 0 && own >= target/calibrateEnough && own >= this.elapsed/2
	if enough || this.n >= most {
		return scaleOps(ops, own, target, float64(most)), true
	}
	return min(most, max(this.n+1, scaleOps(ops, own, target, calibrateGrowth*float64(this.n)))), false
}

func mostOps(most int) int {
	if most <= 0 {
		return maxOps
	}
	return min(most, maxOps)
}

// scaleOps returns how many operations take about target when n take elapsed, and at most limit.
func scaleOps(n int, elapsed, target time.Duration, limit float64) int {
	want := limit
	if elapsed > 0 {
		want = float64(n) * float64(target) / float64(elapsed)
	}
	return int(math.Max(1, math.Round(min(want, limit))))
}
