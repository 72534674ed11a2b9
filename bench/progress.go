package bench

import "time"

// What a run is doing at a moment.
const (
	Warming   = "warming up" // calibrating an implementation
	Measuring = "measuring"
	Finished  = "finished" // with a scenario
)

// Progress tells how far a run is.
type Progress struct {
	Scenario      string
	Impl          string // "" when the scenario is finished
	Phase         string // Warming, Measuring or Finished
	Index, Total  int    // of the scenario, and the pass over all of them: the first has index 0
	Round, Rounds int    // 0 outside of rounds
	Elapsed       time.Duration
	Left          time.Duration // an estimate
}

// Fraction returns the part of the run that is done, from 0 to 1.
func (p Progress) Fraction() float64 {
	all := p.Elapsed + p.Left
	if all <= 0 {
		return 0
	}
	return float64(p.Elapsed) / float64(all)
}

// progress reports p, filled up with what the pass knows.
func (s *pass) progress(sc Scenario, c *contender, p Progress) {
	if s.OnProgress == nil {
		return
	}
	p.Scenario, p.Index, p.Total = sc.Name, s.number*len(s.entries)+s.index, s.Passes*len(s.entries)
	p.Elapsed, p.Left = s.before+s.now().Sub(s.started), max(0, p.Left)
	if c != nil {
		p.Impl = c.Name
	}
	s.OnProgress(p)
}

// scenarioLeft estimates what is left of a scenario of which nothing is known but the time it may use.
func (s *pass) scenarioLeft(end time.Time) time.Duration {
	guess := s.perWeight() * time.Duration(weight(s.entries[s.index].Scenario))
	if s.Budget > 0 {
		guess = min(guess, max(0, end.Sub(s.now())))
	}
	return guess
}

// othersLeft estimates how long what comes after the current scenario will take.
func (s *pass) othersLeft() time.Duration {
	left := s.perWeight() * time.Duration(s.weightLeft()-weight(s.entries[s.index].Scenario))
	if s.Budget > 0 {
		left = min(left, max(0, s.deadline.Sub(s.now())))
	}
	return left
}

// perWeight returns what a scenario of weight 1 took on average so far, or a guess before the first one is finished.
func (s *pass) perWeight() time.Duration {
	if s.measured == 0 {
		return 5 * time.Duration(s.Rounds) * (s.SampleTime + 20*time.Millisecond) / time.Duration(s.Passes)
	}
	return s.spent / time.Duration(s.measured)
}
