package manager

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime/debug"
	"sync"

	"github.com/fb2d3dbd/multiproc/pool"
)

// poolWindow is how many elements IMap has in the server at a time, if nothing else is said.
const poolWindow = 64

// IMap runs the function on what in yields and yields the results in its order. Each element is a call of its own. It takes from in, on another goroutine, only
// CallOptions.Window elements more than the loop has seen results (0 means 64), so that in may have no end; and it does not return before in has. A task's error, which is a
// *pool.TaskError, takes its result's place; any other ends the loop: that of a pool that was closed or a server that died, or of an element that cannot be encoded. A panic
// of in is one of the loop's. When the loop breaks, or ctx ends, the tasks that are under way are cancelled.
func (p *Pool[In, Out]) IMap(ctx context.Context, in iter.Seq[In]) iter.Seq2[Out, error] {
	return func(yield func(Out, error) bool) { p.iterate(ctx, in, true, yield) }
}

// IMapUnordered is IMap that yields results as they come.
func (p *Pool[In, Out]) IMapUnordered(ctx context.Context, in iter.Seq[In]) iter.Seq2[Out, error] {
	return func(yield func(Out, error) bool) { p.iterate(ctx, in, false, yield) }
}

type taskResult[Out any] struct {
	out Out
	err error
}

func (p *Pool[In, Out]) iterate(ctx context.Context, in iter.Seq[In], ordered bool, yield func(Out, error) bool) {
	var zero Out
	if p.bad != nil {
		yield(zero, p.bad)
		return
	}
	window := p.window
	if window == 0 {
		window = poolWindow
	}
	ctx, cancel := context.WithCancel(ctx)
	room := make(chan struct{}, window)                // something for each element whose result the loop has not seen
	results := make(chan chan taskResult[Out], window) // as the loop takes them: there is never more than what has room
	var stopped error                                  // what kept the input from being taken whole
	var panicked any                                   // of the input; both are written before results is closed
	admit := func() bool {
		select {
		case room <- struct{}{}:
			return true
		case <-ctx.Done():
			stopped = ctx.Err()
			return false
		}
	}
	go func() {
		defer close(results)
		var calls sync.WaitGroup
		defer calls.Wait()
		defer func() {
			if v := recover(); v != nil {
				panicked = v
				if _, ok := v.(error); !ok {
					panicked = fmt.Sprintf("%v\n\nin the input of a pool's call:\n%s", v, debug.Stack())
				}
			}
		}()
		if !admit() {
			return
		}
		in(func(v In) bool {
			one := make(chan taskResult[Out], 1)
			if ordered {
				results <- one
			}
			calls.Go(func() {
				out, err := p.Apply(ctx, v)
				one <- taskResult[Out]{out, err}
				if !ordered {
					results <- one
				}
			})
			return admit() // the next element is not asked for before there is room for it
		})
	}()
	defer func() {
		cancel()
		for range results { // the input is not touched any more, and no call is under way
		}
		if panicked != nil {
			panic(panicked)
		}
	}()
	for one := range results {
		r := <-one
		var failed *pool.TaskError
		if !yield(r.out, r.err) || r.err != nil && !errors.As(r.err, &failed) {
			return
		}
		<-room
	}
	if stopped != nil {
		yield(zero, stopped)
	}
}
