package report

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/fb2d3dbd/multiproc/bench"
	"github.com/fb2d3dbd/multiproc/bench/stats"
)

// The marks between which a README shows the run that is kept.
const (
	readmeBegin = "<!-- comparison: made by go run ./cmd/ipcbench readme -->"
	readmeEnd   = "<!-- /comparison -->"
)

// Insert replaces what stands between the two marks of a README. One without them, or with one of them twice, is an error.
func Insert(readme []byte, part string) ([]byte, error) {
	for _, mark := range []string{readmeBegin, readmeEnd} {
		if n := bytes.Count(readme, []byte(mark)); n != 1 {
			return nil, fmt.Errorf("the mark %s stands there %d times, want once", mark, n)
		}
	}
	before, rest, _ := bytes.Cut(readme, []byte(readmeBegin))
	_, after, ok := bytes.Cut(rest, []byte(readmeEnd))
	if !ok {
		return nil, errors.New("the mark " + readmeEnd + " stands before the other")
	}
	return slices.Concat(before, []byte(readmeBegin+"\n"+part+readmeEnd), after), nil
}

// kinds are the columns of the README's table: each shows the fastest of some implementations.
var kinds = []struct {
	name  string
	impls []string
}{
	{"multiproc", []string{bench.Subject}},
	{"goroutines", []string{bench.Reference}},
	{"the kernel's means", []string{"pipe", "unixsocket", "exec", "mq"}},
	{"CPython", []string{"cpython"}},
	{"C", []string{"cring", "pthread", "cfork"}},
}

// leading are the rows of the README's table, where they were measured.
var leading = []struct{ scenario, what string }{
	{"queue/spsc/64B", "message of 64 B, one producer, one consumer"},
	{"queue/mpmc-2x2/64B", "the same, two and two, any of which may be killed"},
	{"queue/lease/64KiB", "message of 64 KiB, in place"},
	{"queue/rtt/64B", "round trip of 64 B"},
	{"lock/uncontended", "lock and unlock, alone"},
	{"lock/contended-2", "lock and unlock, two processes at once"},
	{"value/add-locked-2", "addition under a lock, two processes"},
	{"start/spawn", "a process, started and ended"},
	{"start/forkserver", "a copy of a prepared process, until it runs"},
	{"pool/map-chunk1", "task of a pool, each a message"},
	{"manager/dict-get", "a manager's dict, get"},
	{"wordcount/2", "the identifiers of Go's source, two workers"},
	{"index/query/2", "query of an index of them, two clients"},
}

// Readme makes the part of a README that shows a run kept in the folder dir, as seen from the README, and the plots that it
// shows, by file name.
func Readme(a *stats.Analysis, runs []*bench.Run, dir string) (part string, plots map[string][]byte) {
	var b strings.Builder
	plots = map[string][]byte{}
	fmt.Fprintf(&b, "\n### What one operation costs\n\n%s\n\n", readmeMachine(a, runs))
	b.WriteString("| one operation |")
	for _, k := range kinds {
		fmt.Fprintf(&b, " %s |", k.name)
	}
	b.WriteString("\n|---|" + strings.Repeat("--:|", len(kinds)) + "\n")
	var shown []string
	for _, l := range leading {
		i := slices.IndexFunc(a.Scenarios, func(s stats.Scenario) bool { return s.Name == l.scenario })
		if i < 0 || len(a.Scenarios[i].Blocks) == 0 {
			continue
		}
		shown = append(shown, l.scenario)
		block := a.Scenarios[i].Main()
		what := l.what
		if block.Regime == bench.Far {
			what += " (CPUs far)"
		}
		fmt.Fprintf(&b, "| %s |", what)
		for _, k := range kinds {
			fmt.Fprintf(&b, " %s |", readmeCell(block, k.impls))
		}
		b.WriteByte('\n')
	}
	b.WriteString("\nMedians; in brackets how many times multiproc's time in the same rounds, ~ where the two cannot be told apart.\n")
	add := func(f figure, name string) {
		plots[name] = f.svg(false, fileMargin)
		fmt.Fprintf(&b, "\n![%s](%s/%s)\n\n%s %s\n", f.title, dir, name, f.caption, f.doubt)
	}
	some := *a
	some.Scenarios = slices.DeleteFunc(slices.Clone(a.Scenarios), func(s stats.Scenario) bool { return !slices.Contains(shown, s.Name) })
	if f, ok := overview(&some); ok {
		add(f, "comparison.svg")
	}
	if f, ok := readmeCurve(a); ok {
		add(f, "contention.svg")
	}
	fmt.Fprintf(&b, "\n%s: `go run ./cmd/ipcbench targets`.\n", stats.Tally(stats.Judge(bench.Targets(), a.Samples)))
	return b.String(), plots
}

// readmeMachine says in a sentence on what and when a run was made.
func readmeMachine(a *stats.Analysis, runs []*bench.Run) string {
	s := fmt.Sprintf("%d samples", len(a.Samples))
	if len(runs) > 0 && runs[0].Machine != nil {
		r, m := runs[0], runs[0].Machine
		cpu := m.CPU
		if cpu == "" {
			cpu = m.Arch
		}
		virtual := ""
		if m.Virtual {
			virtual = " of a virtual machine"
		}
		s += fmt.Sprintf(", taken on %s on %d CPUs%s (%s, %s %s, %s)", r.Started.UTC().Format("2 January 2006"), m.CPUs, virtual, cpu, m.OS, m.Kernel, r.Go)
	}
	return s + "; [benchmarking](docs/benchmarking.md) says how, and when not to believe them:"
}

// readmeCell shows the fastest of some implementations.
func readmeCell(b stats.Block, impls []string) string {
	var best *stats.Row
	for _, im := range impls {
		if r := b.Row(im); r != nil && (best == nil || r.Time.Median < best.Time.Median) {
			best = r
		}
	}
	switch {
	case best == nil:
		return "–"
	case best.Subject():
		return "**" + stats.Time(best.Time.Median) + "**"
	case best.ToSubject.N == 0:
		return stats.Time(best.Time.Median)
	}
	about := ""
	if best.ToSubject.Unclear() {
		about = "~"
	}
	return fmt.Sprintf("%s (%s%s×)", stats.Time(best.Time.Median), about, stats.Times(best.ToSubject.Median))
}
