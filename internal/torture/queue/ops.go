package queue

import (
	"context"
	"errors"
	"time"

	"github.com/fb2d3dbd/multiproc/internal/torture"
	"github.com/fb2d3dbd/multiproc/ringbuf"
	"github.com/fb2d3dbd/multiproc/shm"
)

const maxHeld = 4 // messages at a time

// An op is one thing that a worker can do.
type op int

const (
	opTryPut op = iota
	opPut
	opReserve
	opScratch
	opBatch
	opLand
	opBlind
	opHold
	opReceive
	opAck
	opNack
	opDead
	opRepair
	opLook
	opJoin
	ops
)

// mixes say how often a worker of each role does what, in the order of the ops.
var mixes = [...][ops]int{
	//          try put res scr bat  land blind hold rec ack nack dead  rep look join
	producer: {20, 3, 6, 2, 4, 4, 0, 3, 0, 3, 0, 1, 1, 1, 0},
	consumer: {4, 0, 1, 0, 1, 12, 0, 8, 2, 8, 2, 2, 1, 1, 0},
	repairer: {3, 0, 2, 0, 1, 2, 0, 2, 0, 2, 0, 1, 20, 1, 0},
	joiner:   {4, 0, 1, 0, 1, 3, 0, 2, 0, 1, 0, 1, 2, 1, 6},
	waiter:   {2, 8, 0, 0, 1, 1, 0, 2, 12, 8, 1, 1, 0, 0, 0},
	sorter:   {4, 0, 1, 0, 1, 2, 0, 14, 1, 2, 10, 8, 1, 1, 0},
	closer:   {6, 1, 1, 0, 1, 3, 0, 1, 0, 1, 0, 1, 1, 1, 0},
	ender:    {1, 0, 0, 0, 0, 10, 0, 6, 1, 6, 1, 1, 1, 1, 0},
}

// mixOf returns what a worker of a role does; blind says that it may also get without leaving a trace.
func mixOf(r role, blind bool) [ops]int {
	m := mixes[r]
	if blind {
		m[opBlind] = m[opLand]
	}
	return m
}

func (w *worker) draw(m [ops]int) op {
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
	return opLook
}

func (w *worker) do(ctx context.Context, o op) error {
	switch o {
	case opTryPut:
		return w.tryPut()
	case opPut:
		return w.waitPut(ctx, patience)
	case opReserve:
		return w.reserve()
	case opScratch:
		return w.scratch()
	case opBatch:
		return w.putBatch(ctx)
	case opLand:
		return w.land()
	case opBlind:
		return w.blind(ctx, patience)
	case opHold:
		if len(w.held) >= maxHeld {
			return w.drop(false)
		}
		d, err := w.q.TryReceive()
		return w.hold(d, err, false)
	case opReceive:
		if len(w.held) >= maxHeld {
			return w.drop(false)
		}
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		d, err := w.q.Receive(ctx)
		return w.hold(d, err, false)
	case opAck, opNack:
		return w.drop(o == opNack)
	case opDead:
		if len(w.held) >= maxHeld {
			return w.drop(false)
		}
		d, err := w.q.DeadLetter()
		return w.hold(d, err, true)
	case opRepair:
		_, err := w.q.Repair()
		if w.rng.IntN(4) == 0 {
			time.Sleep(100 * time.Microsecond)
		}
		return w.soft(err)
	case opLook:
		return w.lookAround()
	case opJoin:
		return w.join()
	}
	return nil
}

// lookAround asks for what can be known of a queue in use.
func (w *worker) lookAround() error {
	n, err := w.q.Len()
	if err != nil {
		return w.soft(err)
	}
	// Those that are to be handed out again come on top of the capacity.
	if n < 0 || n > 8*w.q.Cap()+1<<12 {
		w.books.Problem(torture.Corrupt, "Len is %d in a queue of %d", n, w.q.Cap())
	}
	_, err = w.q.Unfinished()
	return w.soft(err)
}

// join leaves the queue, with what this worker holds, if it has joined by itself, and opens it as a new participant.
func (w *worker) join() error {
	if w.again != nil {
		w.lane.Leave()
		w.held, w.ids = nil, nil
		seg := w.again
		w.again, w.q = nil, w.first
		if err := seg.Close(); err != nil {
			return err
		}
	} else if err := w.dropAll(); err != nil {
		return err
	}
	handle, err := w.seg.MarshalBinary()
	if err != nil {
		return err
	}
	seg := new(shm.Segment)
	if err := seg.UnmarshalBinary(handle); err != nil {
		if errors.Is(err, shm.ErrTooMany) {
			return nil
		}
		return err
	}
	q, err := ringbuf.OpenMPMC(seg.Bytes(), &ringbuf.MPMCOptions{Participants: seg})
	if err != nil {
		return errors.Join(err, seg.Close())
	}
	w.again, w.q = seg, q
	return nil
}
