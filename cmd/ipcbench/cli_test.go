package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/fb2d3dbd/multiproc"
	"github.com/fb2d3dbd/multiproc/bench"
)

func TestMain(m *testing.M) {
	multiproc.Init()
	if os.Getenv(asCommand) != "" {
		os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// asCommand makes this test program the command, for what only a process of its own can do.
const asCommand = "IPCBENCH_AS_COMMAND"

// invoke runs a command line in this process.
func invoke(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	status = run(t.Context(), args, &out, &errs)
	return status, out.String(), errs.String()
}

// short selects what takes next to no time to measure, on every machine.
var short = []string{"-scenario", "^lock/(uncontended|contended-2)$", "-impl", "^goroutine$", "-count", "2", "-duration", "1ms"}

func with(command []string, more ...string) []string {
	return append(append([]string{}, command...), more...)
}

func TestRunWritesOneLineASample(t *testing.T) {
	status, stdout, stderr := invoke(t, with([]string{"run"}, short...)...)
	if status != exitOK {
		t.Fatalf("status %d: %s", status, stderr)
	}
	lines := strings.Split(strings.TrimSuffix(stdout, "\n"), "\n")
	if len(lines) != 4 {
		t.Fatalf("%d lines, want 2 scenarios of 2 rounds:\n%s", len(lines), stdout)
	}
	for i, l := range lines {
		var s bench.Sample
		if err := json.Unmarshal([]byte(l), &s); err != nil {
			t.Fatalf("line %d: %v: %s", i+1, err, l)
		}
		want := []string{"lock/uncontended", "lock/uncontended", "lock/contended-2", "lock/contended-2"}[i]
		if s.Scenario != want || s.Impl != "goroutine" || s.Unit != bench.Unit || !(s.Value > 0) || s.Round != i%2+1 {
			t.Errorf("line %d: %+v", i+1, s)
		}
	}
	if !strings.Contains(stderr, "[1/2] lock/uncontended done") && !strings.Contains(stderr, "[ 1/2] lock/uncontended done") {
		t.Errorf("no progress on stderr: %s", stderr)
	}
}

func TestRunWritesAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new.jsonl")
	status, stdout, stderr := invoke(t, with([]string{"run", "-o", path}, short...)...)
	if status != exitOK {
		t.Fatalf("status %d: %s", status, stderr)
	}
	samples, err := bench.ReadSamplesFile(path)
	if err != nil || len(samples) != 4 {
		t.Errorf("%d samples, %v, want 4", len(samples), err)
	}
	if !strings.Contains(stdout, "lock/uncontended") || strings.Contains(stdout, "{") {
		t.Errorf("standard output has no tables: %s", stdout)
	}
}

func TestRunForBenchstat(t *testing.T) {
	status, stdout, stderr := invoke(t, with([]string{"run", "-benchfmt"}, short...)...)
	if status != exitOK {
		t.Fatalf("status %d: %s", status, stderr)
	}
	if n := strings.Count(stdout, "BenchmarkScenarios/lock/uncontended/impl=goroutine"); n != 2 {
		t.Errorf("%d lines of lock/uncontended, want 2:\n%s", n, stdout)
	}
	if !strings.Contains(stdout, "pkg: github.com/fb2d3dbd/multiproc/bench") || !strings.Contains(stdout, " ns/op ") {
		t.Errorf("not the format of Go benchmarks:\n%s", stdout)
	}
}

func TestQuickMakesAReport(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "for", "it")
	status, stdout, stderr := invoke(t, with([]string{"-report", dir}, short...)...)
	if status != exitOK {
		t.Fatalf("status %d: %s", status, stderr)
	}
	for _, name := range []string{bench.ResultsFile, bench.RecordFile, "index.html", "benchmarks.txt", "samples-lock-uncontended.svg", "control.svg"} {
		if bench.CPUs() < 2 && name == "control.svg" {
			continue
		}
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	if !strings.Contains(stdout, "× goroutine") || !strings.Contains(stdout, filepath.Join(dir, "index.html")) {
		t.Errorf("standard output: %s", stdout)
	}

	// The report can be made again from its own results, in place, and elsewhere.
	results := filepath.Join(dir, bench.ResultsFile)
	before, err := os.ReadFile(results)
	if err != nil {
		t.Fatal(err)
	}
	for _, to := range []string{dir, filepath.Join(t.TempDir(), "again")} {
		if status, _, stderr := invoke(t, "report", "-o", to, results); status != exitOK {
			t.Fatalf("report: status %d: %s", status, stderr)
		}
		after, err := os.ReadFile(filepath.Join(to, bench.ResultsFile))
		if err != nil || !bytes.Equal(before, after) {
			t.Errorf("the results changed on their way into another report: %v", err)
		}
	}

	status, stdout, stderr = invoke(t, "compare", results, dir) // the folder stands for its file
	if status != exitOK || !strings.Contains(stdout, "lock/contended-2") || !strings.Contains(stdout, "~") {
		t.Errorf("compare with itself: status %d: %s%s", status, stdout, stderr)
	}
}

func TestList(t *testing.T) {
	status, stdout, stderr := invoke(t, "list")
	if status != exitOK {
		t.Fatalf("status %d: %s", status, stderr)
	}
	for _, want := range []string{"queue/spsc/64B\n", "wordcount/4\n", "goroutine", "multiproc", "start/spawn"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("the list lacks %q:\n%s", want, stdout)
		}
	}
}

func TestHelp(t *testing.T) {
	for _, args := range [][]string{{"help"}, {"-h"}, {"run", "-h"}, {"help", "run"}, {"compare", "-h"}, {"report", "-help"}, {"help", "list"}} {
		status, stdout, stderr := invoke(t, args...)
		if status != exitOK || stderr != "" || !strings.Contains(stdout, "ipcbench") {
			t.Errorf("%v: status %d, stdout %q, stderr %q", args, status, stdout, stderr)
		}
	}
	if _, stdout, _ := invoke(t, "help", "run"); !strings.Contains(stdout, "-scenario") || !strings.Contains(stdout, "-benchfmt") {
		t.Errorf("help run does not name its flags: %s", stdout)
	}
}

func TestBadInput(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	const line = `{"scenario":"x","impl":"a","unit":"ns/op","value":2,"regime":"near"}` + "\n"
	good, empty := file("good.jsonl", line), file("empty.jsonl", "")
	damaged := file("damaged.jsonl", line+`{"scenario":"x","impl":"a","un`)
	broken := file("broken.jsonl", "{}\n"+line)
	none := filepath.Join(dir, "none")
	for _, c := range []struct {
		name string
		args []string
		want []string
	}{
		{"unknown command", []string{"frobnicate"}, []string{`unknown command "frobnicate"`, "compare"}},
		{"unknown command of help", []string{"help", "frobnicate"}, []string{`unknown command "frobnicate"`}},
		{"unknown flag", []string{"-frobnicate"}, []string{"-frobnicate"}},
		{"unknown flag of run", []string{"run", "-frobnicate"}, []string{"-frobnicate"}},
		{"argument too many", []string{"run", "queue"}, []string{`unexpected argument "queue"`}},
		{"scenario that does not exist", []string{"run", "-scenario", "qeueu"}, []string{`"qeueu"`, "queue/spsc/64B"}},
		{"scenario that does not exist, in list", []string{"list", "-scenario", "qeueu"}, []string{`"qeueu"`}},
		{"implementation that does not exist", []string{"run", "-impl", "gorotine"}, []string{`"gorotine"`, "goroutine"}},
		{"scenario that is no expression", []string{"run", "-scenario", "queue("}, []string{"scenario", "queue("}},
		{"implementation that is no expression", []string{"-impl", "["}, []string{"implementation", "["}},
		{"folder that does not exist", []string{"run", "-dir", none}, []string{"-dir", none, "does not exist"}},
		{"folder that is a file", []string{"-dir", good}, []string{"-dir", good, "not a folder"}},
		{"folder that does not exist, in list", []string{"list", "-dir", none}, []string{none}},
		{"report folder that is a file", with([]string{"-report", good}, short...), []string{"-report", good, "not a folder"}},
		{"report folder that is a file, in report", []string{"report", "-o", good, good}, []string{"-o", good, "not a folder"}},
		{"output that cannot be made", with([]string{"run", "-o", filepath.Join(none, "x.jsonl")}, short...), []string{"-o", none}},
		{"quick and full", []string{"run", "-quick", "-full"}, []string{"-quick", "-full"}},
		{"count below zero", []string{"run", "-count", "-1"}, []string{"-count"}},
		{"count that is no number", []string{"run", "-count", "many"}, []string{"-count", "many"}},
		{"duration too short", []string{"run", "-duration", "1us"}, []string{"-duration", "1µs"}},
		{"budget too short", []string{"-budget", "1ms"}, []string{"-budget", "1ms"}},
		{"budget below zero", []string{"-budget", "-1s"}, []string{"-budget"}},
		{"more CPUs than there are", []string{"run", "-cpus", "100000"}, []string{"-cpus", "100000"}},
		{"fewer CPUs than one", []string{"run", "-cpus", "-1"}, []string{"-cpus", "-1"}},
		{"resume without a file", []string{"run", "-resume"}, []string{"-resume", "-o"}},
		{"resume of another format", []string{"run", "-resume", "-benchfmt", "-o", good}, []string{"-resume", "-benchfmt"}},
		{"resume of a file that does not exist", []string{"run", "-resume", "-o", none}, []string{"-resume", none}},
		{"resume of a damaged file", []string{"run", "-resume", "-o", broken}, []string{"-resume", broken + ":1:"}},
		{"resume of a file of another program", []string{"run", "-resume", "-o", good}, []string{"-resume", good, "Go"}},
		{"duration below zero", []string{"run", "-duration", "-1s"}, []string{"-duration"}},
		{"compare one file", []string{"compare", good}, []string{"OLD", "NEW"}},
		{"compare a file that does not exist", []string{"compare", good, none}, []string{none}},
		{"compare a damaged file", []string{"compare", good, damaged}, []string{damaged + ":2:"}},
		{"compare an empty file", []string{"compare", empty, good}, []string{empty, "no samples"}},
		{"report of nothing", []string{"report"}, []string{"at least one"}},
		{"report of a file that does not exist", []string{"report", "-o", dir, none}, []string{none}},
		{"report of a damaged file", []string{"report", "-o", dir, damaged}, []string{damaged + ":2:"}},
		{"report of a folder", []string{"report", "-o", dir, dir}, []string{dir}},
	} {
		status, stdout, stderr := invoke(t, c.args...)
		if status != exitUsage || stdout != "" {
			t.Errorf("%s: status %d, stdout %q, want %d and nothing", c.name, status, stdout, exitUsage)
		}
		if !strings.HasPrefix(stderr, "ipcbench: ") || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%s: stderr %q, want one line", c.name, stderr)
		}
		for _, want := range c.want {
			if !strings.Contains(stderr, want) {
				t.Errorf("%s: stderr %q does not name %q", c.name, stderr, want)
			}
		}
	}
}

func TestFailingImplementationEndsWithOne(t *testing.T) {
	dir := t.TempDir() // without a .go file in it
	status, stdout, stderr := invoke(t, "run", "-dir", dir, "-scenario", "^(wordcount/1|lock/uncontended)$", "-impl", "^goroutine$", "-count", "1", "-duration", "1ms")
	if status != exitFailed {
		t.Errorf("status %d, want %d", status, exitFailed)
	}
	if !strings.Contains(stderr, "wordcount/1 goroutine") || strings.Count(stdout, "\n") != 1 {
		t.Errorf("stdout %q, stderr %q: want the failure named and the other measured", stdout, stderr)
	}
}

func TestResultsThatDisagreeEndWithOne(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "x.jsonl")
	const line = `{"scenario":"wordcount/1","impl":"%","unit":"ns/op","value":2,"regime":"near","extra":{"digest":"%"}}` + "\n"
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(line, "%", "aa")+strings.ReplaceAll(line, "%", "bb")), 0o644); err != nil {
		t.Fatal(err)
	}
	status, stdout, stderr := invoke(t, "report", "-o", filepath.Join(dir, "report"), path)
	if status != exitFailed || !strings.Contains(stdout, "WRONG RESULT") || !strings.Contains(stderr, "WRONG RESULT") {
		t.Errorf("status %d, stdout %q, stderr %q", status, stdout, stderr)
	}
}

// A tripwire cancels when what is written to it contains a word.
type tripwire struct {
	mu     sync.Mutex
	buf    bytes.Buffer
	word   string
	cancel func()
}

func (w *tripwire) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.buf.Write(p)
	if strings.Contains(w.buf.String(), w.word) {
		w.cancel()
	}
	return len(p), nil
}

func TestInterruptionKeepsTheReport(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	dir := filepath.Join(t.TempDir(), "report")
	var stdout bytes.Buffer
	stderr := &tripwire{word: "lock/uncontended done", cancel: cancel}
	if status := run(ctx, with([]string{"-report", dir}, short...), &stdout, stderr); status != exitInterrupted {
		t.Fatalf("status %d, want %d: %s", status, exitInterrupted, stderr.buf.String())
	}
	samples, err := bench.ReadSamplesFile(filepath.Join(dir, bench.ResultsFile))
	if err != nil || len(samples) != 2 {
		t.Errorf("%d samples, %v, want the 2 of the first scenario", len(samples), err)
	}
	page, err := os.ReadFile(filepath.Join(dir, "index.html"))
	if err != nil || !bytes.Contains(page, []byte("interrupted")) {
		t.Errorf("the page does not say that it was interrupted: %v", err)
	}
	if !strings.Contains(stderr.buf.String(), "ipcbench: interrupted") || !strings.Contains(stdout.String(), "lock/uncontended") {
		t.Errorf("stdout %q, stderr %q", stdout.String(), stderr.buf.String())
	}
}
