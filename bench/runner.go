package bench

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"
)

// Defaults of a Runner.
const (
	DefaultSampleTime  = 60 * time.Millisecond
	DefaultRounds      = 10 // six is the least from which a median has a 95 % interval; a change of regime costs a few
	DefaultSampleLimit = 3 * time.Minute
)

// FewRounds is how many samples are taken, where there are targets, of an implementation that none of them is about.
const FewRounds = 6

// A Runner measures scenarios. In each round it runs every implementation of a scenario once, in an order that rotates
// from round to round, and measures the control before and after each. The zero Runner works.
type Runner struct {
	SampleTime  time.Duration // length that samples are calibrated to; 0: DefaultSampleTime
	Rounds      int           // samples of each implementation; 0: DefaultRounds
	Passes      int           // passes over all scenarios in which the rounds are taken, a part of them in each; 0: one
	Budget      time.Duration // of the whole run: slow implementations are then sampled less often; 0: none
	SampleLimit time.Duration // a sample that takes longer has hung and fails; 0: DefaultSampleLimit
	WarmFixed   bool          // run every job of a fixed size once before its first round, not only the first listed

	// Targets are what the samples are for. Who has a part in one is sampled in all rounds, and in more of them, as many again at the
	// most, while a target has fewer than [Enough] samples that can be compared; everybody else in [FewRounds]. Without targets all
	// are sampled alike.
	Targets []Target

	// Earlier is a run that was interrupted, with its samples, to go on with: what it has is not measured again. That it was
	// made alike is the caller's to check ([Run.Resumable]).
	Earlier *Run

	Peers        map[string]string // versions of the peers, for the record (PeerVersions)
	Dir, Command string            // the folder that was asked for, and the command line, for the record

	OnRecord   func(*Run) error   // called at the beginning, and when there is something new in the run but a sample; its error ends the run
	OnSample   func(Sample) error // called with each sample as soon as it is taken; its error ends the run
	OnAbsence  func(Absence)      // called as soon as something turns out not to be measurable
	OnProgress func(Progress)     // called before each trial and sample, and at the end of each scenario

	Control func() Control   // measures the control; nil: MeasureControl
	now     func() time.Time // nil: time.Now
}

// errBudget is the cause of a context that ended because the time given for the run was used up.
var errBudget = errors.New("the time given for the run was used up")

// Settings returns what the run will be recorded to have been made with.
func (r Runner) Settings() Settings {
	r.setDefaults()
	return Settings{SampleTime: r.SampleTime, Rounds: r.Rounds, Passes: r.Passes, Budget: r.Budget, Aimed: len(r.Targets) > 0, Dir: r.Dir, Command: r.Command}
}

// Run measures the scenarios in order. When ctx ends it stops and returns what was measured so far, with Interrupted
// set and no error; the error is that of OnSample or OnRecord. What failed or was missing stands in the run's Absences.
func (r Runner) Run(ctx context.Context, scenarios []Scenario) (*Run, error) {
	r.setDefaults()
	s := newPass(r, ctx, scenarios)
	inner, cancel := context.WithCancel(ctx)
	if r.Budget > 0 {
		s.deadline = s.started.Add(r.Budget - s.earlier)
		inner, cancel = context.WithDeadlineCause(ctx, s.deadline, errBudget)
	}
	defer cancel()

	err := s.record()
	for _, e := range s.entries {
		if err == nil {
			s.muster(e)
			err = s.fault
		}
	}
	for s.number = 0; s.number < r.Passes; s.number++ {
		for s.index = 0; s.index < len(s.entries) && err == nil && ctx.Err() == nil; s.index++ {
			err = s.scenario(inner, s.entries[s.index])
		}
	}
	if err == nil {
		err = s.supplement(inner)
	}
	s.run.Interrupted = ctx.Err() != nil
	s.run.Finished = r.now().UTC().Round(0)
	return s.run, err
}

func (r *Runner) setDefaults() {
	if r.SampleTime <= 0 {
		r.SampleTime = DefaultSampleTime
	}
	if r.Rounds <= 0 {
		r.Rounds = DefaultRounds
	}
	r.Passes = min(max(r.Passes, 1), r.Rounds)
	if r.SampleLimit <= 0 {
		r.SampleLimit = DefaultSampleLimit
	}
	if r.Control == nil {
		r.Control = MeasureControl
	}
	if r.now == nil {
		r.now = time.Now
	}
}

// A pass is one call of Run.
type pass struct {
	Runner
	outer    context.Context // the caller's: its end is an interruption, the end of a context below it is not
	entries  []*entry
	run      *Run
	started  time.Time
	earlier  time.Duration // what the run had taken before it was interrupted
	deadline time.Time     // zero without a budget
	number   int           // of the current pass over the scenarios, from 0
	index    int           // of the current scenario
	reached  [2]int        // pass and scenario at which an earlier run stopped
	needed   time.Duration // by the scenarios finished, as they were estimated, and the time they took
	spent    time.Duration
	guessed  time.Duration // for getting ready the contenders that are, and the time it took
	warmed   time.Duration
	fault    error // of OnRecord, where there was nobody to return it to
}

// scenario takes the rounds of one scenario in the current pass.
func (s *pass) scenario(ctx context.Context, e *entry) error {
	began := s.now()
	var end time.Time
	if s.Budget > 0 {
		end = began.Add(s.allowance(e))
	}
	needed, ration := s.need(e, s.number), s.ration(e)
	first, last := s.rounds(e)
	if last < first {
		return s.fault // the other passes have them all
	}
	if s.Earlier != nil && !slices.ContainsFunc(e.field, func(c *contender) bool { return s.wanted(c, first, last) }) {
		return s.fault // the earlier run has it all
	}
	for i, c := range e.field {
		if c.ops > 0 || !s.wanted(c, first, last) {
			continue
		}
		if s.Budget > 0 && i > 0 && s.short() && s.now().Sub(began) > ration {
			if s.number == s.Passes-1 {
				s.skip(e.Scenario, c) // otherwise its turn may come in the next pass
			}
			continue
		}
		s.progress(e.Scenario, c, Progress{Phase: Warming, Left: s.scenarioLeft(end) + s.othersLeft()})
		at := s.now()
		s.guessed += s.warming(c)
		if err := s.warm(ctx, e.Scenario, c, i == 0); err != nil {
			s.fail(ctx, e.Scenario, c, err)
		}
		s.warmed += s.now().Sub(at)
		if s.outer.Err() != nil {
			return nil
		}
	}
	for n := first; n <= last && s.outer.Err() == nil && s.fault == nil; n++ {
		took, err := s.round(ctx, e, n, first, end)
		if err != nil {
			return err
		}
		if !took {
			break
		}
	}
	s.needed += needed
	s.spent += s.now().Sub(began)
	s.progress(e.Scenario, nil, Progress{Phase: Finished, Left: s.othersLeft()})
	return s.fault
}

// warm calibrates a contender, or runs a job of fixed size once without counting it.
func (s *pass) warm(ctx context.Context, sc Scenario, c *contender, first bool) error {
	if c.Fixed > 0 {
		c.ops = c.Fixed
		if !first && !s.WarmFixed {
			return nil
		}
		_, _, err := s.measure(ctx, c.Impl, c.Fixed)
		return err
	}
	trial := func(ctx context.Context, n int) (Result, error) {
		res, wall, err := s.measure(ctx, c.Impl, n)
		if err == nil {
			c.cost = wall - res.Elapsed + s.SampleTime // set-up, and a sample of the length aimed at
		}
		return res, err
	}
	var err error
	c.ops, err = calibrate(ctx, s.SampleTime, c.Least, c.Most, trial)
	return err
}

// round runs every contender that the plan has time for once, and that has no sample of the round yet. It reports whether
// it is worth going on: whether any took part, or had taken part before. The first round of the pass is given too.
func (s *pass) round(ctx context.Context, e *entry, n, first int, end time.Time) (took bool, err error) {
	var active []*contender
	for i := range e.field {
		c := e.field[(i+n-1)%len(e.field)]
		took = took || c.had[n]
		if !c.had[n] && !c.failed && c.ops > 0 && !s.over() && s.left(c, first, n) > 0 {
			active = append(active, c)
		}
	}
	more, err := s.take(ctx, e, active, s.plan(active, first, n, end), n)
	return took || more, err
}

// take runs once each of the active for whom the plan has rounds left, and reports whether any took part.
func (s *pass) take(ctx context.Context, e *entry, active []*contender, counts []int, n int) (took bool, err error) {
	for i, c := range active {
		if counts[i] == 0 {
			continue
		}
		var rest time.Duration
		for j, other := range active {
			if counts[j] > 0 {
				todo := counts[j]
				if j < i {
					todo--
				}
				rest += other.cost * time.Duration(todo)
			}
		}
		s.progress(e.Scenario, c, Progress{Phase: Measuring, Round: n, Rounds: max(n, s.allRounds(e)), Left: rest + s.othersLeft()})
		sample, err := s.sample(ctx, e.Scenario, c, n)
		if err != nil {
			s.fail(ctx, e.Scenario, c, err)
			if s.outer.Err() != nil {
				return took, nil
			}
			continue
		}
		took = true
		s.run.Samples = append(s.run.Samples, sample)
		if s.OnSample != nil {
			if err := s.OnSample(sample); err != nil {
				return took, fmt.Errorf("keep a sample of %s %s: %w", e.Name, c.Name, err)
			}
		}
	}
	return took, nil
}

// plan returns how many of the rounds left of a pass, from the nth on, each contender takes part in.
func (s *pass) plan(field []*contender, first, n int, end time.Time) []int {
	list := make([]prospect, len(field))
	for i, c := range field {
		list[i] = prospect{cost: c.cost, rounds: s.left(c, first, n), sampled: c.done > 0, aimed: c.aimed}
	}
	left := time.Duration(1<<63 - 1)
	if s.Budget > 0 {
		left = end.Sub(s.now())
	}
	return plan(left, list)
}

// sample takes one sample between two controls.
func (s *pass) sample(ctx context.Context, sc Scenario, c *contender, round int) (Sample, error) {
	began := s.now()
	runtime.GC() // the heap that the sample before left behind is not this one's cost
	before := s.Control()
	at := s.now()
	res, wall, err := s.measure(ctx, c.Impl, c.ops)
	if err != nil {
		return Sample{}, err
	}
	after := s.Control()
	c.done++
	if c.Fixed == 0 && res.Elapsed < s.SampleTime/calibrateEnough {
		c.ops = scaleOps(res.Ops, res.Elapsed, s.SampleTime, float64(mostOps(c.Most))) // a stall while it was calibrated made it too short
	}
	cost := s.now().Sub(began)
	if c.cost == 0 || c.done == 1 {
		c.cost = cost
	}
	c.cost += (cost - c.cost) / time.Duration(c.done) // their mean
	regime, control := bracket(before, after)
	return Sample{
		Scenario: sc.Name, Impl: c.Name, Unit: Unit, Value: roundTo(3, res.NsPerOp()), Round: round,
		Regime: regime, ControlNs: control, TargetNs: s.target(c),
		Ops: res.Ops, ElapsedNs: res.Elapsed.Nanoseconds(), WallNs: wall.Nanoseconds(),
		ControlBeforeNs: before.RoundTripNs, ControlAfterNs: after.RoundTripNs,
		Extra: res.Extra, Time: at.UTC().Round(0),
		Run: s.run.ID, Go: s.run.Go, Machine: s.run.Machine,
	}, nil
}

// fail takes a contender out of the scenario and notes why.
func (s *pass) fail(ctx context.Context, sc Scenario, c *contender, err error) {
	if s.outer.Err() != nil {
		return // interrupted: nothing is wrong with the implementation
	}
	c.failed = true
	if errors.Is(context.Cause(ctx), errBudget) {
		s.skip(sc, c)
		return
	}
	s.absent(sc, c.Impl, Failed, err.Error())
}

// skip takes a contender for which there is no time left out of the scenario.
func (s *pass) skip(sc Scenario, c *contender) {
	c.failed = true
	if c.done == 0 {
		s.absent(sc, c.Impl, Skipped, errBudget.Error())
	}
}

func (s *pass) absent(sc Scenario, im Impl, kind, reason string) {
	a := Absence{Scenario: sc.Name, Impl: im.Name, Kind: kind, Reason: reason}
	if !slices.Contains(s.run.Absences, a) {
		s.run.Absences = append(s.run.Absences, a)
		s.fault = errors.Join(s.fault, s.record())
	}
	if s.OnAbsence != nil {
		s.OnAbsence(a)
	}
}

// record lets the caller keep what is known of the run.
func (s *pass) record() error {
	if s.OnRecord == nil {
		return nil
	}
	if err := s.OnRecord(s.run); err != nil {
		return fmt.Errorf("keep the record of the run: %w", err)
	}
	return nil
}

// target returns the length that a contender's samples are calibrated to, in nanoseconds; 0 for a job of fixed size.
func (s *pass) target(c *contender) int64 {
	if c.Fixed > 0 {
		return 0
	}
	return s.SampleTime.Nanoseconds()
}
