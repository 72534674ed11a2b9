package pool

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestBarLine(t *testing.T) {
	for _, c := range []struct {
		done, total int
		want        string
	}{
		{50, 100, "work [############............]  50% 50/100, 5/s, 10s left"},
		{100, 100, "work [########################] 100% 100/100, 10/s, 0s left"},
		{0, 0, "work [########################] 100% 0/0, 0/s, ? left"},
		{7, -1, "work 7, 1/s"},
	} {
		if got := barLine("work", c.done, c.total, 10*time.Second); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
	if n := len(barLine(strings.Repeat("x", 200), 1, 2, time.Second)); n != barColumns {
		t.Errorf("%d columns", n)
	}
}

// Where there is no terminal there is a line for each tenth.
func TestBar(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	show := ProgressBar(f, "work")
	for i := range 1001 {
		show(i, 1000)
	}
	b, err := os.ReadFile(f.Name())
	if n := strings.Count(string(b), "\n"); n != 11 || err != nil {
		t.Errorf("%d lines, %v:\n%s", n, err, b)
	}
}
