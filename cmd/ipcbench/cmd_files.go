package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/fb2d3dbd/multiproc/bench"
	"github.com/fb2d3dbd/multiproc/bench/stats"
)

// compare says what changed between two results files.
func (t *tool) compare(args []string) error {
	fs := flags("ipcbench compare OLD NEW")
	if err := t.parse(fs, args); err != nil {
		return err
	}
	if fs.NArg() != 2 {
		return usageError("compare wants two results files, or report folders, OLD and NEW, and got %d", fs.NArg())
	}
	old, err := readResults(fs.Arg(0))
	if err != nil {
		return err
	}
	new, err := readResults(fs.Arg(1))
	if err != nil {
		return err
	}
	return stats.WriteComparison(t.stdout, stats.Compare(old, new), t.style())
}

// report makes a report folder of results files.
func (t *tool) report(args []string) error {
	fs := flags("ipcbench report [-o DIR] FILE...")
	dir := fs.String("o", defaultReport, "write the report into this `folder`")
	if err := t.parse(fs, args); err != nil {
		return err
	}
	if fs.NArg() == 0 {
		return usageError("report wants at least one results file")
	}
	var samples []bench.Sample
	var runs []*bench.Run
	for _, path := range fs.Args() {
		path = resultsPath(path)
		more, err := readResults(path)
		if err != nil {
			return err
		}
		records, err := bench.ReadRecord(path, more)
		if err != nil {
			return err
		}
		bench.Attach(more, records)
		samples = append(samples, more...)
		for _, r := range records {
			if !slices.ContainsFunc(runs, func(have *bench.Run) bool { return have.ID == r.ID }) {
				runs = append(runs, r)
			}
		}
	}
	if err := makeReportFolder("o", *dir); err != nil {
		return err
	}
	if err := writeResults(filepath.Join(*dir, bench.ResultsFile), samples); err != nil {
		return err
	}
	if err := t.conclude(*dir, samples, runs); err != nil {
		return err
	}
	return t.verdict(&bench.Run{Samples: samples})
}

// resultsPath returns the results file of a report folder, and of a file itself.
func resultsPath(path string) string {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return filepath.Join(path, bench.ResultsFile)
	}
	return path
}

// readResults reads a results file, or that of a report folder; one that is not there is a usage error.
func readResults(path string) ([]bench.Sample, error) {
	samples, err := bench.ReadSamplesFile(resultsPath(path))
	if err != nil && !errors.Is(err, bench.ErrDamaged) {
		return nil, usageError("%w", err)
	}
	return samples, err
}

// writeResults writes a results file in one go, so that a file which was read as input is not lost half-way.
func writeResults(path string, samples []bench.Sample) error {
	f, err := os.CreateTemp(filepath.Dir(path), bench.ResultsFile+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // it is gone already when all went well
	for _, s := range samples {
		if err := bench.WriteSample(f, s); err != nil {
			return errors.Join(err, f.Close())
		}
	}
	if err := errors.Join(f.Chmod(0o644), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// list names the scenarios, and which implementations of them this machine can run.
func (t *tool) list(args []string) error {
	fs := flags("ipcbench list [flags]")
	var c choices
	fs.StringVar(&c.scenario, "scenario", "", "list the scenarios whose name matches this regular `expression`")
	fs.StringVar(&c.impl, "impl", "", "list the implementations whose name matches this regular `expression`")
	fs.StringVar(&c.dir, "dir", "", "the `folder` that wordcount would count")
	if err := t.parse(fs, args); err != nil {
		return err
	}
	if err := noMore(fs); err != nil {
		return err
	}
	scenarios, _, err := c.settle(false)
	if err != nil {
		return err
	}
	var absences []bench.Absence
	for _, sc := range scenarios {
		fmt.Fprintf(t.stdout, "%s\n  %s\n ", sc.Name, sc.Doc)
		for _, im := range sc.Impls {
			why := ""
			if im.Missing != nil {
				why = im.Missing()
			}
			if why == "" {
				fmt.Fprintf(t.stdout, " %s", im.Name)
				continue
			}
			fmt.Fprintf(t.stdout, " (%s)", im.Name)
			absences = append(absences, bench.Absence{Scenario: sc.Name, Impl: im.Name, Kind: bench.Missing, Reason: why})
		}
		fmt.Fprintln(t.stdout)
	}
	for _, m := range bench.MissingImpls(absences) {
		fmt.Fprintf(t.stdout, "missing: %s: %s (%s)\n", m.Impl, m.Reason, stats.Few(m.Scenarios, 4))
	}
	return nil
}
