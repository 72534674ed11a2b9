package main

import (
	"context"
	"flag"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fb2d3dbd/multiproc/bench"
)

// The two lengths of a comparison. The quick one stays under two minutes with the compiling that go run does before it, the
// full one under an hour. Both go over all scenarios more than once: what the machine does to one scenario for some minutes is
// not taken for what the scenario costs, and where the machine is slow all scenarios have had a turn before any has all of its rounds.
const (
	quickBudget     = 75 * time.Second
	quickSampleTime = 40 * time.Millisecond
	quickPasses     = 2
	fullBudget      = 45 * time.Minute
	fullSampleTime  = 250 * time.Millisecond
	fullRounds      = 15
	fullPasses      = 3
	shortestSamples = time.Millisecond
	shortestBudget  = time.Second
)

// choices are the flags that say what is measured, and how thoroughly.
type choices struct {
	scenario, impl, dir string
	count               int
	duration, budget    time.Duration
	quick, full         bool
	cpus                int
}

func (c *choices) register(fs *flag.FlagSet) {
	fs.StringVar(&c.scenario, "scenario", "", "measure the scenarios whose name matches this regular `expression`")
	fs.StringVar(&c.impl, "impl", "", "measure the implementations whose name matches this regular `expression`")
	fs.StringVar(&c.dir, "dir", "", "let wordcount and index read the .go files in this `folder` (default: the src folder of the Go installation)")
	fs.IntVar(&c.count, "count", 0, fmt.Sprintf("take `N` samples of each implementation (default %d, with -full %d)", bench.DefaultRounds, fullRounds))
	fs.DurationVar(&c.duration, "duration", 0, fmt.Sprintf("`length` of a sample (default %v, with -quick %v, with -full %v)", bench.DefaultSampleTime, quickSampleTime, fullSampleTime))
	fs.BoolVar(&c.quick, "quick", false, fmt.Sprintf("be done in under two minutes: after %v, slow implementations have fewer samples, and scenarios that are long are left out", quickBudget))
	fs.BoolVar(&c.full, "full", false, fmt.Sprintf("longer samples, taken in %d passes over everything, and more of them where targets are to be judged, in less than an hour", fullPasses))
	fs.DurationVar(&c.budget, "budget", 0, fmt.Sprintf("be done in this `time`: slow implementations have fewer samples (default with -quick %v, with -full %v)", quickBudget, fullBudget))
	fs.IntVar(&c.cpus, "cpus", 0, "keep everything, other programs too, on the first `N` CPUs that this process may use")
}

// settle checks the choices and returns what they select: the scenarios, and a runner that has no callbacks yet.
func (c *choices) settle(quickByDefault bool) ([]bench.Scenario, bench.Runner, error) {
	var r bench.Runner
	switch {
	case c.quick && c.full:
		return nil, r, usageError("-quick and -full exclude each other")
	case c.count < 0:
		return nil, r, usageError("-count %d: want a positive number", c.count)
	case c.duration < 0 || c.duration > 0 && c.duration < shortestSamples:
		return nil, r, usageError("-duration %v: want at least %v", c.duration, shortestSamples)
	case c.budget < 0 || c.budget > 0 && c.budget < shortestBudget:
		return nil, r, usageError("-budget %v: want at least %v", c.budget, shortestBudget)
	}
	if err := checkFolder("dir", c.dir); err != nil {
		return nil, r, err
	}
	scenarios, err := bench.Select(bench.Scenarios(bench.ScenarioOptions{Dir: c.dir}), c.scenario, c.impl)
	if err != nil {
		return nil, r, usageError("%w", err)
	}
	r.SampleTime, r.Rounds = bench.DefaultSampleTime, bench.DefaultRounds
	if c.full {
		r.SampleTime, r.Rounds, r.WarmFixed = fullSampleTime, fullRounds, true
		r.Passes, r.Budget = fullPasses, fullBudget
		if c.count == 0 {
			r.Targets = bench.Targets()
		}
	}
	if c.quick || quickByDefault && !c.full && c.count == 0 && c.duration == 0 {
		r.Budget, r.SampleTime, r.Passes = quickBudget, quickSampleTime, quickPasses
		if c.scenario == "" {
			scenarios = slices.DeleteFunc(scenarios, func(s bench.Scenario) bool { return s.Long })
		}
	}
	if c.count > 0 {
		r.Rounds = c.count
	}
	if c.duration > 0 {
		r.SampleTime = c.duration
	}
	if c.budget > 0 {
		r.Budget = c.budget
	}
	if c.cpus != 0 {
		if err := bench.KeepOnCPUs(c.cpus); err != nil {
			return nil, r, usageError("-cpus: %w", err)
		}
	}
	r.Dir, r.Peers = c.dir, bench.PeerVersions()
	return scenarios, r, nil
}

// measure runs the scenarios, telling on stderr how it goes. Each sample is given to keep as soon as it is taken.
func (t *tool) measure(ctx context.Context, scenarios []bench.Scenario, r bench.Runner, keep func(bench.Sample) error) (*bench.Run, error) {
	bar := newBar(t.stderr)
	r.Command = strings.TrimSpace("ipcbench " + strings.Join(t.args, " "))
	r.OnSample = keep
	r.OnProgress = bar.show
	said := map[string]bool{}
	r.OnAbsence = func(a bench.Absence) {
		line := fmt.Sprintf("%s %s failed: %s", a.Scenario, a.Impl, a.Reason)
		switch a.Kind {
		case bench.Missing:
			line = fmt.Sprintf("missing: %s: %s", a.Impl, a.Reason)
		case bench.Skipped:
			line = fmt.Sprintf("%s skipped: %s", a.Scenario, a.Reason)
		}
		if !said[line] {
			said[line] = true
			bar.say(line)
		}
	}
	res, err := r.Run(ctx, scenarios)
	bar.end()
	return res, err
}

// verdict returns the error that a run ends with: interrupted, failures, results that disagree, nothing measured.
func (t *tool) verdict(res *bench.Run) error {
	bad := false
	for _, v := range bench.Verdicts(res.Samples) {
		if !v.Agree() {
			bad = true
			fmt.Fprintf(t.stderr, "ipcbench: WRONG RESULT: %v\n", v)
		}
	}
	if failed := res.Failures(); len(failed) > 0 {
		bad = true
		fmt.Fprintf(t.stderr, "ipcbench: %d failed:\n", len(failed))
		for _, a := range failed {
			fmt.Fprintf(t.stderr, "  %s %s: %s\n", a.Scenario, a.Impl, a.Reason)
		}
	}
	switch {
	case res.Interrupted:
		return context.Canceled
	case bad:
		return errReported
	case len(res.Samples) == 0:
		return fmt.Errorf("nothing could be measured on this machine")
	}
	return nil
}
