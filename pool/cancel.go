package pool

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// cancel ends the tasks of a call whose context has ended: those that have not begun at once, the others by their own contexts and, after the grace, by
// the end of their workers.
func (e *engine) cancel(j *job) {
	cause := j.ctx.Err()
	why := uint8(whyCancel)
	if errors.Is(cause, context.DeadlineExceeded) {
		why = whyDeadline
	}
	var waiting []settled
	bells := map[int]bool{}
	e.mu.Lock()
	for i := range e.slots {
		s := &e.slots[i]
		if s.job != j || s.index < 0 {
			continue
		}
		for {
			n := len(waiting)
			if waiting = e.drop(waiting, uint32(i), cause); len(waiting) > n {
				break
			}
			if at, told := e.tellEnd(uint32(i), s.seq, why); told {
				bells[at] = true
				break
			}
		}
	}
	if j.begun >= 0 {
		j.timer = e.after(e.opts.Grace, func() { e.condemnJob(j, cause) })
	}
	e.mu.Unlock()
	for at := range bells {
		e.bells[at].Notify(-1)
	}
	e.tell(waiting)
}

// tellEnd marks a running task, with e.mu held. told is false when it has not begun.
func (e *engine) tellEnd(k, seq uint32, why uint8) (worker int, told bool) {
	for {
		w := e.board.task(k)
		if w.state() == queued {
			return 0, false
		}
		if w.state() != running || w.why() != 0 || int(w.worker()) >= len(e.bells) {
			return 0, true
		}
		if e.board.cas(k, w, makeTask(seq, w.worker(), why, running)) { // pairs with the load of the worker's listener
			return int(w.worker()), true
		}
	}
}

// condemnJob ends the workers that still run tasks of the call.
func (e *engine) condemnJob(j *job, cause error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for i := range e.slots {
		if s := &e.slots[i]; s.job == j && s.index >= 0 {
			err := fmt.Errorf("%w; it did not end within %v, and its worker was ended", cause, e.opts.Grace)
			e.condemn(uint32(i), err)
		}
	}
}

// condemn ends the worker that runs the task in slot k, if one does, with e.mu held.
func (e *engine) condemn(k uint32, verdict error) bool {
	s := &e.slots[k]
	for {
		w := e.board.task(k)
		if w.seq() != s.seq || w.state() != running || int(w.worker()) >= len(e.crew) {
			return false
		}
		if !e.board.cas(k, w, makeTask(s.seq, w.worker(), w.why(), condemned)) { // pairs with the worker's, who has finished
			continue
		}
		s.verdict = verdict
		p := &e.crew[w.worker()]
		if p.process != nil {
			e.opts.Logger.Info("pool: a worker is ended", "worker", p.process.Name(), "pid", p.process.PID(), "reason", verdict)
			_ = p.process.Kill() // it may be dead already
		}
		return true
	}
}

// watchTimes looks for tasks that exceed their time-outs while there are any calls with some, with e.mu held.
func (e *engine) watchTimes() {
	if e.timing {
		return
	}
	e.timing = true
	e.work.Go(func() {
		tick := time.NewTicker(min(max(e.opts.Grace/8, 5*time.Millisecond), 100*time.Millisecond))
		defer tick.Stop()
		for {
			select {
			case <-e.life.Done():
				return
			case <-tick.C:
			}
			e.mu.Lock()
			if e.timed == 0 {
				e.timing = false
				e.mu.Unlock()
				return
			}
			e.endOverdue(time.Now().UnixNano())
			e.mu.Unlock()
		}
	})
}

// endOverdue condemns tasks that have run for longer than their time-out and the grace, with e.mu held.
func (e *engine) endOverdue(now int64) {
	for at := range e.crew {
		seq, k, ok := e.board.inHand(at)
		if !ok || e.crew[at].process == nil {
			continue
		}
		s := &e.slots[k]
		if s.job == nil || s.index < 0 || s.seq != seq || s.job.opts.Timeout == 0 || int(e.board.task(k).worker()) != at {
			continue
		}
		since := int64(atomic.LoadUint64(&e.board.blocks[at].since))
		// The block is written before the task is begun: a task that is in hand has been so since then at least.
		if h, _, _ := e.board.inHand(at); h == seq && now-since > int64(s.job.opts.Timeout+e.opts.Grace) {
			e.condemn(k, fmt.Errorf("%w of %v; it did not end within %v more, and its worker was ended", ErrTimeout, s.job.opts.Timeout, e.opts.Grace))
		}
	}
}

// watchMemory looks after the workers' resident sizes.
func (e *engine) watchMemory() {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-e.life.Done():
			return
		case <-tick.C:
		}
		e.mu.Lock()
		crew := append([]place(nil), e.crew...)
		e.mu.Unlock()
		for at, p := range crew {
			if p.process == nil {
				continue
			}
			size, err := residentSize(p.process.PID())
			if err != nil || size <= e.opts.MemoryLimit { // it may have ended
				continue
			}
			e.mu.Lock()
			if e.crew[at].incarnation == p.incarnation {
				e.overLimit(at, size)
			}
			e.mu.Unlock()
		}
	}
}

// overLimit ends the worker in place at, with e.mu held: at once when it runs a task, by an order when it does not.
func (e *engine) overLimit(at int, size int64) {
	p := e.crew[at].process
	if p == nil {
		return
	}
	_, k, ok := e.board.inHand(at)
	if ok && int(e.board.task(k).worker()) == at && e.slots[k].job != nil && e.slots[k].index >= 0 {
		if e.condemn(k, fmt.Errorf("%w of %d bytes: worker %q (pid %d) had %d", ErrMemory, e.opts.MemoryLimit, p.Name(), p.PID(), size)) {
			return
		}
	}
	e.retire(at)
}
