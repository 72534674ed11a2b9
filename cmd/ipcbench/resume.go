package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/fb2d3dbd/multiproc/bench"
)

// goOn lets a runner go on with the run that was interrupted in the report folder of a results file, if there is one, and
// returns how much of the file is to be kept. A run that came to its end is not gone on with; one that was made otherwise is an
// error.
func (t *tool) goOn(r *bench.Runner, path string, scenarios []bench.Scenario) (size int64, err error) {
	runs, err := bench.ReadRecords(filepath.Dir(path))
	if errors.Is(err, bench.ErrDamaged) {
		return 0, usageError("%w; -fresh writes over it", err)
	}
	if err != nil || len(runs) != 1 || !runs[0].Unfinished() {
		return 0, err
	}
	samples, size, cut, err := bench.ReadInterrupted(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err == nil {
		err = t.resume(r, runs[0], samples, scenarios)
	}
	switch {
	case errors.Is(err, bench.ErrOther), errors.Is(err, bench.ErrDamaged):
		return 0, usageError("%s: %w; -fresh writes over it, -report chooses another folder", filepath.Dir(path), err)
	case err != nil:
		return 0, err
	}
	t.tellResume(path, len(samples), cut)
	return size, nil
}

// goOnFile does the same with a results file that stands alone, and that is there.
func (t *tool) goOnFile(r *bench.Runner, path string, scenarios []bench.Scenario) (size int64, err error) {
	samples, size, cut, err := bench.ReadInterrupted(path)
	if err != nil {
		return 0, usageError("-resume: %w", err)
	}
	if len(samples) > 0 {
		run, err := bench.RunOf(samples, r.Settings(), scenarios)
		if err == nil {
			err = t.resume(r, run, samples, scenarios)
		}
		if err != nil {
			return 0, usageError("-resume: %s: %w", path, err)
		}
	}
	t.tellResume(path, len(samples), cut)
	return size, nil
}

// resume gives a runner an earlier run to go on with.
func (t *tool) resume(r *bench.Runner, run *bench.Run, samples []bench.Sample, scenarios []bench.Scenario) error {
	here := bench.ThisMachine()
	here.Peers = r.Peers
	for _, s := range samples {
		if s.Run != run.ID {
			return fmt.Errorf("%w: a sample of it is of the run %s, and the record is of %s", bench.ErrOther, s.Run, run.ID)
		}
	}
	if err := run.Resumable(here, runtime.Version(), r.Settings(), scenarios); err != nil {
		return err
	}
	run.Samples = samples
	r.Earlier = run
	return nil
}

func (t *tool) tellResume(path string, samples, cut int) {
	if cut > 0 {
		fmt.Fprintf(t.stderr, "%s:%d: the last line is cut short; its sample is taken again\n", path, cut)
	}
	fmt.Fprintf(t.stderr, "going on with the run that was interrupted: %d samples are in %s\n", samples, path)
}

// openResults opens a results file for more samples behind its first size bytes, which stay; it is made if it is not there.
func openResults(path string, size int64) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	err = f.Truncate(size)
	if err == nil {
		_, err = f.Seek(size, 0)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
