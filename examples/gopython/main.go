// Command gopython is a pipeline over two languages: Go produces batches of readings, Python processes summarize them with their own
// libraries, and Go collects the summaries. The two talk over connections that CPython's multiprocessing.connection understands,
// authenticated by a key; what travels is JSON. A Python process that dies is replaced, and its batch is done again.
//
//	go run ./examples/gopython
//	go run ./examples/gopython -consumers 4 -batches 2000
//
// It needs a python3 of version 3.8 or later, and says so if there is none.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"os/signal"
	"sync"
	"time"

	"github.com/fb2d3dbd/multiproc/conn"
)

// A batch is what goes to Python.
type batch struct {
	ID       int       `json:"id"`
	Readings []float64 `json:"readings"`
}

// A summary is what comes back.
type summary struct {
	ID     int     `json:"id"`
	Mean   float64 `json:"mean"`
	Median float64 `json:"median"`
	Spread float64 `json:"spread"` // between the quartiles
	PID    int     `json:"pid"`    // of the Python process
	Error  string  `json:"error"`
}

func main() {
	var o options
	flag.IntVar(&o.batches, "batches", 200, "produce so many `batches`")
	flag.IntVar(&o.size, "size", 500, "of so many `readings` each")
	flag.IntVar(&o.consumers, "consumers", 2, "start so many Python `processes`")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "gopython:", err)
		os.Exit(1)
	}
}

type options struct{ batches, size, consumers int }

func run(ctx context.Context, o options) error {
	if o.batches < 1 || o.size < 2 || o.consumers < 1 {
		return errors.New("-batches and -consumers want positive numbers, and -size 2 or more")
	}
	python, err := findPython(ctx)
	if err != nil {
		fmt.Println("left out:", err)
		return ctx.Err()
	}
	begin := time.Now()
	summaries, err := pipeline(ctx, o, python)
	if err != nil {
		return err
	}
	mean, widest, pids := 0.0, summaries[0], map[int]bool{}
	for _, s := range summaries {
		mean += s.Mean / float64(len(summaries))
		if s.Spread > widest.Spread {
			widest = s
		}
		pids[s.PID] = true
	}
	fmt.Printf("%d batches of %d readings by %d Python processes in %v\n", o.batches, o.size, len(pids), time.Since(begin).Round(time.Millisecond))
	fmt.Printf("the mean of all is %.3f; batch %d has the widest spread, %.3f about %.3f\n", mean, widest.ID, widest.Spread, widest.Median)
	return nil
}

// pipeline produces batches, has them summarized, and returns the summaries in order.
func pipeline(ctx context.Context, o options, python string) ([]summary, error) {
	ctx, cancel := context.WithCancelCause(ctx) // the cause: what went wrong in a stage
	defer cancel(nil)
	key := []byte(rand.Text())
	l, err := conn.Listen("unix", "", &conn.ListenOptions{Key: key})
	if err != nil {
		return nil, err
	}
	defer l.Close()
	starter := &starter{python: python, listener: l, key: key}

	batches := make(chan batch)
	go func() {
		defer close(batches)
		r := mathrand.New(mathrand.NewPCG(1, 2))
		for id := range o.batches {
			select {
			case batches <- produce(r, id, o.size):
			case <-ctx.Done():
				return
			}
		}
	}()

	summaries := make(chan summary)
	var consumers sync.WaitGroup
	for range o.consumers {
		consumers.Go(func() {
			if err := consume(ctx, starter, batches, summaries); err != nil {
				cancel(err)
			}
		})
	}
	go func() {
		consumers.Wait()
		close(summaries)
	}()

	all := make([]summary, o.batches)
	for s := range summaries {
		all[s.ID] = s
	}
	return all, context.Cause(ctx)
}

// produce makes readings of a sensor.
func produce(r *mathrand.Rand, id, n int) batch {
	b := batch{ID: id, Readings: make([]float64, n)}
	for i := range b.Readings {
		b.Readings[i] = 20 + r.NormFloat64()
	}
	return b
}
