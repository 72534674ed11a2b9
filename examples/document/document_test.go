package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/fb2d3dbd/multiproc"
	"github.com/fb2d3dbd/multiproc/internal/proctest"
)

func TestMain(m *testing.M) { proctest.Main(m) }

// document is the command itself, with no goroutine but its main one, as a fork wants it and a test never has it.
var document = proctest.NewProgram("document", func() int {
	main()
	return 0
})

func output(t *testing.T, args ...string) string {
	t.Helper()
	out, err := document.Command(proctest.Context(t), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return string(out)
}

// TestOutput compares what each example prints, under each start method, with what Python's document shows.
func TestOutput(t *testing.T) {
	var lines []string
	for i := range 10 {
		lines = append(lines, fmt.Sprintf("hello world %d\n", i))
	}
	var messages []string
	for n := range 4 {
		for i := range 10 {
			messages = append(messages, fmt.Sprintf("(%d, 'Process-%d')\n", i, n+1))
		}
	}
	slices.Sort(messages)
	want := map[string]string{
		"pool":    "[1, 4, 9]\n",
		"process": "hello bob\n",
		"methods": strings.Repeat("hello\n", len(multiproc.StartMethods())),
		"queue":   "[42, None, 'hello']\n",
		"pipe":    "[42, None, 'hello']\n",
		"lock":    strings.Join(lines, ""),
		"values":  "3.1415927\n[0, -1, -2, -3, -4, -5, -6, -7, -8, -9]\n",
		"shared":  "49\n0.1111111111111111\nHELLO WORLD\n[(3.515625, 39.0625), (33.0625, 4.0), (5.640625, 90.25)]\n",
		"wait":    strings.Join(messages, ""),
		"maths":   "7\n56\n",
		"manager": "{0.25: None, 1: '1', '2': 2}\n[9, 8, 7, 6, 5, 4, 3, 2, 1, 0]\n",
	}
	each(t, func(t *testing.T, m multiproc.StartMethod) {
		for _, e := range examples {
			if e.name == "ids" {
				continue // TestIDs
			}
			t.Run(e.name, func(t *testing.T) {
				if e.name == "pool" && m == multiproc.Fork {
					t.Skip("a pool has no forked workers")
				}
				got := output(t, "-method", string(m), e.name)
				if e.name == "lock" || e.name == "wait" { // whoever comes first
					lines := slices.Sorted(strings.Lines(got))
					got = strings.Join(lines, "")
				}
				if got != want[e.name] {
					t.Errorf("it printed\n%s\nand the document shows\n%s", got, want[e.name])
				}
			})
		}
	})
}

// TestIDs has an output that no document can show.
func TestIDs(t *testing.T) {
	each(t, func(t *testing.T, m multiproc.StartMethod) {
		var mine, main, parent, child int
		var names [2]string
		got := output(t, "-method", string(m), "ids")
		format := "main line\nprocess name: \nparent process: %d\nprocess id: %d\nfunction f\nprocess name: %s\nparent process: %d\nprocess id: %d\nhello %s\n"
		if _, err := fmt.Sscanf(got, format, &mine, &main, &names[0], &parent, &child, &names[1]); err != nil {
			t.Fatalf("%v:\n%s", err, got)
		}
		if mine != os.Getpid() || parent != main || child == main || !strings.HasPrefix(names[0], "tell") || names[1] != "bob" {
			t.Errorf("the test is %d; it printed\n%s", os.Getpid(), got)
		}
	})
}

// each runs the test for each start method, and says why one is left out.
func each(t *testing.T, run func(t *testing.T, m multiproc.StartMethod)) {
	for _, m := range []multiproc.StartMethod{multiproc.Spawn, multiproc.Fork, multiproc.ForkServer} {
		t.Run(string(m), func(t *testing.T) {
			if err := m.Available(); errors.Is(err, errors.ErrUnsupported) {
				t.Skip(err)
			} else if err != nil {
				t.Fatal(err)
			}
			run(t, m)
		})
	}
}

// TestRepr checks what only the other tests stand on.
func TestRepr(t *testing.T) {
	for want, v := range map[string]any{
		"{0.25: None, 1: '1', '2': 2}": map[any]any{1: "1", "2": 2, 0.25: nil},
		"[0.0, 1e+20, True, 'x', [1]]": []any{0.0, 1e20, true, "x", []int{1}},
	} {
		if got := repr(v); got != want {
			t.Errorf("repr is %s, want %s", got, want)
		}
	}
}
