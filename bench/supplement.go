package bench

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// supplement takes more rounds, when all passes are through, of those that targets are about which have fewer than [Enough] samples that
// can be compared: as many rounds as there were in the passes at the most, since no number of rounds makes a machine change its regime.
// With a budget it goes on while there is time, and a scenario takes part in a round where its contenders fit into what is left.
func (s *pass) supplement(ctx context.Context) error {
	if len(s.Targets) == 0 {
		return nil
	}
	s.number, s.index = s.Passes, 0
	first := s.Rounds + 1
	for _, sm := range s.run.Samples { // of an earlier run that was interrupted here
		first = max(first, sm.Round)
	}
	for n := first; n <= 2*s.Rounds && ctx.Err() == nil; n++ {
		lacking := slices.DeleteFunc(slices.Clone(s.Targets), func(t Target) bool {
			return t.Comparable(s.run.Samples) >= Enough
		})
		took := false
		for i, e := range s.entries {
			s.index = i
			more, err := s.more(ctx, e, lacking, n)
			if err != nil || s.outer.Err() != nil {
				return err
			}
			took = took || more
		}
		if !took {
			break
		}
		s.progress(Scenario{Name: fmt.Sprintf("round %d, for targets that lacked samples,", n)}, nil, Progress{Phase: Finished})
	}
	return s.fault
}

// more takes the nth round of a scenario with those of its contenders that targets are about. It reports whether any took part, or had
// in a run that was interrupted.
func (s *pass) more(ctx context.Context, e *entry, targets []Target, n int) (took bool, err error) {
	var active []*contender
	var cost time.Duration
	for i := range e.field {
		c := e.field[(i+n-1)%len(e.field)]
		if took = took || c.had[n]; c.failed || c.had[n] || !slices.ContainsFunc(targets, func(t Target) bool { return t.Concerns(e.Name, c.Name) }) {
			continue
		}
		active = append(active, c)
		cost += s.warming(c) + s.expense(c)
	}
	if len(active) == 0 || s.Budget > 0 && cost > s.deadline.Sub(s.now()) {
		return took, nil
	}
	counts := make([]int, len(active))
	for i, c := range active {
		if c.ops == 0 { // the passes were an earlier run's
			if err := s.warm(ctx, e.Scenario, c, true); err != nil {
				s.fail(ctx, e.Scenario, c, err)
				continue
			}
		}
		counts[i] = 1
	}
	more, err := s.take(ctx, e, active, counts, n)
	return took || more, err
}
