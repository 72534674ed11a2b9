package torture

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// A progress shows how far a run is: one line drawn again and again on a terminal, a line now and then elsewhere.
type progress struct {
	w        io.Writer
	terminal bool
	drawn    int
	next     time.Duration
	step     time.Duration
}

func newProgress(w io.Writer) *progress {
	p := &progress{w: w, step: 5 * time.Second, next: 5 * time.Second}
	if f, ok := w.(*os.File); ok {
		if st, err := f.Stat(); err == nil {
			p.terminal = st.Mode()&os.ModeCharDevice != 0
		}
	}
	if p.terminal {
		p.step, p.next = 200*time.Millisecond, 0
	}
	return p
}

// show shows the state of a run that has lasted for elapsed.
func (p *progress) show(r Result, o Options, elapsed time.Duration) {
	if elapsed < p.next {
		return
	}
	p.next = elapsed + p.step
	if !p.terminal {
		p.step = min(2*p.step, time.Minute) // seldom in a long run
	}
	line := progressLine(r, o, elapsed)
	if !p.terminal {
		fmt.Fprintln(p.w, line)
		return
	}
	fmt.Fprintf(p.w, "\r%s%s", line, strings.Repeat(" ", max(0, p.drawn-len(line))))
	p.drawn = len(line)
}

func progressLine(r Result, o Options, elapsed time.Duration) string {
	rate := float64(r.Kills) / max(elapsed.Seconds(), 1e-9)
	left := "?"
	if r.Kills > 0 {
		d := time.Duration(float64(max(o.Kills-r.Kills, 0)) / rate * float64(time.Second))
		if o.Seconds > 0 {
			d = min(d, max(0, time.Duration(o.Seconds*float64(time.Second))-elapsed))
		}
		left = d.Round(time.Second).String()
	}
	return fmt.Sprintf("%d of %d kills, %d stops, %d messages, %.0f kills/s, %s left", r.Kills, o.Kills, r.Stops, r.Messages, rate, left)
}

// clear takes the line away for something else to be written.
func (p *progress) clear() {
	if p.drawn > 0 {
		fmt.Fprintf(p.w, "\r%s\r", strings.Repeat(" ", p.drawn))
		p.drawn = 0
	}
}
