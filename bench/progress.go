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
	p.Scenario, p.Index, p.Total = sc.Name, min(s.number*len(s.entries)+s.index, s.Passes*len(s.entries)-1), s.Passes*len(s.entries)
	p.Elapsed, p.Left = s.earlier+s.now().Sub(s.started), max(0, p.Left)
	if c != nil {
		p.Impl = c.Name
	}
	s.OnProgress(p)
}

// scenarioLeft estimates what is left of a scenario of which nothing is known but the time it may use.
func (s *pass) scenarioLeft(end time.Time) time.Duration {
	guess := s.likely(s.need(s.entries[s.index], s.number))
	if s.Budget > 0 {
		guess = min(guess, max(0, end.Sub(s.now())))
	}
	return guess
}

// othersLeft estimates how long what comes after the current scenario will take.
func (s *pass) othersLeft() time.Duration {
	if s.number == s.Passes {
		return 0 // there are only more rounds for targets
	}
	left := s.likely(s.needLeft() - s.need(s.entries[s.index], s.number))
	if s.Budget > 0 {
		left = min(left, max(0, s.deadline.Sub(s.now())))
	}
	return left
}

// likely returns how long something will take of which an estimate was made, by how the estimates were until now.
func (s *pass) likely(estimate time.Duration) time.Duration {
	if s.needed == 0 {
		return estimate
	}
	return time.Duration(float64(estimate) * float64(s.spent) / float64(s.needed))
}
