package bench

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var exampleSample = Sample{
	Scenario: "queue/spsc/64B", Impl: "multiproc", Unit: Unit, Value: 17.2, Round: 3, Regime: Near, ControlNs: 145,
	Ops: 3500000, ElapsedNs: 60200000, WallNs: 71000000, ControlBeforeNs: 144, ControlAfterNs: 146,
	Extra: map[string]string{"digest": "11789f41a51c31ec"},
	Time:  time.Date(2026, 3, 1, 12, 0, 0, 5, time.UTC), Run: "20260301T120000Z-abcdef", Go: "go1.26.0",
	Machine: &Machine{OS: "linux", Arch: "amd64", CPU: "AMD EPYC", CPUs: 2, MaxProcs: 2, Peers: map[string]string{"cpython": "CPython 3.13.0"}},
}

func TestSamplesRoundTrip(t *testing.T) {
	other := exampleSample
	other.Impl, other.Regime, other.Machine, other.Extra = "goroutine", Mixed, nil, nil
	var b bytes.Buffer
	for _, s := range []Sample{exampleSample, other} {
		if err := WriteSample(&b, s); err != nil {
			t.Fatal(err)
		}
	}
	if n := strings.Count(b.String(), "\n"); n != 2 {
		t.Errorf("%d lines, want one for each of 2 samples", n)
	}
	got, err := ReadSamples(&b, "results")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]Sample{exampleSample, other}, got); diff != "" {
		t.Errorf("samples changed on their way (-want +got):\n%s", diff)
	}
}

// TestSampleFieldNames holds the names that other programs read.
func TestSampleFieldNames(t *testing.T) {
	var b bytes.Buffer
	if err := WriteSample(&b, exampleSample); err != nil {
		t.Fatal(err)
	}
	if want := `{"scenario":"queue/spsc/64B","impl":"multiproc","unit":"ns/op","value":17.2,"round":3,"regime":"near","control_ns":145,`; !strings.HasPrefix(b.String(), want) {
		t.Errorf("line %s\nwant it to start with %s", b.String(), want)
	}
	var fields map[string]any
	if err := json.Unmarshal(b.Bytes(), &fields); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"ops", "elapsed_ns", "wall_ns", "control_before_ns", "control_after_ns", "extra", "time", "run", "go", "machine"} {
		if _, ok := fields[name]; !ok {
			t.Errorf("no field %q", name)
		}
	}
}

func TestReadSamplesIsForgiving(t *testing.T) {
	const line = `{"scenario":"x","impl":"a","unit":"ns/op","value":2,"regime":"far","from":"a later version"}`
	got, err := ReadSamples(strings.NewReader("\n"+line+"\r\n\n"+line), "results") // no newline at the end
	if err != nil || len(got) != 2 {
		t.Errorf("%d samples, %v, want 2", len(got), err)
	}
}

func TestReadSamplesNamesTheDamagedLine(t *testing.T) {
	const good = `{"scenario":"x","impl":"a","unit":"ns/op","value":2,"regime":"near"}`
	for _, bad := range []string{
		`{"scenario":"x","impl":"a","unit":"ns/op","val`,
		`not json`,
		`[]`,
		`{}`,
		`{"scenario":"x","unit":"ns/op","value":2,"regime":"near"}`,
		`{"scenario":"x","impl":"a","unit":"ms","value":2,"regime":"near"}`,
		`{"scenario":"x","impl":"a","unit":"ns/op","value":0,"regime":"near"}`,
		`{"scenario":"x","impl":"a","unit":"ns/op","value":-3,"regime":"near"}`,
		`{"scenario":"x","impl":"a","unit":"ns/op","value":"2","regime":"near"}`,
		`{"scenario":"x","impl":"a","unit":"ns/op","value":2,"regime":"close"}`,
		good + good,
		"\x00\x01",
	} {
		_, err := ReadSamples(strings.NewReader(good+"\n\n"+bad+"\n"+good+"\n"), "old.jsonl")
		if !errors.Is(err, ErrDamaged) || !strings.HasPrefix(err.Error(), "old.jsonl:3: ") {
			t.Errorf("%s: error %v, want one that matches ErrDamaged and names old.jsonl:3", bad, err)
		}
	}
}

func TestReadSamplesFile(t *testing.T) {
	dir := t.TempDir()
	if _, err := ReadSamplesFile(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	empty := filepath.Join(dir, "empty")
	if err := os.WriteFile(empty, []byte("\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadSamplesFile(empty); !errors.Is(err, ErrDamaged) {
		t.Errorf("file without samples: %v", err)
	}
}

func TestRecordRoundTrip(t *testing.T) {
	dir := t.TempDir()
	results := filepath.Join(dir, ResultsFile)
	run := &Run{
		ID: exampleSample.Run, Started: exampleSample.Time, Finished: exampleSample.Time.Add(time.Minute), Go: "go1.26.0",
		Machine: exampleSample.Machine, Settings: Settings{SampleTime: time.Millisecond, Rounds: 3},
		Scenarios: []ScenarioInfo{{"x", "one thing", []string{"a"}}}, Absences: []Absence{{"x", "b", Missing, "no compiler"}},
	}
	other := &Run{ID: "another"}
	if got, err := ReadRecord(results, []Sample{exampleSample}); got != nil || err != nil {
		t.Errorf("no record: %v, %v", got, err)
	}
	if err := WriteRecord(dir, []*Run{run, other}); err != nil {
		t.Fatal(err)
	}
	got, err := ReadRecord(results, []Sample{exampleSample})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]*Run{run}, got); diff != "" {
		t.Errorf("record of the samples' run (-want +got):\n%s", diff)
	}
	if err := os.WriteFile(filepath.Join(dir, RecordFile), []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadRecord(results, nil); !errors.Is(err, ErrDamaged) {
		t.Errorf("damaged record: %v", err)
	}
}

func FuzzReadSamples(f *testing.F) {
	var b bytes.Buffer
	if err := WriteSample(&b, exampleSample); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add([]byte("{}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		samples, err := ReadSamples(bytes.NewReader(data), "fuzz")
		if err != nil && !errors.Is(err, ErrDamaged) {
			t.Fatalf("error %v does not match ErrDamaged", err)
		}
		for _, s := range samples {
			if s.Scenario == "" || s.Impl == "" || !(s.Value > 0) {
				t.Fatalf("accepted %+v", s)
			}
		}
	})
}
