package bench

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// ErrUnknown is matched by the error of [Select] when no scenario, or no implementation of it, has a name that was
// asked for.
var ErrUnknown = errors.New("unknown name")

// ScenarioOptions say on what the scenarios work. The zero value is ready for use.
type ScenarioOptions struct {
	// Dir is the folder whose .go files wordcount and index read; "" means the src folder of the Go installation. A folder
	// that does not exist is an error, matching fs.ErrNotExist, of the sample that reads it.
	Dir string
}

// Scenarios returns everything that this package measures, in the order in which tables show it. Every scenario does
// the same work in every implementation: the same number of operations, every message written by the producer and
// copied out by the consumer, and what was received is verified. Nothing is pinned to a CPU.
func Scenarios(o ScenarioOptions) []Scenario {
	var all []Scenario
	for _, size := range []int{8, 64, 1 << 10, 64 << 10} {
		all = append(all, spscScenario(size))
	}
	all = append(all, batchScenario(64))
	for _, size := range []int{64, 1 << 10, 64 << 10} {
		all = append(all, mpmcScenario(1, 1, size), mpmcScenario(2, 2, size))
	}
	all = append(all,
		mpmcScenario(4, 4, 64),
		mpmcScenario(8, 8, 64),
		fullScenario(1, 1),
		fullScenario(2, 2),
		soloScenario(),
		leaseScenario(64<<10),
		rttScenario(),
	)
	all = append(all, pipeScenarios()...)
	all = append(all,
		lockScenario("lock/uncontended", 1),
		lockScenario("lock/contended-2", 2),
		lockScenario("lock/contended-8", 8),
		readScenario(2),
		semaphoreScenario(),
		holdScenario(100*time.Nanosecond),
		holdScenario(time.Microsecond),
		holdScenario(10*time.Microsecond),
		holdScenario(100*time.Microsecond),
		handoverScenario(),
		deathScenario(),
		addLockedScenario(1),
		addLockedScenario(2),
		addAtomicScenario(),
		elementScenario(),
		segmentScenario(),
		startScenario(),
	)
	all = append(all, wakeScenarios()...)
	all = append(all, startScenarios()...)
	all = append(all, poolScenarios(o)...)
	all = append(all, managerScenarios()...)
	for _, workers := range []int{1, 2, 4} {
		all = append(all, wordcountScenario(o, workers))
	}
	for _, phase := range []string{"build", "query"} {
		for _, workers := range []int{1, 2, 4} {
			all = append(all, indexScenario(o, phase, workers))
		}
	}
	all = append(all, curveScenarios()...)
	for i := range all {
		all[i].Long = all[i].Long || slices.Contains(notBrief, all[i].Name)
	}
	return all
}

// notBrief are scenarios that the quick comparison leaves out because others that it has show nearly the same: a smaller message, one
// more way to take a lock or to start a process, another number of workers.
var notBrief = []string{
	"queue/spsc/8B", "queue/spsc/1KiB", "pipe/throughput/64B", "lock/rwlock-read-2", "lock/semaphore", "lock/wait-death", "value/add-locked-1",
	"start/fork", "start/forkserver-preloaded", "pool/apply", "wordcount/1", "wordcount/4",
}

// Select keeps the scenarios and the implementations whose names match the regular expressions; an empty expression
// matches every name. Scenarios without an implementation left are dropped. A malformed expression is an error, and so
// is one that matches nothing: that error matches [ErrUnknown] and lists the names there are.
func Select(all []Scenario, scenario, impl string) ([]Scenario, error) {
	scenarioRE, err := regexp.Compile(scenario)
	if err != nil {
		return nil, fmt.Errorf("scenario: %w", err)
	}
	implRE, err := regexp.Compile(impl)
	if err != nil {
		return nil, fmt.Errorf("implementation: %w", err)
	}
	var kept []Scenario
	var names, implNames []string
	found := false
	for _, s := range all {
		names = append(names, s.Name)
		if !scenarioRE.MatchString(s.Name) {
			continue
		}
		found = true
		impls := s.Impls
		s.Impls = nil
		for _, i := range impls {
			if implRE.MatchString(i.Name) {
				s.Impls = append(s.Impls, i)
			} else {
				implNames = appendNew(implNames, i.Name)
			}
		}
		if len(s.Impls) > 0 {
			kept = append(kept, s)
		}
	}
	switch {
	case !found:
		return nil, fmt.Errorf("%w: no scenario matches %q; there are %s", ErrUnknown, scenario, strings.Join(names, ", "))
	case len(kept) == 0:
		return nil, fmt.Errorf("%w: no implementation matches %q; there are %s", ErrUnknown, impl, strings.Join(implNames, ", "))
	}
	return kept, nil
}

func appendNew(list []string, s string) []string {
	for _, have := range list {
		if have == s {
			return list
		}
	}
	return append(list, s)
}
