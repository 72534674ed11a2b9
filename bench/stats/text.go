package stats

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/fb2d3dbd/multiproc/bench"
)

// A TextStyle says how tables look on a terminal or in a file.
type TextStyle struct {
	Color bool // emphasize with ANSI escapes
}

func (st TextStyle) bold(s string) string   { return st.escape("1", s) }
func (st TextStyle) strong(s string) string { return st.escape("1;36", s) }
func (st TextStyle) dim(s string) string    { return st.escape("2", s) }
func (st TextStyle) alarm(s string) string  { return st.escape("1;31", s) }

func (st TextStyle) escape(code, s string) string {
	if !st.Color {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

// textWidth is how wide running text is set.
const textWidth = 100

// WriteTables writes every table of an analysis: one for each scenario, the scaling of the jobs, the overview, and what
// was not measured.
func WriteTables(w io.Writer, a *Analysis, st TextStyle) error {
	var b strings.Builder
	for _, sc := range a.Scenarios {
		if !a.inCurve(sc.Name) || sc.Failed() {
			writeScenario(&b, sc, st)
		}
	}
	for _, c := range a.Curves {
		writeCurve(&b, c, st)
	}
	for _, s := range a.Scalings {
		writeScaling(&b, s, st)
	}
	writeVerdicts(&b, a.Verdicts, st)
	if len(a.Scenarios) > 1 {
		writeOverview(&b, a, st)
	}
	if len(a.Scenarios) > 0 {
		b.WriteString(st.dim(legend) + "\n")
	}
	writeTroubles(&b, a, st)
	_, err := io.WriteString(w, b.String())
	return err
}

const legend = `Times are for one operation; lower is better. × is the median ratio to goroutine or multiproc in the same rounds:
below 1 is faster, ~ cannot be told from 1. In brackets: fewer than six samples, and the range instead of an interval.
near and far say how far apart the machine kept its CPUs meanwhile; never compare a near figure with a far one.
`

// writeScenario writes the table of one scenario, unless there is nothing to say of it.
func writeScenario(b *strings.Builder, sc Scenario, st TextStyle) {
	if len(sc.Blocks) == 0 && !sc.Failed() {
		return
	}
	fmt.Fprintf(b, "%s\n", st.bold(sc.Name))
	for _, l := range wrap(sc.Doc, textWidth-2) {
		fmt.Fprintf(b, "  %s\n", st.dim(l))
	}
	for _, bl := range sc.Blocks {
		t := grid{head: []string{RegimeNote(bl), "median", "95 % interval", "n", "× " + bench.Reference, "× " + bench.Subject}}
		for _, r := range bl.Rows {
			t.add(r.Subject(), r.Impl, Time(r.Time.Median), Interval(r.Time), fmt.Sprint(r.Time.N), Ratio(r.ToReference), Ratio(r.ToSubject))
		}
		t.write(b, st)
		if note := bl.FairnessNote(); note != "" {
			fmt.Fprintf(b, "  %s\n", st.dim(note))
		}
		writeFigures(b, bl, st)
	}
	for _, tr := range sc.Troubles {
		if tr.Kind == bench.Skipped {
			continue
		}
		fmt.Fprintf(b, "  %s\n", st.alarm(fmt.Sprintf("%s %s: %s", tr.Impl, tr.Kind, tr.Reason)))
	}
	if sc.LeftOut > 0 {
		fmt.Fprintf(b, "  %s\n", st.dim(fmt.Sprintf("%d of %d samples left out: another regime, or it changed while they ran", sc.LeftOut, sc.Total)))
	}
	b.WriteByte('\n')
}

// writeFigures writes the further figures of a block, unless fairness is all there is.
func writeFigures(b *strings.Builder, bl Block, st TextStyle) {
	names := bl.FigureNames()
	if len(names) == 0 || len(names) == 1 && names[0] == bench.Fairness {
		return
	}
	t := grid{head: []string{""}}
	for _, n := range names {
		t.head = append(t.head, FigureTitle(n))
	}
	for _, r := range bl.Rows {
		if len(r.Figures) == 0 {
			continue
		}
		cells := []string{r.Impl}
		for _, n := range names {
			if f := r.Figure(n); f.N > 0 {
				cells = append(cells, FormatFigure(n, f.Median))
			} else {
				cells = append(cells, "–")
			}
		}
		t.add(r.Subject(), cells...)
	}
	t.write(b, st)
}

// writeCurve writes a contention curve: how many operations in a second, and by whom with how many workers.
func writeCurve(b *strings.Builder, c Curve, st TextStyle) {
	fmt.Fprintf(b, "%s\n  %s\n", st.bold(c.What+" by workers"), st.dim("operations in a second of all workers together, and the latency that one in a hundred exceeds"))
	t := grid{head: []string{"workers"}}
	for _, n := range c.Workers {
		t.head = append(t.head, fmt.Sprint(n), "")
	}
	t.head = append(t.head, "collapses")
	for _, l := range c.Lines {
		cells := []string{l.Impl}
		for _, n := range c.Workers {
			p := l.Point(n)
			if p == nil {
				cells = append(cells, "–", "")
				continue
			}
			late := ""
			if f := p.Row.Figure(bench.P99); f.N > 0 {
				late = Time(f.Median)
			}
			cells = append(cells, Rate(p.Rate.Median), late)
		}
		at := "no"
		if p := l.Collapse(); p != nil {
			at = fmt.Sprintf("at %d", p.Workers)
		}
		t.add(l.Impl == bench.Subject, append(cells, at)...)
	}
	t.write(b, st)
	b.WriteByte('\n')
}

// RegimeNote says which regime a block's samples were taken in: "near, control 145 ns".
func RegimeNote(b Block) string {
	switch b.Regime {
	case bench.None:
		return "one CPU"
	case bench.Pooled:
		return fmt.Sprintf("all regimes, control %s", Time(b.Control.Median))
	}
	return fmt.Sprintf("%s, control %s", b.Regime, Time(b.Control.Median))
}

// wrap breaks a text into lines of at most width characters.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > width {
			lines = append(lines, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	if line != "" {
		lines = append(lines, line)
	}
	return lines
}

// writeScaling writes the table of a job by workers.
func writeScaling(b *strings.Builder, s Scaling, st TextStyle) {
	fmt.Fprintf(b, "%s\n  %s\n", st.bold(s.Job+" by workers"), st.dim("time of one operation, and how many times faster than with the fewest workers"))
	t := grid{head: []string{"workers"}}
	for _, n := range s.Workers {
		t.head = append(t.head, fmt.Sprint(n), "")
	}
	for _, l := range s.Lines {
		cells := []string{l.Impl}
		for _, n := range s.Workers {
			if p := l.Point(n); p != nil {
				cells = append(cells, Time(p.Time.Median), Times(p.Speedup)+"×")
			} else {
				cells = append(cells, "–", "")
			}
		}
		t.add(l.Impl == bench.Subject, cells...)
	}
	t.write(b, st)
	b.WriteByte('\n')
}

// writeVerdicts says whether the implementations of each job found the same.
func writeVerdicts(b *strings.Builder, verdicts []bench.Verdict, st TextStyle) {
	for _, v := range verdicts {
		if !v.Agree() {
			fmt.Fprintf(b, "%s\n", st.alarm("WRONG RESULT  "+v.Error()))
			continue
		}
		fmt.Fprintf(b, "%s: digest %s, the same by %s%s\n", st.bold(v.Job), v.Digests[0].Digest,
			strings.Join(v.Digests[0].Impls, ", "), ExtraNote(v.Extra))
	}
	if len(verdicts) > 0 {
		b.WriteByte('\n')
	}
}

// writeOverview writes one line for each scenario: the time of multiproc, and every other one as a multiple of it.
func writeOverview(b *strings.Builder, a *Analysis, st TextStyle) {
	fmt.Fprintf(b, "%s\n  %s\n", st.bold("overview"), st.dim("multiproc's time for one operation, and the others' as multiples of it"))
	t := grid{head: append([]string{"", "regime"}, a.Impls...)}
	for _, sc := range a.Single() {
		for _, bl := range sc.Blocks {
			cells := []string{sc.Name, string(bl.Regime)}
			for _, im := range a.Impls {
				cells = append(cells, overviewCell(bl.Row(im)))
			}
			t.add(false, cells...)
		}
	}
	t.write(b, st)
	b.WriteByte('\n')
}

// overviewCell formats one cell of the overview; a row is nil where there is nothing.
func overviewCell(r *Row) string {
	switch {
	case r == nil:
		return "–"
	case r.Subject() || r.ToSubject.N == 0:
		return Time(r.Time.Median)
	}
	return Multiple(r.ToSubject)
}

// writeTroubles names what is missing, once, and what failed.
func writeTroubles(b *strings.Builder, a *Analysis, st TextStyle) {
	for _, m := range a.Missing {
		fmt.Fprintf(b, "missing: %s: %s %s\n", st.bold(m.Impl), m.Reason, st.dim("("+Few(m.Scenarios, 4)+")"))
	}
	for _, t := range a.Troubles {
		if t.Kind == bench.Failed {
			fmt.Fprintf(b, "%s\n", st.alarm(t.Error()))
		}
	}
	if skipped := bench.SkippedScenarios(a.Troubles); len(skipped) > 0 {
		for _, l := range wrap("skipped, as the time given for the run was used up, these numbers of implementations: "+strings.Join(skipped, ", "), textWidth) {
			fmt.Fprintf(b, "%s\n", l)
		}
	}
}

// Few joins names, and says how many more there are after the first n.
func Few(names []string, n int) string {
	if len(names) <= n {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:n], ", "), len(names)-n)
}

// WriteComparison writes what changed between two results files.
func WriteComparison(w io.Writer, c Comparison, st TextStyle) error {
	var b strings.Builder
	t := grid{head: []string{"", "impl", "regime", "old", "", "new", "", "change", "p", "n"}, left: 3}
	incomparable := false
	for _, ch := range c.Changes {
		if ch.Regime == "" {
			incomparable = true
			t.add(false, ch.Scenario, ch.Impl, fmt.Sprintf("%v/%v", ch.OldRegimes, ch.NewRegimes), "", "", "", "", "?", "", "")
			continue
		}
		delta := "~"
		if ch.Significant {
			delta = Percent(ch.Delta)
		}
		t.add(ch.Impl == bench.Subject, ch.Scenario, ch.Impl, string(ch.Regime),
			Time(ch.Old.Median), Spread(ch.Old), Time(ch.New.Median), Spread(ch.New), delta, ch.Difference.String(), fmt.Sprintf("%d+%d", ch.Old.N, ch.New.N))
	}
	t.write(&b, st)
	tested := 0
	for _, ch := range c.Changes {
		if ch.Regime != "" && ch.Possible {
			tested++
		}
	}
	fmt.Fprintf(&b, "\n~ no significant change (p > %.2f, Mann-Whitney U, each by itself: of %d tested, about %.2g would be found by chance); ± is the median's 95 %% interval, ∞ below six samples; lower is better\n", Alpha, tested, Alpha*float64(tested))
	if incomparable {
		b.WriteString("? never sampled in the same regime: the change would be the machine's\n")
	}
	for _, x := range []struct {
		where string
		names []string
	}{{"old", c.OnlyOld}, {"new", c.OnlyNew}} {
		if len(x.names) > 0 {
			fmt.Fprintf(&b, "only in %s: %s\n", x.where, Few(x.names, 20))
		}
	}
	writeAgreements(&b, c.Agreements, st)
	_, err := io.WriteString(w, b.String())
	return err
}

// A grid is a table of text: its first columns flush left, the others flush right.
type grid struct {
	head  []string
	rows  [][]string
	mark  []bool // rows to emphasize
	left  int    // columns flush left; 0: one
	right int    // the first column after those flush right, from which on they are flush left again; 0: none
}

func (g *grid) add(mark bool, cells ...string) {
	g.rows = append(g.rows, cells)
	g.mark = append(g.mark, mark)
}

func (g *grid) write(b *strings.Builder, st TextStyle) {
	width := make([]int, len(g.head))
	for _, r := range append([][]string{g.head}, g.rows...) {
		for i, c := range r {
			width[i] = max(width[i], utf8.RuneCountInString(c))
		}
	}
	line := func(cells []string) string {
		var l strings.Builder
		for i, c := range cells {
			pad := strings.Repeat(" ", width[i]-utf8.RuneCountInString(c))
			if i < max(1, g.left) || g.right > 0 && i >= g.right {
				l.WriteString("  " + c + pad)
			} else {
				l.WriteString("  " + pad + c)
			}
		}
		return strings.TrimRight(l.String(), " ")
	}
	b.WriteString(st.dim(line(g.head)) + "\n")
	for i, r := range g.rows {
		l := line(r)
		if g.mark[i] {
			l = st.strong(l)
		}
		b.WriteString(l + "\n")
	}
}
