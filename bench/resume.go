package bench

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"time"
)

// ErrOther is matched by the error for an interrupted run that cannot be gone on with, because it was made on another
// machine, by another version of the program, or with other settings.
var ErrOther = errors.New("cannot go on with the run that was interrupted")

// Unfinished reports whether the run was interrupted or killed before everything was measured.
func (r *Run) Unfinished() bool { return r.Interrupted || r.Finished.IsZero() }

// Resumable reports, as an error that matches [ErrOther], why an interrupted run cannot be gone on with on the given machine, by
// the given version of Go, with the given settings and scenarios; nil where it can.
func (r *Run) Resumable(m *Machine, goVersion string, settings Settings, scenarios []Scenario) error {
	other := func(what string, had, have any) error {
		return fmt.Errorf("%w: it was made with %s %v, and this is %v", ErrOther, what, had, have)
	}
	if r.Machine != nil {
		if what, had, have := r.Machine.differs(m); what != "" {
			return other(what, had, have)
		}
	}
	switch s := r.Settings; {
	case r.Go != goVersion:
		return other("Go", r.Go, goVersion)
	case s.SampleTime != settings.SampleTime:
		return other("samples of", s.SampleTime, settings.SampleTime)
	case s.Rounds != settings.Rounds || s.Passes != settings.Passes:
		return other("rounds and passes", fmt.Sprint(s.Rounds, " ", s.Passes), fmt.Sprint(settings.Rounds, " ", settings.Passes))
	case s.Budget != settings.Budget:
		return other("a budget of", s.Budget, settings.Budget)
	case s.Aimed != settings.Aimed:
		return other("samples for targets", s.Aimed, settings.Aimed)
	case s.Dir != settings.Dir:
		return other("the folder", fmt.Sprintf("%q", s.Dir), fmt.Sprintf("%q", settings.Dir))
	}
	if !slices.EqualFunc(r.Scenarios, infos(scenarios), func(a, b ScenarioInfo) bool {
		return a.Name == b.Name && slices.Equal(a.Impls, b.Impls)
	}) {
		return fmt.Errorf("%w: it was made of other scenarios or implementations than those asked for now", ErrOther)
	}
	return nil
}

// RunOf makes the run that took samples which stand in no record. What the samples do not tell is taken from the settings and
// the scenarios it is to be gone on with. Samples of several runs are an error that matches [ErrOther].
func RunOf(samples []Sample, settings Settings, scenarios []Scenario) (*Run, error) {
	r := &Run{Settings: settings, Scenarios: infos(scenarios), Samples: samples}
	for i, s := range samples {
		if i == 0 {
			r.ID, r.Go, r.Machine, r.Started = s.Run, s.Go, s.Machine, s.Time
		}
		if s.Run != r.ID {
			return nil, fmt.Errorf("%w: the file holds samples of several runs, %s and %s", ErrOther, r.ID, s.Run)
		}
		if s.TargetNs > 0 {
			r.Settings.SampleTime = time.Duration(s.TargetNs)
		}
	}
	return r, nil
}

// ReadInterrupted reads the results file of a run that ended anyhow, perhaps in the middle of a line. Such a last line is left out: cut
// is its number, from 1, and 0 where there is none; size is the length of the file without it.
func ReadInterrupted(path string) (samples []Sample, size int64, cut int, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, 0, err
	}
	defer f.Close()
	br := bufio.NewReader(f)
	for n := 1; ; n++ {
		line, err := br.ReadBytes('\n')
		switch {
		case err == io.EOF && len(line) == 0:
			return samples, size, 0, nil
		case err == io.EOF:
			return samples, size, n, nil
		case err != nil:
			return nil, 0, 0, fmt.Errorf("read %s: %w", path, err)
		}
		if size += int64(len(line)); len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		s, err := parseSample(line, path, n)
		if err != nil {
			return nil, 0, 0, err
		}
		samples = append(samples, s)
	}
}

// newPass prepares a call of Run: for a run of its own, or for what an earlier one left.
func newPass(r Runner, ctx context.Context, scenarios []Scenario) *pass {
	s := &pass{Runner: r, outer: ctx, started: r.now()}
	for _, sc := range scenarios {
		s.entries = append(s.entries, &entry{Scenario: sc})
	}
	if r.Earlier == nil {
		s.run = &Run{ID: newRunID(s.started), Started: s.started.UTC().Round(0), Go: runtime.Version(), Machine: ThisMachine()}
		s.run.Machine.Peers = r.Peers
	} else {
		again := *r.Earlier
		again.Samples, again.Absences = slices.Clone(again.Samples), slices.Clone(again.Absences)
		again.Resumed = append(slices.Clone(again.Resumed), s.started.UTC().Round(0))
		again.Interrupted, again.Finished = false, time.Time{}
		s.run, s.earlier = &again, r.Earlier.taken()
		s.reach()
	}
	s.run.Settings, s.run.Scenarios = r.Settings(), infos(scenarios)
	return s
}

// taken returns how long an interrupted run had been measuring: from the beginning of each of its parts to the end of its last
// sample.
func (r *Run) taken() time.Duration {
	var sum time.Duration
	parts := append([]time.Time{r.Started}, r.Resumed...)
	for i, begin := range parts {
		end := begin
		for _, s := range r.Samples {
			if at := s.Time.Add(time.Duration(s.WallNs)); !s.Time.Before(begin) && (i+1 == len(parts) || s.Time.Before(parts[i+1])) && at.After(end) {
				end = at
			}
		}
		sum += end.Sub(begin)
	}
	return sum
}

// reach finds how far the earlier run had come.
func (s *pass) reach() {
	for _, sm := range s.run.Samples {
		for i, e := range s.entries {
			if e.Name != sm.Scenario {
				continue
			}
			number := s.passOf(e, sm.Round)
			if at := [2]int{number, i}; slices.Compare(at[:], s.reached[:]) > 0 {
				s.reached = at
			}
		}
	}
}

// passOf returns the pass that takes a round of a scenario; one behind the last takes those that are added for targets.
func (s *pass) passOf(e *entry, round int) int {
	p := 0
	if round > s.Rounds {
		return s.Passes
	}
	for p < s.Passes-1 && round > (p+1)*s.allRounds(e)/s.Passes {
		p++
	}
	return p
}

// over reports whether the earlier run was through with the current scenario in the current pass. With a budget that is so for all
// before the one it stopped at: who lacks a sample there had been planned to. Without one, whatever lacks is measured.
func (s *pass) over() bool {
	at := [2]int{s.number, s.index}
	return s.Budget > 0 && slices.Compare(at[:], s.reached[:]) < 0
}

// contender makes the contender of an implementation, with what the earlier run has of it.
func (s *pass) contender(scenario string, im Impl) *contender {
	c := &contender{Impl: im, had: map[int]bool{}}
	if s.Earlier == nil {
		return c
	}
	for _, sm := range s.Earlier.Samples {
		if sm.Scenario == scenario && sm.Impl == im.Name {
			c.done++
			c.had[sm.Round] = true
		}
	}
	c.failed = slices.ContainsFunc(s.Earlier.Absences, func(a Absence) bool {
		return a.Scenario == scenario && a.Impl == im.Name && a.Kind != Missing
	})
	return c
}
