package manager

import (
	"context"
	"errors"
	"fmt"

	"github.com/fb2d3dbd/multiproc/shm"
)

const (
	keys  = 8
	items = 1 << 17 // that a round puts into its queues, at most
)

// A book is what the clients of a round write down, in memory that outlives them.
type book struct {
	seg *shm.Segment `multiproc:"-"`
	// Begun and Done count the additions to each key: begun before the call, done after it.
	Begun, Done *shm.Array[uint64]
	// SwapBegun and SwapDone count the swaps of the value in the same way, those that succeeded.
	SwapBegun, SwapDone *shm.Value[uint64]
	// Inside is who is in the critical section, 0: nobody. The two of Pair are equal outside of it.
	Inside *shm.Value[uint64]
	Pair   *shm.Array[uint64]
	// Next numbers the items of the queues. Of each, Put says how far its put has come, and Got how often it was got.
	Next *shm.Value[uint64]
	Put  *shm.Array[uint32]
	Got  *shm.Array[uint32]
	Ops  *shm.Value[uint64]
	// Wrong counts what a client found that cannot be, and What says what it was.
	Wrong *shm.Value[uint64]
	What  *shm.Text
	// Point is where the client of each lane died, 1 + its number.
	Point *shm.Array[uint32]
	// Live says of each lane whether its client has begun to do something.
	Live *shm.Array[uint32]
	// Getting says of each lane whether its client is about to get an item of the queue, and has not yet written down that it has.
	Getting *shm.Array[uint32]
}

// How far a put has come.
const (
	putBegun = 1
	putDone  = 2
)

func newBook(lanes int) (b *book, err error) {
	seg, err := shm.New(&shm.Options{Arena: 4 << 20})
	if err != nil {
		return nil, err
	}
	b = &book{seg: seg}
	var errs [15]error
	b.Begun, errs[0] = shm.NewArray[uint64](seg, keys)
	b.Done, errs[1] = shm.NewArray[uint64](seg, keys)
	b.SwapBegun, errs[2] = shm.NewValue[uint64](seg, 0)
	b.SwapDone, errs[3] = shm.NewValue[uint64](seg, 0)
	b.Inside, errs[4] = shm.NewValue[uint64](seg, 0)
	b.Pair, errs[5] = shm.NewArray[uint64](seg, 2)
	b.Next, errs[6] = shm.NewValue[uint64](seg, 0)
	b.Put, errs[7] = shm.NewArray[uint32](seg, items)
	b.Got, errs[8] = shm.NewArray[uint32](seg, items)
	b.Ops, errs[9] = shm.NewValue[uint64](seg, 0)
	b.Wrong, errs[10] = shm.NewValue[uint64](seg, 0)
	b.Point, errs[11] = shm.NewArray[uint32](seg, lanes)
	b.Live, errs[13] = shm.NewArray[uint32](seg, lanes)
	b.Getting, errs[14] = shm.NewArray[uint32](seg, lanes)
	b.What, errs[12] = shm.NewText(seg, 1000)
	if err := errors.Join(errs[:]...); err != nil {
		return nil, errors.Join(err, seg.Close())
	}
	return b, nil
}

// begin says that a new client takes a lane.
func (b *book) begin(lane int) error {
	return errors.Join(b.Point.Set(lane, 0), b.Live.Set(lane, 0), b.Getting.Set(lane, 0))
}

// took reports whether the dead client of a lane may have got an item of the queue that it has not written down. Before it confirms an answer it has got nothing.
func (b *book) took(lane int) bool {
	n, err := b.Getting.At(lane)
	if err != nil || n == 0 {
		return err != nil
	}
	switch b.diedAt(lane) {
	case "manager.call.entered", "manager.call.sent", "manager.call.answered", "manager.call.unconfirmed":
		return false
	}
	return true
}

func (b *book) live(lane int) bool {
	n, err := b.Live.At(lane)
	return err != nil || n > 0
}

func (b *book) diedAt(lane int) string {
	if at, err := b.Point.At(lane); err == nil && at > 0 && int(at) <= len(points) {
		return points[at-1]
	}
	return ""
}

// wrong notes something that cannot be.
func (b *book) wrong(format string, args ...any) error {
	_, err := shm.Add(b.Wrong, 1)
	text := fmt.Sprintf(format, args...)
	return errors.Join(err, b.What.Store(context.Background(), text[:min(len(text), 1000)]))
}
