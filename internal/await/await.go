// Package await waits until any of many things is ready: words in shared memory, descriptors, and what tells by channels. It takes nothing of them, and for the time of a call
// one goroutine and one descriptor at most, however many the things are.
package await

import (
	"context"
	"errors"
	"reflect"
	"syscall"
	"time"

	"github.com/fb2d3dbd/multiproc/futex"
	"github.com/fb2d3dbd/multiproc/internal/sys"
)

// An Item is one thing to wait for. One of the fields Source, Watch and Control says how its readiness is told.
type Item struct {
	// Source is something in shared memory.
	Source *futex.Source
	// Watch reports whether the thing is ready, and returns a channel that is closed, or can be received from, when that may have changed.
	Watch func() (ready bool, changed <-chan struct{})
	// Control calls fn with a descriptor that is ready when it can be read; an error means that it is closed, which is ready.
	Control func(fn func(fd uintptr)) error
	// Ready, beside Control, says what is ready in the place of the descriptor; an error is ready.
	Ready func() (bool, error)
}

// Done makes an Item of a channel that is closed when something is over.
func Done(ch <-chan struct{}) Item {
	return Item{Watch: func() (bool, <-chan struct{}) {
		select {
		case <-ch:
			return true, ch
		default:
			return false, ch
		}
	}}
}

// File makes an Item of what has a descriptor in the runtime's poller: a file, a socket, a listener of package net.
func File(o any) (it Item, ok bool) {
	c, ok := o.(syscall.Conn)
	if !ok {
		return it, false
	}
	it.Control = func(fn func(fd uintptr)) error {
		rc, err := c.SyscallConn()
		if err == nil {
			err = rc.Control(fn)
		}
		return err
	}
	return it, true
}

// Any waits until some of the items are ready and returns the indices of all that are, in order, or until ctx ends and returns its error. A ctx that has ended does not keep it from
// finding what is ready.
func Any(ctx context.Context, items []Item) ([]int, error) {
	w := &wait{items: items, isReady: make([]bool, len(items))}
	defer w.close()
	if err := w.begin(); err != nil {
		return nil, err
	}
	ready := w.look()
	if len(ready) > 0 {
		return ready, nil
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if len(items) == 0 && ctx.Done() == nil {
		return nil, errors.New("multiproc: a wait for nothing, without an end")
	}
	return w.sleep(ctx)
}

// A wait is one call of Any.
type wait struct {
	items   []Item
	isReady []bool // during a look

	words   *futex.Group
	wordsOf []int // items by source

	set     *sys.PollSet
	setOf   []int
	failed  []int // with a descriptor that could not be waited for: ready
	polled  []int // to be asked from time to time: there is no way to be told
	watches []int

	told, more, quit, ended chan struct{} // of the goroutine that waits for descriptors
	owed                    bool          // it has told, and waits until it is asked to go on
}

func (w *wait) begin() error {
	var sources []*futex.Source
	for i := range w.items {
		it := &w.items[i]
		switch {
		case it.Source != nil:
			sources = append(sources, it.Source)
			w.wordsOf = append(w.wordsOf, i)
		case it.Watch != nil:
			w.watches = append(w.watches, i)
		default:
			if err := w.add(i); err != nil {
				return err
			}
		}
	}
	if len(sources) > 0 {
		w.words = futex.NewGroup(sources)
	}
	return nil
}

// add puts the descriptor of item i into the set.
func (w *wait) add(i int) (err error) {
	it := &w.items[i]
	if w.set == nil {
		w.set, err = sys.NewPollSet()
	}
	if err == nil {
		if e := it.Control(func(fd uintptr) { err = w.set.Add(int(fd), i) }); e != nil && !errors.Is(e, errors.ErrUnsupported) {
			w.failed = append(w.failed, i)
			return nil
		} else if e != nil {
			err = e
		}
	}
	if err != nil && it.Ready != nil && errors.Is(err, errors.ErrUnsupported) {
		w.polled = append(w.polled, i)
		return nil
	}
	if err == nil {
		w.setOf = append(w.setOf, i)
	}
	return err
}

// look returns all that are ready.
func (w *wait) look() (ready []int) {
	clear(w.isReady)
	if w.words != nil {
		for _, k := range w.words.Look() {
			w.isReady[w.wordsOf[k]] = true
		}
	}
	for _, i := range w.watches {
		w.isReady[i], _ = w.items[i].Watch()
	}
	for _, i := range w.failed {
		w.isReady[i] = true
	}
	if w.set != nil {
		w.set.Look(func(i int) { w.isReady[i] = w.items[i].Ready == nil })
	}
	for _, list := range [][]int{w.setOf, w.polled} {
		for _, i := range list {
			if ask := w.items[i].Ready; ask != nil { // bytes may wait outside of the descriptor
				ok, err := ask()
				w.isReady[i] = ok || err != nil
			}
		}
	}
	for i, ok := range w.isReady {
		if ok {
			ready = append(ready, i)
		}
	}
	return ready
}

const (
	slice     = 50 * time.Millisecond
	pollSlice = time.Millisecond
)

// The cases of the select; those of the watches follow.
const (
	ctxEnds = iota
	timeOut
	wordTold
	setTold
	watchTold
)

func (w *wait) sleep(ctx context.Context) ([]int, error) {
	cases := make([]reflect.SelectCase, watchTold+len(w.watches))
	for i := range cases {
		cases[i].Dir = reflect.SelectRecv
	}
	cases[ctxEnds].Chan = reflect.ValueOf(ctx.Done())
	nap := slice
	if w.words != nil {
		cases[wordTold].Chan = reflect.ValueOf(w.words.C())
		nap = min(nap, w.words.Slice())
	}
	if len(w.polled) > 0 {
		nap = pollSlice
	}
	if w.set != nil {
		w.listen()
		cases[setTold].Chan = reflect.ValueOf(w.told)
	}
	timer := time.NewTimer(nap)
	defer timer.Stop()
	cases[timeOut].Chan = reflect.ValueOf(timer.C)
	maybe := w.words != nil && len(w.words.Arm()) > 0
	for {
		for k, i := range w.watches {
			ready, changed := w.items[i].Watch()
			maybe = maybe || ready
			cases[watchTold+k].Chan = reflect.ValueOf(changed)
		}
		if maybe {
			if ready := w.look(); len(ready) > 0 {
				return ready, nil
			}
			maybe = w.words != nil && len(w.words.Woken()) > 0 // another was faster: what told is to tell again
			if maybe {
				continue
			}
		}
		chosen, _, _ := reflect.Select(cases)
		switch chosen {
		case ctxEnds:
			return nil, ctx.Err()
		case timeOut:
			timer.Reset(nap)
			maybe = w.words != nil && len(w.words.Idle()) > 0
			if ready := w.look(); len(ready) > 0 || w.stale() {
				return w.look(), nil
			}
			w.again()
		case wordTold:
			maybe = len(w.words.Woken()) > 0
		case setTold:
			w.owed = true
			if ready := w.look(); len(ready) > 0 {
				return ready, nil
			}
			// Somebody else has taken it. It may be there again in a moment, so the poller is not asked at once but with the next slice.
			if !timer.Stop() {
				select {
				case <-timer.C:
				default:
				}
			}
			timer.Reset(min(nap, pollSlice))
		default:
			maybe = true
		}
	}
}

// stale finds the descriptors that were closed meanwhile, of which no event comes; they are ready.
func (w *wait) stale() bool {
	for _, i := range w.setOf {
		if w.items[i].Ready == nil && w.items[i].Control(func(uintptr) {}) != nil {
			w.failed = append(w.failed, i)
		}
	}
	return len(w.failed) > 0
}

// listen starts the goroutine that waits for the descriptors. It tells once, and again when it is asked to.
func (w *wait) listen() {
	w.told, w.more, w.quit, w.ended = make(chan struct{}), make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(w.ended)
		for w.set.Wait() == nil {
			for _, ch := range []chan struct{}{w.told, w.more} { // both are without buffers: who sends waits for who receives
				select {
				case ch <- struct{}{}:
				case <-w.quit:
					return
				}
			}
		}
	}()
}

// again has the goroutine wait once more, if it has told.
func (w *wait) again() {
	if w.owed {
		<-w.more
		w.owed = false
	}
}

func (w *wait) close() {
	if w.words != nil {
		w.words.Close()
	}
	if w.quit != nil {
		close(w.quit)
	}
	if w.set != nil {
		w.set.Close()
	}
	if w.ended != nil {
		<-w.ended
	}
}
