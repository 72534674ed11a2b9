package pipe

import (
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/fb2d3dbd/multiproc/internal/torture"
	"github.com/fb2d3dbd/multiproc/ringbuf"
	"github.com/fb2d3dbd/multiproc/shm"
)

// A config is one kind of pipe.
type config struct {
	OneWay   bool
	Capacity int
	Arena    int
	Sizes    sizes
	Order    bool // nobody dies who receives
}

const blocksArena = 8 << 20 // of the segment, for blocks

// drawConfig draws the kind of pipe for round n. In every fourth only senders die, so that the order of messages can be held against that of the sends.
func drawConfig(rng *rand.Rand, n int) config {
	c := config{OneWay: n%3 == 2, Capacity: pick(rng, 1, 2, 8, 64), Arena: pick(rng, 64<<10, 128<<10), Order: n%4 == 3}
	c.OneWay = c.OneWay || c.Order
	c.Sizes = sizes{Inline: 224, Arena: c.Arena / 4, Block: c.Arena/4 + 6<<10}
	return c
}

func (c config) options() ringbuf.PipeOptions {
	return ringbuf.PipeOptions{OneWay: c.OneWay, Capacity: c.Capacity, Bytes: c.Arena, Zeroed: true}
}

// newSegment makes a segment that has room for a pipe of this kind, and for its blocks.
func (c config) newSegment(participants int) (*shm.Segment, error) {
	o := c.options()
	size, err := ringbuf.PipeSize(&o)
	if err != nil {
		return nil, err
	}
	return shm.New(&shm.Options{Size: size, Arena: blocksArena, Participants: participants})
}

// A table is what a round plays on: a pipe and the books. This process has both ends.
type table struct {
	c         config
	seg       *shm.Segment
	a, b      *ringbuf.PipeEnd
	books     *torture.Books
	histories torture.Histories
	room      int
}

// newTable makes a pipe of kind c and books for so many processes and ids.
func newTable(c config, slots, ids int) (*table, error) {
	seg, err := c.newSegment(8*slots + 16)
	if err != nil {
		return nil, err
	}
	t := &table{c: c, seg: seg}
	o := c.options()
	o.Participants, o.Blocks = seg, seg.Blocks()
	if t.room, err = t.blocks(); err == nil {
		if t.a, t.b, err = ringbuf.CreatePipe(seg.Bytes(), &o); err == nil {
			t.books, err = torture.NewBooks(slots, ids, c.Sizes.Block)
		}
	}
	if err != nil {
		return nil, errors.Join(err, seg.Close())
	}
	return t, nil
}

func (t *table) close() {
	t.a.Close()
	t.b.Close()
	t.seg.Close()
	t.books.Close()
}

func (t *table) job(o torture.Order, end int, r role) job {
	o.Books = t.books.Segment()
	return job{Order: o, Pipe: t.seg, End: end, Role: int(r), Config: t.c}
}

// blocks returns how many of the blocks that large messages get the segment has room for.
func (t *table) blocks() (n int, err error) {
	if _, err := t.seg.Collect(); err != nil {
		return 0, err
	}
	var refs []shm.Ref
	for {
		ref, e := t.seg.Alloc(shm.KindUser, t.c.Sizes.Block)
		if e != nil {
			if !errors.Is(e, shm.ErrNoSpace) {
				err = e
			}
			break
		}
		refs = append(refs, ref)
	}
	for _, ref := range refs {
		err = errors.Join(err, t.seg.Free(ref))
	}
	return len(refs), err
}

// whole looks whether all memory of the segment is there.
func (t *table) whole() error {
	if err := t.seg.Check(); err != nil {
		return fmt.Errorf("the Check of the segment: %w", err)
	}
	n, err := t.blocks()
	if err == nil && n != t.room {
		err = fmt.Errorf("there is room for %d blocks in the segment, and at the beginning there was for %d", n, t.room)
	}
	return err
}
