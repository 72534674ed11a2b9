package stats

import (
	"bytes"
	"math"
	"slices"
	"strings"
	"testing"

	"golang.org/x/perf/benchfmt"

	"github.com/fb2d3dbd/multiproc/bench"
)

func TestFormats(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{Time(17.24), "17.2 ns"}, {Time(5.5), "5.50 ns"}, {Time(0.3), "0.30 ns"}, {Time(145), "145 ns"}, {Time(999.6), "1.00 µs"},
		{Time(1834), "1.83 µs"}, {Time(5.26e6), "5.26 ms"}, {Time(4.76e9), "4.76 s"}, {Time(93e9), "93.0 s"},
		{Times(0.305), "0.30"}, {Times(1), "1.00"}, {Times(3.94), "3.94"}, {Times(17), "17.0"}, {Times(511.4), "511"},
		{Times(116000), "116k"}, {Times(0.00011), "0.00011"}, {Times(0), "–"},
		{Percent(0.5), "+50%"}, {Percent(-0.031), "-3.1%"},
		{Interval(Summary{N: 6, Median: 1830, Lo: 1790, Hi: 1880, Interval: true}), "1.79–1.88"},
		{Interval(Summary{N: 2, Median: 17, Lo: 16, Hi: 18}), "(16.0–18.0)"}, {Interval(Summary{}), ""},
		{TimesInterval(Summary{N: 6, Lo: 0.5, Hi: 2, Interval: true}), "0.50–2.00"}, {TimesInterval(Summary{N: 1}), ""},
		{Spread(Summary{N: 6, Median: 10, Lo: 9, Hi: 12, Interval: true}), "± 20%"}, {Spread(Summary{N: 3}), "± ∞"},
		{Ratio(Summary{}), "–"}, {Ratio(Summary{N: 9, Median: 1, Lo: 1, Hi: 1, Interval: true}), "1"},
		{Ratio(Summary{N: 9, Median: 2, Lo: 0.9, Hi: 3, Interval: true}), "~2.00"}, {Ratio(Summary{N: 2, Median: 2, Lo: 1.5, Hi: 3}), "(2.00)"},
		{Multiple(Summary{N: 9, Median: 2, Lo: 1.5, Hi: 3, Interval: true}), "2.00×"}, {Multiple(Summary{N: 2, Median: 2, Lo: 1.5, Hi: 3}), "(2.00×)"},
		{Few([]string{"a", "b"}, 2), "a, b"}, {Few([]string{"a", "b", "c"}, 1), "a and 2 more"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}

func tables(t *testing.T, a *Analysis, st TextStyle) string {
	t.Helper()
	var b bytes.Buffer
	if err := WriteTables(&b, a, st); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestTables(t *testing.T) {
	samples := slices.Concat(
		samplesOf("queue/spsc/64B", "multiproc", near, 17, 17, 17, 17, 17, 17), samplesOf("queue/spsc/64B", "goroutine", near, 58, 58, 58, 58, 58, 58),
		samplesOf("lock/contended-2", "multiproc", near, 10, 11, 12), samplesOf("lock/contended-2", "pthread", near, 30, 31, 32),
		samplesOf("wordcount/1", "multiproc", near, 800e6, 800e6), samplesOf("wordcount/1", "goroutine", near, 700e6, 700e6),
		samplesOf("wordcount/4", "multiproc", near, 400e6, 400e6), samplesOf("wordcount/4", "goroutine", near, 390e6, 390e6))
	for i := range samples {
		if samples[i].Impl == "pthread" {
			samples[i].Extra = map[string]string{bench.Fairness: []string{"0.9", "0.75", "0.8"}[i%3]}
		}
		if strings.HasPrefix(samples[i].Scenario, "wordcount") {
			samples[i].Extra = map[string]string{"digest": "11789f41", "files": "7711", "identifiers": "10319794"}
		}
	}
	run := &bench.Run{
		Scenarios: []bench.ScenarioInfo{{Name: "queue/spsc/64B", Doc: "one message of 64 bytes"}},
		Absences: []bench.Absence{
			{Scenario: "queue/spsc/64B", Impl: "cpython", Kind: bench.Missing, Reason: "no python3"},
			{Scenario: "wordcount/1", Impl: "cpython", Kind: bench.Missing, Reason: "no python3"},
			{Scenario: "queue/spsc/64B", Impl: "pipe", Kind: bench.Failed, Reason: "broken pipe"},
		},
	}
	text := tables(t, Analyse(samples, []*bench.Run{run}), TextStyle{})
	for _, want := range []string{
		"queue/spsc/64B\n  one message of 64 bytes\n",
		"near, control 145 ns   median  95 % interval  n  × goroutine  × multiproc",
		"multiproc             17.0 ns      17.0–17.0  6         0.29            1",
		"goroutine             58.0 ns      58.0–58.0  6            1         3.41",
		"fairness, the least part that one of them had to the greatest: pthread 0.80\n",
		"wordcount by workers",
		"multiproc  800 ms  1.00×  400 ms  2.00×",
		"wordcount: digest 11789f41, the same by multiproc, goroutine; 7711 files, 10319794 identifiers",
		"missing: cpython: no python3 (queue/spsc/64B, wordcount/1)",
		"queue/spsc/64B pipe: failed: broken pipe",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if n := strings.Count(text, "no python3"); n != 1 {
		t.Errorf("the missing implementation is named %d times, want once", n)
	}
	if strings.Contains(text, "\x1b") {
		t.Error("escapes without colour asked for")
	}
	if colour := tables(t, Analyse(samples, nil), TextStyle{Color: true}); !strings.Contains(colour, "\x1b[1;36m  multiproc") {
		t.Error("multiproc does not stand out in colour")
	}
}

func TestTablesShoutAboutAWrongResult(t *testing.T) {
	samples := slices.Concat(samplesOf("wordcount/2", "multiproc", near, 1), samplesOf("wordcount/2", "cpython", near, 1))
	samples[0].Extra, samples[1].Extra = map[string]string{"digest": "aa"}, map[string]string{"digest": "bb"}
	text := tables(t, Analyse(samples, nil), TextStyle{})
	if !strings.Contains(text, "WRONG RESULT") || !strings.Contains(text, "aa by multiproc; bb by cpython") {
		t.Errorf("tables do not tell of the wrong result:\n%s", text)
	}
}

func TestTablesOfNothing(t *testing.T) {
	if text := tables(t, Analyse(nil, nil), TextStyle{}); text != "" {
		t.Errorf("tables of nothing: %q", text)
	}
}

func TestWriteComparison(t *testing.T) {
	old := slices.Concat(samplesOf("x", "a", near, 10, 10, 10, 10, 10, 10), samplesOf("x", "b", near, 1, 2), samplesOf("x", "c", near, 1), samplesOf("x", "gone", near, 1))
	new := slices.Concat(samplesOf("x", "a", near, 20, 20, 20, 20, 20, 20), samplesOf("x", "b", near, 2, 1), samplesOf("x", "c", []bench.Regime{bench.Far}, 1))
	var b bytes.Buffer
	if err := WriteComparison(&b, Compare(old, new), TextStyle{}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"+100%", "0.002", "6+6", "too few", "[near]/[far]", "only in old: x gone", "± 0%"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
}

// TestBenchFormat reads what is written with the reader that benchstat uses.
func TestBenchFormat(t *testing.T) {
	samples := samplesOf("queue/spsc/64B", "multiproc", []bench.Regime{bench.Near, bench.Far}, 17.25, 60)
	samples[1].Extra = map[string]string{bench.P99: "1250", "digest": "aa"}
	var b bytes.Buffer
	if err := WriteBenchmarks(&b, samples); err != nil {
		t.Fatal(err)
	}
	r := benchfmt.NewReader(&b, "test")
	for i := 0; r.Scan(); i++ {
		res, ok := r.Result().(*benchfmt.Result)
		if !ok {
			t.Fatalf("record %d: %v", i, r.Result())
		}
		s := samples[i]
		if got, want := res.Name.String(), "Scenarios/queue/spsc/64B/impl=multiproc-2"; got != want {
			t.Errorf("name %q, want %q", got, want)
		}
		if v, ok := res.Value("sec/op"); !ok || math.Abs(v*1e9-s.Value) > 1e-9 {
			t.Errorf("value %v, want %v", v, s.Value/1e9)
		}
		if v, ok := res.Value("p99-sec"); ok != (i == 1) || ok && math.Abs(v-1250e-9) > 1e-15 {
			t.Errorf("p99 %v, %v", v, ok)
		}
		if got := res.GetConfig("regime"); got != string(s.Regime) {
			t.Errorf("regime %q, want %q", got, s.Regime)
		}
		if res.GetConfig("cpu") != "AMD EPYC" || res.GetConfig("goos") != "linux" || res.Iters != 1000 {
			t.Errorf("result %+v", res)
		}
	}
	if err := r.Err(); err != nil {
		t.Error(err)
	}
}
