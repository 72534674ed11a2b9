package bench

import (
	"context"
	"fmt"
	"time"
)

// measure runs an implementation once and checks what it claims: a measured time longer than the time it took, or no
// operations at all, is a fault of the implementation and not a figure.
func (s *pass) measure(ctx context.Context, im Impl, n int) (res Result, wall time.Duration, err error) {
	if ctx.Err() != nil {
		return res, 0, context.Cause(ctx)
	}
	limited, cancel := context.WithTimeoutCause(ctx, s.SampleLimit, fmt.Errorf("no result within %v", s.SampleLimit))
	defer cancel()
	start := s.now()
	res, err = runImpl(limited, im, n)
	wall = s.now().Sub(start)
	if err != nil {
		if limited.Err() != nil {
			err = context.Cause(limited)
		}
		return res, wall, err
	}
	return res, wall, res.check(wall)
}

// runImpl turns a panic of an implementation into its error, so that the others are still measured.
func runImpl(ctx context.Context, im Impl, n int) (res Result, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return im.Run(ctx, n)
}

// check reports what is impossible about a result that took wall in all.
func (r Result) check(wall time.Duration) error {
	const clocks = time.Millisecond // two processes' clocks are read at different moments
	switch {
	case r.Ops <= 0:
		return fmt.Errorf("reports %d operations", r.Ops)
	case r.Elapsed <= 0:
		return fmt.Errorf("reports %v for %d operations", r.Elapsed, r.Ops)
	case r.Elapsed > wall+wall/100+clocks:
		return fmt.Errorf("reports %v of measured time, but took only %v in all", r.Elapsed, wall)
	}
	return nil
}
