// Command zygote serves lookups in a large index by processes that start warm. A server process, the zygote, has loaded the
// index once; each server is a copy of it, which begins within milliseconds with the index in its memory, shared until somebody writes to it.
// One of the servers is killed in the middle: what it had in its hands is answered by another, and a new one takes its place.
//
//	CGO_ENABLED=0 go run ./examples/zygote              # an index of 500 MiB, four servers
//	CGO_ENABLED=0 go run ./examples/zygote -mib 2000 -servers 8 -huge
//
// It prints how long the starts took, and what memory the servers have: RSS counts the index for each of them, PSS divides a page
// by the number of processes that share it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"time"

	"github.com/fb2d3dbd/multiproc"
)

func main() {
	multiproc.Init() // the first statement: the zygote loads the index here, a server runs its target, and neither returns
	var o options
	flag.IntVar(&o.mib, "mib", 500, "make the index so many `MiB` large")
	flag.IntVar(&o.servers, "servers", 4, "start so many servers")
	flag.IntVar(&o.requests, "requests", 50_000, "ask so many questions")
	flag.BoolVar(&o.huge, "huge", false, "put the index into huge pages, which takes the zygote longer and its copies are made faster")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "zygote:", err)
		os.Exit(1)
	}
}

type options struct {
	mib, servers, requests int
	huge                   bool
}

func (o options) check() error {
	if o.mib < 1 || o.servers < 1 || o.requests < 1 {
		return errors.New("-mib, -servers and -requests want positive numbers")
	}
	return multiproc.ForkServer.Available()
}

func run(ctx context.Context, o options) (err error) {
	if err := o.check(); err != nil {
		return err
	}
	if err := os.Setenv(sizeVariable, strconv.Itoa(o.mib)); err != nil { // the zygote inherits it
		return err
	}
	multiproc.SetForkServerOptions(&multiproc.ForkServerOptions{HugePages: o.huge})
	s, err := newService()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	for i := range o.servers {
		took, err := s.add(ctx)
		switch {
		case err != nil:
			return err
		case i == 0:
			fmt.Printf("the index of %d MiB was loaded, and the first server started, in %v\n", o.mib, took.Round(time.Millisecond))
		default:
			fmt.Printf("server %d started in %v\n", i+1, took.Round(10*time.Microsecond))
		}
	}
	begin := time.Now()
	if err := s.ask(ctx, o); err != nil {
		return err
	}
	fmt.Printf("%d questions were answered in %v\n", o.requests, time.Since(begin).Round(time.Millisecond))
	return printMemory(s.running(), o.mib)
}
