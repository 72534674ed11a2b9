package pool

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/fb2d3dbd/multiproc"
	"github.com/fb2d3dbd/multiproc/futex"
	"github.com/fb2d3dbd/multiproc/ringbuf"
	"github.com/fb2d3dbd/multiproc/shm"
)

type starter func(ctx context.Context, a workerArg, o *multiproc.ProcessOptions) (*multiproc.Process, error)

// An engine is a pool without its types.
type engine struct {
	name  string
	opts  Options
	start starter

	seg            *shm.Segment
	board          board
	bells          []*futex.EventCount // by place
	tasks, results *ringbuf.MPMC
	arg            workerArg
	room           int // for a result in a chunk; 0: none travels so

	list []settled // the collector's own

	life context.Context // ends when the pool does, with the cause
	kill context.CancelCauseFunc
	work sync.WaitGroup // goroutines of the pool: collector, watches, starts
	past sync.WaitGroup // callbacks
	gone chan struct{}  // closed when everything has ended and the memory is given back
	end  sync.Once

	mu     sync.Mutex
	slots  []slot
	free   []uint32
	wants  []want // callers that wait for slots, in order
	crew   []place
	open   bool
	ending bool  // no places are filled any more
	broken error // why every call fails
	fails  int   // workers in a row that were never ready
	jobs   int   // calls that are not over
	timed  int   // of those with a time-out
	timing bool  // watchTimes is at work
	cost   float64
	stats  Stats
}

// A slot is what the parent knows of a task under way.
type slot struct {
	job     *job // nil: free
	index   int
	seq     uint32
	tries   int    // workers that have died with it
	arg     []byte // kept for retries
	verdict error  // why it was condemned
}

// A want is a caller that waits for n slots.
type want struct {
	n   int
	got chan []uint32
}

// What the queues hold, in messages, and the size up to which a message needs none of Options.Bytes.
const (
	taskMessages, taskInline     = 2048, 224
	resultMessages, resultInline = 4096, 96
)

func newEngine(name string, o Options, room int, start starter) (*engine, error) {
	if _, err := shm.Default(); err != nil { // what handles in arguments and results refer to
		return nil, err
	}
	to := ringbuf.MPMCOptions{Capacity: taskMessages, MessageSize: taskInline, Bytes: o.Bytes, Zeroed: true}
	ro := ringbuf.MPMCOptions{Capacity: resultMessages, MessageSize: resultInline, Bytes: o.Bytes, Zeroed: true}
	tsize, err := ringbuf.MPMCSize(&to)
	if err != nil {
		return nil, fmt.Errorf("pool: Options.Bytes: %w", err)
	}
	rsize, err := ringbuf.MPMCSize(&ro)
	if err != nil {
		return nil, fmt.Errorf("pool: Options.Bytes: %w", err)
	}
	const page = 4096
	at := (boardSize(o.Backlog, o.Workers) + page - 1) &^ (page - 1)
	rat := (at + tsize + page - 1) &^ (page - 1)
	seg, err := shm.New(&shm.Options{Size: rat + rsize})
	if err != nil {
		return nil, err
	}
	e := &engine{
		name: name, opts: o, room: room, start: start, seg: seg, open: true, gone: make(chan struct{}), slots: make([]slot, o.Backlog), crew: make([]place, o.Workers),
		arg: workerArg{
			Seg: seg, Slots: o.Backlog, Crew: o.Workers, TasksAt: at, TasksLen: tsize, ResultsAt: rat, ResultsLen: rsize,
			Most: o.TasksPerWorker, Memory: o.MemoryLimit,
		},
	}
	e.life, e.kill = context.WithCancelCause(context.Background())
	if err := e.build(&to, &ro); err != nil {
		return nil, errors.Join(err, seg.Close())
	}
	e.free = make([]uint32, o.Backlog)
	for i := range e.free {
		e.free[i] = uint32(o.Backlog - 1 - i) // the first are taken first
	}
	e.work.Go(e.collect)
	for i := range e.crew {
		if err := e.fill(i); err != nil {
			return nil, errors.Join(err, e.terminate())
		}
	}
	if o.MemoryLimit > 0 {
		e.work.Go(e.watchMemory)
	}
	return e, nil
}

// build makes what stands in the segment.
func (e *engine) build(to, ro *ringbuf.MPMCOptions) (err error) {
	mem := e.seg.Bytes()
	if e.board, err = boardAt(mem, e.opts.Backlog, e.opts.Workers); err != nil {
		return err
	}
	for i := range e.board.blocks {
		bell, err := futex.NewEventCount(e.board.blocks[i].bellWord())
		if err != nil {
			return err
		}
		e.bells = append(e.bells, bell)
	}
	to.Participants, ro.Participants = e.seg, e.seg
	if e.tasks, err = ringbuf.CreateMPMC(mem[e.arg.TasksAt:][:e.arg.TasksLen], to); err != nil {
		return err
	}
	if e.results, err = ringbuf.CreateMPMC(mem[e.arg.ResultsAt:][:e.arg.ResultsLen], ro); err != nil {
		return err
	}
	// This process puts into both queues and takes from both, so that who waits for the other side of either waits for the workers to come, and is never
	// told that everybody is gone.
	for _, q := range []*ringbuf.MPMC{e.tasks, e.results} {
		if err := q.TryPut(nil); err != nil {
			return fmt.Errorf("pool: a new queue: %w", err)
		}
		if _, err := q.TryGet(nil); err != nil {
			return fmt.Errorf("pool: a new queue: %w", err)
		}
	}
	return nil
}

// usable returns why the pool takes no call, with e.mu held.
func (e *engine) usable() error {
	switch {
	case e.broken != nil:
		return e.broken
	case !e.open:
		return ErrClosed
	}
	return nil
}

// acquire takes n slots, waiting until there are so many, ctx ends, or the pool does.
func (e *engine) acquire(ctx context.Context, n int) ([]uint32, error) {
	e.mu.Lock()
	if e.broken != nil {
		defer e.mu.Unlock()
		return nil, e.broken
	}
	if len(e.wants) == 0 && len(e.free) >= n {
		defer e.mu.Unlock()
		return e.cutFree(n), nil
	}
	w := want{n, make(chan []uint32, 1)}
	e.wants = append(e.wants, w)
	e.mu.Unlock()
	var err error
	select {
	case got := <-w.got:
		return got, nil
	case <-ctx.Done():
		err = ctx.Err()
	case <-e.life.Done():
		err = context.Cause(e.life)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for i := range e.wants {
		if e.wants[i].got == w.got {
			e.wants = append(e.wants[:i], e.wants[i+1:]...)
			e.grant() // the next may want fewer
			return nil, err
		}
	}
	e.release(<-w.got...)
	return nil, err
}

func (e *engine) cutFree(n int) []uint32 {
	at := len(e.free) - n
	got := append([]uint32(nil), e.free[at:]...)
	e.free = e.free[:at]
	return got
}

// release gives slots back, with e.mu held.
func (e *engine) release(slots ...uint32) {
	e.free = append(e.free, slots...)
	if len(e.wants) > 0 {
		e.grant()
	}
}

func (e *engine) grant() {
	for len(e.wants) > 0 && len(e.free) >= e.wants[0].n {
		w := e.wants[0]
		e.wants = e.wants[1:]
		w.got <- e.cutFree(w.n)
	}
}

// close ends the intake.
func (e *engine) close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.open = false
	e.finishIfIdle()
	return nil
}

// finishIfIdle lets the workers leave when there is nothing more for them to do, with e.mu held.
func (e *engine) finishIfIdle() {
	if e.open || e.ending || e.jobs > 0 || e.broken != nil {
		return
	}
	e.ending = true
	_ = e.tasks.Close() // it fails only when the memory is gone, and the workers with it
	go e.leave()
}

// leave waits for the workers to go in order.
func (e *engine) leave() {
	for {
		e.mu.Lock()
		all := e.watched()
		e.mu.Unlock()
		if len(all) == 0 {
			break
		}
		for _, done := range all {
			<-done
		}
	}
	e.finish(ErrClosed)
}

// finish gives everything back. The workers are gone, or about to be.
func (e *engine) finish(cause error) {
	e.end.Do(func() {
		e.kill(cause)
		e.work.Wait()
		_ = e.seg.Close()
		close(e.gone)
	})
}

func (e *engine) join(ctx context.Context) error {
	e.mu.Lock()
	open := e.open && e.broken == nil
	e.mu.Unlock()
	if open {
		return ErrOpen
	}
	past := make(chan struct{})
	select {
	case <-e.gone:
		go func() { e.past.Wait(); close(past) }()
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-past:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// terminate ends the pool at once.
func (e *engine) terminate() error {
	e.abandon(ErrTerminated)
	<-e.gone
	return nil
}

// abandon fails everything under way with the cause, and ends the workers.
func (e *engine) abandon(cause error) {
	e.mu.Lock()
	e.open = false
	if e.ending && e.jobs == 0 && len(e.watched()) == 0 { // it ends by itself
		e.mu.Unlock()
		return
	}
	e.ending = true
	if e.broken == nil {
		e.broken = cause
		if cause == ErrTerminated {
			e.broken = fmt.Errorf("%w: %w", ErrClosed, ErrTerminated)
		}
	}
	e.kill(cause) // nobody is started any more; the collector stops
	for i := range e.crew {
		if p := e.crew[i].process; p != nil {
			_ = p.Kill() // it may have ended
		}
	}
	e.mu.Unlock()
	go func() {
		e.work.Wait()
		e.failAll(cause)
		e.finish(cause)
	}()
}

// failAll settles every task that is under way. The collector and all workers are gone.
func (e *engine) failAll(cause error) {
	e.mu.Lock()
	var lost []settled
	for i := range e.slots {
		if s := &e.slots[i]; s.job != nil && s.index >= 0 {
			lost = append(lost, settled{job: s.job, slot: uint32(i), index: s.index, tries: s.tries, kind: isDeath, err: cause})
			*s = slot{seq: s.seq, job: s.job, index: -1}
		}
	}
	e.mu.Unlock()
	e.tell(lost)
}

func (e *engine) statsNow() Stats {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := e.stats
	for i := range e.crew {
		if e.crew[i].process != nil {
			s.Workers++
		}
	}
	return s
}

// after runs fn when d has passed and the pool still lives.
func (e *engine) after(d time.Duration, fn func()) *time.Timer {
	return time.AfterFunc(d, func() {
		if e.life.Err() == nil {
			fn()
		}
	})
}
