package pool

import (
	"context"
	"sync"
	"time"
)

// A sink is what becomes of a call's tasks. Values come from one goroutine, failures from any; of each task there comes one of the two.
type sink interface {
	value(index int, b []byte) error
	failed(err *TaskError)
}

// A job is one call of a pool.
type job struct {
	e     *engine
	sink  sink
	ctx   context.Context
	opts  CallOptions
	total int // tasks, or -1 while that is not known

	over     func() // called once, when everything has ended
	forget   func() bool
	deadline int64
	notify   chan struct{} // for progress

	// With e.mu held:
	fed     bool
	begun   int // tasks that took a slot
	ended   int // of those
	refused int // tasks that failed before they took one
	timer   *time.Timer
}

// newJob begins a call. over is called when all its tasks have ended; it must not block.
func (e *engine) newJob(ctx context.Context, s sink, o CallOptions, total int, over func()) (*job, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	j := &job{e: e, sink: s, ctx: ctx, opts: o, total: total, over: over}
	if d, ok := ctx.Deadline(); ok {
		j.deadline = d.UnixNano()
	}
	e.mu.Lock()
	if err := e.usable(); err != nil {
		e.mu.Unlock()
		return nil, err
	}
	e.jobs++
	if o.Timeout > 0 {
		e.timed++
		e.watchTimes()
	}
	e.mu.Unlock()
	if o.Progress != nil {
		j.notify = make(chan struct{}, 1)
		end := make(chan struct{})
		inner := j.over
		j.over = func() { close(end); inner() }
		e.past.Go(func() { j.report(end) })
	}
	j.forget = context.AfterFunc(ctx, func() { e.cancel(j) })
	return j, nil
}

// report tells how far the call is.
func (j *job) report(end <-chan struct{}) {
	tick := time.NewTicker(progressEvery)
	defer tick.Stop()
	last := -1
	for {
		over := false
		select {
		case <-end:
			over = true
		case <-tick.C:
		}
		j.e.mu.Lock()
		n, total := j.ended+j.refused, j.total
		j.e.mu.Unlock()
		if n != last {
			j.opts.Progress(n, total)
			last = n
		}
		if over {
			return
		}
	}
}

const progressEvery = 100 * time.Millisecond

// fail tells of a task that has ended without a result.
func (j *job) fail(index, tries int, err error) {
	j.sink.failed(&TaskError{Func: j.e.name, Index: index, Attempts: tries, Err: err})
}

// refuse fails a task that takes no slot.
func (j *job) refuse(index int, err error) {
	j.fail(index, 0, err)
	j.e.mu.Lock()
	j.refused++
	j.e.mu.Unlock()
}

// feedingEnds says that no more tasks come.
func (j *job) feedingEnds(total int) {
	j.e.mu.Lock()
	j.fed, j.total = true, total
	over := j.checkOver()
	j.e.mu.Unlock()
	if over {
		j.over()
	}
}

// ends counts tasks that have ended, with e.mu held, and reports whether the call is over: then its over is to be called without it.
func (j *job) ends(n int) bool {
	j.ended += n
	j.e.stats.Ended += uint64(n)
	return j.checkOver()
}

func (j *job) checkOver() bool {
	if !j.fed || j.ended != j.begun {
		return false
	}
	j.begun = -1 // once
	if j.timer != nil {
		j.timer.Stop()
	}
	j.forget()
	e := j.e
	e.jobs--
	if j.opts.Timeout > 0 {
		e.timed--
	}
	e.finishIfIdle()
	return true
}

// errs collects failures.
type errs struct {
	mu  sync.Mutex
	all []*TaskError
}

func (s *errs) failed(err *TaskError) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, err)
}
