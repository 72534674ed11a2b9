package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/fb2d3dbd/multiproc/internal/inspect"
)

// Exit statuses.
const (
	exitOK          = 0
	exitFound       = 1 // check has found something, or a command failed
	exitUsage       = 2
	exitInterrupted = 130
)

const usage = `Look into the shared memory of multiproc on this machine.

  ipcstat ls [-json] [SEGMENT...]        segments: sizes, age, users, who maps them
  ipcstat locks [-json] [-all] [-for D]  locks: who holds them, since when at least, who waits
  ipcstat queues [-json] [-for D]        queues: depth, producers, consumers, un-acknowledged, rates
  ipcstat top [-n N] [-every D]          all of that, live
  ipcstat check [-json] [SEGMENT...]     every invariant; exit status 1 if one does not hold
  ipcstat dump [-json] SEGMENT           the objects of a segment; with -at OFFSET the bytes from there on
  ipcstat gc [-n] [-json] [SEGMENT...]   take away the names of dead segments, and collect what the dead left in live ones

A SEGMENT is a name, the first digits of an id, or the pid of a process that uses it. All but gc only look.
`

// errFound ends a command whose findings have been told already.
var errFound = errors.New("found")

type usageError struct{ error }

// A tool is one invocation.
type tool struct {
	out, err io.Writer
	json     bool
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	t := &tool{out: stdout, err: stderr}
	err := t.dispatch(ctx, args)
	var u usageError
	switch {
	case err == nil || errors.Is(err, flag.ErrHelp):
		return exitOK
	case errors.Is(err, context.Canceled):
		return exitInterrupted
	case err == errFound:
		return exitFound
	case errors.As(err, &u):
		fmt.Fprintf(stderr, "ipcstat: %v\n", err)
		return exitUsage
	}
	fmt.Fprintf(stderr, "ipcstat: %v\n", err)
	return exitFound
}

func (t *tool) dispatch(ctx context.Context, args []string) error {
	if len(args) == 0 {
		args = []string{"help"}
	}
	name, rest := args[0], args[1:]
	switch name {
	case "ls":
		return t.ls(rest)
	case "locks":
		return t.locks(ctx, rest)
	case "queues":
		return t.queues(ctx, rest)
	case "top":
		return t.top(ctx, rest)
	case "check":
		return t.check(rest)
	case "dump":
		return t.dump(rest)
	case "gc":
		return t.gc(rest)
	case "help", "-h", "-help", "--help":
		_, err := io.WriteString(t.out, usage)
		return err
	}
	return usageError{fmt.Errorf("unknown command %q; there are ls, locks, queues, top, check, dump and gc", name)}
}

// flags makes the flag set of a command, with -json.
func (t *tool) flags(synopsis string) *flag.FlagSet {
	fs := flag.NewFlagSet(synopsis, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.Usage = func() {} // the package would print it on every fault
	fs.BoolVar(&t.json, "json", false, "for programs: write JSON")
	return fs
}

func (t *tool) parse(fs *flag.FlagSet, args []string) error {
	err := fs.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprintf(t.out, "usage: ipcstat %s\n\n", fs.Name())
		fs.SetOutput(t.out)
		fs.PrintDefaults()
		return err
	}
	if err != nil {
		return usageError{err}
	}
	return nil
}

// segments looks for the segments that the arguments mean, or all.
func (t *tool) segments(args []string) (*inspect.Scan, error) {
	scan, err := inspect.Look()
	if err != nil || len(args) == 0 {
		return scan, err
	}
	var chosen []*inspect.Segment
	for _, arg := range args {
		n := len(chosen)
		for _, s := range scan.Segments {
			if s.Matches(arg) {
				chosen = append(chosen, s)
			}
		}
		if len(chosen) == n {
			return nil, usageError{fmt.Errorf("no segment is %q: give a name, the first digits of an id, or a pid", arg)}
		}
	}
	scan.Segments = chosen
	return scan, nil
}

func (t *tool) writeJSON(v any) error {
	e := json.NewEncoder(t.out)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// table writes rows of cells in columns.
func (t *tool) table(head string, rows [][]string) error {
	w := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, strings.ReplaceAll(head, " ", "\t"))
	for _, r := range rows {
		fmt.Fprintln(w, strings.Join(r, "\t"))
	}
	return w.Flush()
}

func (t *tool) hidden(scan *inspect.Scan) {
	if scan.Hidden > 0 {
		fmt.Fprintf(t.err, "ipcstat: %d processes of others may not be looked at; root may\n", scan.Hidden)
	}
}

func bytesText(n int64) string {
	for _, u := range []string{"", "K", "M", "G"} {
		if n < 10<<10 {
			return fmt.Sprintf("%d%s", n, u)
		}
		n >>= 10
	}
	return fmt.Sprintf("%dT", n)
}

func ageText(at time.Time) string {
	d := time.Since(at)
	switch {
	case at.IsZero() || at.Unix() == 0:
		return "-"
	case d < time.Minute:
		return d.Round(time.Second / 10).String()
	case d < 48*time.Hour:
		return d.Round(time.Minute).String()
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}

// nameText is how people call a segment.
func nameText(name, id string) string {
	if name != "" {
		return name
	}
	if len(id) > 8 {
		return id[:8]
	}
	return id
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
