package bench

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"slices"
	"time"
)

// A Run is what one run of the comparison found. Its samples are kept in a results file, the rest in a record beside it.
type Run struct {
	ID          string         `json:"id"`
	Started     time.Time      `json:"started"`
	Resumed     []time.Time    `json:"resumed,omitempty"`     // when it was gone on with after an interruption
	Finished    time.Time      `json:"finished"`              // zero while it runs, or when it was killed
	Interrupted bool           `json:"interrupted,omitempty"` // stopped before everything was measured
	Go          string         `json:"go"`
	Machine     *Machine       `json:"machine"`
	Settings    Settings       `json:"settings"`
	Scenarios   []ScenarioInfo `json:"scenarios"` // what was asked for, in order
	Absences    []Absence      `json:"absences,omitempty"`
	Samples     []Sample       `json:"-"`
}

// Settings are the choices that a run was made with.
type Settings struct {
	SampleTime time.Duration `json:"sample_ns"`           // length that samples were calibrated to
	Rounds     int           `json:"rounds"`              // samples of each implementation
	Passes     int           `json:"passes,omitempty"`    // over all scenarios, with a part of the rounds in each
	Budget     time.Duration `json:"budget_ns,omitempty"` // of the whole run; 0: none
	Aimed      bool          `json:"aimed,omitempty"`     // samples were taken for targets: fewer of what none is about, and more where one lacked some
	Dir        string        `json:"dir,omitempty"`       // the folder that wordcount was asked to count; "": the usual one
	Command    string        `json:"command,omitempty"`   // the command line, as typed
}

// ScenarioInfo describes a scenario in a record.
type ScenarioInfo struct {
	Name  string   `json:"name"`
	Doc   string   `json:"doc"`
	Impls []string `json:"impls"`
}

// Why an implementation has no samples, or fewer than asked for.
const (
	Missing = "missing" // it cannot run on this machine
	Failed  = "failed"  // it returned an error
	Skipped = "skipped" // the time given for the run was used up
)

// An Absence says why an implementation of a scenario was not measured, or not to the end.
type Absence struct {
	Scenario string `json:"scenario"`
	Impl     string `json:"impl"`
	Kind     string `json:"kind"` // Missing, Failed or Skipped
	Reason   string `json:"reason"`
}

// Error returns the absence as one line that names scenario and implementation.
func (a Absence) Error() string { return a.Scenario + " " + a.Impl + ": " + a.Kind + ": " + a.Reason }

// Failures returns the absences that are errors of an implementation.
func (r *Run) Failures() []Absence {
	var failed []Absence
	for _, a := range r.Absences {
		if a.Kind == Failed {
			failed = append(failed, a)
		}
	}
	return failed
}

// SkippedScenarios gathers, among absences, the scenarios of which implementations were skipped, each with how many: "curve/mutex/4
// (6)".
func SkippedScenarios(absences []Absence) []string {
	count := map[string]int{}
	var names []string
	for _, a := range absences {
		if a.Kind == Skipped {
			if count[a.Scenario]++; count[a.Scenario] == 1 {
				names = append(names, a.Scenario)
			}
		}
	}
	for i, n := range names {
		names[i] = fmt.Sprintf("%s (%d)", n, count[n])
	}
	return names
}

// A MissingImpl is an implementation that cannot run on a machine, named once however many scenarios lack it.
type MissingImpl struct {
	Impl, Reason string
	Scenarios    []string
}

// MissingImpls gathers the missing ones among absences by implementation and reason, in order of their first scenario.
func MissingImpls(absences []Absence) []MissingImpl {
	var missing []MissingImpl
	for _, a := range absences {
		if a.Kind != Missing {
			continue
		}
		i := slices.IndexFunc(missing, func(m MissingImpl) bool { return m.Impl == a.Impl && m.Reason == a.Reason })
		if i < 0 {
			missing = append(missing, MissingImpl{Impl: a.Impl, Reason: a.Reason})
			i = len(missing) - 1
		}
		if !slices.Contains(missing[i].Scenarios, a.Scenario) {
			missing[i].Scenarios = append(missing[i].Scenarios, a.Scenario)
		}
	}
	return missing
}

// newRunID returns a name for a run that no other run has and that sorts by time.
func newRunID(now time.Time) string {
	var b [3]byte
	_, _ = rand.Read(b[:]) // it never fails
	return now.UTC().Format("20060102T150405Z-") + hex.EncodeToString(b[:])
}

// infos describes scenarios for a record.
func infos(scenarios []Scenario) []ScenarioInfo {
	list := make([]ScenarioInfo, len(scenarios))
	for i, s := range scenarios {
		list[i] = ScenarioInfo{Name: s.Name, Doc: s.Doc}
		for _, im := range s.Impls {
			list[i].Impls = append(list[i].Impls, im.Name)
		}
	}
	return list
}
