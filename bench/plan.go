package bench

import "time"

// What is assumed of a contender before it has run.
const (
	guessSetUp  = 20 * time.Millisecond // of a sample: its processes, and the controls
	guessTrials = 3                     // of a calibration, beside one as long as a sample
	guessJob    = time.Second           // that a job of a fixed size takes
	settled     = 2 * time.Second       // of guesses have to be held against the clock until these count for more than what was assumed
)

// expense returns what a sample of a contender takes, or is likely to.
func (s *pass) expense(c *contender) time.Duration {
	switch {
	case c.cost > 0:
		return c.cost
	case c.Fixed > 0:
		return guessJob
	}
	return s.SampleTime + guessSetUp
}

// warming returns what it is likely to take until a contender is ready for its first sample; nothing when it is ready.
func (s *pass) warming(c *contender) time.Duration {
	switch {
	case c.ops > 0:
		return 0
	case c.Fixed > 0 && s.WarmFixed:
		return guessJob
	case c.Fixed > 0:
		return 0
	}
	return guessTrials*guessSetUp + s.SampleTime
}

// need estimates what is to be spent on a scenario from a pass on.
func (s *pass) need(e *entry, from int) time.Duration {
	var sum time.Duration
	for _, c := range e.field {
		if rounds := c.rounds - s.before(c.rounds, from); rounds > 0 && !c.failed {
			sum += s.warming(c) + time.Duration(rounds)*s.expense(c)
		}
	}
	return sum
}

// needLeft estimates what is to be spent yet: on the current scenario and those after it, in this pass and the passes after it.
func (s *pass) needLeft() time.Duration {
	var sum time.Duration
	for i, e := range s.entries {
		from := s.number
		if i < s.index {
			from++
		}
		sum += s.need(e, from)
	}
	return sum
}

// least estimates what it takes to sample once each contender of a scenario that has not been.
func (s *pass) least(e *entry) time.Duration {
	var sum time.Duration
	for _, c := range e.field {
		if c.done == 0 && !c.failed {
			sum += s.warming(c) + s.expense(c)
		}
	}
	return time.Duration(float64(sum) * float64(s.warmed+settled) / float64(s.guessed+settled)) // the machine is as slow, or as quick, as it was until now
}

// leastOthers is the least that is to be spent on what comes after the current scenario, with a quarter more to be on the safe side.
func (s *pass) leastOthers() time.Duration {
	var sum time.Duration
	for _, e := range s.entries[s.index+1:] {
		sum += s.least(e)
	}
	return sum + sum/4
}

// reserve is the part of a budget that is kept for the rounds that targets may lack in the end.
const reserve = 0.08

// timeLeft returns what is left of the budget for the passes over all scenarios.
func (s *pass) timeLeft() time.Duration {
	left := s.deadline.Sub(s.now())
	if len(s.Targets) > 0 {
		left -= time.Duration(reserve * float64(s.Budget))
	}
	return max(0, left)
}

// allowance returns how much of what is left of the budget the current scenario may use in this pass: its share by what everything
// needs, or with several passes what everything else will not need, but no more than leaves one sample of each implementation to the scenarios after it.
func (s *pass) allowance(e *entry) time.Duration {
	left, others := s.timeLeft(), s.leastOthers()
	need, all := s.need(e, s.number)-s.need(e, s.number+1), s.needLeft()
	own := share(left, need, all)
	if s.Passes > 1 { // what was guessed too low is made up for in another pass
		own = max(own, left-(all-need))
	}
	if own > left-others {
		own = max(left-others, s.ration(e))
	}
	return own
}

// ration returns the part that the current scenario may use of what is left, when that does not do for one sample of each.
func (s *pass) ration(e *entry) time.Duration {
	own := s.least(e)
	return share(s.timeLeft(), own, own+s.leastOthers())
}

// short reports whether what is left of the budget does not do for one sample of each implementation that has none. Then some go
// without in every scenario, so that the last ones do not go without altogether.
func (s *pass) short() bool {
	return s.timeLeft() < s.least(s.entries[s.index])+s.leastOthers()
}

// share returns the part of what is left of a budget for what needs own, when all that is to be measured yet, it included, needs all.
func share(left, own, all time.Duration) time.Duration {
	if all <= 0 {
		return max(0, left)
	}
	return time.Duration(float64(max(0, left)) * float64(own) / float64(all))
}

// A prospect is what a plan has to know of a contender.
type prospect struct {
	cost    time.Duration // of a sample
	rounds  int           // left
	sampled bool          // once at least
	aimed   bool          // a target is about it
}

// plan returns how many of its rounds left each contender takes part in, when the time that is left must do for all of them. The one that
// uses the most time gives rounds up first, so that slow peers are sampled less and fast ones in full; those that a target is about do
// so when the others have no more to give. Each gets one sample.
func plan(left time.Duration, field []prospect) []int {
	counts := make([]int, len(field))
	var need time.Duration
	for i, p := range field {
		counts[i] = p.rounds
		need += p.cost * time.Duration(p.rounds)
	}
	for need > left {
		worst := -1
		for i, p := range field {
			if counts[i] == 0 || counts[i] == 1 && !p.sampled {
				continue
			}
			if worst < 0 || field[worst].aimed && !p.aimed ||
				field[worst].aimed == p.aimed && p.cost*time.Duration(counts[i]) > field[worst].cost*time.Duration(counts[worst]) {
				worst = i
			}
		}
		if worst < 0 {
			break
		}
		counts[worst]--
		need -= field[worst].cost
	}
	return counts
}
