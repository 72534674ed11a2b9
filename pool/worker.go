package pool

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/fb2d3dbd/multiproc/futex"
	"github.com/fb2d3dbd/multiproc/internal/failure"
	"github.com/fb2d3dbd/multiproc/internal/fault"
	"github.com/fb2d3dbd/multiproc/ringbuf"
	"github.com/fb2d3dbd/multiproc/shm"
)

// A workerArg is what a worker is started with.
type workerArg struct {
	Seg                  *shm.Segment
	Slots, Crew          int
	TasksAt, ResultsAt   int // where the queues begin in the segment
	TasksLen, ResultsLen int
	Place                int
	Most                 int // tasks that it may begin; 0: any number
	Memory               int64
}

func (a *workerArg) open() (b board, tasks, results *ringbuf.MPMC, err error) {
	mem := a.Seg.Bytes()
	if a.Place < 0 || a.Place >= a.Crew || a.TasksAt < 0 || a.TasksLen < 0 || a.ResultsAt < 0 || a.ResultsLen < 0 ||
		a.TasksAt+a.TasksLen > len(mem) || a.ResultsAt+a.ResultsLen > len(mem) {
		return b, nil, nil, fmt.Errorf("pool: %w: a segment of %d bytes", ErrCorrupt, len(mem))
	}
	if b, err = boardAt(mem, a.Slots, a.Crew); err != nil {
		return b, nil, nil, err
	}
	o := &ringbuf.MPMCOptions{Participants: a.Seg}
	if tasks, err = ringbuf.OpenMPMC(mem[a.TasksAt:][:a.TasksLen], o); err != nil {
		return b, nil, nil, err
	}
	results, err = ringbuf.OpenMPMC(mem[a.ResultsAt:][:a.ResultsLen], o)
	return b, tasks, results, err
}

// A worker is this process as a member of a crew.
type worker struct {
	workerArg
	board          board
	block          *block
	tasks, results *ringbuf.MPMC
	bell           *futex.EventCount

	current atomic.Pointer[taskContext]
	leaving atomic.Bool // there is an order to retire
	begun   int
	msg     []byte
	batch   []byte // results that stand in the chunk in hand and are not yet put
	batched int
}

func newWorker(a workerArg, name string) (*worker, error) {
	// An interrupt that is typed at the terminal is for the program; what comes of it for the workers the parent says.
	signal.Notify(make(chan os.Signal, 1), os.Interrupt)
	if a.Memory > 0 {
		debug.SetMemoryLimit(a.Memory / 5 * 4) // the collector works harder before the parent's limit is reached
	}
	w := &worker{workerArg: a}
	var err error
	if w.board, w.tasks, w.results, err = a.open(); err != nil {
		return nil, fmt.Errorf("worker of %q: %w", name, err)
	}
	w.block = &w.board.blocks[a.Place]
	w.bell, err = futex.NewEventCount(w.block.bellWord())
	return w, err
}

var (
	errRetire = errors.New("pool: the worker is to leave") // within this file
	errGoexit = errors.New("pool: the task called runtime.Goexit")
)

// run runs tasks until the pool ends, or the worker has run as many as it may, or is told to leave.
func (w *worker) run(call func(ctx context.Context, arg []byte) outcome) error {
	fault.Point("pool.worker.initialized")
	atomic.StoreUint32(&w.block.flags, ready)
	fault.Point("pool.worker.ready")
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	take, leave := context.WithCancel(ctx) // ends when the worker is to take no more
	defer leave()
	go w.listen(ctx, leave)
	end := make(chan error)
	w.serve(take, call, end)
	return <-end
}

// serve takes chunks, on a goroutine of its own: a task that calls runtime.Goexit ends that, and another goes on.
func (w *worker) serve(ctx context.Context, call func(ctx context.Context, arg []byte) outcome, end chan<- error) {
	type position struct {
		d *ringbuf.Delivery
		i int // the next task of it
	}
	var from func(p position)
	from = func(p position) {
		go func() {
			over, err := false, error(nil)
			defer func() {
				if !over { // runtime.Goexit
					p.i++
					from(p)
					return
				}
				end <- err
			}()
			for err == nil {
				if p.d == nil {
					p.i = 0
					if w.leaving.Load() {
						break
					}
					if p.d, err = w.tasks.Receive(ctx); err != nil {
						break
					}
					fault.Point("pool.chunk.taken")
				}
				if err = w.chunk(p.d.Bytes(), &p.i, call); err == errRetire {
					err = p.d.Nack()
					fault.Point("pool.chunk.returned")
					break
				}
				if err == nil {
					fault.Point("pool.chunk.done")
					err = p.d.Ack()
					fault.Point("pool.chunk.acked")
					p.d = nil
				}
			}
			if errors.Is(err, ringbuf.ErrClosed) || w.leaving.Load() && errors.Is(err, context.Canceled) {
				err = nil
			}
			over = true
		}()
	}
	from(position{})
}

// chunk runs the tasks of a chunk that are still to be run, from *at on.
func (w *worker) chunk(b []byte, at *int, call func(ctx context.Context, arg []byte) outcome) error {
	h, rest, room, err := chunkOf(b)
	if err != nil {
		return err
	}
	var deadline time.Time
	if h.deadline != 0 {
		deadline = time.Unix(0, h.deadline)
	}
	start, ran := time.Now(), 0
	for i := range h.tasks {
		slot, seq, arg, left, err := chunkTask(b, i, rest)
		if err != nil {
			return err
		}
		if rest = left; i < *at {
			continue
		}
		*at = i
		if int(slot) >= len(w.board.tasks) {
			return fmt.Errorf("pool: %w: a task in slot %d of %d", ErrCorrupt, slot, len(w.board.tasks))
		}
		if w.Most > 0 && w.begun >= w.Most || w.leaving.Load() {
			w.leaving.Store(true)
			if err := w.flush(0, start); err != nil {
				return err
			}
			return errRetire
		}
		var here []byte // room for the result
		if h.batch > 1 {
			here = room[i*h.room : (i+1)*h.room]
		}
		c := &taskContext{deadline: deadline, slot: slot, seq: seq}
		if !w.begin(c, h.timeout) {
			if err := w.found(c, here); err != nil {
				return err
			}
			continue
		}
		ran++
		head := resultHeader{slot: slot, seq: seq, worker: uint16(w.Place)}
		if i == h.tasks-1 {
			head.measured = uint32(ran)
		}
		if err := w.task(c, h.timeout, arg, call, &head, start, here); err != nil {
			return err
		}
		if w.batched >= h.batch {
			if err := w.flush(0, start); err != nil {
				return err
			}
		}
	}
	return w.flush(ran, start)
}

// found looks at a task that is not to be run: when a worker that is dead has left its result in the chunk, it is put once more.
func (w *worker) found(c *taskContext, here []byte) error {
	word := w.board.task(c.slot)
	if word.seq() != c.seq || word.state() != stored || len(here) == 0 {
		return nil
	}
	n := int(here[0]) // read once, then checked
	if n >= len(here) {
		return fmt.Errorf("pool: %w: a result of %d bytes in room for %d", ErrCorrupt, n, len(here)-1)
	}
	w.add(c, here[1:1+n])
	return nil
}

func (w *worker) add(c *taskContext, value []byte) {
	if w.batched == 0 {
		w.batch = append(w.batch[:0], make([]byte, resultHead)...)
	}
	w.batch = appendBatch(w.batch, c.slot, c.seq, value)
	w.batched++
}

// flush puts the results that stand in the chunk. measured is how many tasks have taken the time since start, if it is known.
func (w *worker) flush(measured int, start time.Time) error {
	if w.batched == 0 {
		return nil
	}
	head := resultHeader{slot: uint32(w.batched), kind: isBatch, worker: uint16(w.Place), measured: uint32(measured)}
	if measured > 0 {
		head.cost = uint64(time.Since(start))
	}
	putResult(w.batch, &head)
	w.batched = 0
	fault.Point("pool.batch.full")
	err := w.results.Put(context.Background(), w.batch)
	fault.Point("pool.batch.put")
	return err
}

// begin makes the task this worker's own. It reports false when the task is not to be run any more: it was, or was cancelled, or the chunk is an old one.
func (w *worker) begin(c *taskContext, timeout int64) bool {
	fault.Point("pool.task.found")
	if timeout > 0 {
		atomic.StoreUint64(&w.block.since, uint64(time.Now().UnixNano()))
	}
	w.current.Store(c)
	atomic.StoreUint64(&w.block.hand, handOf(c.seq, c.slot))
	fault.Point("pool.task.inhand")
	mine := w.board.cas(c.slot, makeTask(c.seq, 0, 0, queued), makeTask(c.seq, uint16(w.Place), 0, running)) // pairs with the parent's, who cancels
	if !mine {
		return false
	}
	fault.Point("pool.task.begun")
	w.begun++
	atomic.StoreUint64(&w.block.begun, uint64(w.begun))
	return true
}

// task runs one task and puts its result.
func (w *worker) task(c *taskContext, timeout int64, arg []byte, call func(ctx context.Context, arg []byte) outcome, head *resultHeader, start time.Time, here []byte) (err error) {
	if timeout > 0 {
		if d := time.Now().Add(time.Duration(timeout)); c.deadline.IsZero() || d.Before(c.deadline) {
			c.deadline = d
		}
		timer := time.AfterFunc(time.Duration(timeout), func() { c.end(context.DeadlineExceeded) })
		defer timer.Stop()
	}
	var o outcome
	returned := false
	func() {
		defer func() {
			if returned {
				return
			}
			if v := recover(); v != nil {
				o = outcome{kind: isFailure, raw: failure.OfPanic(v).Append(nil)}
				return
			}
			// runtime.Goexit: this goroutine is at its end, and only what is deferred still runs.
			o = outcome{kind: isFailure, raw: failure.Of(errGoexit).Append(nil)}
			err = w.finish(c, o, head, start, nil)
		}()
		o = call(c, arg)
		returned = true
	}()
	return w.finish(c, o, head, start, here)
}

func (w *worker) finish(c *taskContext, o outcome, head *resultHeader, start time.Time, here []byte) error {
	c.end(context.Canceled)
	fault.Point("pool.task.returned")
	next := uint8(done)
	if o.kind == isValue && len(o.raw) < len(here) {
		here[0] = byte(len(o.raw))
		copy(here[1:], o.raw)
		next = stored
	}
	for {
		old := w.board.task(c.slot)
		if old.seq() != c.seq || old.state() != running {
			// Condemned: the parent is about to kill this process, which is to begin nothing more.
			os.Exit(1)
		}
		if w.board.cas(c.slot, old, makeTask(c.seq, uint16(w.Place), old.why(), next)) { // pairs with the parent's, who condemns
			break
		}
	}
	fault.Point("pool.task.done")
	if next == stored {
		w.add(c, o.raw)
		return nil
	}
	if err := w.flush(0, start); err != nil {
		return err
	}
	if head.measured > 0 {
		head.cost = uint64(time.Since(start))
	}
	err := w.put(head, o)
	if errors.Is(err, ringbuf.ErrTooLarge) {
		text := fmt.Sprintf("a result of %d bytes: %v", len(o.raw), err)
		err = w.put(head, outcome{kind: isUnsent, raw: []byte(text)})
	}
	fault.Point("pool.result.put")
	return err
}

// put puts a result: a large one is written in place.
func (w *worker) put(head *resultHeader, o outcome) error {
	head.kind = o.kind
	n := resultHead + len(o.raw)
	if n <= maxCopied {
		w.msg = append(w.msg[:0], make([]byte, resultHead)...)
		putResult(w.msg, head)
		w.msg = append(w.msg, o.raw...)
		return w.results.Put(context.Background(), w.msg)
	}
	r, err := w.results.Reserve(context.Background(), n)
	if err != nil {
		return err
	}
	putResult(r.Bytes(), head)
	copy(r.Bytes()[resultHead:], o.raw)
	fault.Point("pool.result.written")
	return r.Commit(context.Background(), n)
}

// maxCopied is up to which size a message is built on the heap and copied into the queue.
const maxCopied = 4 << 10

// listen waits for the parent's bell: the task in hand is to end, or this worker is to leave.
func (w *worker) listen(ctx context.Context, leave func()) {
	var told *taskContext
	var why uint8
	for {
		err := w.bell.Await(ctx, func() (bool, error) {
			if atomic.LoadUint32(&w.block.order)&retire != 0 && !w.leaving.Load() {
				return true, nil
			}
			c := w.current.Load()
			if c == nil || c == told {
				return false, nil
			}
			word := w.board.task(c.slot) // pairs with the parent's change, before it rings
			why = word.why()
			return word.seq() == c.seq && word.state() == running && why != 0, nil
		}, nil)
		if err != nil {
			return
		}
		if atomic.LoadUint32(&w.block.order)&retire != 0 && !w.leaving.Load() {
			w.leaving.Store(true)
			fault.Point("pool.worker.ordered")
			leave()
			continue
		}
		if c := w.current.Load(); c != nil && why != 0 {
			if word := w.board.task(c.slot); word.seq() == c.seq && word.why() != 0 {
				told = c
				fault.Point("pool.task.told")
				c.end(endOf(word.why()))
			}
		}
	}
}

func endOf(why uint8) error {
	if why == whyDeadline {
		return context.DeadlineExceeded
	}
	return context.Canceled
}
