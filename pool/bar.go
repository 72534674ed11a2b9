package pool

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"time"
)

// ProgressBar returns a CallOptions.Progress that shows how far a call is: on a terminal one line that is drawn again and again, elsewhere a line for each tenth. It needs to
// know nothing of the terminal but that it is one, and keeps to 79 columns.
func ProgressBar(f *os.File, label string) func(done, total int) {
	b := &bar{f: f, label: label, begin: time.Now(), tenth: -1}
	if st, err := f.Stat(); err == nil {
		b.terminal = st.Mode()&os.ModeCharDevice != 0
	}
	return b.show
}

type bar struct {
	mu       sync.Mutex
	f        *os.File
	label    string
	begin    time.Time
	terminal bool
	drawn    int
	tenth    int
}

const (
	barCells   = 24
	barColumns = 79
)

func (b *bar) show(done, total int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	line := barLine(b.label, done, total, time.Since(b.begin))
	over := total >= 0 && done >= total
	if !b.terminal {
		tenth := 10
		if total > 0 {
			tenth = 10 * done / total
		} else if total < 0 {
			tenth = b.tenth + 1
		}
		if tenth > b.tenth {
			b.tenth = tenth
			fmt.Fprintln(b.f, line)
		}
		return
	}
	fmt.Fprintf(b.f, "\r%s%s", line, strings.Repeat(" ", max(0, b.drawn-len(line))))
	if b.drawn = len(line); over {
		fmt.Fprintln(b.f)
	}
}

// barLine formats one state of a call that has lasted for elapsed.
func barLine(label string, done, total int, elapsed time.Duration) string {
	rate := float64(done) / max(elapsed.Seconds(), 1e-9)
	line := fmt.Sprintf("%s %d, %.0f/s", label, done, rate)
	if total >= 0 {
		part := 1.0
		if total > 0 {
			part = min(float64(done)/float64(total), 1)
		}
		full := int(part * barCells)
		left := "?"
		if done > 0 {
			left = time.Duration(float64(max(total-done, 0)) / rate * float64(time.Second)).Round(time.Second).String()
		}
		line = fmt.Sprintf("%s [%s%s] %3.0f%% %d/%d, %.0f/s, %s left", label, strings.Repeat("#", full), strings.Repeat(".", barCells-full), 100*part, done, total, rate, left)
	}
	if r := []rune(line); len(r) > barColumns {
		line = string(r[:barColumns])
	}
	return line
}
