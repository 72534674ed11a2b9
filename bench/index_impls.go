package bench

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fb2d3dbd/multiproc"
)

// indexScenario is the job that keeps a heap: build/N measures how the index comes to be, query/N what is asked of it then.
func indexScenario(o ScenarioOptions, phase string, workers int) Scenario {
	build := phase == "build"
	s := Scenario{Name: fmt.Sprintf("index/%s/%d", phase, workers), Long: build || workers != 2}
	if build {
		s.Doc = fmt.Sprintf("an index of where the identifiers of every %dth .go file of a source tree stand, built on the heap by %d workers, each of which has a shard: "+
			"goroutines in one heap, processes each in its own", indexStride, workers)
	} else {
		s.Doc = fmt.Sprintf("one of %d queries to that index, asked by as many clients as there are workers, %d: multiproc asks each process for its shard and merges; "+
			"a goroutine answers from all shards itself, and so does the copy of a process that has the index (forkserver) to which it goes", indexQueries, workers)
	}
	s.Impls = []Impl{
		indexImpl("multiproc", multiprocMissing, o.Dir, build, workers),
		indexImpl("goroutine", nil, o.Dir, build, workers),
	}
	if !build {
		s.Impls = append(s.Impls, indexImpl("forkserver", forkserverMissing, o.Dir, build, workers))
	}
	s.Impls = append(s.Impls, cpythonIndex(o.Dir, build, workers))
	return s
}

func forkserverMissing() string {
	if err := multiproc.ForkServer.Available(); err != nil {
		return err.Error()
	}
	return multiprocMissing()
}

// indexImpl makes an Impl of the job. It runs in a process of its own, so that its memory and its collector's work are not
// those of the comparison.
func indexImpl(name string, missing func() string, dir string, build bool, workers int) Impl {
	return Impl{
		Name: name, Missing: missing, Fixed: indexOps(build),
		Run: func(ctx context.Context, ops int) (Result, error) {
			r, err := runIndex(ctx, name, dir, build, ops, workers)
			if err != nil {
				return r, fmt.Errorf("index by %s: %w", name, err)
			}
			return r, nil
		},
	}
}

// indexOps is how many operations a sample has: one index that is built, or the queries.
func indexOps(build bool) int {
	if build {
		return 1
	}
	return indexQueries
}

// An indexJob is what the process of one sample does.
type indexJob struct {
	Impl    string
	Workers int
	Input   indexInput // without queries the building is measured
	Result  *multiproc.Queue[Result]
}

// indexBodies are the implementations in Go.
var indexBodies = map[string]func(ctx context.Context, in indexInput, workers int) (indexRun, error){
	"multiproc": func(ctx context.Context, in indexInput, workers int) (indexRun, error) {
		return processIndex(ctx, in, workers, false)
	},
	"forkserver": func(ctx context.Context, in indexInput, workers int) (indexRun, error) {
		return processIndex(ctx, in, workers, true)
	},
	"goroutine": goroutineIndex,
}

var indexJobTarget = multiproc.NewTarget("bench.index", func(ctx context.Context, j indexJob) error {
	run, err := indexBodies[j.Impl](ctx, j.Input, j.Workers)
	if err != nil {
		return err
	}
	return j.Result.Put(ctx, run.result(len(j.Input.Files)))
})

func runIndex(ctx context.Context, impl, dir string, build bool, ops, workers int) (total Result, err error) {
	if err := ctx.Err(); err != nil {
		return Result{}, err
	}
	queries, times := ops, 1
	if build {
		queries, times = 0, ops
	}
	in, err := newIndexInput(dir, queries)
	if err != nil {
		return Result{}, err
	}
	for range times {
		var r Result
		if multiprocMissing() != "" {
			var run indexRun
			run, err = indexBodies[impl](ctx, in, workers)
			r = run.result(len(in.Files))
		} else {
			r, err = indexElsewhere(ctx, indexJob{Impl: impl, Workers: workers, Input: in}, dir)
		}
		if err != nil {
			return Result{}, err
		}
		total.Elapsed += r.Elapsed
		total.Extra = r.Extra
	}
	total.Ops = ops
	return total, nil
}

// indexElsewhere does the job in a process of its own.
func indexElsewhere(ctx context.Context, j indexJob, dir string) (Result, error) {
	var err error
	if j.Result, err = multiproc.NewQueue[Result](nil); err != nil {
		return Result{}, err
	}
	defer j.Result.Free()
	if err := runAlone(ctx, indexJobTarget, j, fmt.Sprintf("%s=%d %s", indexVariable, j.Workers, dir)); err != nil {
		return Result{}, err
	}
	return j.Result.TryGet() // it has ended, and has put it before
}

// An indexRun is what was measured of one job.
type indexRun struct {
	built  time.Duration
	counts indexCounts
	asked  session // when there were queries
	gc     collection
	memory footprint
}

// result is for the phase that was to be measured.
func (r indexRun) result(files int) Result {
	res := Result{Ops: 1, Elapsed: r.built, Extra: map[string]string{"files": strconv.Itoa(files)}}
	r.gc.figures(res.Extra)
	r.memory.figures(res.Extra)
	if len(r.asked.answers) > 0 {
		res.Ops, res.Elapsed = len(r.asked.answers), r.asked.elapsed
		res.Extra["digest"] = r.asked.digest()
		r.asked.times.figures(res.Extra)
		return res
	}
	res.Extra["digest"] = fmt.Sprintf("%016x", r.counts.Digest)
	res.Extra["identifiers"] = strconv.Itoa(r.counts.Identifiers)
	res.Extra["postings"] = strconv.Itoa(r.counts.Postings)
	return res
}

// A fileBatch is files that go to a worker in one message.
type fileBatch struct {
	First int // the number of the first
	Names []string
}

// batches cuts the files into messages.
func (in indexInput) batches() (all []fileBatch) {
	for names := range slices.Chunk(in.Files, filesPerMessage) {
		all = append(all, fileBatch{len(all) * filesPerMessage, names})
	}
	return all
}

// goroutineIndex has all shards in one heap. A query is answered from all of them by the goroutine that asks: nothing has to be handed over.
func goroutineIndex(ctx context.Context, in indexInput, workers int) (r indexRun, err error) {
	shards := make([]*indexShard, workers)
	names := make(chan fileBatch, queueMessages(0))
	for _, b := range in.batches() {
		names <- b
	}
	close(names)
	var bodies []func(ctx context.Context) error
	for i := range shards {
		bodies = append(bodies, func(ctx context.Context) error {
			shards[i] = newIndexShard()
			for b := range names {
				if err := ctx.Err(); err != nil {
					return err
				}
				if err := shards[i].files(b.First, b.Names); err != nil {
					return err
				}
			}
			shards[i].finish()
			return nil
		})
	}
	begin := readCollector()
	if r.built, err = together(ctx, bodies...); err != nil {
		return r, err
	}
	if len(in.Queries) > 0 {
		runtime.GC() // what was left of the building
		begin = readCollector()
		r.asked, err = runClients(ctx, workers, in.Queries, func(ctx context.Context, _, q int) (indexAnswer, error) {
			return answerAll(shards, in.Queries[q]), ctx.Err()
		})
		if err != nil {
			return r, err
		}
	}
	r.gc, r.memory = readCollector().since(begin), familyFootprint()
	if len(in.Queries) == 0 {
		for _, x := range shards {
			r.counts.add(x.counts())
		}
	}
	runtime.KeepAlive(shards)
	return r, nil
}

// cpythonIndex runs peers/index.py, which gets files and queries on its standard input.
func cpythonIndex(dir string, build bool, workers int) Impl {
	return Impl{
		Name: "cpython", Missing: cpythonMissing, Fixed: indexOps(build),
		Run: func(ctx context.Context, ops int) (Result, error) {
			mode, queries := "query", ops
			if build {
				mode, queries = "build", 0
			}
			in, err := newIndexInput(dir, queries)
			if err != nil {
				return Result{}, fmt.Errorf("index by cpython: %w", err)
			}
			text := strings.Join(in.Files, "\x00") + "\n" + strings.Join(in.Queries, "\n")
			return runPython(ctx, "index.py", ops, strings.NewReader(text), mode, workers, filesPerMessage, indexBest)
		},
	}
}
