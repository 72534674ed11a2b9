package stats

import (
	"fmt"
	"io"
	"strings"

	"github.com/fb2d3dbd/multiproc/bench"
)

// A Standing says whether a target was reached.
type Standing string

// The standings.
const (
	Met         Standing = "met"
	Missed      Standing = "missed"
	NotMeasured Standing = "not measured"
)

// An Outcome is what samples say of a target.
type Outcome struct {
	bench.Target
	Measured Summary      // of the ratio, the time or the further figure
	In       bench.Regime // the regime it was measured in
	Standing Standing     // of the median
	Close    bool         // the interval holds the limit: another run may find otherwise
	Why      string       // it was not measured
}

// Judge holds samples against targets.
func Judge(targets []bench.Target, samples []bench.Sample) []Outcome {
	by, _ := sampled(samples)
	list := make([]Outcome, len(targets))
	for i, t := range targets {
		list[i] = judge(t, by[subject{t.Scenario, t.Impl}], by[subject{t.PeerScenario(), t.Peer}])
	}
	return list
}

func judge(t bench.Target, own, peer []bench.Sample) Outcome {
	o := Outcome{Target: t, Standing: NotMeasured}
	switch {
	case len(own) == 0:
		o.Why = fmt.Sprintf("no sample of %s %s", t.Scenario, t.Impl)
		return o
	case t.Peer != "" && len(peer) == 0:
		o.Why = fmt.Sprintf("no sample of %s %s", t.PeerScenario(), t.Peer)
		return o
	}
	regimes := []bench.Regime{t.Regime}
	if t.Regime == "" {
		regimes = []bench.Regime{bench.Pooled, bench.Near, bench.Far, bench.None, bench.Mixed}
	}
	for _, r := range regimes {
		if m := measured(t, r, own, peer); m.N > 0 && (m.N > o.Measured.N || r != bench.Mixed && o.Measured.N == 0) {
			o.Measured, o.In = m, r
		}
	}
	if o.Measured.N == 0 {
		if o.Why = "no samples of both in one regime"; t.Regime != "" {
			o.Why = fmt.Sprintf("nothing was measured with the CPUs %s", t.Regime)
		}
		return o
	}
	if o.Standing = Missed; t.Reached(o.Measured.Median) {
		o.Standing = Met
	}
	o.Close = o.Measured.Lo < o.Limit && o.Limit < o.Measured.Hi
	return o
}

// measured returns what samples of one regime say of a target.
func measured(t bench.Target, regime bench.Regime, own, peer []bench.Sample) Summary {
	var values []float64
	rounds := map[pairing]float64{}
	for _, s := range own {
		if s.CountsFor() != regime {
			continue
		}
		v := s.Value
		if t.Metric != "" {
			var ok bool
			if v, ok = s.Metric(t.Metric); !ok {
				continue
			}
		}
		values = append(values, v)
		rounds[pairing{s.Run, s.Round}] = v
	}
	if t.Peer == "" {
		return Summarize(values)
	}
	peers := map[pairing]float64{}
	for _, s := range peer {
		if s.CountsFor() == regime {
			peers[pairing{s.Run, s.Round}] = s.Value
		}
	}
	if t.Bound == bench.Faster {
		return ratio(peers, rounds)
	}
	return ratio(rounds, peers)
}

// Want formats what is to be reached: "≤ 0.80×", "≥ 30.0× faster", "≤ 1.00 ms".
func (o Outcome) Want() string {
	sign := "≤ "
	if o.Bound == bench.Faster || o.Bound == bench.AtLeast {
		sign = "≥ "
	}
	return sign + o.value(o.Limit)
}

// Got formats what was measured, "–" where nothing was.
func (o Outcome) Got() string {
	if o.Measured.N == 0 {
		return "–"
	}
	return o.value(o.Measured.Median)
}

// Interval formats the interval of what was measured, in brackets where there were too few values for one.
func (o Outcome) Interval() string {
	switch {
	case o.Measured.N < 2:
		return ""
	case o.Bound == bench.Within:
		return Interval(o.Measured)
	case o.Metric != "":
		return o.Measured.bracket(o.value(o.Measured.Lo) + "–" + o.value(o.Measured.Hi))
	}
	return TimesInterval(o.Measured)
}

func (o Outcome) value(v float64) string {
	switch o.Bound {
	case bench.Ratio:
		return Times(v) + "×"
	case bench.Faster:
		return Times(v) + "× faster"
	case bench.Within:
		return Time(v)
	}
	return FormatFigure(o.Metric, v)
}

// Where names what was measured, and what it was held against: "queue/spsc/64B, cring".
func (o Outcome) Where() string {
	s := o.Scenario
	if o.Impl != bench.Subject && o.Impl != "" {
		s += " " + o.Impl
	}
	if o.Peer != "" {
		s += " : "
		if o.PeerOf != "" {
			s += o.PeerOf + " "
		}
		s += o.Peer
	}
	if o.Metric != "" {
		s += " " + o.Metric
	}
	return s
}

// Note says what the reader should know beside the figures.
func (o Outcome) Note() string {
	switch {
	case o.Standing == NotMeasured:
		return o.Why
	case o.Close && o.Measured.Interval:
		return "by the median; the interval holds the limit"
	case o.Close:
		return "by the median; the range of so few samples holds the limit"
	case !o.Measured.Interval:
		return "too few samples for an interval"
	}
	return ""
}

// Verdict says whether the target was reached, and whether that is close: the median lies on one side of the limit, and a part of the
// interval on the other.
func (o Outcome) Verdict() string {
	if o.Close {
		return string(o.Standing) + ", close"
	}
	return string(o.Standing)
}

// Tally counts the outcomes: "46 targets: 30 met, 9 missed, 7 not measured; 5 verdicts are close".
func Tally(outcomes []Outcome) string {
	count := map[Standing]int{}
	near := 0
	for _, o := range outcomes {
		if count[o.Standing]++; o.Close {
			near++
		}
	}
	s := fmt.Sprintf("%d targets: %d %s, %d %s, %d %s", len(outcomes), count[Met], Met, count[Missed], Missed, count[NotMeasured], NotMeasured)
	switch near {
	case 0:
		return s
	case 1:
		return s + "; 1 verdict is close"
	}
	return s + fmt.Sprintf("; %d verdicts are close", near)
}

const targetLegend = `A target is met or missed by the median of n samples, each of a ratio of the same round. It is close where the 95 % interval holds
the limit: another run may find otherwise. In brackets: fewer than six samples, and the range instead of an interval.`

// WriteTargets writes one line for each target, and their count.
func WriteTargets(w io.Writer, outcomes []Outcome, st TextStyle) error {
	var b strings.Builder
	t := grid{head: []string{"", "target", "measured", "", "n", "regime", "what", "", ""}, left: 1, right: 5}
	for _, o := range outcomes {
		n, regime := "", string(o.Regime)
		if o.Measured.N > 0 {
			n, regime = fmt.Sprint(o.Measured.N), string(o.In)
		}
		t.add(o.Standing == Missed, o.Verdict(), o.Want(), o.Got(), o.Interval(), n, regime, o.What, o.Where(), o.Note())
	}
	t.write(&b, st)
	fmt.Fprintf(&b, "\n%s\n\n%s\n", st.dim(targetLegend), st.bold(Tally(outcomes)))
	_, err := io.WriteString(w, b.String())
	return err
}
