package bench

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// The two implementations that every other one is compared to.
const (
	Subject   = "multiproc" // processes over this module's shared memory: what the suite is about
	Reference = "goroutine" // the same job inside one process: what a Go programmer would have written
)

// Unit is the unit of every value: nanoseconds for one operation, lower is better.
const Unit = "ns/op"

// A Regime says how far apart two CPUs of the machine were while a sample was taken, as the control ping-pong saw it.
// On a virtual machine the host moves the CPUs about, and the cost of everything that crosses between them changes
// several times over; figures of different regimes are never put into one median.
type Regime string

// The regimes of a sample.
const (
	Near  Regime = "near"  // a control round trip below FarRoundTrip before and after the sample
	Far   Regime = "far"   // at or above it, before and after
	None  Regime = "none"  // one CPU only: nothing crosses
	Mixed Regime = "mixed" // the regime after the sample was not the one before it
)

// Pooled stands for all regimes together. The samples of a job by workers last so long that the machine changes its mind
// while they run, and what a job does is hardly moved by it: they share one median, whatever the control said.
const Pooled Regime = "all"

// CountsFor returns the regime whose median a sample is part of.
func (s Sample) CountsFor() Regime {
	_, _, job := Family(s.Scenario)
	if _, _, curve := Curve(s.Scenario); job && !curve {
		return Pooled
	}
	return s.Regime
}

// FarRoundTrip is the control round trip in nanoseconds from which two CPUs count as far apart.
const FarRoundTrip = 300

// A Sample is one measurement: one implementation of one scenario in one round. It is a line of a results file.
type Sample struct {
	Scenario  string  `json:"scenario"`
	Impl      string  `json:"impl"`
	Unit      string  `json:"unit"`       // always Unit
	Value     float64 `json:"value"`      // nanoseconds per operation
	Round     int     `json:"round"`      // from 1
	Regime    Regime  `json:"regime"`     // of both controls, or Mixed
	ControlNs float64 `json:"control_ns"` // mean round trip of the two controls; 0 with one CPU

	Ops             int     `json:"ops"`                 // operations done
	ElapsedNs       int64   `json:"elapsed_ns"`          // time of those operations
	WallNs          int64   `json:"wall_ns"`             // time of the whole sample with its set-up and tear-down
	TargetNs        int64   `json:"target_ns,omitempty"` // the length it was calibrated to; 0: a job of fixed size
	ControlBeforeNs float64 `json:"control_before_ns"`
	ControlAfterNs  float64 `json:"control_after_ns"`

	Extra map[string]string `json:"extra,omitempty"` // further figures of the sample, as the scenario reports them

	Time    time.Time `json:"time"` // when the sample began
	Run     string    `json:"run"`  // names the run that took it; rounds of different runs are not paired
	Go      string    `json:"go"`   // Go version
	Machine *Machine  `json:"machine,omitempty"`
}

// A Control is what one measurement of the ping-pong between two CPUs found.
type Control struct {
	RoundTripNs float64 // median round trip; 0 with one CPU
	Regime      Regime  // Near, Far or None
}

// bracket returns the regime of a sample that was taken between two controls, and their mean round trip.
func bracket(before, after Control) (Regime, float64) {
	regime := before.Regime
	if after.Regime != before.Regime {
		regime = Mixed
	}
	return regime, roundTo(1, (before.RoundTripNs+after.RoundTripNs)/2)
}

// roundTo rounds v to the given number of decimals: more digits than a clock has are noise in a file.
func roundTo(decimals int, v float64) float64 {
	p := math.Pow10(decimals)
	return math.Round(v*p) / p
}

// Family splits the name of a scenario that is one job with a growing number of workers, such as "wordcount/4", into
// the job and the number. Its ok is false for every other name.
func Family(scenario string) (job string, workers int, ok bool) {
	i := strings.LastIndexByte(scenario, '/')
	if i < 0 {
		return scenario, 0, false
	}
	workers, err := strconv.Atoi(scenario[i+1:])
	if err != nil || workers < 1 {
		return scenario, 0, false
	}
	return scenario[:i], workers, true
}
