package bench

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"
)

// Defaults of a Runner.
const (
	DefaultSampleTime  = 60 * time.Millisecond
	DefaultRounds      = 10 // six is the least from which a median has a 95 % interval; a change of regime costs a few
	DefaultSampleLimit = 3 * time.Minute
)

// A Runner measures scenarios. In each round it runs every implementation of a scenario once, in an order that rotates
// from round to round, and measures the control before and after each. The zero Runner works.
type Runner struct {
	SampleTime  time.Duration // length that samples are calibrated to; 0: DefaultSampleTime
	Rounds      int           // samples of each implementation; 0: DefaultRounds
	Budget      time.Duration // of the whole run: slow implementations are then sampled less often; 0: none
	SampleLimit time.Duration // a sample that takes longer has hung and fails; 0: DefaultSampleLimit
	WarmFixed   bool          // run every job of a fixed size once before its first round, not only the first listed

	Peers map[string]string // versions of the peers, for the record (PeerVersions)

	OnSample   func(Sample) error // called with each sample as soon as it is taken; its error ends the run
	OnAbsence  func(Absence)      // called as soon as something turns out not to be measurable
	OnProgress func(Progress)     // called before each trial and sample, and at the end of each scenario

	Control func() Control   // measures the control; nil: MeasureControl
	now     func() time.Time // nil: time.Now
}

// errBudget is the cause of a context that ended because the time given for the run was used up.
var errBudget = errors.New("the time given for the run was used up")

// Run measures the scenarios in order. When ctx ends it stops and returns what was measured so far, with Interrupted
// set and no error; the error is that of OnSample. What failed or was missing stands in the run's Absences.
func (r Runner) Run(ctx context.Context, scenarios []Scenario) (*Run, error) {
	r.setDefaults()
	started := r.now()
	s := &pass{
		Runner: r, scenarios: scenarios,
		run: &Run{
			ID: newRunID(started), Started: started.UTC().Round(0), Go: runtime.Version(), Machine: ThisMachine(),
			Settings:  Settings{SampleTime: r.SampleTime, Rounds: r.Rounds, Budget: r.Budget},
			Scenarios: infos(scenarios),
		},
		started: started, outer: ctx,
	}
	s.run.Machine.Peers = r.Peers
	inner, cancel := context.WithCancel(ctx)
	if r.Budget > 0 {
		s.deadline = started.Add(r.Budget)
		inner, cancel = context.WithDeadlineCause(ctx, s.deadline, errBudget)
	}
	defer cancel()

	var err error
	for i := range scenarios {
		s.index = i
		if err = s.scenario(inner, scenarios[i]); err != nil || ctx.Err() != nil {
			break
		}
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
	outer     context.Context // the caller's: its end is an interruption, the end of a context below it is not
	scenarios []Scenario
	run       *Run
	started   time.Time
	deadline  time.Time // zero without a budget
	index     int       // of the current scenario
	measured  int       // weight of the scenarios finished, and the time they took
	spent     time.Duration
}

// A contender is an implementation in the rounds of one scenario.
type contender struct {
	Impl
	ops    int           // operations of a sample
	cost   time.Duration // what a sample takes with its set-up and controls; 0: not known yet
	done   int           // samples taken
	failed bool
}

// scenario measures one scenario.
func (s *pass) scenario(ctx context.Context, sc Scenario) error {
	began := s.now()
	var end time.Time
	if s.Budget > 0 {
		end = began.Add(share(s.deadline.Sub(began), s.scenarios[s.index:]))
	}
	var field []*contender
	for _, im := range sc.Impls {
		if im.Missing != nil {
			if why := im.Missing(); why != "" {
				s.absent(sc, im, Missing, why)
				continue
			}
		}
		field = append(field, &contender{Impl: im})
	}
	for i, c := range field {
		s.progress(sc, c, Progress{Phase: Warming, Left: s.scenarioLeft(end) + s.othersLeft()})
		if err := s.warm(ctx, sc, c, i == 0); err != nil {
			s.fail(ctx, sc, c, err)
		}
		if s.outer.Err() != nil {
			return nil
		}
	}
	for n := 1; n <= s.Rounds && s.outer.Err() == nil; n++ {
		took, err := s.round(ctx, sc, field, n, end)
		if err != nil {
			return err
		}
		if !took {
			break
		}
	}
	s.measured += weight(sc)
	s.spent += s.now().Sub(began)
	s.progress(sc, nil, Progress{Phase: Finished, Left: s.othersLeft()})
	return nil
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
	c.ops, err = calibrate(ctx, s.SampleTime, c.Most, trial)
	return err
}

// round runs every contender that the plan has time for once. It reports whether any took part.
func (s *pass) round(ctx context.Context, sc Scenario, field []*contender, n int, end time.Time) (took bool, err error) {
	var active []*contender
	for i := range field {
		if c := field[(i+n-1)%len(field)]; !c.failed {
			active = append(active, c)
		}
	}
	counts := s.plan(active, s.Rounds-n+1, end)
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
		s.progress(sc, c, Progress{Phase: Measuring, Round: n, Rounds: s.Rounds, Left: rest + s.othersLeft()})
		sample, err := s.sample(ctx, sc, c, n)
		if err != nil {
			s.fail(ctx, sc, c, err)
			if s.outer.Err() != nil {
				return took, nil
			}
			continue
		}
		took = true
		s.run.Samples = append(s.run.Samples, sample)
		if s.OnSample != nil {
			if err := s.OnSample(sample); err != nil {
				return took, fmt.Errorf("keep a sample of %s %s: %w", sc.Name, c.Name, err)
			}
		}
	}
	return took, nil
}

// plan returns how many of the rounds left each contender takes part in.
func (s *pass) plan(field []*contender, rounds int, end time.Time) []int {
	costs := make([]time.Duration, len(field))
	done := make([]int, len(field))
	for i, c := range field {
		costs[i], done[i] = c.cost, c.done
	}
	left := time.Duration(1<<63 - 1)
	if s.Budget > 0 {
		left = end.Sub(s.now())
	}
	return plan(left, rounds, costs, done)
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
		Regime: regime, ControlNs: control,
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
	kind := Failed
	if errors.Is(context.Cause(ctx), errBudget) {
		if c.done > 0 {
			return
		}
		kind, err = Skipped, errBudget
	}
	s.absent(sc, c.Impl, kind, err.Error())
}

func (s *pass) absent(sc Scenario, im Impl, kind, reason string) {
	a := Absence{Scenario: sc.Name, Impl: im.Name, Kind: kind, Reason: reason}
	s.run.Absences = append(s.run.Absences, a)
	if s.OnAbsence != nil {
		s.OnAbsence(a)
	}
}
