package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func scenarioNames(samples []Sample) string {
	var list []string
	for _, s := range samples {
		list = append(list, fmt.Sprintf("%s:%s%d", s.Scenario, s.Impl, s.Round))
	}
	return strings.Join(list, " ")
}

func TestPassesTakeTheRoundsInParts(t *testing.T) {
	st := newStage()
	st.runner.Rounds, st.runner.Passes = 5, 2
	var steps []Progress
	st.runner.OnProgress = func(p Progress) { steps = append(steps, p) }
	res := st.run(t, t.Context(), Scenario{Name: "x", Impls: []Impl{st.impl("a", 0, 5e6)}}, Scenario{Name: "y", Impls: []Impl{st.impl("b", 0, 5e6)}})
	if got, want := scenarioNames(res.Samples), "x:a1 x:a2 y:b1 y:b2 x:a3 x:a4 x:a5 y:b3 y:b4 y:b5"; got != want {
		t.Errorf("samples %s, want %s", got, want)
	}
	if last := steps[len(steps)-1]; last.Index != 3 || last.Total != 4 || last.Left != 0 || last.Fraction() != 1 {
		t.Errorf("last step %+v, want the end of the fourth of four", last)
	}
	if res.Settings.Passes != 2 {
		t.Errorf("settings %+v", res.Settings)
	}
}

// TestGoingOnTakesWhatIsLeft interrupts a run after each number of samples, and goes on.
func TestGoingOnTakesWhatIsLeft(t *testing.T) {
	for _, budget := range []time.Duration{0, time.Hour} {
		whole := ""
		for stop := 0; stop <= 13; stop++ {
			st := newStage()
			st.runner.Rounds, st.runner.Passes, st.runner.Budget = 3, 2, budget
			scenarios := []Scenario{
				{Name: "x", Impls: []Impl{st.impl("a", 0, 5e6), st.impl("b", 0, 5e6)}},
				{Name: "y", Impls: []Impl{st.impl("a", 0, 5e6), st.impl("b", 0, 5e6)}},
				{Name: "z", Impls: []Impl{st.impl("a", 0, 5e6)}, Rounds: 1},
			}
			if stop == 0 {
				whole = scenarioNames(st.run(t, t.Context(), scenarios...).Samples)
				continue
			}
			first := st.interrupted(t, stop, scenarios...)
			st.now = st.now.Add(time.Hour)
			st.runner.Earlier = first
			again := st.run(t, t.Context(), scenarios...)
			if got := scenarioNames(again.Samples); got != whole {
				t.Errorf("stopped after %d: samples %s, want %s", stop, got, whole)
			}
			if again.ID != first.ID || len(again.Resumed) != 1 || again.Interrupted || again.Unfinished() || len(first.Samples) != stop {
				t.Errorf("stopped after %d with %d samples: run %+v", stop, len(first.Samples), again)
			}
		}
	}
}

// TestGoingOnKeepsToThePlan has a run with a budget in which the slow one was planned to take part once.
func TestGoingOnKeepsToThePlan(t *testing.T) {
	st := newStage()
	st.runner.Budget, st.runner.Rounds = 10*time.Second, 6
	scenarios := []Scenario{
		{Name: "x", Impls: []Impl{st.impl("fast", 0, time.Millisecond), st.impl("slow", 2*time.Second, time.Millisecond)}},
		{Name: "y", Impls: []Impl{st.impl("fast", 0, time.Millisecond)}},
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	st.runner.OnSample = func(s Sample) error {
		if s.Scenario == "y" {
			cancel()
		}
		return nil
	}
	first := st.run(t, ctx, scenarios...)
	slow := strings.Count(scenarioNames(first.Samples), "slow")
	st.now, st.log = st.now.Add(time.Hour), nil
	st.runner.Earlier, st.runner.OnSample = first, nil
	again := st.run(t, t.Context(), scenarios...)
	if n := strings.Count(scenarioNames(again.Samples), "slow"); slow < 1 || slow > 5 || n != slow || slices.Contains(st.log, "slow") {
		t.Errorf("slow took part in %d rounds, and after going on in %d", slow, n)
	}
	if n := strings.Count(scenarioNames(again.Samples), "y:fast"); n != 6 {
		t.Errorf("%d samples of y, want 6", n)
	}
}

func TestWhatFailedStaysFailed(t *testing.T) {
	st := newStage()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	broken := errors.New("broken")
	scenarios := []Scenario{{Name: "x", Impls: []Impl{
		st.failing("bad", 1, func() (Result, error) { return Result{}, broken }), st.impl("good", 0, time.Millisecond),
	}}}
	st.runner.OnSample = func(Sample) error { cancel(); return nil }
	st.runner.Earlier = st.run(t, ctx, scenarios...)
	st.runner.OnSample = nil
	again := st.run(t, t.Context(), scenarios...)
	if got := scenarioNames(again.Samples); got != "x:good1 x:good2 x:good3" || len(again.Failures()) != 1 {
		t.Errorf("samples %s, failures %v", got, again.Failures())
	}
}

func TestRecordIsKeptFromTheBeginning(t *testing.T) {
	st := newStage()
	var kept []Run
	st.runner.OnRecord = func(r *Run) error { kept = append(kept, *r); return nil }
	lacking := st.impl("cpython", 0, time.Millisecond)
	lacking.Missing = func() string { return "no python3" }
	scenario := Scenario{Name: "x", Impls: []Impl{lacking, st.impl("a", 0, time.Millisecond)}}
	st.run(t, t.Context(), scenario)
	if len(kept) != 2 || !kept[0].Unfinished() || len(kept[0].Scenarios) != 1 || len(kept[1].Absences) != 1 {
		t.Errorf("kept %+v, want one at the beginning and one with what is missing", kept)
	}
	full := errors.New("no space left on device")
	for _, at := range []int{1, 2} {
		calls := 0
		st.runner.OnRecord = func(r *Run) error {
			if calls++; calls == at {
				return full
			}
			return nil
		}
		if res, err := st.runner.Run(t.Context(), []Scenario{scenario}); !errors.Is(err, full) || len(res.Samples) > 0 {
			t.Errorf("record %d cannot be kept: %v, %d samples", at, err, len(res.Samples))
		}
	}
}

func TestResumable(t *testing.T) {
	machine := Machine{OS: "linux", Arch: "amd64", CPU: "AMD EPYC", CPUs: 2, MaxProcs: 2, Kernel: "6.18", Binary: "abc", Load: "0.1", Peers: map[string]string{"cc": "gcc 14"}}
	settings := Settings{SampleTime: time.Second, Rounds: 5, Passes: 1, Budget: time.Minute}
	scenarios := []Scenario{{Name: "x", Impls: []Impl{{Name: "a"}, {Name: "b"}}}}
	run := Run{Go: "go1.26.0", Machine: &machine, Settings: settings, Scenarios: infos(scenarios)}
	for _, c := range []struct {
		name   string
		change func(m *Machine, goVersion *string, s *Settings, sc *[]Scenario)
		want   string
	}{
		{"the same", func(*Machine, *string, *Settings, *[]Scenario) {}, ""},
		{"load", func(m *Machine, _ *string, _ *Settings, _ *[]Scenario) { m.Load = "7" }, ""},
		{"command", func(_ *Machine, _ *string, s *Settings, _ *[]Scenario) { s.Command = "ipcbench -full" }, ""},
		{"binary", func(m *Machine, _ *string, _ *Settings, _ *[]Scenario) { m.Binary = "def" }, "the executable abc, and this is def"},
		{"CPU", func(m *Machine, _ *string, _ *Settings, _ *[]Scenario) { m.CPU = "Xeon" }, "AMD EPYC, and this is Xeon"},
		{"CPUs", func(m *Machine, _ *string, _ *Settings, _ *[]Scenario) { m.CPUs = 1 }, "number of CPUs of 2, and this is 1"},
		{"peers", func(m *Machine, _ *string, _ *Settings, _ *[]Scenario) { m.Peers = nil }, "gcc 14"},
		{"Go", func(_ *Machine, v *string, _ *Settings, _ *[]Scenario) { *v = "go1.27" }, "go1.26.0, and this is go1.27"},
		{"sample time", func(_ *Machine, _ *string, s *Settings, _ *[]Scenario) { s.SampleTime = 1 }, "samples of 1s"},
		{"rounds", func(_ *Machine, _ *string, s *Settings, _ *[]Scenario) { s.Rounds = 6 }, "rounds"},
		{"passes", func(_ *Machine, _ *string, s *Settings, _ *[]Scenario) { s.Passes = 2 }, "passes"},
		{"budget", func(_ *Machine, _ *string, s *Settings, _ *[]Scenario) { s.Budget = 0 }, "a budget of 1m0s"},
		{"folder", func(_ *Machine, _ *string, s *Settings, _ *[]Scenario) { s.Dir = "src" }, `"src"`},
		{"scenarios", func(_ *Machine, _ *string, _ *Settings, sc *[]Scenario) { *sc = append(*sc, Scenario{Name: "y"}) }, "other scenarios"},
		{"implementations", func(_ *Machine, _ *string, _ *Settings, sc *[]Scenario) {
			*sc = []Scenario{{Name: "x", Impls: []Impl{{Name: "a"}}}}
		}, "other scenarios or implementations"},
	} {
		m, v, s, sc := machine, run.Go, settings, slices.Clone(scenarios)
		c.change(&m, &v, &s, &sc)
		err := run.Resumable(&m, v, s, sc)
		if c.want == "" && err != nil || c.want != "" && (!errors.Is(err, ErrOther) || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

func TestRunOfSamples(t *testing.T) {
	s := exampleSample
	s.TargetNs = 5e6
	r, err := RunOf([]Sample{s, s}, Settings{SampleTime: time.Second, Rounds: 9}, nil)
	if err != nil || r.ID != s.Run || r.Settings.SampleTime != 5*time.Millisecond || r.Settings.Rounds != 9 || r.Machine != s.Machine || !r.Unfinished() {
		t.Errorf("run %+v, %v", r, err)
	}
	s.Run = "another"
	if _, err := RunOf([]Sample{exampleSample, s}, Settings{}, nil); !errors.Is(err, ErrOther) {
		t.Errorf("samples of two runs: %v", err)
	}
}

func TestReadInterrupted(t *testing.T) {
	const line = `{"scenario":"x","impl":"a","unit":"ns/op","value":2,"regime":"near"}` + "\n"
	for _, c := range []struct {
		text      string
		samples   int
		size, cut int
		damaged   bool
	}{
		{"", 0, 0, 0, false},
		{line + line, 2, 2 * len(line), 0, false},
		{line + line[:20], 1, len(line), 2, false},
		{line + line[:len(line)-1], 1, len(line), 2, false},
		{line[:1], 0, 0, 1, false},
		{line + "\n" + line, 2, 2*len(line) + 1, 0, false},
		{line + "{}\n" + line, 0, 0, 0, true},
		{line[:20] + "\n", 0, 0, 0, true},
	} {
		path := filepath.Join(t.TempDir(), ResultsFile)
		if err := os.WriteFile(path, []byte(c.text), 0o644); err != nil {
			t.Fatal(err)
		}
		samples, size, cut, err := ReadInterrupted(path)
		if errors.Is(err, ErrDamaged) != c.damaged || !c.damaged && err != nil {
			t.Errorf("%q: %v", c.text, err)
		}
		if len(samples) != c.samples || size != int64(c.size) || cut != c.cut {
			t.Errorf("%q: %d samples, size %d, line %d cut", c.text, len(samples), size, cut)
		}
	}
}
