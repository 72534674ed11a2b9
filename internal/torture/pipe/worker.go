package pipe

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"time"

	"github.com/fb2d3dbd/multiproc/internal/torture"
	"github.com/fb2d3dbd/multiproc/ringbuf"
	"github.com/fb2d3dbd/multiproc/shm"
)

// A worker is one goroutine of one process that uses an end of a pipe and writes down what it does.
type worker struct {
	e     *ringbuf.PipeEnd
	first *ringbuf.PipeEnd // as the process has opened it
	end   int
	seg   *shm.Segment
	again *shm.Segment // as which a joiner has opened seg
	more  []*ringbuf.PipeEnd
	books *torture.Books
	lane  *torture.Lane
	rng   *rand.Rand
	sizes sizes
	order bool   // no receiver dies: messages of a sender come in their order
	dies  bool   // it opens handles and sends while it reads
	next  uint64 // a message that found no room
}

// errEnd says that the pipe has ended.
var errEnd = errors.New("the pipe has ended")

const (
	patience = 5 * time.Millisecond // of a blocking call
	maxMore  = 3                    // handles beside the first
)

// An op is one thing that a worker can do.
type op int

const (
	opTrySend op = iota
	opSend
	opTryLand
	opLand
	opTryView
	opView
	opPoll
	opOpen
	opJoin
	opRepair
	opLeave
	ops
)

// mixes say how often a worker of each role does what, in the order of the ops.
var mixes = [...][ops]int{
	//        try send tryland land tryview view poll open join repair leave
	sender:   {20, 6, 2, 1, 1, 0, 0, 1, 0, 1, 0},
	receiver: {3, 1, 12, 3, 8, 3, 1, 1, 0, 1, 1},
	opener:   {4, 1, 4, 1, 6, 2, 1, 16, 0, 1, 1},
	joiner:   {4, 1, 4, 1, 2, 0, 1, 1, 8, 1, 2},
	waiter:   {2, 8, 1, 8, 1, 6, 2, 0, 0, 0, 0},
	mender:   {4, 1, 4, 1, 2, 0, 0, 1, 0, 20, 1},
	heir:     {2, 0, 10, 2, 3, 0, 0, 0, 0, 12, 6},
	closer:   {6, 3, 0, 0, 0, 0, 0, 2, 0, 1, 0},
	maker:    {},
}

// draw draws what to do next.
func (w *worker) draw(m *[ops]int) op {
	sum := 0
	for _, n := range m {
		sum += n
	}
	at := w.rng.IntN(sum)
	for o, n := range m {
		if at -= n; at < 0 {
			return op(o)
		}
	}
	return opPoll
}

func (w *worker) do(ctx context.Context, o op) error {
	switch {
	case o <= opSend && !w.e.CanPut():
		o += opTryLand - opTrySend
	case (o >= opTryLand && o <= opPoll || o == opLeave) && !w.e.CanGet():
		o = opTrySend
	}
	switch o {
	case opTrySend:
		return w.send(func(b []byte) error { return w.e.TryPut(b) })
	case opSend:
		return w.waitSend(ctx, patience)
	case opTryLand:
		return w.land(func(b []byte) ([]byte, error) { return w.e.TryGet(b) })
	case opLand:
		return w.waitLand(ctx, patience)
	case opTryView:
		return w.view(func(fn func([]byte) error) error { return w.e.TryView(fn) })
	case opView:
		return w.waitView(ctx, patience)
	case opPoll:
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		return w.soft(w.e.Poll(ctx))
	case opOpen:
		return w.open()
	case opJoin:
		return w.join()
	case opRepair:
		_, err := w.e.Repair()
		if w.rng.IntN(4) == 0 {
			time.Sleep(100 * time.Microsecond)
		}
		return err
	case opLeave:
		return w.leave()
	}
	return nil
}

// soft returns nil for what a call may say at any time: no room, no message.
func (w *worker) soft(err error) error {
	switch {
	case err == nil, errors.Is(err, ringbuf.ErrFull), errors.Is(err, ringbuf.ErrEmpty), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return nil
	case errors.Is(err, io.EOF):
		return errEnd
	}
	return err
}

// send sends one message by call.
func (w *worker) send(call func(msg []byte) error) error {
	id := w.next
	w.next = 0
	if id == 0 {
		if id = w.lane.ID(); id == 0 {
			time.Sleep(time.Millisecond)
			return nil // there are no ids left
		}
	}
	msg := w.sizes.make(id, w.end)
	w.lane.Put(id, 1)
	err := call(msg)
	if err == nil {
		w.lane.PutDone(1)
		return nil
	}
	w.lane.PutDone(0)
	err = w.soft(err)
	if err != nil || w.sizes.large(id) { // a large one might not find room for long
		w.lane.Drop(id)
	} else {
		w.next = id
	}
	return err
}

func (w *worker) waitSend(ctx context.Context, d time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	return w.send(func(b []byte) error { return w.e.Put(ctx, b) })
}

// look checks a message and returns its id, 0 if it is not to be trusted.
func (w *worker) look(msg []byte) uint64 {
	id, err := w.sizes.check(msg, 1-w.end)
	if err != nil {
		w.books.Problem(torture.Corrupt, "%v", err)
		return 0
	}
	return id
}

// land receives a message by copy, to where the books can see it.
func (w *worker) land(call func(buf []byte) ([]byte, error)) error {
	msg, err := call(w.lane.Land())
	if err != nil {
		w.lane.LandDone(0)
		return w.soft(err)
	}
	w.lane.LandDone(w.look(msg))
	return nil
}

func (w *worker) waitLand(ctx context.Context, d time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	return w.land(func(b []byte) ([]byte, error) { return w.e.Get(ctx, b) })
}

// view receives a message in place. Until the function has returned it is not given up.
func (w *worker) view(call func(fn func(msg []byte) error) error) error {
	var id uint64
	err := call(func(msg []byte) error {
		id = w.look(msg)
		nth := 0
		if w.order {
			nth = 1
		}
		w.lane.Take(id, nth, false)
		if err := w.inHand(); err != nil {
			return err
		}
		w.lane.Finish(id, false)
		return nil
	})
	if id != 0 && err == nil {
		w.lane.Finished(id, true)
	}
	return w.soft(err)
}

// inHand is what it does while it has a message in hand: it may die of it.
func (w *worker) inHand() error {
	switch {
	case !w.dies:
	case w.rng.IntN(3) == 0:
		return w.open()
	case w.rng.IntN(3) == 0 && w.e.CanPut():
		return w.send(w.e.TryPut)
	}
	return nil
}

func (w *worker) waitView(ctx context.Context, d time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	return w.view(func(fn func([]byte) error) error { return w.e.View(ctx, fn) })
}

// open opens one handle more, of the same end, or closes one.
func (w *worker) open() error {
	if len(w.more) == maxMore || len(w.more) > 0 && w.rng.IntN(2) == 0 {
		i := w.rng.IntN(len(w.more))
		e := w.more[i]
		w.more = append(w.more[:i], w.more[i+1:]...)
		return e.Close()
	}
	e, err := ringbuf.OpenPipe(w.seg.Bytes(), w.end, optionsIn(w.seg))
	if err != nil {
		return err
	}
	w.more = append(w.more, e)
	return nil
}

// join leaves what it has joined by itself, with its handle or as one that is dead, and opens the memory and the end as a new participant.
func (w *worker) join() error {
	if w.again != nil {
		if w.rng.IntN(2) == 0 {
			if err := w.e.Close(); err != nil {
				return err
			}
		}
		seg := w.again
		w.again, w.e = nil, w.first
		if err := seg.Close(); err != nil {
			return err
		}
	}
	seg, err := reopen(w.seg)
	if err != nil {
		if errors.Is(err, shm.ErrTooMany) {
			return nil
		}
		return err
	}
	e, err := ringbuf.OpenPipe(seg.Bytes(), w.end, optionsIn(seg))
	if err != nil {
		return errors.Join(err, seg.Close())
	}
	w.again, w.e = seg, e
	return nil
}

// leave leaves the memory, as one that has joined by itself, with a message in hand: to all others it is dead.
func (w *worker) leave() error {
	seg, err := reopen(w.seg)
	if err != nil {
		if errors.Is(err, shm.ErrTooMany) {
			return nil
		}
		return err
	}
	e, err := ringbuf.OpenPipe(seg.Bytes(), w.end, optionsIn(seg))
	if err != nil {
		return errors.Join(err, seg.Close())
	}
	err = e.TryView(func(msg []byte) error {
		w.lane.Take(w.look(msg), 0, false)
		w.lane.Leave() // before it may come to another
		return seg.Close()
	})
	if err != nil && !errors.Is(err, ringbuf.ErrClosed) {
		return errors.Join(w.soft(err), seg.Close())
	}
	return nil
}

// reopen opens a segment once more, as another participant.
func reopen(seg *shm.Segment) (*shm.Segment, error) {
	handle, err := seg.MarshalBinary()
	if err != nil {
		return nil, err
	}
	again := new(shm.Segment)
	return again, again.UnmarshalBinary(handle)
}

func optionsIn(seg *shm.Segment) *ringbuf.PipeOptions {
	return &ringbuf.PipeOptions{Participants: seg, Blocks: seg.Blocks()}
}
