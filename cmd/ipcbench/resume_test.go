package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fb2d3dbd/multiproc/bench"
)

// interrupted leaves a report folder in which a run was interrupted after its first scenario, and which it was.
func interrupted(t *testing.T) (dir string, samples []bench.Sample) {
	t.Helper()
	dir = t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var stdout bytes.Buffer
	stderr := &tripwire{word: "lock/uncontended done", cancel: cancel}
	if status := run(ctx, with([]string{"-report", dir}, short...), &stdout, stderr); status != exitInterrupted {
		t.Fatalf("status %d: %s", status, stderr.buf.String())
	}
	samples, err := bench.ReadSamplesFile(filepath.Join(dir, bench.ResultsFile))
	if err != nil || len(samples) != 2 {
		t.Fatalf("%d samples, %v", len(samples), err)
	}
	return dir, samples
}

func TestInterruptedRunIsGoneOnWith(t *testing.T) {
	dir, first := interrupted(t)
	path := filepath.Join(dir, bench.ResultsFile)
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(`{"scenario":"lock/contended-2","impl":"gorou`); err != nil {
		t.Fatal(err)
	}
	f.Close()

	status, _, stderr := invoke(t, with([]string{"-report", dir}, short...)...)
	if status != exitOK {
		t.Fatalf("status %d: %s", status, stderr)
	}
	for _, want := range []string{path + ":3: the last line is cut short", "2 samples are in " + path} {
		if !strings.Contains(stderr, want) {
			t.Errorf("stderr does not say %q:\n%s", want, stderr)
		}
	}
	samples, err := bench.ReadSamplesFile(path)
	if err != nil || len(samples) != 4 {
		t.Fatalf("%d samples, %v, want 4", len(samples), err)
	}
	for i, s := range samples {
		if s.Run != first[0].Run || i < 2 && s.Value != first[i].Value {
			t.Errorf("sample %d: %+v, want it of run %s", i, s, first[0].Run)
		}
	}
	runs, err := bench.ReadRecords(dir)
	if err != nil || len(runs) != 1 || runs[0].Unfinished() || len(runs[0].Resumed) != 1 {
		t.Errorf("record %+v, %v", runs, err)
	}

	// A run that came to its end is not gone on with.
	if status, _, stderr := invoke(t, with([]string{"-report", dir}, short...)...); status != exitOK || strings.Contains(stderr, "going on") {
		t.Errorf("status %d: %s", status, stderr)
	}
	if samples, err := bench.ReadSamplesFile(path); err != nil || len(samples) != 4 || samples[0].Run == first[0].Run {
		t.Errorf("%d samples, %v, want 4 of another run", len(samples), err)
	}
}

// TestKilledRunIsGoneOnWith has what a SIGKILL leaves: a record from the beginning of the run.
func TestKilledRunIsGoneOnWith(t *testing.T) {
	dir, first := interrupted(t)
	runs, err := bench.ReadRecords(dir)
	if err != nil {
		t.Fatal(err)
	}
	runs[0].Interrupted, runs[0].Finished = false, time.Time{}
	if err := bench.WriteRecord(dir, runs); err != nil {
		t.Fatal(err)
	}
	if status, _, stderr := invoke(t, with([]string{"-report", dir}, short...)...); status != exitOK || !strings.Contains(stderr, "going on") {
		t.Fatalf("status %d: %s", status, stderr)
	}
	samples, err := bench.ReadSamplesFile(filepath.Join(dir, bench.ResultsFile))
	if err != nil || len(samples) != 4 || samples[3].Run != first[0].Run {
		t.Errorf("%d samples, %v", len(samples), err)
	}
}

func TestInterruptedRunOfAnotherKind(t *testing.T) {
	dir, _ := interrupted(t)
	path := filepath.Join(dir, bench.ResultsFile)
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		args []string
		want string
	}{
		{"length", with(short, "-duration", "2ms"), "samples of 1ms, and this is 2ms"},
		{"rounds", with(short, "-count", "3"), "rounds"},
		{"scenarios", with(short, "-scenario", "lock/semaphore"), "other scenarios"},
		{"budget", with(short, "-budget", "1h"), "budget"},
	} {
		status, stdout, stderr := invoke(t, with(c.args, "-report", dir)...)
		if status != exitUsage || stdout != "" || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%s: status %d, stdout %q, stderr %q", c.name, status, stdout, stderr)
		}
		for _, want := range []string{c.want, dir, "-fresh"} {
			if !strings.Contains(stderr, want) {
				t.Errorf("%s: stderr %q does not say %q", c.name, stderr, want)
			}
		}
	}
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before, after) {
		t.Errorf("what was refused changed the results: %v", err)
	}
	if status, _, stderr := invoke(t, with(short, "-duration", "2ms", "-fresh", "-report", dir)...); status != exitOK || strings.Contains(stderr, "going on") {
		t.Errorf("-fresh: status %d: %s", status, stderr)
	}
	if err := os.WriteFile(filepath.Join(dir, bench.RecordFile), []byte("[{"), 0o644); err != nil {
		t.Fatal(err)
	}
	if status, _, stderr := invoke(t, with(short, "-report", dir)...); status != exitUsage || !strings.Contains(stderr, bench.RecordFile) || !strings.Contains(stderr, "-fresh") {
		t.Errorf("damaged record: status %d: %s", status, stderr)
	}
}

func TestRunGoesOnInAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.jsonl")
	if status, _, stderr := invoke(t, with([]string{"run", "-o", path}, short...)...); status != exitOK {
		t.Fatalf("status %d: %s", status, stderr)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.SplitAfter(b, []byte("\n"))
	if err := os.WriteFile(path, bytes.Join([][]byte{lines[0], lines[1], lines[2][:9]}, nil), 0o644); err != nil {
		t.Fatal(err)
	}
	status, _, stderr := invoke(t, with([]string{"run", "-resume", "-o", path}, with(short, "-count", "3")...)...)
	if status != exitOK || !strings.Contains(stderr, path+":3:") {
		t.Fatalf("status %d: %s", status, stderr)
	}
	samples, err := bench.ReadSamplesFile(path)
	if err != nil || len(samples) != 6 { // the third round of the first scenario, and three of the second
		t.Errorf("%d samples, %v, want 6", len(samples), err)
	}
	for _, s := range samples {
		if s.Run != samples[0].Run {
			t.Errorf("a sample of run %s", s.Run)
		}
	}
	if status, _, stderr := invoke(t, with([]string{"run", "-resume", "-o", path}, with(short, "-duration", "2ms")...)...); status != exitUsage || !strings.Contains(stderr, "samples of 1ms") {
		t.Errorf("samples of another length: status %d: %s", status, stderr)
	}
}

// TestKeptOnOneCPU runs the command in a process of its own, which begins itself anew.
func TestKeptOnOneCPU(t *testing.T) {
	cmd := exec.Command(os.Args[0], "run", "-cpus", "1", "-scenario", "^lock/uncontended$", "-impl", "^goroutine$", "-count", "1", "-duration", "1ms")
	cmd.Env = append(os.Environ(), asCommand+"=1")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if strings.Contains(stderr.String(), "not supported") {
		t.Skip("this system does not keep processes on CPUs")
	}
	if err != nil {
		t.Fatalf("%v: %s", err, stderr.String())
	}
	var s bench.Sample
	if err := json.Unmarshal(out, &s); err != nil || s.Regime != bench.None || s.Machine.CPUs != 1 {
		t.Errorf("sample %+v, %v, want one of a single CPU", s, err)
	}
}
