package bench

import (
	"slices"
	"time"
)

// An entry is a scenario with those who take part in it.
type entry struct {
	Scenario
	field []*contender
}

// A contender is an implementation in the rounds of one scenario.
type contender struct {
	Impl
	ops    int           // operations of a sample; 0: not calibrated yet
	cost   time.Duration // what a sample takes with its set-up and controls; 0: not known yet
	rounds int           // that it takes part in, in all passes
	aimed  bool          // a target is about it
	done   int           // samples taken
	had    map[int]bool  // rounds that an earlier run has samples of
	failed bool
}

// allRounds returns how many rounds of a scenario are taken in all passes.
func (s *pass) allRounds(e *entry) int {
	all := s.Rounds
	if e.Rounds > 0 {
		all = min(e.Rounds, all)
	}
	if len(s.Targets) > 0 && !slices.ContainsFunc(e.Impls, func(im Impl) bool { return s.aimed(e.Name, im.Name) }) {
		all = min(FewRounds, all)
	}
	return all
}

// aimed reports whether a target is about an implementation.
func (s *pass) aimed(scenario, impl string) bool {
	return slices.ContainsFunc(s.Targets, func(t Target) bool { return t.Concerns(scenario, impl) })
}

// rounds returns the first and the last round of a scenario that the current pass takes; the last is below the first where it takes
// none.
func (s *pass) rounds(e *entry) (first, last int) {
	all := s.allRounds(e)
	return s.before(all, s.number) + 1, s.before(all, s.number+1)
}

// before returns how many of all rounds are taken in the passes before one.
func (s *pass) before(all, number int) int { return number * all / s.Passes }

// left returns how many rounds of the current pass a contender takes part in from the nth on: of those of its scenario, which begin
// with the given one, the first.
func (s *pass) left(c *contender, first, n int) int {
	return max(0, s.before(c.rounds, s.number+1)-s.before(c.rounds, s.number)-(n-first))
}

// muster finds out who takes part in a scenario.
func (s *pass) muster(e *entry) {
	for _, im := range e.Impls {
		if im.Missing != nil {
			if why := im.Missing(); why != "" {
				s.absent(e.Scenario, im, Missing, why)
				continue
			}
		}
		c := s.contender(e.Name, im)
		if c.rounds, c.aimed = s.allRounds(e), s.aimed(e.Name, im.Name); len(s.Targets) > 0 && !c.aimed {
			c.rounds = min(FewRounds, c.rounds)
		}
		e.field = append(e.field, c)
	}
}

// wanted reports whether a contender has something to do in the current pass, which takes the rounds from first to last: it is to take
// part in one that it has no sample of yet.
func (s *pass) wanted(c *contender, first, last int) bool {
	for n := first; n <= last && !c.failed && !s.over(); n++ {
		if !c.had[n] && s.left(c, first, n) > 0 {
			return true
		}
	}
	return false
}
