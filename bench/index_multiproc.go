package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/fb2d3dbd/multiproc"
)

// An indexWorker is what a process of the index works on.
type indexWorker struct {
	Files    *multiproc.Queue[fileBatch] // what the shard is made of; nil for a process that was copied with the index in it
	Asks     bool                        // queries will come
	Requests *multiproc.Queue[indexRequest]
	Answers  []*multiproc.Queue[indexAnswer] // of each client
	Reports  *multiproc.Queue[indexReport]   // three of each worker: when it is there, when it has built, when it may be asked; and one at the end
}

// An indexRequest is a query, and which client waits for the answer.
type indexRequest struct {
	Client int
	Query  string
}

type indexReport struct {
	Counts indexCounts
	GC     collection
}

var indexWorkerTarget = multiproc.NewTarget("bench.index-worker", func(ctx context.Context, a indexWorker) error {
	shards := preloadedIndex
	begin := readCollector()
	if err := a.Reports.Put(ctx, indexReport{}); err != nil {
		return err
	}
	if a.Files != nil {
		shards = []*indexShard{newIndexShard()}
		for b, err := range a.Files.All(ctx) {
			if err != nil {
				return err
			}
			if err := shards[0].files(b.First, b.Names); err != nil {
				return err
			}
		}
		shards[0].finish()
	}
	if err := a.Reports.Put(ctx, indexReport{}); err != nil {
		return err
	}
	if a.Asks && a.Files != nil { // a copy's collector has nothing to take away yet
		runtime.GC()
		begin = readCollector()
	}
	if err := a.Reports.Put(ctx, indexReport{}); err != nil {
		return err
	}
	for r, err := range a.Requests.All(ctx) {
		if err != nil {
			return err
		}
		if err := a.Answers[r.Client].Put(ctx, answerAll(shards, r.Query)); err != nil {
			return err
		}
	}
	last := indexReport{GC: readCollector().since(begin)}
	if !a.Asks {
		last.Counts = shards[0].counts()
	}
	return a.Reports.Put(ctx, last)
})

// indexVariable is set for the process that copies are made of: the number of shards, and the folder.
const indexVariable = "MULTIPROC_BENCH_INDEX"

// preloadedIndex is what such a process has, and each of its copies.
var preloadedIndex []*indexShard

func init() { multiproc.Preload("bench.index", preloadIndex) }

func preloadIndex() error {
	number, dir, ok := strings.Cut(os.Getenv(indexVariable), " ")
	if !ok {
		return nil // it is for something else
	}
	shards, err := strconv.Atoi(number)
	if err != nil || shards < 1 {
		return fmt.Errorf("%s: %q is no number of shards", indexVariable, number)
	}
	in, err := newIndexInput(dir, 0)
	if err != nil {
		return err
	}
	for range shards {
		preloadedIndex = append(preloadedIndex, newIndexShard())
	}
	for i, b := range in.batches() {
		if err := preloadedIndex[i%shards].files(b.First, b.Names); err != nil {
			return err
		}
	}
	for _, x := range preloadedIndex {
		x.finish()
	}
	runtime.GC()
	return nil
}

// processIndex has the index in worker processes: a shard in each, so that a query goes to all of them; or, if they are copies of a
// process that has it, the whole, so that a query goes to whichever takes it.
func processIndex(ctx context.Context, in indexInput, workers int, copies bool) (r indexRun, err error) {
	a := indexWorker{Asks: len(in.Queries) > 0}
	if !copies {
		if a.Files, err = multiproc.NewQueue[fileBatch](nil); err != nil {
			return r, err
		}
		defer a.Files.Free()
	}
	if a.Reports, err = multiproc.NewQueue[indexReport](nil); err != nil {
		return r, err
	}
	defer a.Reports.Free()
	requests, err := newQueues[indexRequest](workers)
	if err != nil {
		return r, err
	}
	defer freeQueues(requests)
	if a.Answers, err = newQueues[indexAnswer](workers); err != nil {
		return r, err
	}
	defer freeQueues(a.Answers)
	if copies {
		requests = requests[:1]
	}

	ctx, cancel := context.WithCancelCause(ctx) // the cause: what went wrong with a process
	defer cancel(nil)
	c := newCrew(cancel)
	if copies {
		c.options = &multiproc.ProcessOptions{Method: multiproc.ForkServer}
	}
	defer func() { err = c.dismiss(ctx, err) }()
	for i := range workers {
		a.Requests = requests[i%len(requests)]
		if err := addToCrew(ctx, c, indexWorkerTarget, a); err != nil {
			return r, err
		}
	}
	if _, err := a.hear(ctx, workers); err != nil {
		return r, err
	}

	begin, start := readCollector(), time.Now()
	if !copies {
		for _, b := range in.batches() {
			if err := a.Files.Put(ctx, b); err != nil {
				return r, err
			}
		}
		if err := a.Files.Close(); err != nil {
			return r, err
		}
	}
	if _, err := a.hear(ctx, workers); err != nil {
		return r, err
	}
	r.built = time.Since(start)
	if _, err := a.hear(ctx, workers); err != nil {
		return r, err
	}
	if a.Asks {
		runtime.GC()
		begin = readCollector()
		r.asked, err = runClients(ctx, workers, in.Queries, func(ctx context.Context, client, q int) (indexAnswer, error) {
			return a.ask(ctx, requests, client, in.Queries[q])
		})
		if err != nil {
			return r, err
		}
	}
	r.memory = familyFootprint()
	for _, q := range requests {
		if err := q.Close(); err != nil {
			return r, err
		}
	}
	last, err := a.hear(ctx, workers)
	r.counts, r.gc = last.Counts, last.GC
	r.gc.add(readCollector().since(begin))
	return r, err
}

// hear waits for the next report of each worker and adds them up.
func (a indexWorker) hear(ctx context.Context, workers int) (total indexReport, err error) {
	for range workers {
		r, err := a.Reports.Get(ctx)
		if err != nil {
			return total, err
		}
		total.Counts.add(r.Counts)
		total.GC.add(r.GC)
	}
	return total, nil
}

// ask sends a query to all shards and merges what they answer.
func (a indexWorker) ask(ctx context.Context, shards []*multiproc.Queue[indexRequest], client int, query string) (indexAnswer, error) {
	for _, q := range shards {
		if err := q.Put(ctx, indexRequest{client, query}); err != nil {
			return indexAnswer{}, err
		}
	}
	parts := make([]indexAnswer, len(shards))
	for i := range parts {
		var err error
		if parts[i], err = a.Answers[client].Get(ctx); err != nil {
			return indexAnswer{}, err
		}
	}
	return mergeAnswers(query, parts), nil
}

func newQueues[T any](n int) (queues []*multiproc.Queue[T], err error) {
	for range n {
		q, err := multiproc.NewQueue[T](nil)
		if err != nil {
			return nil, errors.Join(err, freeQueues(queues))
		}
		queues = append(queues, q)
	}
	return queues, nil
}

func freeQueues[T any](queues []*multiproc.Queue[T]) (err error) {
	for _, q := range queues {
		err = errors.Join(err, q.Free())
	}
	return err
}
