package report

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/fb2d3dbd/multiproc/bench"
	"github.com/fb2d3dbd/multiproc/bench/stats"
)

// curves makes the samples of a contention curve in which goroutine collapses, and of a job that tells what it costs.
func curves() []bench.Sample {
	machine := &bench.Machine{OS: "linux", Arch: "amd64", CPUs: 2, MaxProcs: 2}
	var samples []bench.Sample
	add := func(scenario, impl string, value float64, extra map[string]string) {
		for round := range 6 {
			samples = append(samples, bench.Sample{
				Scenario: scenario, Impl: impl, Unit: bench.Unit, Value: value + float64(round), Round: round + 1, Regime: bench.Near,
				ControlNs: 145, ControlBeforeNs: 145, ControlAfterNs: 145, Ops: 10, WallNs: 1e6, Run: "r", Machine: machine, Extra: extra,
			})
		}
	}
	for workers, values := range map[string][2]float64{"1": {10, 10}, "2": {100, 100}, "8": {110, 150}, "64": {120, 900}} {
		for i, im := range []string{"multiproc", "goroutine"} {
			add("curve/mutex/"+workers, im, values[i], map[string]string{
				bench.P50: "100", bench.P99: "2500", bench.P999: "40000", bench.Fairness: "0.75",
			})
		}
	}
	for _, workers := range []string{"1", "2"} {
		add("index/query/"+workers, "multiproc", 5000, map[string]string{bench.P99: "9000", bench.Proportional: "104857600", bench.GCPauseMax: "45000", "digest": "aa"})
		add("index/query/"+workers, "cpython", 50000, map[string]string{bench.P99: "90000", bench.Proportional: "209715200", "digest": "aa"})
	}
	add("lock/uncontended", "multiproc", 10, nil)
	add("lock/uncontended", "pthread", 20, nil)
	return samples
}

func TestCurvesCostsAndTargets(t *testing.T) {
	_, page := write(t, curves(), nil)
	all := elements(t, page)
	var rows, figures []string
	for _, n := range all {
		text := strings.Join(strings.Fields(n.text), " ")
		switch n.name {
		case "tr":
			rows = append(rows, text)
		case "figure":
			figures = append(figures, n.attrs["id"])
		}
	}
	for _, want := range []string{
		"multiproc 80.0 M/s 2.50 µs 0.75 9.76 M/s 2.50 µs 0.75 8.89 M/s 2.50 µs 0.75 8.16 M/s 2.50 µs 0.75",
		"multiproc 9.00 µs 100 MiB 45.0 µs", "cpython 90.0 µs 200 MiB –",
		"lock, undisturbed, against a robust pthread mutex lock/uncontended : pthread met ≤ 0.80× 0.56× 0.50–0.60 6 near",
	} {
		if !slices.Contains(rows, want) {
			t.Errorf("no row %q among\n%s", want, strings.Join(rows, "\n"))
		}
	}
	for _, want := range []string{"fig-curve-mutex", "fig-cost-index-query", "fig-speedup-index-query"} {
		if !slices.Contains(figures, want) {
			t.Errorf("no figure %s among %v", want, figures)
		}
	}
	for _, id := range figures {
		if strings.Contains(id, "samples-curve") {
			t.Errorf("a point of a curve has the figure %s", id)
		}
	}
	body := strings.Join(strings.Fields(all[0].text), " ")
	for _, want := range []string{
		"These collapse: goroutine with 64 workers. These do not: multiproc, which keeps 84 % of its best rate with 64.",
		"targets: 1 met, 0 missed",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	if n := strings.Count(page, "var(--alarm)"); n < 4 { // a cross of two strokes on either width, and the style sheet
		t.Errorf("the collapse is not marked: %d strokes", n)
	}
}

func TestReadme(t *testing.T) {
	samples, runs := example()
	runs[0].Machine = samples[0].Machine
	part, plots := Readme(stats.Analyse(append(samples, curves()...), runs), runs, "bench/results")
	for _, want := range []string{
		"taken on 1 March 2026 on 2 CPUs of a virtual machine (AMD <EPYC>, linux",
		"| message of 64 B, one producer, one consumer | **43.5 ns** | 63.5 ns (1.46×) | – | – | – |\n",
		"| lock and unlock, alone | **12.5 ns** |", "](bench/results/comparison.svg)", "](bench/results/contention.svg)", "`go run ./cmd/ipcbench targets`",
	} {
		if !strings.Contains(part, want) {
			t.Errorf("no %q in\n%s", want, part)
		}
	}
	if len(plots) != 2 || len(plots["comparison.svg"]) == 0 || len(plots["contention.svg"]) == 0 {
		t.Errorf("%d plots", len(plots))
	}
	if bad := regexp.MustCompile(`var\(|NaN|Inf`).Find(plots["contention.svg"]); bad != nil {
		t.Errorf("a plot that stands alone has %s", bad)
	}

	for _, c := range []struct{ text, want string }{
		{"a\n" + readmeBegin + "\nold\n" + readmeEnd + "\nb\n", "a\n" + readmeBegin + "\nnew\n" + readmeEnd + "\nb\n"},
		{readmeBegin + readmeEnd, readmeBegin + "\nnew\n" + readmeEnd},
		{"a", ""}, {readmeBegin, ""}, {readmeEnd + readmeBegin, ""}, {readmeBegin + readmeBegin + readmeEnd, ""},
	} {
		got, err := Insert([]byte(c.text), "new\n")
		if string(got) != c.want || (err != nil) != (c.want == "") {
			t.Errorf("Insert in %q: %q, %v, want %q", c.text, got, err, c.want)
		}
	}
}
