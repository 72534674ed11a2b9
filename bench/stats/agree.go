package stats

import (
	"fmt"
	"strings"

	"github.com/fb2d3dbd/multiproc/bench"
)

// An Agreement holds the ratio of one implementation to another as two runs found it, within one regime.
type Agreement struct {
	Scenario, Impl, Peer string
	Regime               bench.Regime
	Old, New             Summary // of the ratios within rounds
}

// Judged reports whether both runs have ratios enough to say how sure they are: two at least.
func (a Agreement) Judged() bool { return a.Old.N > 1 && a.New.N > 1 }

// Agree reports whether the two intervals have a value in common.
func (a Agreement) Agree() bool { return a.Old.Lo <= a.New.Hi && a.New.Lo <= a.Old.Hi }

// Agreements compares every ratio to multiproc, or, where that was not measured, to goroutine, that two sets of samples both have in
// one regime. Ratios are what travels from run to run: times change with whatever else the machine does.
func Agreements(old, new []bench.Sample) []Agreement {
	olds, order := sampled(old)
	news, _ := sampled(new)
	var list []Agreement
	for _, k := range order {
		peer := bench.Subject
		if _, ok := olds[subject{k.scenario, peer}]; !ok {
			peer = bench.Reference
		}
		if k.impl == peer {
			continue
		}
		p := subject{k.scenario, peer}
		for _, regime := range []bench.Regime{Pooled, bench.Near, bench.Far, bench.None} {
			a := Agreement{Scenario: k.scenario, Impl: k.impl, Peer: peer, Regime: regime,
				Old: paired(olds[k], olds[p], regime), New: paired(news[k], news[p], regime)}
			if a.Old.N > 0 && a.New.N > 0 {
				list = append(list, a)
			}
		}
	}
	return list
}

// sampled sorts samples by scenario and implementation, and says in which order these come.
func sampled(samples []bench.Sample) (map[subject][]bench.Sample, []subject) {
	m := map[subject][]bench.Sample{}
	var order []subject
	for _, s := range samples {
		k := subject{s.Scenario, s.Impl}
		if m[k] == nil {
			order = append(order, k)
		}
		m[k] = append(m[k], s)
	}
	return m, order
}

// paired summarizes the ratios of the times of one implementation to those of another in the same rounds and one regime.
func paired(own, peer []bench.Sample, regime bench.Regime) Summary {
	var ratios []float64
	peers := map[pairing]float64{}
	for _, s := range peer {
		if regimeOf(s) == regime {
			peers[pairing{s.Run, s.Round}] = s.Value
		}
	}
	for _, s := range own {
		if v, ok := peers[pairing{s.Run, s.Round}]; ok && regimeOf(s) == regime {
			ratios = append(ratios, s.Value/v)
		}
	}
	return Summarize(ratios)
}

// writeAgreements writes the ratios that do not agree, and how many do.
func writeAgreements(b *strings.Builder, list []Agreement, st TextStyle) {
	judged, agree := 0, 0
	t := grid{head: []string{"", "ratio", "regime", "old", "", "new", "", "n"}, left: 3}
	for _, a := range list {
		if !a.Judged() {
			continue
		}
		if judged++; a.Agree() {
			agree++
			continue
		}
		t.add(false, a.Scenario, a.Impl+" : "+a.Peer, string(a.Regime), Times(a.Old.Median), TimesInterval(a.Old), Times(a.New.Median), TimesInterval(a.New), fmt.Sprintf("%d+%d", a.Old.N, a.New.N))
	}
	if len(t.rows) > 0 {
		fmt.Fprintf(b, "\n%s\n", st.bold("ratios that do not agree"))
		t.write(b, st)
	}
	fmt.Fprintf(b, "\n%s", st.bold(fmt.Sprintf("%d of %d ratios agree within their intervals", agree, judged)))
	if n := len(list) - judged; n > 0 {
		fmt.Fprintf(b, "; %d rest on a single round", n)
	}
	b.WriteByte('\n')
}
