package main

import (
	"bytes"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/fb2d3dbd/multiproc/bench"
)

func TestBarLine(t *testing.T) {
	p := bench.Progress{
		Scenario: "queue/spsc/64B", Impl: "multiproc", Phase: bench.Measuring, Round: 3, Rounds: 10, Index: 1, Total: 16,
		Elapsed: 30 * time.Second, Left: 90 * time.Second,
	}
	got := barLine(p, p.Fraction(), 100)
	if want := "[######..................]  25%  1:30 left  queue/spsc/64B multiproc 3/10"; got != want {
		t.Errorf("bar %q, want %q", got, want)
	}
	for width := range 120 {
		line := barLine(p, 0.25, width)
		if n := utf8.RuneCountInString(line); n > width {
			t.Errorf("width %d: %d characters: %q", width, n, line)
		}
	}
	p.Phase, p.Round = bench.Warming, 0
	if got := barLine(p, 1, 100); !strings.HasSuffix(got, "multiproc warming up") || !strings.Contains(got, "100%") {
		t.Errorf("bar %q", got)
	}
}

func TestBarOnATerminal(t *testing.T) {
	var b bytes.Buffer
	bar := &bar{w: &b, width: 80}
	bar.show(bench.Progress{Scenario: "x", Impl: "a", Phase: bench.Measuring, Elapsed: 50 * time.Second, Left: 50 * time.Second})
	bar.show(bench.Progress{Scenario: "x", Impl: "a", Phase: bench.Measuring, Elapsed: 51 * time.Second, Left: 500 * time.Second})
	bar.say("missing: cpython: no python3")
	bar.end()
	if got := b.String(); strings.Count(got, " 50%") != 3 || strings.Contains(got, "  9%") {
		t.Errorf("the bar went back, or was not drawn again below a line: %q", got)
	}
	if got := b.String(); !strings.Contains(got, "\r\x1b[Kmissing: cpython: no python3\n") || !strings.HasSuffix(got, "\r\x1b[K") {
		t.Errorf("terminal shows %q", got)
	}
}

func TestBarElsewhere(t *testing.T) {
	var b bytes.Buffer
	bar := newBar(&b)
	bar.show(bench.Progress{Scenario: "x", Impl: "a", Phase: bench.Measuring, Total: 2})
	bar.show(bench.Progress{Scenario: "x", Phase: bench.Finished, Total: 2, Elapsed: 4 * time.Second, Left: 65 * time.Second})
	bar.say("missing: cpython")
	bar.end()
	if got, want := b.String(), "[ 1/2] x done, 0:04 so far, about 1:05 left\nmissing: cpython\n"; got != want {
		t.Errorf("wrote %q, want %q", got, want)
	}
}
