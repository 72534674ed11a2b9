package bench

import (
	"runtime"
	"slices"
	"sync/atomic"
	"time"

	"github.com/fb2d3dbd/multiproc/internal/sys"
)

const (
	controlBursts = 25                    // bursts of one control, of which the median counts
	controlTrips  = 100                   // round trips of one burst
	controlLimit  = 20 * time.Millisecond // a control on a busy machine gives up after this long
	controlSpins  = 1 << 14               // polls before the thread is offered to somebody else
)

// controlLine is a word alone on its cache lines: 128 bytes on either side, because lines are fetched in pairs.
type controlLine struct {
	_ [128]byte
	v atomic.Uint32
	_ [128 - 4]byte
}

// MeasureControl bounces a cache line between two threads, each pinned to a CPU of its own where the system allows it,
// and returns the median round trip of several short bursts. It takes one to three milliseconds, and never more than
// about twenty: a burst in which a thread lost its CPU is outvoted by the others.
func MeasureControl() Control {
	if CPUs() < 2 {
		return Control{Regime: None}
	}
	defer pinControl(0)()

	var ping, pong controlLine
	var stop atomic.Bool
	ready, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		defer pinControl(1)()
		close(ready)
		for want := uint32(1); await(&ping.v, want, &stop, time.Time{}); want++ {
			pong.v.Store(want)
		}
	}()
	<-ready

	deadline := time.Now().Add(controlLimit)
	trips := make([]float64, 0, controlBursts)
	turn := uint32(0)
bursts:
	for b := range controlBursts + 1 {
		start := time.Now()
		for range controlTrips {
			turn++
			ping.v.Store(turn)
			if !await(&pong.v, turn, nil, deadline) {
				break bursts
			}
		}
		if b > 0 { // the first burst warms both sides up
			trips = append(trips, float64(time.Since(start).Nanoseconds())/controlTrips)
		}
	}
	stop.Store(true)
	<-done

	if len(trips) == 0 { // the other thread hardly ever had a CPU
		return controlOf(float64(controlLimit.Nanoseconds()) / float64(max(turn, 1)))
	}
	slices.Sort(trips)
	return controlOf(trips[len(trips)/2])
}

// controlOf judges a round trip.
func controlOf(roundTrip float64) Control {
	c := Control{RoundTripNs: roundTo(1, roundTrip), Regime: Near}
	if roundTrip >= FarRoundTrip {
		c.Regime = Far
	}
	return c
}

// await polls word until it holds want. It reports false when stop is set or a deadline that is not zero has passed.
// It yields now and then, so that it makes progress where both threads share a CPU.
func await(word *atomic.Uint32, want uint32, stop *atomic.Bool, deadline time.Time) bool {
	for spins := 1; word.Load() != want; spins++ {
		if spins%controlSpins != 0 {
			continue
		}
		if stop != nil && stop.Load() || !deadline.IsZero() && time.Now().After(deadline) {
			return false
		}
		runtime.Gosched()
	}
	return true
}

// pinControl locks the calling goroutine to its thread and the thread to the nth CPU that this process may use. The
// function it returns undoes both. Where threads cannot be pinned it only locks.
func pinControl(nth int) (restore func()) {
	if cpus, err := sys.AllowedCPUs(); err == nil && nth < len(cpus) {
		if restore, err := sys.PinThread(cpus[nth]); err == nil {
			return restore
		}
	}
	runtime.LockOSThread()
	return runtime.UnlockOSThread
}

// CPUs returns how many CPUs this process can keep busy at the same time.
func CPUs() int { return min(runtime.NumCPU(), runtime.GOMAXPROCS(0)) }
