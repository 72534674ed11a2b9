package queue

import (
	"math/rand/v2"

	"github.com/fb2d3dbd/multiproc/ringbuf"
	"github.com/fb2d3dbd/multiproc/shm"
)

// A config is one kind of queue.
type config struct {
	opts  ringbuf.MPMCOptions
	sizes sizes
	tight bool // so few spares that who is stopped may keep others from putting
}

func pick[T any](rng *rand.Rand, from ...T) T { return from[rng.IntN(len(from))] }

// draw draws the kind of queue for round n. Large messages and a limit of deliveries come in turn, so that a few rounds have everything.
func draw(rng *rand.Rand, n int) config {
	c := config{opts: ringbuf.MPMCOptions{
		Capacity:    pick(rng, 1, 2, 3, 8, 8, 16, 64, 1000),
		MessageSize: pick(rng, 32, 96, 224),
		Members:     pick(rng, 0, 40, 64),
		Zeroed:      true,
	}}
	if n%2 == 1 {
		c.opts.MaxDeliveries = pick(rng, 1, 2, 3)
	}
	if n%3 != 2 {
		c.opts.Bytes = pick(rng, 64<<10, 256<<10)
	}
	if n%4 == 3 {
		c.opts.Spares, c.tight = pick(rng, 4, 12), true
	}
	inline := (c.opts.MessageSize+32+63)&^63 - 32
	c.sizes = sizes{Inline: inline, Large: inline}
	if c.opts.Bytes > 0 {
		c.sizes.Large = 3000
	}
	return c
}

func (c config) has() need {
	var n need
	if c.sizes.Large > c.sizes.Inline {
		n |= largeMessages
	}
	if c.opts.MaxDeliveries > 0 {
		n |= deliveryLimit
	}
	return n
}

// spares is how many slots there are beyond the capacity.
func (c config) spares() int {
	if c.opts.Spares > 0 {
		return c.opts.Spares
	}
	return max(c.opts.Capacity, 128)
}

// newQueue makes a segment and a queue of this kind in it.
func (c config) newQueue(participants int) (*shm.Segment, *ringbuf.MPMC, error) {
	size, err := ringbuf.MPMCSize(&c.opts)
	if err != nil {
		return nil, nil, err
	}
	seg, err := shm.New(&shm.Options{Size: size, Participants: participants})
	if err != nil {
		return nil, nil, err
	}
	o := c.opts
	o.Participants = seg
	q, err := ringbuf.CreateMPMC(seg.Bytes(), &o)
	if err != nil {
		seg.Close()
		return nil, nil, err
	}
	return seg, q, nil
}
