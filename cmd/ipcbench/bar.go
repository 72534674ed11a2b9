package main

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/fb2d3dbd/multiproc/bench"
)

// A bar shows progress: one line that is drawn again and again on a terminal, one line for each scenario elsewhere.
type bar struct {
	w     io.Writer
	width int // of the terminal; 0 elsewhere
	drawn string
	part  float64 // the greatest fraction shown: an estimate that rises does not move the bar back
}

func newBar(w io.Writer) *bar {
	width, _ := terminal(w)
	return &bar{w: w, width: width}
}

// show shows one step.
func (b *bar) show(p bench.Progress) {
	if b.width > 0 {
		b.part = max(b.part, p.Fraction())
		b.draw(barLine(p, b.part, b.width-1))
		return
	}
	if p.Phase == bench.Finished {
		fmt.Fprintf(b.w, "[%2d/%d] %s done, %s so far, about %s left\n", p.Index+1, p.Total, p.Scenario, clock(p.Elapsed), clock(p.Left))
	}
}

// barCells is the length of the bar in characters.
const barCells = 24

// barLine formats the bar for a terminal of the given width.
func barLine(p bench.Progress, part float64, width int) string {
	what := p.Scenario
	if p.Impl != "" {
		what += " " + p.Impl
	}
	switch p.Phase {
	case bench.Measuring:
		what += fmt.Sprintf(" %d/%d", p.Round, p.Rounds)
	case bench.Warming:
		what += " " + bench.Warming
	}
	left := fmt.Sprintf(" %3.0f%%  %s left  ", 100*part, clock(p.Left))
	line := left + what
	if width >= barCells+2+utf8.RuneCountInString(left)+20 { // what is cut off rather than the bar changed in length
		full := int(part*barCells + 0.5)
		line = "[" + strings.Repeat("#", full) + strings.Repeat(".", barCells-full) + "]" + line
	}
	if r := []rune(line); len(r) > width {
		line = string(r[:width])
	}
	return line
}

// draw replaces the line.
func (b *bar) draw(line string) {
	if line != b.drawn {
		fmt.Fprintf(b.w, "\r\x1b[K%s", line)
		b.drawn = line
	}
}

// say prints a line of its own.
func (b *bar) say(line string) {
	if b.width == 0 {
		fmt.Fprintln(b.w, line)
		return
	}
	fmt.Fprintf(b.w, "\r\x1b[K%s\n%s", line, b.drawn)
}

// end removes the bar.
func (b *bar) end() {
	if b.width > 0 {
		b.draw("")
	}
}

// clock formats a duration as minutes and seconds.
func clock(d time.Duration) string {
	s := int((d + time.Second/2) / time.Second)
	return fmt.Sprintf("%d:%02d", s/60, s%60)
}
