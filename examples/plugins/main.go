// Command plugins is a service that runs other people's code and outlives it. The plug-ins run in the workers of a pool: one that
// panics, exits, writes where it must not, takes all memory, never returns or is killed fails its own request, with an error that
// says how, and a fresh worker takes the place of the dead one. Every other request is answered.
//
//	go run ./examples/plugins                         # one request to each plug-in, good ones in between, and what became of them
//	go run ./examples/plugins -http localhost:8080    # the same as a service
//	curl -d hello localhost:8080/plugins/upper
//	curl -d hello localhost:8080/plugins/exit
//
// A crash stays with the one who makes it; this is no sandbox: a plug-in may do what the service's user may.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/fb2d3dbd/multiproc"
)

func main() {
	multiproc.Init() // the first statement: in a worker it runs plug-ins and does not return
	address := flag.String("http", "", "serve at this `address` instead of showing what happens")
	workers := flag.Int("workers", 4, "run so many plug-ins at a time")
	timeout := flag.Duration("timeout", 2*time.Second, "how long a plug-in may take")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *address, *workers, *timeout); err != nil {
		fmt.Fprintln(os.Stderr, "plugins:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, address string, workers int, timeout time.Duration) (err error) {
	s, err := newService(workers, timeout)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if address == "" {
		return show(ctx, s)
	}
	return listen(ctx, address, s)
}

// listen serves until ctx ends; requests that are under way then are finished.
func listen(ctx context.Context, address string, s *service) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	fmt.Printf("listening at http://%s/plugins/\n", l.Addr())
	server := &http.Server{Handler: s.handler(), ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(l) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		return server.Shutdown(context.WithoutCancel(ctx))
	}
}

// show sends a request to every plug-in at once, each followed by one to a plug-in that does its work.
func show(ctx context.Context, s *service) error {
	names := s.names()
	answers := make([]string, len(names))
	good := make([]error, len(names))
	var all sync.WaitGroup
	for i, name := range names {
		all.Go(func() {
			answer, err := s.call(ctx, request{name, "hello"})
			if answers[i] = answer; err != nil {
				answers[i] = "error: " + err.Error()
			}
		})
		all.Go(func() {
			answer, err := s.call(ctx, request{"upper", name})
			if good[i] = err; err == nil && answer == "" {
				good[i] = errors.New("an empty answer")
			}
		})
	}
	all.Wait()
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	for i, name := range names {
		fmt.Fprintf(table, "%s\t%s\n", name, answers[i])
	}
	if err := errors.Join(table.Flush(), errors.Join(good...)); err != nil {
		return err
	}
	stats := s.pool.Stats()
	_, err := fmt.Printf("%d requests in between were answered; %d workers died and were replaced\n", len(good), stats.Died)
	return err
}
