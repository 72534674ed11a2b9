package pool

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/fb2d3dbd/multiproc/ringbuf"
)

// A feeder packs the tasks of a call into chunks. One goroutine at a time uses it.
type feeder struct {
	j      *job
	target int // tasks of the chunk that is being packed
	fresh  int // of the next one, while nothing is known of the cost
	msg    []byte
	tasks  []packed
}

type packed struct{ index, length int }

const (
	aimed      = 200 * time.Microsecond // what a chunk is to take
	freshChunk = 64                     // the largest before anything was measured
)

func newFeeder(j *job) *feeder { return &feeder{j: j, fresh: 1} }

// room returns how many bytes a chunk of several tasks may have.
func (f *feeder) room() int { return min(256<<10, f.j.e.opts.Bytes/16) }

// choose sets the size of the next chunk. left is how many tasks are to come, at least.
func (f *feeder) choose(left int) {
	e := f.j.e
	most := max(1, e.opts.Backlog/8)
	if f.j.opts.Chunk > 0 {
		f.target = min(f.j.opts.Chunk, e.opts.Backlog)
		return
	}
	e.mu.Lock()
	cost := e.cost
	e.mu.Unlock()
	n := f.fresh
	if cost > 0 {
		n = int(min(float64(aimed)/cost, math.MaxInt32))
	} else {
		f.fresh = min(2*f.fresh, freshChunk)
	}
	f.target = max(1, min(n, left/(4*e.opts.Workers), most))
}

// begin makes place for the head of a chunk.
func (f *feeder) begin(left int) {
	f.choose(left)
	n := chunkHead + f.target*chunkEntry
	if cap(f.msg) < n {
		f.msg = make([]byte, n, n+f.target*64)
	}
	f.msg, f.tasks = f.msg[:n], f.tasks[:0]
}

// add packs a task; encode appends its argument. left is how many follow. An error is the end of the call; what is in tasks then was not begun.
func (f *feeder) add(index, left int, encode func(dst []byte) ([]byte, error)) error {
	if len(f.tasks) == 0 {
		f.begin(left + 1)
	}
	at := len(f.msg)
	msg, err := encode(f.msg)
	if err != nil {
		f.j.refuse(index, fmt.Errorf("%w: argument: %w", ErrEncoding, err))
		if len(f.tasks) > 0 && left == 0 {
			return f.flush()
		}
		return nil
	}
	f.msg = msg
	f.tasks = append(f.tasks, packed{index, len(msg) - at})
	if len(f.tasks) >= f.target || len(f.msg) >= f.room() {
		return f.flush()
	}
	return nil
}

const (
	batchTime = 50 * time.Microsecond // for which a result may wait for others
	batchMost = 64
)

// batch returns how many results of a chunk of n tasks are put at a time: results that cost little to make wait for each other.
func (f *feeder) batch(n int) int {
	e := f.j.e
	e.mu.Lock()
	defer e.mu.Unlock()
	if n < 2 || e.room == 0 || e.cost <= 0 {
		return 1
	}
	return max(1, int(min(float64(batchTime)/e.cost, batchMost)))
}

// flush hands the chunk to the pool.
func (f *feeder) flush() error {
	n := len(f.tasks)
	if n == 0 {
		return nil
	}
	if n < f.target { // the table is shorter than was thought
		from, to := chunkHead+f.target*chunkEntry, chunkHead+n*chunkEntry
		f.msg = f.msg[:to+copy(f.msg[to:], f.msg[from:])]
	}
	batch := f.batch(n)
	if batch > 1 {
		f.msg = append(f.msg, make([]byte, n*f.j.e.room)...)
	}
	taken, err := f.take(f.tasks)
	if err != nil {
		return err // the tasks were not begun
	}
	at := chunkHead + n*chunkEntry
	f.head(f.msg, taken, batch, func(i int) []byte { at += f.tasks[i].length; return f.msg[at-f.tasks[i].length : at] })
	err = f.j.e.tasks.Put(f.j.ctx, f.msg)
	return f.settle(taken, err)
}

// addLarge hands a large argument to the pool, which is written where it is to be read.
func (f *feeder) addLarge(index int, arg []byte) error {
	if err := f.flush(); err != nil {
		f.tasks = append(f.tasks, packed{index, len(arg)})
		return err
	}
	f.tasks = append(f.tasks[:0], packed{index, len(arg)})
	taken, err := f.take(f.tasks)
	if err != nil {
		return err
	}
	n := chunkHead + chunkEntry + len(arg)
	r, err := f.j.e.tasks.Reserve(f.j.ctx, n)
	if err == nil {
		f.head(r.Bytes(), taken, 1, func(int) []byte { return arg })
		copy(r.Bytes()[chunkHead+chunkEntry:], arg)
		if err = r.Commit(f.j.ctx, n); err != nil {
			_ = r.Abort() // it may be given back already
		}
	}
	return f.settle(taken, err)
}

// A claim is a slot under the number that it was taken with.
type claim struct{ slot, seq uint32 }

// take takes slots for tasks and makes them QUEUED.
func (f *feeder) take(tasks []packed) ([]claim, error) {
	e, j := f.j.e, f.j
	slots, err := e.acquire(j.ctx, len(tasks))
	if err != nil {
		return nil, err
	}
	taken := make([]claim, len(slots))
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.life.Err() != nil {
		e.release(slots...)
		return nil, context.Cause(e.life)
	}
	if err := j.ctx.Err(); err != nil { // what is queued later nobody would cancel
		e.release(slots...)
		return nil, err
	}
	for i, k := range slots {
		s := &e.slots[k]
		*s = slot{job: j, index: tasks[i].index, seq: s.seq + 1}
		taken[i] = claim{k, s.seq}
		e.board.set(k, makeTask(s.seq, 0, 0, queued)) // pairs with the load of the worker that finds it in a chunk
	}
	j.begun += len(slots)
	e.stats.Begun += uint64(len(slots))
	return taken, nil
}

// head writes the head of a chunk; arg returns argument i.
func (f *feeder) head(b []byte, taken []claim, batch int, arg func(i int) []byte) {
	h := chunkHeader{tasks: len(taken), deadline: f.j.deadline, timeout: int64(f.j.opts.Timeout), batch: batch}
	if batch > 1 {
		h.room = f.j.e.room
	}
	putChunkHead(b, h)
	var kept [][]byte
	for i, c := range taken {
		a := arg(i)
		putChunkEntry(b, i, c.slot, c.seq, len(a))
		if f.j.opts.Retries > 0 {
			kept = append(kept, append(make([]byte, 0, len(a)), a...))
		}
	}
	if kept == nil {
		return
	}
	e := f.j.e
	e.mu.Lock()
	defer e.mu.Unlock()
	for i, c := range taken {
		if s := &e.slots[c.slot]; s.seq == c.seq && s.job == f.j {
			s.arg = kept[i]
		}
	}
}

// settle ends tasks whose chunk could not be put.
func (f *feeder) settle(taken []claim, err error) error {
	f.tasks = f.tasks[:0]
	if err == nil {
		return nil
	}
	if e := context.Cause(f.j.e.life); e != nil {
		err = e
	}
	reason := err
	large := errors.Is(err, ringbuf.ErrTooLarge)
	if large {
		reason = fmt.Errorf("%w: argument: %w", ErrEncoding, err)
	}
	f.j.e.withdraw(f.j, taken, reason)
	if large {
		return nil // the others may fit
	}
	return err
}

// withdraw ends those of the tasks that have not begun.
func (e *engine) withdraw(j *job, taken []claim, reason error) {
	var ends []settled
	e.mu.Lock()
	for _, c := range taken {
		if s := &e.slots[c.slot]; s.job == j && s.seq == c.seq && s.index >= 0 {
			ends = e.drop(ends, c.slot, reason)
		}
	}
	e.mu.Unlock()
	e.tell(ends)
}

// drop takes the task in slot k back, if no worker has begun it, and adds it to the list of those that are to be told of, with e.mu held.
func (e *engine) drop(list []settled, k uint32, reason error) []settled {
	s := &e.slots[k]
	if !e.board.cas(k, makeTask(s.seq, 0, 0, queued), makeTask(s.seq, 0, 0, cancelled)) { // pairs with the worker's, who begins it
		return list
	}
	return append(list, e.lose(k, reason))
}

// lose takes a task out of its slot, which stays taken until its end was told, with e.mu held.
func (e *engine) lose(k uint32, reason error) settled {
	s := &e.slots[k]
	l := settled{job: s.job, slot: k, index: s.index, tries: s.tries, kind: isDeath, err: reason}
	*s = slot{seq: s.seq, job: s.job, index: -1}
	return l
}
