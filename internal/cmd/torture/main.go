// Command torture kills processes inside the critical sections of this module's shared objects, as often as it is told, and
// checks exactly that nothing is lost, delivered twice, corrupt or hung. See docs/design/torture.md.
//
//	go run ./internal/cmd/torture queue -kills 1000
//	go run ./internal/cmd/torture fork -forks 10000
//
// The suite fork kills nothing: it copies processes and has each copy prove that it is whole.
//
// It needs nothing but Go: it builds itself again with the crash points in. Progress goes to standard error; one line of
// JSON on standard output ends the run. The exit code is 1 when anything is wrong and 2 when the command line is.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/fb2d3dbd/multiproc/internal/torture"
	"github.com/fb2d3dbd/multiproc/internal/torture/fork"
	"github.com/fb2d3dbd/multiproc/internal/torture/locks"
	"github.com/fb2d3dbd/multiproc/internal/torture/manager"
	"github.com/fb2d3dbd/multiproc/internal/torture/pipe"
	"github.com/fb2d3dbd/multiproc/internal/torture/pool"
	"github.com/fb2d3dbd/multiproc/internal/torture/queue"
	"github.com/fb2d3dbd/multiproc/spawn"
)

// suites are the subcommands.
var suites = map[string]func(context.Context, torture.Options) torture.Result{
	"locks":   locks.Run,
	"manager": manager.Run,
	"pipe":    pipe.Run,
	"pool":    pool.Run,
	"queue":   queue.Run,
}

func main() {
	fork.Worker()
	spawn.Init()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second interrupt ends the program at once
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr, torture.Rebuild))
}

// run runs the command line. rebuild makes sure that the program has crash points.
func run(ctx context.Context, args []string, stdout, stderr io.Writer, rebuild func() error) int {
	if len(args) > 0 && args[0] == "fork" {
		return runFork(ctx, args[1:], stdout, stderr)
	}
	if len(args) == 0 || suites[args[0]] == nil {
		names := []string{"fork"}
		for name := range suites {
			names = append(names, name)
		}
		slices.Sort(names)
		fmt.Fprintf(stderr, "usage: torture %s [-kills N] [-seconds S] [-victims V] [-seed N] [-patience D] [-v]\n", strings.Join(names, "|"))
		fmt.Fprintf(stderr, "       torture fork [-forks N] [-kind K] [-case C] [-patience D]\n")
		return 2
	}
	o := torture.Options{Log: stderr}
	f := flag.NewFlagSet("torture "+args[0], flag.ContinueOnError)
	f.SetOutput(stderr)
	f.IntVar(&o.Kills, "kills", 1000, "how many processes to kill")
	f.Float64Var(&o.Seconds, "seconds", 0, "end after this time, however many were killed; 0 means no limit")
	f.IntVar(&o.Victims, "victims", 8, "how many processes to have alive at a time")
	f.Uint64Var(&o.Seed, "seed", rand.Uint64(), "of what is drawn; what processes do to each other is never the same")
	f.DurationVar(&o.Patience, "patience", 30*time.Second, "how long something may take before it counts as hung")
	f.BoolVar(&o.Verbose, "v", false, "say how often every point was hit")
	if err := f.Parse(args[1:]); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return 2
	}
	if f.NArg() > 0 || o.Kills < 1 || o.Victims < 1 || o.Victims > 256 || o.Seconds < 0 || o.Patience <= 0 {
		fmt.Fprintf(stderr, "torture: -kills and -victims are from 1, -victims up to 256, -seconds from 0, and nothing follows the flags\n")
		return 2
	}
	if err := rebuild(); err != nil {
		fmt.Fprintln(stderr, err)
		return 1
	}
	o.GiveUp = func(r torture.Result) {
		fmt.Fprintf(stdout, "%s\n", r.JSON())
		os.Exit(1)
	}
	res := suites[args[0]](ctx, o)
	fmt.Fprintf(stdout, "%s\n", res.JSON())
	if res.Trouble() || ctx.Err() != nil {
		return 1
	}
	return 0
}

// runFork runs the command line of the suite that copies processes.
func runFork(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o := fork.Options{Log: stderr}
	f := flag.NewFlagSet("torture fork", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.IntVar(&o.Forks, "forks", 1000, "how many copies to make")
	f.StringVar(&o.Kind, "kind", "", "copy only this kind of process: "+strings.Join(fork.Kinds, ", "))
	f.StringVar(&o.Case, "case", "", "have the copies do only this: "+strings.Join(fork.Cases(), ", "))
	f.DurationVar(&o.Patience, "patience", time.Minute, "how long a copy may take before it counts as hung")
	if err := f.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return 2
	}
	known := func(name string, all []string) bool { return name == "" || slices.Contains(all, name) }
	if f.NArg() > 0 || o.Forks < 1 || o.Patience <= 0 || !known(o.Kind, fork.Kinds) || !known(o.Case, fork.Cases()) {
		fmt.Fprintf(stderr, "torture: -forks is from 1, kind and case are among those named, and nothing follows the flags\n")
		return 2
	}
	res := fork.Run(ctx, o)
	fmt.Fprintf(stdout, "%s\n", res.JSON())
	if res.Trouble() || res.Forks != o.Forks || ctx.Err() != nil {
		return 1
	}
	return 0
}
