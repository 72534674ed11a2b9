package bench

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

func wordcountScenario(o ScenarioOptions, workers int) Scenario {
	return Scenario{
		Name: fmt.Sprintf("wordcount/%d", workers),
		Doc: fmt.Sprintf("the identifiers of every .go file of a source tree, counted by %d workers that get %d file names a message through one queue, "+
			"from the first message to the merged counts; the workers have been started, and the files listed, before", workers, filesPerMessage),
		Impls: []Impl{
			multiprocWordcount(o.Dir, workers),
			wordcountImpl("goroutine", nil, o.Dir, func(ctx context.Context, files []string) (Result, error) {
				return goroutineWordcount(ctx, files, workers)
			}),
			wordcountImpl("cpython", cpythonMissing, o.Dir, func(ctx context.Context, files []string) (Result, error) {
				return runCPython(ctx, 1, strings.NewReader(strings.Join(files, "\x00")), "wordcount", workers, filesPerMessage)
			}),
		},
	}
}

// wordcountImpl makes an Impl of a job: one operation is the whole job.
func wordcountImpl(name string, missing func() string, dir string, job func(ctx context.Context, files []string) (Result, error)) Impl {
	return Impl{
		Name:    name,
		Missing: missing,
		Fixed:   1,
		Run: func(ctx context.Context, n int) (Result, error) {
			files, err := goFiles(dir)
			if err != nil {
				return Result{}, fmt.Errorf("wordcount: %w", err)
			}
			total := Result{Ops: n}
			for range n {
				r, err := job(ctx, files)
				if err != nil {
					return Result{}, fmt.Errorf("wordcount by %s: %w", name, err)
				}
				total.Elapsed += r.Elapsed
				total.Extra = r.Extra
			}
			return total, nil
		},
	}
}

// goroutineWordcount counts by goroutines that are fed through a channel.
func goroutineWordcount(ctx context.Context, files []string, workers int) (Result, error) {
	if err := ctx.Err(); err != nil {
		return Result{}, err
	}
	ctx, cancel := context.WithCancelCause(ctx) // the cause: what went wrong with a file
	defer cancel(nil)
	names := make(chan []string, queueMessages(0))
	results := make(chan *wordCounts, workers)
	var ready, done sync.WaitGroup
	for range workers {
		ready.Add(1)
		done.Go(func() {
			counts := newWordCounts()
			ready.Done()
			for batch := range names {
				for _, name := range batch {
					if ctx.Err() != nil {
						return
					}
					if err := counts.file(name); err != nil {
						cancel(err)
						return
					}
				}
			}
			results <- counts
		})
	}
	ready.Wait()
	begin := time.Now()
feed:
	for batch := range slices.Chunk(files, filesPerMessage) {
		select {
		case names <- batch:
		case <-ctx.Done():
			break feed
		}
	}
	close(names)
	var total *wordCounts
	for range workers {
		select {
		case counts := <-results:
			if total == nil {
				total = counts
			} else {
				total.merge(counts)
			}
		case <-ctx.Done():
			done.Wait()
			return Result{}, context.Cause(ctx)
		}
	}
	elapsed := time.Since(begin)
	done.Wait()
	return Result{Ops: 1, Elapsed: elapsed, Extra: total.extra(len(files))}, nil
}
