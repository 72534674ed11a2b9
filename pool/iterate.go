package pool

import (
	"context"
	"fmt"
	"iter"
	"runtime/debug"
	"slices"
	"sync"
)

// A stream is the sink of a call whose results are taken one by one, and the input's side of its window.
type stream[Out any] struct {
	form    form
	ordered bool

	mu      sync.Mutex
	come    sync.Cond // something has changed, for either side
	ready   map[int]yielded[Out]
	queue   []yielded[Out] // when not ordered
	taken   int            // elements of the input
	seen    int            // results that the loop has seen
	ended   bool           // the input has
	err     error          // why it was not taken to its end
	panic   any
	waiting bool // the loop waits for a result
}

type yielded[Out any] struct {
	v   Out
	err error
}

func (s *stream[Out]) value(index int, b []byte) error {
	var y yielded[Out]
	if err := decodeValue(s.form, b, &y.v, false); err != nil {
		return err
	}
	s.put(index, y)
	return nil
}

func (s *stream[Out]) failed(err *TaskError) { s.put(err.Index, yielded[Out]{err: err}) }

func (s *stream[Out]) put(index int, y yielded[Out]) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ordered {
		s.ready[index] = y
	} else {
		s.queue = append(s.queue, y)
	}
	s.come.Broadcast()
}

// next returns the next result for the loop; more is false at the end.
func (s *stream[Out]) next(flush func()) (y yielded[Out], more bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer func() { s.waiting = false }()
	flushed := false
	for {
		if s.ordered {
			if y, ok := s.ready[s.seen]; ok {
				delete(s.ready, s.seen)
				s.seen++
				s.come.Broadcast()
				return y, true
			}
		} else if len(s.queue) > 0 {
			y := s.queue[0]
			s.queue = s.queue[1:]
			s.seen++
			s.come.Broadcast()
			return y, true
		}
		if s.ended && s.seen >= s.taken {
			return y, false
		}
		if !flushed { // what is packed and not yet handed over nobody else would hand over
			flushed, s.waiting = true, true
			s.mu.Unlock()
			flush()
			s.mu.Lock()
			continue
		}
		s.come.Wait()
		flushed = false
	}
}

// admit waits until the window has room for one more of the input. It reports false when no more is wanted.
func (s *stream[Out]) admit(ctx context.Context, window int) (ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.taken-s.seen >= window && ctx.Err() == nil {
		s.come.Wait()
	}
	return ctx.Err() == nil
}

// iterate is what all calls with iterators are.
func (p *Pool[In, Out]) iterate(ctx context.Context, in iter.Seq[In], total, window int, ordered bool, yield func(Out, error) bool) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s := &stream[Out]{form: p.f.out, ordered: ordered, ready: map[int]yielded[Out]{}}
	s.come.L = &s.mu
	call := p.call
	if call.Chunk == 0 || call.Chunk > window {
		call.Chunk = min(call.Chunk, window)
	}
	j, err := p.e.newJob(ctx, s, call, total, func() {})
	if err != nil {
		var zero Out
		yield(zero, err)
		return
	}
	wake := context.AfterFunc(ctx, func() { s.mu.Lock(); defer s.mu.Unlock(); s.come.Broadcast() })
	defer wake()

	var packing sync.Mutex // the feeder, and what was taken and not handed over
	f := newFeeder(j)
	var refused error
	flush := func() {
		packing.Lock()
		defer packing.Unlock()
		if err := f.flush(); err != nil && refused == nil {
			refused = err
			s.disown(f, err)
		}
	}
	// hand packs an element, and hands the chunk to the pool when it is full or the loop waits.
	hand := func(v In) bool {
		packing.Lock()
		defer packing.Unlock()
		if refused != nil {
			return false
		}
		s.mu.Lock()
		index := s.taken
		s.taken++
		s.mu.Unlock()
		// A chunk is at most a share of the window, so that a few are under way at a time.
		err := p.add(f, index, max(window, 4*p.e.opts.Workers)-1, &v)
		if err == nil && s.dry() {
			err = f.flush()
		}
		if err != nil {
			refused = err
			s.disown(f, err)
		}
		return err == nil
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			v := recover()
			flush()
			s.mu.Lock()
			defer s.mu.Unlock()
			s.ended = true
			if v != nil {
				s.panic = fmt.Sprintf("%v\n\nin the input of a pool's call:\n%s", v, debug.Stack())
				if e, ok := v.(error); ok {
					s.panic = e
				}
			}
			s.come.Broadcast()
			j.feedingEnds(s.taken)
		}()
		in(func(v In) bool {
			// The next element is not asked for before there is room for it.
			if s.admit(ctx, window) && hand(v) && s.admit(ctx, window) {
				return true
			}
			s.stop(ctx.Err())
			return false
		})
	}()
	defer func() {
		cancel()
		<-done // the input is not touched any more
		if s.panic != nil {
			panic(s.panic)
		}
	}()
	for {
		y, more := s.next(flush)
		if !more {
			break
		}
		if !yield(y.v, y.err) {
			return
		}
	}
	s.mu.Lock()
	err = s.err
	s.mu.Unlock()
	if err != nil {
		var zero Out
		yield(zero, err)
	}
}

// dry reports whether the loop waits for a result.
func (s *stream[Out]) dry() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.waiting
}

// stop notes why the input is not taken to its end.
func (s *stream[Out]) stop(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = err
	}
}

// disown takes back the last elements, which the feeder could not hand over.
func (s *stream[Out]) disown(f *feeder, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken -= len(f.tasks)
	if s.err == nil {
		s.err = err
	}
	f.tasks = f.tasks[:0]
	s.come.Broadcast()
}

func sortTasks(all []*TaskError) []*TaskError {
	slices.SortFunc(all, func(a, b *TaskError) int { return a.Index - b.Index })
	return all
}
