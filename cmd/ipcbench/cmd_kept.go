package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/fb2d3dbd/multiproc/bench"
	"github.com/fb2d3dbd/multiproc/bench/report"
	"github.com/fb2d3dbd/multiproc/bench/stats"
)

// keptFolder holds the full run that the repository keeps, seen from its root.
const keptFolder = "bench/results"

// targets tells which targets a run reaches.
func (t *tool) targets(args []string) error {
	fs := flags("ipcbench targets [FOLDER]")
	if err := t.parse(fs, args); err != nil {
		return err
	}
	dir, err := optional(fs.Args(), keptFolder)
	if err != nil {
		return err
	}
	samples, _, err := readFolder(dir)
	if err != nil {
		return err
	}
	return stats.WriteTargets(t.stdout, stats.Judge(bench.Targets(), samples), t.style())
}

// keep copies the run of a report folder to where the repository keeps one, and makes the README's part of it anew.
func (t *tool) keep(args []string) error {
	fs := flags("ipcbench keep [-o DIR] [-readme FILE] [FOLDER]")
	dir := fs.String("o", keptFolder, "keep the run in this `folder`")
	readme := fs.String("readme", "README.md", "the `file` whose table and plots are made of it")
	if err := t.parse(fs, args); err != nil {
		return err
	}
	from, err := optional(fs.Args(), defaultReport)
	if err != nil {
		return err
	}
	samples, runs, err := readFolder(from)
	if err != nil {
		return err
	}
	if err := fitToKeep(runs); err != nil {
		return usageError("%s: %w", from, err)
	}
	for i := range samples {
		samples[i].Machine = nil // the record has it
	}
	runs[0].Settings.Command = withoutPaths(runs[0].Settings.Command)
	if err := makeReportFolder("o", *dir); err != nil {
		return err
	}
	if err := writeResults(filepath.Join(*dir, bench.ResultsFile), samples); err != nil {
		return err
	}
	if err := bench.WriteRecord(*dir, runs); err != nil {
		return err
	}
	return t.rewrite(*readme, *dir)
}

// readme makes the README's part of the run that is kept anew.
func (t *tool) readme(args []string) error {
	fs := flags("ipcbench readme [-results DIR] [README]")
	dir := fs.String("results", keptFolder, "the `folder` that the run is kept in")
	if err := t.parse(fs, args); err != nil {
		return err
	}
	path, err := optional(fs.Args(), "README.md")
	if err != nil {
		return err
	}
	return t.rewrite(path, *dir)
}

// rewrite makes the part of a README that shows the run in dir, and the plots beside the run.
func (t *tool) rewrite(path, dir string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return usageError("%w", err)
	}
	samples, runs, err := readFolder(dir)
	if err != nil {
		return err
	}
	where, err := filepath.Rel(filepath.Dir(path), dir)
	if err != nil {
		return usageError("%s is not to be found from %s: %w", dir, path, err)
	}
	part, plots := report.Readme(stats.Analyse(samples, runs), runs, filepath.ToSlash(where))
	text, err = report.Insert(text, part)
	if err != nil {
		return usageError("%s: %w", path, err)
	}
	for name, svg := range plots {
		if err := os.WriteFile(filepath.Join(dir, name), svg, 0o644); err != nil {
			return err
		}
		fmt.Fprintln(t.stdout, filepath.Join(dir, name))
	}
	if err := os.WriteFile(path, text, 0o644); err != nil {
		return err
	}
	fmt.Fprintln(t.stdout, path)
	return nil
}

// readFolder reads a report folder; one that has no results is a usage error.
func readFolder(dir string) ([]bench.Sample, []*bench.Run, error) {
	samples, runs, err := bench.ReadFolder(dir)
	if errors.Is(err, fs.ErrNotExist) {
		err = usageError("%s holds no %s: give the folder of a report", dir, bench.ResultsFile)
	} else if err != nil && !errors.Is(err, bench.ErrDamaged) {
		err = usageError("%w", err)
	}
	return samples, runs, err
}

// fitToKeep refuses runs that would not be one whole run of the usual things.
func fitToKeep(runs []*bench.Run) error {
	switch {
	case len(runs) != 1:
		return fmt.Errorf("%d runs are recorded there, and one is to be kept", len(runs))
	case runs[0].Unfinished():
		return errors.New("the run was interrupted; go on with it first")
	case runs[0].Settings.Dir != "":
		return errors.New("the run counted a folder of its own (-dir), which nobody else has")
	case len(runs[0].Failures()) > 0:
		return fmt.Errorf("%d implementations failed in that run, %v among them", len(runs[0].Failures()), runs[0].Failures()[0])
	}
	return nil
}

// withoutPaths leaves out of a command line what names a place of one machine: -report, and what follows it.
func withoutPaths(command string) string {
	var kept []string
	words := strings.Fields(command)
	for i := 0; i < len(words); i++ {
		switch name := strings.TrimLeft(words[i], "-"); {
		case words[i] != name && name == "report":
			i++
		case words[i] != name && strings.HasPrefix(name, "report="):
		default:
			kept = append(kept, words[i])
		}
	}
	return strings.Join(kept, " ")
}

// optional returns the one argument that there may be, or what stands for it.
func optional(args []string, usual string) (string, error) {
	switch len(args) {
	case 0:
		return usual, nil
	case 1:
		return args[0], nil
	}
	return "", usageError("unexpected argument %q", args[1])
}
