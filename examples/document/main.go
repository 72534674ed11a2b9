// Command document has the examples with which the document of Python's multiprocessing begins
// (https://docs.python.org/3/library/multiprocessing.html), in Go, one in each file. They print what that document shows:
//
//	go run ./examples/document queue lock
//	CGO_ENABLED=0 go run ./examples/document -method fork queue
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"

	"github.com/fb2d3dbd/multiproc"
)

var examples = []struct {
	name string
	run  func(ctx context.Context) error
}{
	{"pool", poolOfWorkers},
	{"process", process},
	{"ids", ids},
	{"methods", startMethods},
	{"queue", queue},
	{"pipe", pipe},
	{"lock", lock},
	{"values", values},
	{"shared", shared},
	{"manager", objects},
	{"maths", maths},
	{"wait", waitForMany},
}

func main() {
	multiproc.Init() // the first statement: in a child it runs the target and does not return
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	method := flag.String("method", string(multiproc.Spawn), "how processes are started: spawn, fork or forkserver")
	flag.Usage = func() {
		fmt.Fprintf(flag.CommandLine.Output(), "usage: document [-method M] [EXAMPLE...]\nwithout arguments all examples are run:")
		for _, e := range examples {
			fmt.Fprintf(flag.CommandLine.Output(), " %s", e.name)
		}
		fmt.Fprintln(flag.CommandLine.Output())
		flag.PrintDefaults()
	}
	flag.Parse()
	if err := multiproc.SetStartMethod(multiproc.StartMethod(*method)); err != nil {
		return err
	}
	wanted := map[string]bool{}
	for _, name := range flag.Args() {
		wanted[name] = true
	}
	for _, e := range examples {
		if flag.NArg() > 0 && !wanted[e.name] {
			continue
		}
		delete(wanted, e.name)
		if flag.NArg() != 1 {
			fmt.Printf("--- %s\n", e.name)
		}
		if err := e.run(ctx); errors.Is(err, errors.ErrUnsupported) && flag.NArg() != 1 {
			fmt.Println("left out:", err)
		} else if err != nil {
			return fmt.Errorf("%s: %w", e.name, err)
		}
	}
	for name := range wanted {
		return fmt.Errorf("there is no example %q", name)
	}
	return nil
}
