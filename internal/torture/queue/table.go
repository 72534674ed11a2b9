package queue

import (
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/fb2d3dbd/multiproc/internal/torture"
	"github.com/fb2d3dbd/multiproc/ringbuf"
	"github.com/fb2d3dbd/multiproc/shm"
)

// A table is what a round plays on: a queue and the books.
type table struct {
	c         config
	seg       *shm.Segment
	q         *ringbuf.MPMC
	books     *torture.Books
	histories torture.Histories
	stay      []int    // slots of those who are not to die
	numbers   []uint64 // and their processes
	blind     bool
}

// newTable makes a queue of kind c and books for so many processes and ids.
func newTable(c config, slots, ids int) (*table, error) {
	seg, q, err := c.newQueue(4 * slots)
	if err != nil {
		return nil, err
	}
	books, err := torture.NewBooks(slots, ids, c.sizes.Large)
	if err != nil {
		seg.Close()
		return nil, err
	}
	return &table{c: c, seg: seg, q: q, books: books}, nil
}

func (t *table) close() {
	t.seg.Close()
	t.books.Close()
}

func (t *table) job(o torture.Order, r role) job {
	o.Books = t.books.Segment()
	return job{Order: o, Queue: t.seg, Role: int(r), Sizes: t.c.sizes, Limit: t.c.opts.MaxDeliveries, Blind: t.blind}
}

// worker returns a worker of this process, which has the slot.
func (t *table) worker(slot, lane int, process uint64) *worker {
	return t.job(torture.Order{Slot: slot, Process: process, Seed: uint64(slot)}, consumer).worker(t.books, t.q, lane)
}

// retired buries one who has come to a good end.
func (t *table) retired(slot int) {
	number := uint64(0)
	for i, s := range t.stay {
		if s == slot {
			number = t.numbers[i]
		}
	}
	t.histories.Bury(t.books, torture.Death{Process: number, Slot: slot, Time: now()})
}

// quiet takes the queue apart when all others are gone: what it holds has to come out, and then all of its memory has to be
// there. It writes what is wrong into the books.
func (t *table) quiet(r *torture.Run, slot int, ended bool) {
	t.books.Clear(slot)
	err := r.Gone(t.seg)
	if err == nil {
		err = t.drain(slot, r.Next(), ended)
	}
	if err != nil {
		t.books.Problem(torture.Corrupt, "at the end of the round: %v", err)
	}
	t.histories.Bury(t.books, torture.Death{Process: 0, Slot: slot, Time: now()})
}

func (t *table) drain(slot int, process uint64, ended bool) error {
	if err := repairAll(t.q); err != nil {
		return err
	}
	if err := t.q.Check(); err != nil {
		return fmt.Errorf("the Check of a repaired queue: %w", err)
	}
	w := t.worker(slot, 0, process)
	most := t.c.opts.Capacity + t.c.spares() // messages that there can be
	for i, take := range []func() (*ringbuf.Delivery, error){t.q.TryReceive, t.q.DeadLetter} {
		for n := 0; ; n++ {
			d, err := take()
			if n == most && err == nil {
				return fmt.Errorf("more than %d messages came out of the queue", n)
			}
			if errors.Is(err, ringbuf.ErrEmpty) || ended && errors.Is(err, ringbuf.ErrClosed) {
				break
			}
			if err != nil {
				return err
			}
			id := w.look(d.Bytes())
			w.lane.Take(id, d.Deliveries(), i == 1)
			w.lane.Finish(id, false)
			if err := d.Ack(); err != nil {
				return err
			}
			w.lane.Finished(id, true)
		}
	}
	n, err := t.q.Len()
	if n != 0 || err != nil {
		return fmt.Errorf("the Len of a drained queue is %d, %v", n, err)
	}
	if n, err = t.q.Unfinished(); n != 0 || err != nil {
		return fmt.Errorf("the Unfinished of a drained queue is %d, %v", n, err)
	}
	if err := t.q.Check(); err != nil {
		return fmt.Errorf("the Check of a drained queue: %w", err)
	}
	if ended {
		if err := t.q.TryPut(nil); !errors.Is(err, ringbuf.ErrClosed) {
			return fmt.Errorf("a put into a queue that has ended: %v", err)
		}
		return nil
	}
	return t.whole()
}

func repairAll(q *ringbuf.MPMC) error {
	for range 100 {
		n, err := q.Repair()
		if n == 0 || err != nil {
			return err
		}
	}
	return errors.New("the repair buries somebody again and again")
}

// whole takes all slots and all units of an empty queue at once.
func (t *table) whole() error {
	want := t.c.opts.Capacity + t.c.spares()
	var held []*ringbuf.Delivery
	id := rand.Uint64()
	inline := sizes{Inline: t.c.sizes.Inline, Large: t.c.sizes.Inline}
	for len(held) <= want {
		n := 0
		for ; n <= want; n++ {
			if err := t.q.TryPut(inline.make(id)); errors.Is(err, ringbuf.ErrFull) {
				break
			} else if err != nil {
				return err
			}
		}
		for range n {
			d, err := t.q.TryReceive()
			if err != nil {
				return err
			}
			if _, err := inline.check(d.Bytes()); err != nil {
				return err
			}
			held = append(held, d)
		}
		if n == 0 {
			break
		}
	}
	if len(held) != want {
		return fmt.Errorf("%d of %d slots can be used", len(held), want)
	}
	for _, d := range held {
		if err := d.Ack(); err != nil {
			return err
		}
	}
	if err := t.q.TryPut(make([]byte, t.q.MaxMessage())); err != nil {
		return fmt.Errorf("a message as large as the arena: %w", err)
	}
	_, err := t.q.TryGet(nil)
	return err
}
