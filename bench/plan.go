package bench

import "time"

// share returns the part of what is left of a budget that a scenario may use whose weight is own, when all that is to be
// measured yet, it included, weighs all. Jobs of a fixed size weigh three times as much: they cannot be made shorter.
func share(left time.Duration, own, all int) time.Duration {
	return max(0, left) * time.Duration(own) / time.Duration(all)
}

// weightLeft returns the weight of what is to be measured yet: the current scenario and those after it, in this pass and
// the passes after it.
func (s *pass) weightLeft() int {
	all, rest := 0, 0
	for i, e := range s.entries {
		w := weight(e.Scenario)
		all += w
		if i >= s.index {
			rest += w
		}
	}
	return rest + all*(s.Passes-1-s.number)
}

// late reports whether the share that is left for a scenario is less than half of what it would be if all had kept to theirs.
func (s *pass) late(e *entry, own time.Duration) bool {
	all := 0
	for _, o := range s.entries {
		all += weight(o.Scenario)
	}
	return own < share(s.Budget, weight(e.Scenario), all*s.Passes)/2
}

func weight(s Scenario) int {
	for _, im := range s.Impls {
		if im.Fixed > 0 {
			return 3
		}
	}
	return 1
}

// plan returns how many more rounds each implementation takes part in, when rounds are left and the time that is left
// must do for all of them. An implementation costs costs[i] a round and has taken part done[i] times. The one that uses
// the most time gives rounds up first, so that slow peers are sampled less and fast ones in full; each gets one round.
func plan(left time.Duration, rounds int, costs []time.Duration, done []int) []int {
	counts := make([]int, len(costs))
	var need time.Duration
	for i, c := range costs {
		counts[i] = rounds
		need += c * time.Duration(rounds)
	}
	for need > left {
		worst := -1
		for i, c := range costs {
			if counts[i] == 0 || counts[i] == 1 && done[i] == 0 {
				continue
			}
			if worst < 0 || c*time.Duration(counts[i]) > costs[worst]*time.Duration(counts[worst]) {
				worst = i
			}
		}
		if worst < 0 {
			break
		}
		counts[worst]--
		need -= costs[worst]
	}
	return counts
}
