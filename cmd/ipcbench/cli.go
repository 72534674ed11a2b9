package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/fb2d3dbd/multiproc/bench"
	"github.com/fb2d3dbd/multiproc/bench/stats"
)

// Exit statuses.
const (
	exitOK          = 0
	exitFailed      = 1 // an implementation failed, or results disagree, or a file could not be written
	exitUsage       = 2 // what was asked for does not exist or makes no sense
	exitInterrupted = 130
)

const usage = `Compare processes over shared memory with goroutines, pipes, sockets, CPython and C on this machine.

  ipcbench [flags]                     the quick comparison: tables, and a report in ./ipcbench-report
  ipcbench run [flags]                 measure, and write one JSON line for each sample
  ipcbench compare OLD NEW             what changed between two results files, and which ratios do not agree
  ipcbench report [-o DIR] FILE...     make a report of results files
  ipcbench targets [FOLDER]            which of its targets the project reaches, by the full run that is kept in the repository
  ipcbench keep [FOLDER]               keep the run of a report folder in the repository
  ipcbench readme [README]             make the README's table and plots of the run that is kept
  ipcbench list [-dir DIR]             the scenarios, and the implementations this machine can run
  ipcbench help [COMMAND]              the flags of a command

Every value is in ns/op; lower is better.
`

// errUsage is matched by errors about what was asked for; they end with exitUsage.
var errUsage = errors.New("usage")

// errReported ends a command whose trouble has been told on stderr already.
var errReported = errors.New("reported")

// usageError makes an error of a fault in what was asked for.
func usageError(format string, args ...any) error {
	return &badInput{fmt.Errorf(format, args...)}
}

type badInput struct{ err error }

func (e *badInput) Error() string   { return e.err.Error() }
func (e *badInput) Unwrap() []error { return []error{errUsage, e.err} }

// A tool is one invocation.
type tool struct {
	stdout, stderr io.Writer
	args           []string // the whole command line
}

// run runs one command line and returns its exit status. It ends early, with what was measured so far, when ctx ends.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	t := &tool{stdout: stdout, stderr: stderr, args: args}
	err := t.dispatch(ctx, args)
	switch {
	case err == nil || errors.Is(err, flag.ErrHelp):
		return exitOK
	case errors.Is(err, context.Canceled):
		fmt.Fprintln(stderr, "ipcbench: interrupted")
		return exitInterrupted
	case errors.Is(err, errReported):
		return exitFailed
	}
	fmt.Fprintf(stderr, "ipcbench: %v\n", err)
	if errors.Is(err, errUsage) || errors.Is(err, bench.ErrDamaged) {
		return exitUsage
	}
	return exitFailed
}

func (t *tool) dispatch(ctx context.Context, args []string) error {
	if len(args) == 0 || strings.HasPrefix(args[0], "-") {
		return t.quick(ctx, args)
	}
	name, rest := args[0], args[1:]
	switch name {
	case "run":
		return t.run(ctx, rest)
	case "compare":
		return t.compare(rest)
	case "report":
		return t.report(rest)
	case "targets":
		return t.targets(rest)
	case "keep":
		return t.keep(rest)
	case "readme":
		return t.readme(rest)
	case "list":
		return t.list(rest)
	case "help":
		if len(rest) > 0 {
			return t.dispatch(ctx, []string{rest[0], "-h"})
		}
		_, err := io.WriteString(t.stdout, usage)
		return err
	}
	return usageError("unknown command %q; there are run, compare, report, targets, keep, readme, list and help", name)
}

// flags makes the flag set of a command, which is named by how the command is called.
func flags(synopsis string) *flag.FlagSet {
	fs := flag.NewFlagSet(synopsis, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.Usage = func() {} // the package would print it on every fault
	return fs
}

// parse parses flags. A fault is a usage error that says it in one line; a call for help is answered on stdout.
func (t *tool) parse(fs *flag.FlagSet, args []string) error {
	err := fs.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprintf(t.stdout, "usage: %s\n\n", fs.Name())
		fs.SetOutput(t.stdout)
		fs.PrintDefaults()
		return err
	case err != nil:
		return usageError("%w", err)
	}
	return nil
}

// noMore refuses arguments after the flags.
func noMore(fs *flag.FlagSet) error {
	if fs.NArg() > 0 {
		return usageError("unexpected argument %q", fs.Arg(0))
	}
	return nil
}

// checkFolder refuses a folder to read from that is not there.
func checkFolder(flagName, dir string) error {
	if dir == "" {
		return nil
	}
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return usageError("-%s: the folder %s does not exist", flagName, dir)
	case err != nil:
		return usageError("-%s: %w", flagName, err)
	case !info.IsDir():
		return usageError("-%s: %s is not a folder", flagName, dir)
	}
	return nil
}

// terminal returns the width of the terminal that w writes to, and whether it is one.
func terminal(w io.Writer) (width int, ok bool) {
	f, isFile := w.(*os.File)
	if !isFile || !term.IsTerminal(int(f.Fd())) || os.Getenv("TERM") == "dumb" {
		return 0, false
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil || width < 20 {
		width = 80
	}
	return width, true
}

// style chooses how tables look on stdout.
func (t *tool) style() stats.TextStyle {
	_, ok := terminal(t.stdout)
	return stats.TextStyle{Color: ok && os.Getenv("NO_COLOR") == ""}
}
