package pool

import (
	"context"
	"iter"
	"sync"
)

// A Handle is a call under way, with a result of type T.
type Handle[T any] struct {
	done  chan struct{}
	value T
	err   error
	past  *sync.WaitGroup
}

func newHandle[T any](e *engine) *Handle[T] {
	return &Handle[T]{done: make(chan struct{}), past: &e.past}
}

func (h *Handle[T]) end(v T, err error) {
	h.value, h.err = v, err
	close(h.done)
}

// Done is closed when the call has ended.
func (h *Handle[T]) Done() <-chan struct{} { return h.done }

// Get waits for the result until ctx ends. That ends the wait and not the call, which ends with its own context.
func (h *Handle[T]) Get(ctx context.Context) (v T, err error) {
	select {
	case <-h.done:
		return h.value, h.err
	default:
	}
	select {
	case <-h.done:
		return h.value, h.err
	case <-ctx.Done():
		return v, ctx.Err()
	}
}

// Then has one of the functions called when the call has ended, on a goroutine of its own; either may be nil. Join waits for it. It returns h.
func (h *Handle[T]) Then(ok func(T), failed func(error)) *Handle[T] {
	h.past.Go(func() {
		<-h.done
		switch {
		case h.err != nil && failed != nil:
			failed(h.err)
		case h.err == nil && ok != nil:
			ok(h.value)
		}
	})
	return h
}

// wait waits for the end of a call whose own context ends it.
func (h *Handle[T]) wait() (T, error) {
	<-h.done
	return h.value, h.err
}

// one is the sink of a call of one task.
type one[Out any] struct {
	form form
	out  Out
	err  error
}

func (s *one[Out]) value(_ int, b []byte) error { return decodeValue(s.form, b, &s.out, false) }

func (s *one[Out]) failed(err *TaskError) { s.err = err }

// Apply runs the function on in, in one of the workers, and returns what it returned. When ctx ends the task's context does, and Apply returns when the
// task has ended: at once if it takes notice, and after the pool's grace, with its worker, if it does not. The error is a *TaskError if the task was handed to the pool.
func (p *Pool[In, Out]) Apply(ctx context.Context, in In) (Out, error) {
	return p.ApplyAsync(ctx, in).wait()
}

// ApplyAsync is Apply that does not wait, but for a place in the pool when Options.Backlog tasks are under way.
func (p *Pool[In, Out]) ApplyAsync(ctx context.Context, in In) *Handle[Out] {
	h := newHandle[Out](p.e)
	s := &one[Out]{form: p.f.out}
	j, err := p.e.newJob(ctx, s, p.call, 1, func() { h.end(s.out, s.err) })
	if err != nil {
		h.end(s.out, err)
		return h
	}
	f := newFeeder(j)
	err = p.add(f, 0, 0, &in)
	if err == nil {
		err = f.flush()
	}
	if err != nil && len(f.tasks) > 0 { // it took no slot
		s.err = &TaskError{Func: p.f.name, Err: err}
	}
	j.feedingEnds(1)
	return h
}

// largeArg is from what size on an argument is written in place.
const largeArg = 64 << 10

// add packs an argument.
func (p *Pool[In, Out]) add(f *feeder, index, left int, in *In) error {
	var raw []byte
	switch v := any(in).(type) {
	case *View:
		raw = *v
	case *[]byte:
		raw = *v
	}
	if len(raw) >= largeArg {
		return f.addLarge(index, raw)
	}
	return f.add(index, left, func(dst []byte) ([]byte, error) { return appendValue(p.f.in, dst, in) })
}

// all is the sink of Map.
type all[Out any] struct {
	errs
	form form
	outs []Out
	rest MapError
}

func (s *all[Out]) value(index int, b []byte) error {
	err := decodeValue(s.form, b, &s.outs[index], false)
	if err != nil {
		var zero Out
		s.outs[index] = zero
	}
	return err
}

func (s *all[Out]) result() ([]Out, error) {
	if len(s.all) == 0 && s.rest.NotBegun == 0 {
		return s.outs, nil
	}
	s.rest.Tasks = sortTasks(s.all)
	return s.outs, &s.rest
}

// Map runs the function on each element and returns the results in order. All are run, whatever becomes of the others; if any failed the error is a *MapError that lists
// them, and their results are zero. When ctx ends, what has not begun does not, and what runs is treated as in Apply.
func (p *Pool[In, Out]) Map(ctx context.Context, in []In) ([]Out, error) {
	h, feed := p.startMap(ctx, in)
	feed()
	return h.wait()
}

// MapAsync is Map that does not wait. The elements must not be changed before the call has ended.
func (p *Pool[In, Out]) MapAsync(ctx context.Context, in []In) *Handle[[]Out] {
	h, feed := p.startMap(ctx, in)
	go feed()
	return h
}

// startMap begins a call; feed hands its tasks to the pool.
func (p *Pool[In, Out]) startMap(ctx context.Context, in []In) (h *Handle[[]Out], feed func()) {
	h = newHandle[[]Out](p.e)
	s := &all[Out]{form: p.f.out, outs: make([]Out, len(in))}
	j, err := p.e.newJob(ctx, s, p.call, len(in), func() { h.end(s.result()) })
	if err != nil {
		h.end(nil, err)
		return h, func() {}
	}
	return h, func() {
		if n, err := p.feed(j, in); err != nil {
			s.rest.NotBegun, s.rest.Cause = len(in)-n, err
		}
		j.feedingEnds(len(in))
	}
}

// feed hands all elements to the pool, and returns how many it could: after an error the feeder has the last ones still.
func (p *Pool[In, Out]) feed(j *job, in []In) (int, error) {
	f := newFeeder(j)
	for i := range in {
		if err := p.add(f, i, len(in)-1-i, &in[i]); err != nil {
			return i + 1 - len(f.tasks), err
		}
	}
	err := f.flush()
	return len(in) - len(f.tasks), err
}

// MapUnordered runs the function on each element and yields the results as they come. An error is a *TaskError that says of which element it is, or what kept the pool
// from going on. When the loop breaks, or ctx ends, what has not begun does not begin any more.
func (p *Pool[In, Out]) MapUnordered(ctx context.Context, in []In) iter.Seq2[Out, error] {
	return func(yield func(Out, error) bool) {
		p.iterate(ctx, func(each func(In) bool) {
			for _, v := range in {
				if !each(v) {
					return
				}
			}
		}, len(in), max(len(in), 1), false, yield)
	}
}

// IMap runs the function on what in yields and yields the results in its order. It takes from in, on another goroutine, only CallOptions.Window
// elements more than the loop has seen results, so that in may have no end; and it does not return before in has. A task's error takes its result's place. A panic of in
// is one of the loop's. When the loop breaks, or ctx ends, what has not begun does not begin any more.
func (p *Pool[In, Out]) IMap(ctx context.Context, in iter.Seq[In]) iter.Seq2[Out, error] {
	return func(yield func(Out, error) bool) { p.iterate(ctx, in, -1, p.window(), true, yield) }
}

// IMapUnordered is IMap that yields results as they come.
func (p *Pool[In, Out]) IMapUnordered(ctx context.Context, in iter.Seq[In]) iter.Seq2[Out, error] {
	return func(yield func(Out, error) bool) { p.iterate(ctx, in, -1, p.window(), false, yield) }
}

func (p *Pool[In, Out]) window() int {
	if w := p.call.Window; w > 0 {
		return w
	}
	return 64 * p.e.opts.Workers
}
