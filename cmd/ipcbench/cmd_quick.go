package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/fb2d3dbd/multiproc/bench"
	"github.com/fb2d3dbd/multiproc/bench/report"
	"github.com/fb2d3dbd/multiproc/bench/stats"
)

const defaultReport = "ipcbench-report"

// quick measures, prints tables and writes a report folder. The samples are in the folder as soon as they are taken. A run
// that was interrupted in the same folder is gone on with.
func (t *tool) quick(ctx context.Context, args []string) (err error) {
	fs := flags("ipcbench [flags]\n       ipcbench run|compare|report|targets|list|help ...")
	var c choices
	c.register(fs)
	dir := fs.String("report", defaultReport, "write the report into this `folder`; a run that was interrupted there is gone on with")
	fresh := fs.Bool("fresh", false, "begin anew where a run was interrupted")
	if err := t.parse(fs, args); err != nil {
		return err
	}
	if err := noMore(fs); err != nil {
		return err
	}
	scenarios, runner, err := c.settle(true)
	if err != nil {
		return err
	}
	if err := makeReportFolder("report", *dir); err != nil {
		return err
	}
	path := filepath.Join(*dir, bench.ResultsFile)
	var size int64
	if !*fresh {
		if size, err = t.goOn(&runner, path, scenarios); err != nil {
			return err
		}
	}
	f, err := openResults(path, size)
	if err != nil {
		return err
	}
	runner.OnRecord = func(r *bench.Run) error { return bench.WriteRecord(*dir, []*bench.Run{r}) }
	res, err := t.measure(ctx, scenarios, runner, func(s bench.Sample) error { return bench.WriteSample(f, s) })
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := t.conclude(*dir, res.Samples, []*bench.Run{res}); err != nil {
		return err
	}
	return t.verdict(res)
}

// conclude prints the tables and writes the report of samples whose results file stands in dir already.
func (t *tool) conclude(dir string, samples []bench.Sample, runs []*bench.Run) error {
	a := stats.Analyse(samples, withSentences(runs, samples))
	if err := stats.WriteTables(t.stdout, a, t.style()); err != nil {
		return err
	}
	if err := bench.WriteRecord(dir, runs); err != nil {
		return err
	}
	var lines bytes.Buffer
	if err := stats.WriteBenchmarks(&lines, samples); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, report.BenchmarksFile), lines.Bytes(), 0o644); err != nil {
		return err
	}
	page, err := report.Write(dir, a, runs)
	if err != nil {
		return err
	}
	fmt.Fprintf(t.stdout, "report: %s\n", page)
	return nil
}

// withSentences adds what this program knows about scenarios that no record describes.
func withSentences(runs []*bench.Run, samples []bench.Sample) []*bench.Run {
	if len(runs) > 0 {
		return runs
	}
	present := map[string]bool{}
	for _, s := range samples {
		present[s.Scenario] = true
	}
	var known bench.Run
	for _, sc := range bench.Scenarios(bench.ScenarioOptions{}) {
		if present[sc.Name] {
			known.Scenarios = append(known.Scenarios, bench.ScenarioInfo{Name: sc.Name, Doc: sc.Doc})
		}
	}
	return []*bench.Run{&known}
}

// makeReportFolder makes a folder to write to; a name that is taken by a file is a usage error.
func makeReportFolder(flagName, dir string) error {
	if info, err := os.Stat(dir); err == nil && !info.IsDir() {
		return usageError("-%s: %s is not a folder", flagName, dir)
	}
	return os.MkdirAll(dir, 0o755)
}
