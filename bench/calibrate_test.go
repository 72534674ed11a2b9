package bench

import (
	"context"
	"errors"
	"testing"
	"time"
)

// costs returns a trial whose operations take each, after a fixed start, and the sizes it was called with.
func costs(start, each time.Duration) (trial func(context.Context, int) (Result, error), sizes *[]int) {
	sizes = new([]int)
	return func(_ context.Context, n int) (Result, error) {
		*sizes = append(*sizes, n)
		return Result{Ops: n, Elapsed: start + each*time.Duration(n)}, nil
	}, sizes
}

func TestCalibrateReachesTheTarget(t *testing.T) {
	const target = 60 * time.Millisecond
	for _, each := range []time.Duration{1, 17, 500, 8 * time.Microsecond, 900 * time.Microsecond, 40 * time.Millisecond} {
		for _, start := range []time.Duration{0, 30 * time.Microsecond} {
			trial, sizes := costs(start, each)
			n, err := calibrate(t.Context(), target, 0, 0, trial)
			if err != nil {
				t.Fatal(err)
			}
			got := start + each*time.Duration(n)
			if got < target/2 || got > 2*target {
				t.Errorf("%v each, start %v: %d operations take %v, want about %v (trials %v)", each, start, n, got, target, *sizes)
			}
			if len(*sizes) > 6 {
				t.Errorf("%v each: %d trials: %v", each, len(*sizes), *sizes)
			}
		}
	}
}

// TestCalibrateLooksBehindTheStart has operations that are nothing beside getting started.
func TestCalibrateLooksBehindTheStart(t *testing.T) {
	const target = 60 * time.Millisecond
	for _, start := range []time.Duration{5 * time.Millisecond, 20 * time.Millisecond, 50 * time.Millisecond} {
		for _, each := range []time.Duration{20, 700, 30 * time.Microsecond} {
			trial, sizes := costs(start, each)
			n, err := calibrate(t.Context(), target, 0, 0, trial)
			if err != nil {
				t.Fatal(err)
			}
			if own := each * time.Duration(n); own < target/3 || own > 2*target {
				t.Errorf("%v each, start %v: %d operations take %v, want about %v (trials %v)", each, start, n, own, target, *sizes)
			}
			if len(*sizes) > 7 {
				t.Errorf("%v each, start %v: %d trials: %v", each, start, len(*sizes), *sizes)
			}
		}
	}
}

func TestCalibrateOneOperationLongerThanTheTarget(t *testing.T) {
	trial, sizes := costs(0, 5*time.Second)
	n, err := calibrate(t.Context(), 60*time.Millisecond, 0, 0, trial)
	if n != 1 || err != nil || len(*sizes) != 1 {
		t.Errorf("calibrate = %d, %v after %v, want 1 after one trial", n, err, *sizes)
	}
}

func TestCalibrateClockThatStandsStill(t *testing.T) {
	trial, sizes := costs(0, 0)
	n, err := calibrate(t.Context(), time.Second, 0, 0, trial)
	if n != maxOps || err != nil {
		t.Errorf("calibrate = %d, %v, want the most there is, %d", n, err, int(maxOps))
	}
	for i, s := range *sizes {
		if i > 0 && s > calibrateGrowth*(*sizes)[i-1] {
			t.Errorf("trial %d has %d operations after %d", i, s, (*sizes)[i-1])
		}
	}
}

func TestCalibrateStaysBelowTheMost(t *testing.T) {
	trial, sizes := costs(0, time.Microsecond)
	n, err := calibrate(t.Context(), time.Second, 0, 16, trial)
	if n != 16 || err != nil {
		t.Errorf("calibrate = %d, %v, want 16", n, err)
	}
	for _, s := range *sizes {
		if s > 16 {
			t.Errorf("a trial of %d operations", s)
		}
	}
}

func TestCalibrateReturnsTheError(t *testing.T) {
	broken := errors.New("broken")
	_, err := calibrate(t.Context(), time.Second, 0, 0, func(context.Context, int) (Result, error) { return Result{}, broken })
	if !errors.Is(err, broken) {
		t.Errorf("calibrate: %v, want %v", err, broken)
	}
}

// TestCalibrateWithALongStart has a start that takes longer than a sample is to take.
func TestCalibrateWithALongStart(t *testing.T) {
	for _, each := range []time.Duration{20 * time.Nanosecond, time.Microsecond, 100 * time.Microsecond, 5 * time.Millisecond} {
		n, err := calibrate(t.Context(), 60*time.Millisecond, 200, 0, func(_ context.Context, n int) (Result, error) {
			return Result{Ops: n, Elapsed: 100*time.Millisecond + time.Duration(n)*each}, nil
		})
		if want := int(60 * time.Millisecond / each); err != nil || n < want*9/10 || n > want*11/10 {
			t.Errorf("with operations of %v: %d, %v, want about %d", each, n, err, want)
		}
	}
}
