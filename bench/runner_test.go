package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// A stage is a world without a real clock, in which fake implementations take exactly the time they say.
type stage struct {
	now    time.Time
	log    []string // what ran, in order
	runner Runner
}

// newStage opens a stage a day ahead of the real clock: deadlines of its budgets, which contexts hold against the real
// one, are not reached.
func newStage() *stage {
	st := &stage{now: time.Now().Add(24 * time.Hour)}
	st.runner = Runner{
		SampleTime: 10 * time.Millisecond, Rounds: 3,
		now: func() time.Time { return st.now },
		Control: func() Control {
			st.now = st.now.Add(time.Millisecond)
			return controlOf(145)
		},
	}
	return st
}

// impl makes an implementation whose operations take each, with a set-up of its own.
func (st *stage) impl(name string, setUp, each time.Duration) Impl {
	return Impl{Name: name, Run: func(ctx context.Context, n int) (Result, error) {
		if err := ctx.Err(); err != nil {
			return Result{}, err
		}
		st.log = append(st.log, name)
		elapsed := each * time.Duration(n)
		st.now = st.now.Add(setUp + elapsed)
		return Result{Ops: n, Elapsed: elapsed}, nil
	}}
}

// failing makes an implementation that calls fail from its nth run on.
func (st *stage) failing(name string, nth int, fail func() (Result, error)) Impl {
	im := st.impl(name, 0, time.Millisecond)
	run, runs := im.Run, 0
	im.Run = func(ctx context.Context, n int) (Result, error) {
		if runs++; runs >= nth {
			st.now = st.now.Add(time.Millisecond)
			return fail()
		}
		return run(ctx, n)
	}
	return im
}

func (st *stage) run(t *testing.T, ctx context.Context, scenarios ...Scenario) *Run {
	t.Helper()
	res, err := st.runner.Run(ctx, scenarios)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// interrupted is a run whose context ends after a number of samples.
func (st *stage) interrupted(t *testing.T, after int, scenarios ...Scenario) *Run {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	st.runner.OnSample = func(Sample) error {
		if after--; after == 0 {
			cancel()
		}
		return nil
	}
	defer func() { st.runner.OnSample = nil }()
	return st.run(t, ctx, scenarios...)
}

func names(samples []Sample) string {
	var list []string
	for _, s := range samples {
		list = append(list, fmt.Sprintf("%s%d", s.Impl, s.Round))
	}
	return strings.Join(list, " ")
}

func TestRoundsInterleaveAndRotate(t *testing.T) {
	st := newStage()
	res := st.run(t, t.Context(), Scenario{Name: "x", Impls: []Impl{st.impl("a", 0, 5e6), st.impl("b", 0, 5e6), st.impl("c", 0, 5e6)}})
	if got, want := names(res.Samples), "a1 b1 c1 b2 c2 a2 c3 a3 b3"; got != want {
		t.Errorf("samples %s, want %s", got, want)
	}
	if res.Interrupted || len(res.Absences) > 0 {
		t.Errorf("interrupted %v, absences %v", res.Interrupted, res.Absences)
	}
}

func TestSampleTellsItsTime(t *testing.T) {
	st := newStage()
	res := st.run(t, t.Context(), Scenario{Name: "x", Impls: []Impl{st.impl("a", 3*time.Millisecond, 20*time.Microsecond)}})
	s := res.Samples[0]
	if s.Ops != 500 || s.Value != 20000 || s.ElapsedNs != 10e6 || s.WallNs != 13e6 {
		t.Errorf("ops %d, value %v, elapsed %d, wall %d", s.Ops, s.Value, s.ElapsedNs, s.WallNs)
	}
	if s.Unit != Unit || s.Regime != Near || s.ControlNs != 145 || s.ControlBeforeNs != 145 || s.ControlAfterNs != 145 {
		t.Errorf("unit %s, regime %s, controls %v %v %v", s.Unit, s.Regime, s.ControlNs, s.ControlBeforeNs, s.ControlAfterNs)
	}
	if s.Run != res.ID || s.Go == "" || s.Machine == nil || s.Time.Before(res.Started) {
		t.Errorf("run %q of %q, go %q, machine %v, time %v", s.Run, res.ID, s.Go, s.Machine, s.Time)
	}
}

func TestSamplesThatAreTooShortGrow(t *testing.T) {
	st := newStage()
	im := st.impl("a", 0, 10*time.Microsecond)
	run, stalls := im.Run, 1 // while it is calibrated
	im.Run = func(ctx context.Context, n int) (Result, error) {
		res, err := run(ctx, n)
		if stalls > 0 {
			stalls--
			st.now = st.now.Add(time.Second)
			res.Elapsed += time.Second
		}
		return res, err
	}
	res := st.run(t, t.Context(), Scenario{Name: "x", Impls: []Impl{im}})
	var ops []int
	for _, s := range res.Samples {
		ops = append(ops, s.Ops)
	}
	if want := []int{1, 1000, 1000}; !slices.Equal(ops, want) {
		t.Errorf("operations %v, want %v", ops, want)
	}
}

func TestSampleWithAChangeOfRegimeIsMixed(t *testing.T) {
	st := newStage()
	trips := []float64{145, 145, 145, 600, 600, 600}
	st.runner.Control = func() Control {
		c := controlOf(trips[0])
		trips = trips[1:]
		return c
	}
	res := st.run(t, t.Context(), Scenario{Name: "x", Impls: []Impl{st.impl("a", 0, time.Millisecond)}})
	var got []Regime
	for _, s := range res.Samples {
		got = append(got, s.Regime)
	}
	if want := []Regime{Near, Mixed, Far}; !slices.Equal(got, want) {
		t.Errorf("regimes %v, want %v", got, want)
	}
}

func TestFixedJobIsNotCalibrated(t *testing.T) {
	st := newStage()
	a, b := st.impl("a", 0, time.Second), st.impl("b", 0, time.Second)
	a.Fixed, b.Fixed = 7, 7
	res := st.run(t, t.Context(), Scenario{Name: "x", Impls: []Impl{a, b}})
	if got, want := strings.Join(st.log, " "), "a a b b a a b"; got != want {
		t.Errorf("ran %s, want %s: one warm-up of the first only", got, want)
	}
	for _, s := range res.Samples {
		if s.Ops != 7 {
			t.Errorf("%s did %d operations, want 7", s.Impl, s.Ops)
		}
	}
	st.log, st.runner.WarmFixed = nil, true
	st.run(t, t.Context(), Scenario{Name: "x", Impls: []Impl{a, b}})
	if got, want := strings.Join(st.log, " "), "a b a b b a a b"; got != want {
		t.Errorf("with WarmFixed ran %s, want %s", got, want)
	}
}

func TestFailureIsNamedAndTheOthersGoOn(t *testing.T) {
	broken := errors.New("the pipe is broken")
	for _, c := range []struct {
		name string
		nth  int
		fail func() (Result, error)
		want string
	}{
		{"error while calibrating", 1, func() (Result, error) { return Result{}, broken }, "the pipe is broken"},
		{"error in a round", 4, func() (Result, error) { return Result{}, broken }, "the pipe is broken"},
		{"panic", 4, func() (Result, error) { panic("index out of range") }, "panic: index out of range"},
		{"no operations", 4, func() (Result, error) { return Result{Elapsed: 1}, nil }, "reports 0 operations"},
		{"no time", 4, func() (Result, error) { return Result{Ops: 5}, nil }, "reports 0s for 5 operations"},
		{"more time than there was", 4, func() (Result, error) { return Result{Ops: 5, Elapsed: time.Hour}, nil }, "reports 1h0m0s of measured time"},
	} {
		t.Run(c.name, func(t *testing.T) {
			st := newStage()
			var told []Absence
			st.runner.OnAbsence = func(a Absence) { told = append(told, a) }
			res := st.run(t, t.Context(),
				Scenario{Name: "x", Impls: []Impl{st.failing("bad", c.nth, c.fail), st.impl("good", 0, time.Millisecond)}},
				Scenario{Name: "y", Impls: []Impl{st.impl("good", 0, time.Millisecond)}})
			failed := res.Failures()
			if len(failed) != 1 || !strings.Contains(failed[0].Error(), "x bad: failed: ") || !strings.Contains(failed[0].Reason, c.want) {
				t.Errorf("failures %v, want one of x bad with %q", failed, c.want)
			}
			if !slices.Equal(told, res.Absences) {
				t.Errorf("told %v, recorded %v", told, res.Absences)
			}
			good := 0
			for _, s := range res.Samples {
				if s.Impl == "good" {
					good++
				}
			}
			if good != 2*st.runner.Rounds {
				t.Errorf("%d samples of the good ones, want %d", good, 2*st.runner.Rounds)
			}
		})
	}
}

func TestHungImplementationFails(t *testing.T) {
	st := newStage()
	st.runner.SampleLimit = 5 * time.Millisecond
	hung := Impl{Name: "hung", Run: func(ctx context.Context, _ int) (Result, error) {
		<-ctx.Done()
		return Result{}, ctx.Err()
	}}
	res := st.run(t, t.Context(), Scenario{Name: "x", Impls: []Impl{hung, st.impl("good", 0, time.Millisecond)}})
	if failed := res.Failures(); len(failed) != 1 || !strings.Contains(failed[0].Reason, "no result within 5ms") {
		t.Errorf("failures %v, want that of hung", failed)
	}
	if len(res.Samples) != 3 {
		t.Errorf("%d samples of the other, want 3", len(res.Samples))
	}
}

func TestMissingIsNotRun(t *testing.T) {
	st := newStage()
	lacking := st.impl("cpython", 0, time.Millisecond)
	lacking.Missing = func() string { return "no python3" }
	there := st.impl("pipe", 0, time.Millisecond)
	there.Missing = func() string { return "" }
	res := st.run(t, t.Context(),
		Scenario{Name: "x", Impls: []Impl{lacking, there}}, Scenario{Name: "y", Impls: []Impl{lacking}}, Scenario{Name: "z", Impls: []Impl{there}})
	if slices.Contains(st.log, "cpython") || len(res.Samples) != 6 {
		t.Errorf("ran %v, %d samples", st.log, len(res.Samples))
	}
	m := MissingImpls(res.Absences)
	if len(m) != 1 || m[0].Impl != "cpython" || m[0].Reason != "no python3" || !slices.Equal(m[0].Scenarios, []string{"x", "y"}) {
		t.Errorf("missing %+v, want cpython once, of x and y", m)
	}
	if len(res.Failures()) != 0 {
		t.Errorf("failures %v", res.Failures())
	}
}

func TestBudgetTakesRoundsFromTheSlow(t *testing.T) {
	st := newStage()
	st.runner.Budget, st.runner.Rounds = 10*time.Second, 6
	res := st.run(t, t.Context(),
		Scenario{Name: "x", Impls: []Impl{st.impl("fast", 0, time.Millisecond), st.impl("slow", time.Second, time.Millisecond)}},
		Scenario{Name: "y", Impls: []Impl{st.impl("fast", 0, time.Millisecond), st.impl("slow", time.Second, time.Millisecond)}})
	count := map[string]int{}
	for _, s := range res.Samples {
		count[s.Scenario+s.Impl]++
	}
	if count["xfast"] != 6 || count["yfast"] != 6 {
		t.Errorf("samples %v, want 6 of the fast ones", count)
	}
	if count["xslow"] < 1 || count["xslow"] >= 6 || count["yslow"] < 1 || count["yslow"] >= 6 {
		t.Errorf("samples %v, want fewer than 6 of the slow ones", count)
	}
	if took := res.Finished.Sub(res.Started); took > 11*time.Second {
		t.Errorf("took %v of a budget of 10s", took)
	}
	if len(res.Absences) > 0 {
		t.Errorf("absences %v", res.Absences)
	}
}

// TestBusyMachineLeavesTheLastSomething has a scenario that takes much more than its share, and others that would have none.
func TestBusyMachineLeavesTheLastSomething(t *testing.T) {
	st := newStage()
	st.runner.Budget, st.runner.Rounds = 10*time.Second, 1
	slow := func(name string) Scenario {
		return Scenario{Name: name, Impls: []Impl{st.impl("a", time.Second, time.Millisecond), st.impl("b", time.Second, time.Millisecond), st.impl("c", time.Second, time.Millisecond)}}
	}
	res := st.run(t, t.Context(), slow("x"), slow("y"), Scenario{Name: "z", Impls: []Impl{st.impl("a", 0, time.Millisecond)}})
	for _, name := range []string{"x a", "y a", "z a"} {
		if countOf(res.Samples)[name] != 1 {
			t.Errorf("samples %s, want one of %s", scenarioNames(res.Samples), name)
		}
	}
	for _, a := range res.Absences {
		if a.Kind != Skipped || a.Impl == "a" {
			t.Errorf("absence %v, want only skipped ones of b and c", a)
		}
	}
	if len(res.Absences) == 0 {
		t.Errorf("nothing was skipped: samples %s", scenarioNames(res.Samples))
	}
}

// TestSkippedInOnePassIsTakenInTheNext has a machine that stalls at the beginning, so that it looks too slow for its budget.
func TestSkippedInOnePassIsTakenInTheNext(t *testing.T) {
	st := newStage()
	st.runner.Budget, st.runner.Rounds, st.runner.Passes = 20*time.Second, 4, 2
	stall := st.impl("a", 0, time.Millisecond)
	run, first := stall.Run, true
	stall.Run = func(ctx context.Context, n int) (Result, error) {
		if first {
			first = false
			st.now = st.now.Add(14 * time.Second)
		}
		return run(ctx, n)
	}
	var scenarios []Scenario
	for i := range 5 {
		scenarios = append(scenarios, Scenario{Name: string(rune('p' + i)), Impls: []Impl{st.impl("a", 0, time.Millisecond), st.impl("b", 0, time.Millisecond), st.impl("c", 0, time.Millisecond)}})
	}
	scenarios[0].Impls[0] = stall
	res := st.run(t, t.Context(), scenarios...)
	if names := scenarioNames(res.Samples); strings.Contains(names[:strings.Index(names, "q:")], "p:c") {
		t.Errorf("nothing was put off to the second pass: %s", names)
	}
	if count := countOf(res.Samples); len(count) != 15 || len(res.Absences) > 0 {
		t.Errorf("absences %v, samples %v", res.Absences, count)
	}
}

// TestBudgetUsedUp has a budget in real time that is gone before anything runs.
func TestBudgetUsedUp(t *testing.T) {
	r := Runner{Budget: time.Nanosecond, Control: func() Control { return controlOf(145) }}
	im := newStage().impl("a", 0, time.Millisecond)
	res, err := r.Run(t.Context(), []Scenario{{Name: "x", Impls: []Impl{im}}})
	if err != nil || res.Interrupted || len(res.Samples) > 0 {
		t.Fatalf("run: %v, interrupted %v, %d samples", err, res.Interrupted, len(res.Samples))
	}
	if len(res.Absences) != 1 || res.Absences[0].Kind != Skipped {
		t.Errorf("absences %v, want one that was skipped", res.Absences)
	}
}

func TestInterruptionKeepsWhatWasMeasured(t *testing.T) {
	st := newStage()
	ctx, cancel := context.WithCancel(t.Context())
	st.runner.OnSample = func(s Sample) error {
		if s.Round == 2 {
			cancel()
		}
		return nil
	}
	res := st.run(t, ctx,
		Scenario{Name: "x", Impls: []Impl{st.impl("a", 0, time.Millisecond), st.impl("b", 0, time.Millisecond)}},
		Scenario{Name: "y", Impls: []Impl{st.impl("a", 0, time.Millisecond)}})
	if got, want := names(res.Samples), "a1 b1 b2"; got != want || !res.Interrupted {
		t.Errorf("samples %s, interrupted %v, want %s and true", got, res.Interrupted, want)
	}
	if len(res.Absences) > 0 {
		t.Errorf("absences %v: an interruption is nobody's failure", res.Absences)
	}
}

func TestSampleThatCannotBeKeptEndsTheRun(t *testing.T) {
	st := newStage()
	full := errors.New("no space left on device")
	st.runner.OnSample = func(Sample) error { return full }
	res, err := st.runner.Run(t.Context(), []Scenario{{Name: "x", Impls: []Impl{st.impl("a", 0, time.Millisecond)}}})
	if !errors.Is(err, full) || !strings.Contains(err.Error(), "x a") {
		t.Errorf("run: %v, want %v of x a", err, full)
	}
	if len(res.Samples) != 1 {
		t.Errorf("%d samples, want the one that was taken", len(res.Samples))
	}
}

func TestProgressAdvances(t *testing.T) {
	st := newStage()
	st.runner.Budget = time.Minute
	var steps []Progress
	st.runner.OnProgress = func(p Progress) { steps = append(steps, p) }
	job := st.impl("a", 0, 10*time.Millisecond)
	job.Fixed = 5
	st.run(t, t.Context(), Scenario{Name: "x", Impls: []Impl{st.impl("a", 0, time.Millisecond)}}, Scenario{Name: "y", Impls: []Impl{job}})
	var finished []string
	for i, p := range steps {
		if p.Total != 2 || p.Left < 0 || p.Fraction() < 0 || p.Fraction() > 1 {
			t.Errorf("step %d: %+v", i, p)
		}
		if i > 0 && p.Elapsed < steps[i-1].Elapsed {
			t.Errorf("step %d: time went back: %+v", i, p)
		}
		if p.Phase == Finished {
			finished = append(finished, p.Scenario)
		}
	}
	if last := steps[len(steps)-1]; !slices.Equal(finished, []string{"x", "y"}) || last.Left != 0 || last.Fraction() != 1 {
		t.Errorf("finished %v, last %+v", finished, last)
	}
}

func TestScenarioLimitsItsRounds(t *testing.T) {
	st := newStage()
	st.runner.Rounds, st.runner.Passes = 5, 3
	few := Scenario{Name: "x", Impls: []Impl{st.impl("a", 0, time.Millisecond)}, Rounds: 2}
	many := Scenario{Name: "y", Impls: []Impl{st.impl("b", 0, time.Millisecond)}, Rounds: 100}
	if got, want := names(st.run(t, t.Context(), few, many).Samples), "b1 a1 b2 b3 a2 b4 b5"; got != want {
		t.Errorf("samples %s, want %s", got, want)
	}
}
