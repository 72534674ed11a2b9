package report

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fb2d3dbd/multiproc/bench"
	"github.com/fb2d3dbd/multiproc/bench/stats"
)

// example makes the samples of a small run in which multiproc is measured with most others, in both regimes.
func example() ([]bench.Sample, []*bench.Run) {
	run := &bench.Run{ID: "r", Started: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), Settings: bench.Settings{SampleTime: 60 * time.Millisecond, Rounds: 6, Budget: time.Minute}}
	machine := &bench.Machine{OS: "linux", Arch: "amd64", CPU: "AMD <EPYC>", CPUs: 2, MaxProcs: 2, Virtual: true, Peers: map[string]string{"cpython": "CPython 3.13.0"}}
	var samples []bench.Sample
	for i, sc := range []struct {
		name  string
		impls []string
	}{
		{"queue/spsc/8B", []string{"multiproc", "goroutine", "cpython"}},
		{"queue/spsc/64B", []string{"multiproc", "goroutine", "newcomer"}},
		{"queue/spsc/1KiB", []string{"multiproc", "goroutine"}},
		{"lock/uncontended", []string{"goroutine", "pthread"}},
		{"start/spawn", []string{"multiproc", "goroutine"}},
		{"wordcount/1", []string{"multiproc", "goroutine"}},
		{"wordcount/4", []string{"multiproc", "goroutine"}},
	} {
		run.Scenarios = append(run.Scenarios, bench.ScenarioInfo{Name: sc.name, Doc: "one thing called " + sc.name, Impls: sc.impls})
		for j, im := range sc.impls {
			for round := range 8 {
				s := bench.Sample{
					Scenario: sc.name, Impl: im, Unit: bench.Unit, Round: round + 1, Regime: bench.Near, ControlNs: 145,
					Value: float64((i+1)*(j+2)*10) + float64(round), Ops: 10, Time: run.Started.Add(time.Duration(i*60+round) * time.Second),
					WallNs: 1e8, ControlBeforeNs: 145, ControlAfterNs: 146, Run: "r", Go: "go1.26.0", Machine: machine,
				}
				if sc.name == "queue/spsc/1KiB" && round >= 3 {
					s.Regime, s.ControlNs, s.ControlBeforeNs, s.ControlAfterNs = bench.Far, 600, 600, 610
				}
				if sc.name == "start/spawn" && round == 0 {
					s.Regime, s.ControlAfterNs = bench.Mixed, 600
				}
				if strings.HasPrefix(sc.name, "wordcount") {
					s.Extra = map[string]string{"digest": "11789f41", "files": "7711"}
				}
				samples = append(samples, s)
			}
		}
	}
	run.Absences = []bench.Absence{
		{Scenario: "lock/uncontended", Impl: "cpython", Kind: bench.Missing, Reason: "no python3 of at least 3.11"},
		{Scenario: "start/spawn", Impl: "cpython", Kind: bench.Missing, Reason: "no python3 of at least 3.11"},
		{Scenario: "lock/uncontended", Impl: "multiproc", Kind: bench.Failed, Reason: "exit status 1: <script>alert(1)</script>"},
	}
	return samples, []*bench.Run{run}
}

// write writes a report and returns its folder and the page.
func write(t *testing.T, samples []bench.Sample, runs []*bench.Run) (dir, page string) {
	t.Helper()
	dir = t.TempDir()
	path, err := Write(dir, stats.Analyse(samples, runs), runs)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return dir, string(b)
}

// A node is an element of a page.
type node struct {
	name  string
	attrs map[string]string
	text  string
}

var (
	rawText     = regexp.MustCompile(`(?s)(<style>|<script>).*?(</style>|</script>)`)
	voidElement = regexp.MustCompile(`(<(?:meta|br)\b[^>]*)>`)
)

// elements returns the elements of a page in order; it fails when tags do not match or an attribute is not quoted.
func elements(t *testing.T, page string) []*node {
	t.Helper()
	page = strings.TrimPrefix(rawText.ReplaceAllString(page, "$1$2"), "<!doctype html>")
	d := xml.NewDecoder(strings.NewReader(voidElement.ReplaceAllString(page, "$1/>")))
	d.Entity = xml.HTMLEntity
	var list, open []*node
	for {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			if len(open) > 0 {
				t.Fatalf("<%s> is not closed", open[len(open)-1].name)
			}
			return list
		}
		if err != nil {
			t.Fatalf("the page is not well formed: %v", err)
		}
		switch tok := tok.(type) {
		case xml.StartElement:
			n := &node{name: tok.Name.Local, attrs: map[string]string{}}
			for _, a := range tok.Attr {
				n.attrs[a.Name.Local] = a.Value
			}
			for _, o := range open {
				o.text += " " // cells do not run into each other
			}
			list, open = append(list, n), append(open, n)
		case xml.EndElement:
			open = open[:len(open)-1]
		case xml.CharData:
			for _, n := range open {
				n.text += string(tok)
			}
		}
	}
}

func TestPageStructure(t *testing.T) {
	samples, runs := example()
	_, page := write(t, samples, runs)
	if !strings.HasPrefix(page, "<!doctype html>\n<html lang=\"en\">") {
		t.Errorf("page starts with %.60q", page)
	}
	var outline []string
	for _, n := range elements(t, page) {
		if slices.Contains([]string{"h1", "h2", "h3"}, n.name) {
			outline = append(outline, n.name+" "+n.text)
		}
	}
	want := []string{
		"h1 Processes over shared memory, compared",
		"h2 At a glance",
		"h2 queue", "h3 queue/spsc/8B", "h3 queue/spsc/64B", "h3 queue/spsc/1KiB",
		"h2 lock", "h3 lock/uncontended",
		"h2 start", "h3 start/spawn",
		"h2 wordcount", "h3 wordcount by workers", "h3 wordcount/1", "h3 wordcount/4",
		"h2 Machine",
		"h2 Method, and when not to believe it",
	}
	if !slices.Equal(outline, want) {
		t.Errorf("outline:\n%s\nwant:\n%s", strings.Join(outline, "\n"), strings.Join(want, "\n"))
	}
}

func TestPageStandsAlone(t *testing.T) {
	samples, runs := example()
	dir, page := write(t, samples, runs)
	for _, scheme := range []string{"http:", "https:", "//cdn", "url(", "@import"} {
		if strings.Contains(page, scheme) {
			t.Errorf("the page refers to something outside: it contains %q", scheme)
		}
	}
	ids := map[string]bool{}
	var links []string
	for _, n := range elements(t, page) {
		if id := n.attrs["id"]; id != "" {
			if ids[id] {
				t.Errorf("id %q is there twice", id)
			}
			ids[id] = true
		}
		if n.name == "a" {
			links = append(links, n.attrs["href"])
		}
		if src := n.attrs["src"]; src != "" {
			t.Errorf("<%s src=%q>", n.name, src)
		}
	}
	for _, l := range links {
		if id, ok := strings.CutPrefix(l, "#"); ok {
			if !ids[id] {
				t.Errorf("link to %s leads nowhere", l)
			}
			continue
		}
		if l == bench.ResultsFile || l == bench.RecordFile || l == BenchmarksFile {
			continue // the caller writes them
		}
		if _, err := os.Stat(filepath.Join(dir, l)); err != nil {
			t.Errorf("link to a file: %v", err)
		}
	}
	if !strings.Contains(page, "prefers-color-scheme: dark") || !strings.Contains(page, `name="viewport"`) {
		t.Error("the page has no dark form or no width")
	}
}

func TestPageShowsEverything(t *testing.T) {
	samples, runs := example()
	_, page := write(t, samples, runs)
	all := elements(t, page)
	var rows []string
	figures, captions := 0, 0
	for _, n := range all {
		switch n.name {
		case "tr":
			rows = append(rows, strings.Join(strings.Fields(n.text), " "))
		case "figure":
			figures++
		case "figcaption":
			captions++
			if !strings.Contains(n.text, ".") {
				t.Errorf("caption %q is no sentence", n.text)
			}
		}
	}
	body := all[0].text
	for _, want := range []string{
		"cpython is missing on this machine: no python3 of at least 3.11 (lock/uncontended, start/spawn)",
		"multiproc of lock/uncontended failed: exit status 1: <script>alert(1)</script>",
		"All implementations of wordcount found the same: digest 11789f41 by multiproc, goroutine; 7711 files.",
		"AMD <EPYC>", "CPython 3.13.0", "go1.26.0", "one thing called start/spawn", "slow implementations fewer",
		"2 of 16 samples stand in no table",
	} {
		if !strings.Contains(strings.Join(strings.Fields(body), " "), want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	for _, want := range []string{
		"scenario multiproc goroutine cpython newcomer pthread",
		"queue/spsc/8B near 23.5 ns 33.5 ns 1.43× 43.5 ns 1.85× – –",
		"multiproc 23.5 ns 1 0.70 0.67–0.72 20.0–26.0 – 8",
		"goroutine 33.5 ns 1.43 1.37–1.48 1 30.0–36.0 < 0.001 8",
		"implementation 1 worker 4 workers",
	} {
		if !slices.Contains(rows, want) {
			t.Errorf("no row %q among\n%s", want, strings.Join(rows, "\n"))
		}
	}
	// the overview, one for sizes, one for the speed-up, the control, and one for each scenario
	if want := 4 + 7; figures != want || captions != want {
		t.Errorf("%d figures with %d captions, want %d", figures, captions, want)
	}
	if n := strings.Count(page, "<caption>far, control"); n != 1 {
		t.Errorf("%d tables of the far regime, want 1", n)
	}
	for _, first := range regexp.MustCompile(`(?s)<tbody><tr[^>]*><th scope="row"><i[^>]*></i>([a-z]+)`).FindAllStringSubmatch(page, -1) {
		if first[1] != "multiproc" && first[1] != "goroutine" { // lock/uncontended has no multiproc
			t.Errorf("a table starts with %s", first[1])
		}
	}
}

func TestPageShoutsAboutAWrongResult(t *testing.T) {
	samples, runs := example()
	for i := range samples {
		if samples[i].Scenario == "wordcount/4" && samples[i].Impl == "multiproc" {
			samples[i].Extra = map[string]string{"digest": "ffffffff"}
		}
	}
	_, page := write(t, samples, runs)
	alarms := 0
	for _, n := range elements(t, page) {
		if strings.HasPrefix(n.attrs["class"], "alarm") && strings.Contains(n.text, "ffffffff") {
			alarms++
		}
	}
	if alarms != 2 {
		t.Errorf("%d alarms about the wrong result, want one on top and one beside the job", alarms)
	}
}

// TestPagesOfLittle makes pages of what little an early interruption, or a file from elsewhere, leaves.
func TestPagesOfLittle(t *testing.T) {
	samples, runs := example()
	bare := slices.Clone(samples[:1])
	bare[0] = bench.Sample{Scenario: "x", Impl: "a", Unit: bench.Unit, Value: 5, Regime: bench.None}
	for name, c := range map[string]struct {
		samples []bench.Sample
		runs    []*bench.Run
		want    string
	}{
		"nothing":         {nil, []*bench.Run{{ID: "r", Interrupted: true, Absences: runs[0].Absences[:1]}}, "Nothing was measured."},
		"one sample":      {samples[:1], runs[:0], "queue/spsc/8B"},
		"a bare sample":   {bare, nil, "one CPU"},
		"no multiproc":    {samples[8:16], nil, "goroutine"},
		"interrupted":     {samples[:3], []*bench.Run{{ID: "r", Interrupted: true}}, "The run was interrupted"},
		"no goroutine":    {samples[:8], nil, "multiproc"},
		"several machine": {append(slices.Clone(samples), bench.Sample{Scenario: "x", Impl: "a", Value: 1, Regime: bench.Near, Machine: &bench.Machine{OS: "plan9"}}), nil, "several machines"},
	} {
		_, page := write(t, c.samples, c.runs)
		elements(t, page)
		if !strings.Contains(page, c.want) {
			t.Errorf("%s: the page does not say %q", name, c.want)
		}
	}
}

func TestFiguresAreFiles(t *testing.T) {
	samples, runs := example()
	dir, _ := write(t, samples, runs)
	files, err := filepath.Glob(filepath.Join(dir, "*.svg"))
	if err != nil || len(files) != 11 {
		t.Fatalf("%d figures, %v, want 11", len(files), err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		d := xml.NewDecoder(strings.NewReader(string(b)))
		for {
			_, err := d.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", filepath.Base(f), err)
			}
		}
		if strings.Contains(string(b), "NaN") || strings.Contains(string(b), "Inf") {
			t.Errorf("%s has a point that is no number", filepath.Base(f))
		}
	}
	// A second report in the same folder leaves no figure of the first.
	if _, err := Write(dir, stats.Analyse(samples[:8], nil), nil); err != nil {
		t.Fatal(err)
	}
	if files, _ := filepath.Glob(filepath.Join(dir, "*.svg")); len(files) != 2 {
		t.Errorf("figures of the second report: %v, want those of one scenario and the control", files)
	}
}

func TestInlineFiguresFollowTheReader(t *testing.T) {
	samples, runs := example()
	_, page := write(t, samples, runs)
	svgs := regexp.MustCompile(`(?s)<svg.*?</svg>`).FindAllString(page, -1)
	if len(svgs) != 22 {
		t.Fatalf("%d inline figures, want 11 for a wide screen and 11 for a phone", len(svgs))
	}
	for _, s := range svgs {
		if m := regexp.MustCompile(`#[0-9A-Fa-f]{6}`).FindString(s); m != "" {
			t.Errorf("an inline figure has the fixed colour %s", m)
		}
		if strings.Contains(s, "xmlns") || strings.Contains(s, "NaN") {
			t.Errorf("an inline figure has a namespace or a point that is no number: %.200s", s)
		}
	}
}

func TestColoursAreDistinct(t *testing.T) {
	seen := map[string]string{}
	for _, s := range shades() {
		for _, hex := range []string{s.light, s.dark} {
			if !regexp.MustCompile(`^#[0-9A-F]{6}$`).MatchString(hex) {
				t.Errorf("%s: %q is not an upper-case colour", s.name, hex)
			}
		}
		if other, ok := seen[s.light]; ok {
			t.Errorf("%s and %s have the same colour: one could not be told from the other in a page", s.name, other)
		}
		seen[s.light] = s.name
	}
}

func TestLogTicks(t *testing.T) {
	for _, c := range []struct {
		lo, hi float64
		most   int
	}{{5, 8, 9}, {1, 10, 9}, {1, 1000, 9}, {1e-5, 1e6, 4}, {144.9, 145.2, 9}, {1, 1e12, 9}} {
		labels := 0
		for _, tick := range (logTicks{tickTime, c.most}).Ticks(c.lo, c.hi) {
			if tick.Value < c.lo*0.998 || tick.Value > c.hi*1.002 {
				t.Errorf("%v: tick at %v", c, tick.Value)
			}
			if tick.Label != "" {
				labels++
			}
		}
		if labels > 12 {
			t.Errorf("%v: %d labels", c, labels)
		}
	}
}

func TestTickLabels(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{tickTime(10), "10 ns"}, {tickTime(1000), "1 µs"}, {tickTime(2.5), "2.5 ns"}, {tickTime(200), "200 ns"}, {tickTimes(1), "1×"}, {tickTimes(1000), "1000×"},
		{sizeName(65536), "64 KiB"}, {sizeName(8), "8 B"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
	if way, bytes, ok := messageSize("queue/spsc/64KiB"); way != "queue/spsc" || bytes != 65536 || !ok {
		t.Errorf("messageSize of 64 KiB = %q, %v, %v", way, bytes, ok)
	}
	for _, name := range []string{"lock/contended-2", "queue/mpmc-2x2", "wordcount", "queue/spsc/B"} {
		if _, _, ok := messageSize(name); ok {
			t.Errorf("messageSize takes %q for a size", name)
		}
	}
}
