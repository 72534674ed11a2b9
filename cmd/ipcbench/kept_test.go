package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/fb2d3dbd/multiproc/bench"
)

const marks = "# x\n\n<!-- comparison: made by go run ./cmd/ipcbench readme -->\nold\n<!-- /comparison -->\n\nthe rest\n"

// kept makes a short run of what every machine has, and keeps it with a README of its own.
func kept(t *testing.T) (folder, readme string) {
	t.Helper()
	dir := t.TempDir()
	folder, readme = filepath.Join(dir, "bench", "results"), filepath.Join(dir, "README.md")
	if err := os.WriteFile(readme, []byte(marks), 0o644); err != nil {
		t.Fatal(err)
	}
	report := filepath.Join(dir, "report")
	if status, _, stderr := invoke(t, with([]string{"-report", report}, short...)...); status != exitOK {
		t.Fatalf("status %d: %s", status, stderr)
	}
	if status, stdout, stderr := invoke(t, "keep", "-o", folder, "-readme", readme, report); status != exitOK || !strings.Contains(stdout, readme) {
		t.Fatalf("keep: status %d: %s%s", status, stdout, stderr)
	}
	return folder, readme
}

func TestRunIsKept(t *testing.T) {
	folder, readme := kept(t)
	b, err := os.ReadFile(filepath.Join(folder, bench.ResultsFile))
	if err != nil || bytes.Count(b, []byte("\n")) != 4 || bytes.Contains(b, []byte(`"machine"`)) {
		t.Errorf("%v, results that are kept:\n%s", err, b)
	}
	record, err := os.ReadFile(filepath.Join(folder, bench.RecordFile))
	if err != nil || !bytes.Contains(record, []byte(`"machine"`)) || bytes.Contains(record, []byte(filepath.Dir(readme))) {
		t.Errorf("%v, record that is kept:\n%s", err, record)
	}
	samples, _, err := bench.ReadFolder(folder)
	if err != nil || len(samples) != 4 || samples[0].Machine == nil || samples[0].Machine.CPUs == 0 {
		t.Errorf("%v, samples that are kept: %+v", err, samples)
	}
	first, err := os.ReadFile(readme)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"# x\n", "### What one operation costs\n", "| lock and unlock, alone", "\nthe rest\n", "go run ./cmd/ipcbench targets"} {
		if !strings.Contains(string(first), want) {
			t.Errorf("the README lacks %q:\n%s", want, first)
		}
	}
	if strings.Contains(string(first), "\nold\n") {
		t.Errorf("the README has its old part:\n%s", first)
	}
	for _, m := range regexp.MustCompile(`\]\(([^)]*\.svg)\)`).FindAllStringSubmatch(string(first), -1) {
		if _, err := os.Stat(filepath.Join(filepath.Dir(readme), m[1])); err != nil {
			t.Error(err)
		}
	}
	// Made again of what is kept it is the same.
	if status, _, stderr := invoke(t, "readme", "-results", folder, readme); status != exitOK {
		t.Fatalf("readme: status %d: %s", status, stderr)
	}
	if again, err := os.ReadFile(readme); err != nil || !bytes.Equal(first, again) {
		t.Errorf("%v; the second README differs:\n%s", err, again)
	}
}

func TestTargets(t *testing.T) {
	folder, _ := kept(t)
	status, stdout, stderr := invoke(t, "targets", folder)
	lines := strings.Split(strings.TrimSuffix(stdout, "\n"), "\n")
	if status != exitOK || len(lines) != len(bench.Targets())+6 { // a head, two lines that explain, the count, and empty lines between
		t.Fatalf("status %d, %d lines: %s%s", status, len(lines), stdout, stderr)
	}
	if last := lines[len(lines)-1]; !regexp.MustCompile(`^\d+ targets: \d+ met, \d+ missed, \d+ not measured(; \d+ verdicts? (is|are) close)?$`).MatchString(last) {
		t.Errorf("the last line is %q", last)
	}
}

func TestKeepRefuses(t *testing.T) {
	dir := t.TempDir()
	readme := filepath.Join(dir, "README.md")
	if err := os.WriteFile(readme, []byte(marks), 0o644); err != nil {
		t.Fatal(err)
	}
	stopped, _ := interrupted(t)
	alone := t.TempDir() // results without a record
	b, err := os.ReadFile(filepath.Join(stopped, bench.ResultsFile))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(alone, bench.ResultsFile), b, 0o644); err != nil {
		t.Fatal(err)
	}
	bare := filepath.Join(dir, "bare.md")
	if err := os.WriteFile(bare, []byte("# x\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		args []string
		want []string
	}{
		{"interrupted", []string{"keep", "-o", dir, "-readme", readme, stopped}, []string{stopped, "interrupted"}},
		{"no record", []string{"keep", "-o", dir, "-readme", readme, alone}, []string{alone, "0 runs"}},
		{"no results", []string{"keep", "-o", dir, "-readme", readme, dir}, []string{dir, bench.ResultsFile}},
		{"two folders", []string{"keep", dir, dir}, []string{dir}},
		{"targets of nothing", []string{"targets", dir}, []string{dir, bench.ResultsFile}},
		{"readme of nothing", []string{"readme", "-results", dir, readme}, []string{dir}},
		{"readme that is not there", []string{"readme", "-results", alone, filepath.Join(dir, "none")}, []string{"none"}},
		{"readme without marks", []string{"readme", "-results", alone, bare}, []string{bare, "comparison"}},
	} {
		status, stdout, stderr := invoke(t, c.args...)
		if status != exitUsage || stdout != "" || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%s: status %d, stdout %q, stderr %q", c.name, status, stdout, stderr)
		}
		for _, want := range c.want {
			if !strings.Contains(stderr, want) {
				t.Errorf("%s: stderr %q does not say %q", c.name, stderr, want)
			}
		}
	}
	if b, err := os.ReadFile(readme); err != nil || string(b) != marks {
		t.Errorf("%v; what was refused changed the README: %s", err, b)
	}
}

func TestCommandLineWithoutPaths(t *testing.T) {
	for command, want := range map[string]string{
		"ipcbench -full -budget 25m":          "ipcbench -full -budget 25m",
		"ipcbench -full -report /home/x/r":    "ipcbench -full",
		"ipcbench --report=/home/x/r -full":   "ipcbench -full",
		"ipcbench -scenario report -report x": "ipcbench -scenario report",
	} {
		if got := withoutPaths(command); got != want {
			t.Errorf("%q: %q, want %q", command, got, want)
		}
	}
}
