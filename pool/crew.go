package pool

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/fb2d3dbd/multiproc"
	"github.com/fb2d3dbd/multiproc/ringbuf"
)

// A place in the crew is filled by one worker after the other.
type place struct {
	process     *multiproc.Process // nil when nobody is there
	incarnation uint32
	died        *WorkerDiedError // of the last one
	unused      int              // workers in a row that ended without having begun a task
}

// fill starts a worker in place at.
func (e *engine) fill(at int) error {
	e.mu.Lock()
	if e.ending {
		e.mu.Unlock()
		return nil
	}
	b := &e.board.blocks[at]
	atomic.StoreUint64(&b.hand, 0)
	atomic.StoreUint64(&b.since, 0)
	atomic.StoreUint64(&b.begun, 0)
	atomic.StoreUint32(&b.flags, 0)
	atomic.StoreUint32(&b.order, 0)
	e.crew[at].incarnation++
	incarnation := e.crew[at].incarnation
	e.stats.Started++
	number := e.stats.Started
	e.mu.Unlock()
	o := e.opts.Process
	o.Name += "-" + strconv.FormatUint(number, 10)
	arg := e.arg
	arg.Place = at
	p, err := e.start(e.life, arg, &o)
	if err != nil {
		return err
	}
	e.mu.Lock()
	e.crew[at].process = p
	if e.life.Err() != nil { // the pool has ended meanwhile
		_ = p.Kill()
	}
	e.mu.Unlock()
	e.opts.Logger.Debug("pool: a worker starts", "worker", o.Name, "pid", p.PID())
	e.work.Go(func() { e.watch(at, incarnation, p) })
	return nil
}

// watch waits for the end of a worker and puts the notice of it behind all that the worker has put.
func (e *engine) watch(at int, incarnation uint32, p *multiproc.Process) {
	<-p.Done()
	err := p.Wait(context.Background())
	var exit *multiproc.ExitError
	died := &WorkerDiedError{Worker: p.Name(), PID: p.PID()}
	if errors.As(err, &exit) {
		died.Code, died.Text, died.Stack = exit.Code, exit.Text, exit.Stack
		if exit.Code < 0 {
			died.Code, died.Signal = 0, syscall.Signal(-exit.Code)
		}
	}
	b := &e.board.blocks[at]
	used, wasReady := atomic.LoadUint64(&b.begun) > 0, atomic.LoadUint32(&b.flags)&ready != 0
	e.mu.Lock()
	c := &e.crew[at]
	c.process, c.died = nil, died
	if err != nil {
		e.stats.Died++
	}
	if used || err == nil && wasReady {
		c.unused = 0
	} else {
		c.unused++
	}
	if e.fails++; wasReady {
		e.fails = 0
	}
	failing := e.failing()
	e.mu.Unlock()
	if e.life.Err() != nil {
		return
	}
	if err != nil {
		e.opts.Logger.Warn("pool: a worker died", "worker", died.Worker, "pid", died.PID, "error", err)
	}
	if failing {
		if err == nil {
			err = died
		}
		e.abandon(fmt.Errorf("%w: %d in a row, the last: %w", ErrBroken, e.opts.StartFailures, err))
		return
	}
	_, e1 := e.tasks.Repair()
	_, e2 := e.results.Repair()
	msg := make([]byte, resultHead)
	putResult(msg, &resultHeader{kind: isDeath, worker: uint16(at), seq: incarnation})
	if err := errors.Join(e1, e2, e.results.Put(e.life, msg)); err != nil && e.life.Err() == nil && !errors.Is(err, ringbuf.ErrClosed) {
		e.abandon(fmt.Errorf("pool: after the death of a worker: %w", err))
	}
}

// refill starts another worker in place at, after a while when the last ones there did nothing.
func (e *engine) refill(at int) {
	e.mu.Lock()
	n, ending := e.crew[at].unused, e.ending
	e.mu.Unlock()
	if ending {
		return
	}
	e.work.Go(func() {
		if n > 1 {
			select {
			case <-time.After(min(5*time.Millisecond<<min(n-2, 10), time.Second)):
			case <-e.life.Done():
				return
			}
		}
		if err := e.fill(at); err != nil && e.life.Err() == nil {
			e.failedStart(at, err)
		}
	})
}

// failedStart counts a worker that could not be started.
func (e *engine) failedStart(at int, err error) {
	e.mu.Lock()
	e.fails++
	e.crew[at].unused++
	failing := e.failing()
	e.mu.Unlock()
	e.opts.Logger.Warn("pool: a worker cannot be started", "error", err)
	if failing {
		e.abandon(fmt.Errorf("%w: %d in a row, the last: %w", ErrBroken, e.opts.StartFailures, err))
		return
	}
	e.mu.Lock()
	e.crew[at].unused = max(2, e.crew[at].unused)
	e.mu.Unlock()
	e.refill(at)
}

// watched returns what is closed when the workers that run now have ended, with e.mu held.
func (e *engine) watched() (all []<-chan struct{}) {
	for i := range e.crew {
		if p := e.crew[i].process; p != nil {
			all = append(all, p.Done())
		}
	}
	return all
}

func (e *engine) processes() (all []*multiproc.Process) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for i := range e.crew {
		if p := e.crew[i].process; p != nil {
			all = append(all, p)
		}
	}
	return all
}

// retire orders the worker in place at to leave after the task in hand, with e.mu held.
func (e *engine) retire(at int) {
	atomic.StoreUint32(&e.board.blocks[at].order, retire)
	e.bells[at].Notify(-1)
}

// failing reports whether worker after worker died at start and nobody is left who could work, with e.mu held.
func (e *engine) failing() bool {
	if e.fails < e.opts.StartFailures || e.ending {
		return false
	}
	for at := range e.crew {
		if e.crew[at].process != nil && atomic.LoadUint32(&e.board.blocks[at].flags)&ready != 0 {
			return false
		}
	}
	return true
}
