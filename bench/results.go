package bench

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
)

// Names of the files of a report folder.
const (
	ResultsFile = "results.jsonl" // one sample a line
	RecordFile  = "runs.json"     // the Runs that took them, without the samples
)

// WriteSample writes one sample as a line of JSON.
func WriteSample(w io.Writer, s Sample) error {
	line, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("encode a sample of %s %s: %w", s.Scenario, s.Impl, err)
	}
	_, err = w.Write(append(line, '\n'))
	return err
}

// ErrDamaged is matched by the error for a results file with a line that is not a sample.
var ErrDamaged = errors.New("damaged results")

// ReadSamples reads samples, one a line. An error names the line as name:line and matches ErrDamaged. Blank lines are
// skipped, and fields it does not know are left out.
func ReadSamples(r io.Reader, name string) ([]Sample, error) {
	var samples []Sample
	br := bufio.NewReader(r)
	for n := 1; ; n++ {
		line, err := br.ReadBytes('\n')
		if err != nil && err != io.EOF {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
		if len(bytes.TrimSpace(line)) > 0 {
			s, err := parseSample(line, name, n)
			if err != nil {
				return nil, err
			}
			samples = append(samples, s)
		}
		if err == io.EOF {
			return samples, nil
		}
	}
}

// parseSample makes a sample of line n of a file.
func parseSample(line []byte, name string, n int) (s Sample, err error) {
	if err = json.Unmarshal(line, &s); err == nil {
		err = s.check()
	}
	if err != nil {
		err = fmt.Errorf("%s:%d: %w: %w", name, n, ErrDamaged, err)
	}
	return s, err
}

// check reports what a line that is to be a sample lacks.
func (s *Sample) check() error {
	switch {
	case s.Scenario == "":
		return errors.New(`no "scenario"`)
	case s.Impl == "":
		return errors.New(`no "impl"`)
	case s.Unit != Unit:
		return fmt.Errorf("unit %q, want %q", s.Unit, Unit)
	case !(s.Value > 0) || math.IsInf(s.Value, 0):
		return fmt.Errorf("value %v, want a positive number", s.Value)
	}
	switch s.Regime {
	case Near, Far, None, Mixed:
		return nil
	}
	return fmt.Errorf("regime %q, want %q, %q, %q or %q", s.Regime, Near, Far, None, Mixed)
}

// ReadSamplesFile reads a results file. A file without a sample is an error.
func ReadSamplesFile(path string) ([]Sample, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	samples, err := ReadSamples(f, path)
	if err == nil && len(samples) == 0 {
		err = fmt.Errorf("%s: %w: no samples", path, ErrDamaged)
	}
	return samples, err
}

// WriteRecord writes the record of runs, without their samples, into a report folder.
func WriteRecord(dir string, runs []*Run) error {
	b, err := json.MarshalIndent(runs, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the record of runs: %w", err)
	}
	path := filepath.Join(dir, RecordFile)
	if err := os.WriteFile(path+".new", append(b, '\n'), 0o644); err != nil {
		return err
	}
	return os.Rename(path+".new", path) // there is a whole one at any time
}

// ReadRecords returns the runs whose record stands in a report folder; there is none where the record is not there.
func ReadRecords(dir string) ([]*Run, error) {
	path := filepath.Join(dir, RecordFile)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var runs []*Run
	if err := json.Unmarshal(b, &runs); err != nil {
		return nil, fmt.Errorf("%s: %w: %w", path, ErrDamaged, err)
	}
	return slices.DeleteFunc(runs, func(r *Run) bool { return r == nil }), nil
}

// ReadRecord returns, of the record that stands beside a results file, the runs that took the given samples. There is
// none where the results file stands alone.
func ReadRecord(resultsPath string, samples []Sample) ([]*Run, error) {
	runs, err := ReadRecords(filepath.Dir(resultsPath))
	if err != nil {
		return nil, err
	}
	taken := map[string]bool{}
	for _, s := range samples {
		taken[s.Run] = true
	}
	return slices.DeleteFunc(runs, func(r *Run) bool { return !taken[r.ID] }), nil
}

// ReadFolder reads a report folder: its samples, and the runs that took them. What a sample leaves to the record, its
// machine, is filled in.
func ReadFolder(dir string) ([]Sample, []*Run, error) {
	path := filepath.Join(dir, ResultsFile)
	samples, err := ReadSamplesFile(path)
	if err != nil {
		return nil, nil, err
	}
	runs, err := ReadRecord(path, samples)
	if err != nil {
		return nil, nil, err
	}
	Attach(samples, runs)
	return samples, runs, nil
}

// Attach fills the machines of runs into those of their samples that have none.
func Attach(samples []Sample, runs []*Run) {
	machines := map[string]*Machine{}
	for _, r := range runs {
		machines[r.ID] = r.Machine
	}
	for i := range samples {
		if samples[i].Machine == nil {
			samples[i].Machine = machines[samples[i].Run]
		}
	}
}
