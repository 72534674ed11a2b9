// Command zygote serves lookups in a large index by processes that start warm. A server process, the zygote, has loaded the
// index once; each server is a copy of it, which begins within milliseconds with the index in its memory, shared until somebody writes to it.
// One of the servers is killed in the middle: what it had in its hands is answered by another, and a new one takes its place.
//
//	CGO_ENABLED=0 go run ./examples/zygote              # an index of 500 MiB, four servers
//	CGO_ENABLED=0 go run ./examples/zygote -mib 2000 -servers 8 -huge
//
// It prints how long the starts took, the first with the loading of the index, and what memory the servers have: RSS counts the index for each of them, PSS divides a page
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
	"sync"
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
	ctx, cancel := context.WithCancelCause(ctx) // the cause: what went wrong with a server
	var kept sync.WaitGroup
	defer func() {
		if err != nil {
			cancel(err) // the servers end
		}
		closed := s.requests.Close() // they finish
		late := time.AfterFunc(5*time.Second, func() { cancel(errors.New("a server did not finish")) })
		kept.Wait()
		late.Stop()
		if err == nil {
			err = context.Cause(ctx)
		}
		cancel(nil)
		err = errors.Join(err, closed, s.free())
	}()
	for range o.servers {
		kept.Go(func() {
			if err := s.keep(ctx); err != nil {
				cancel(err)
			}
		})
		if err := s.report(ctx); err != nil {
			return err
		}
	}
	begin := time.Now()
	if err := s.ask(ctx, someKeys(o.requests, recordsIn(o.mib))); err != nil {
		return err
	}
	fmt.Printf("%d questions were answered in %v\n", o.requests, time.Since(begin).Round(time.Millisecond))
	if err := s.report(ctx); err != nil { // of the server that was killed
		return err
	}
	return printMemory(s.running(), o.mib)
}

// report waits for the next start of a server and prints what it has to tell.
func (s *service) report(ctx context.Context) error {
	select {
	case b := <-s.starts:
		took := b.took.Round(10 * time.Microsecond)
		if b.after != nil {
			fmt.Printf("%v; another took its place in %v\n", b.after, took)
		} else {
			fmt.Printf("a server started in %v\n", took)
		}
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
