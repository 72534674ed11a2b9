package ringbuf

import (
	"context"
	"fmt"
	"iter"
	"sync/atomic"

	"github.com/fb2d3dbd/multiproc/internal/cpu"
	"github.com/fb2d3dbd/multiproc/internal/fault"
	"github.com/fb2d3dbd/multiproc/internal/race"
)

// A Consumer takes messages from an [SPSC]. One goroutine at a time may use it.
type Consumer struct {
	_ [cpu.CacheLine]byte // as in Producer
	ring
	head    uint64 // where the next record is
	untold  uint64 // bytes before it that the producer has not been told of
	tail    uint64 // the producer's index when last looked at: it can only have moved on
	length0 uint64 // length of the last message, or of the one that was peeked at
	size0   uint64 // and what its record takes
	next    uint64 // which express comes next, as far as known
	size    uint64 // of the record that was peeked at, or 0; closedHere after Close
	pace
	_ [cpu.CacheLine]byte
}

// closedHere stands for the size of a record after Close. No record has it.
const closedHere = 1

// Get appends the next message to buf and returns it, waiting for one until ctx ends. ErrClosed and ErrPeerDied come when the
// producer has closed or died and everything it put was taken.
func (c *Consumer) Get(ctx context.Context, buf []byte) ([]byte, error) { return c.get(ctx, buf, true) }

// TryGet appends the next message to buf and returns it, or ErrEmpty.
func (c *Consumer) TryGet(buf []byte) ([]byte, error) { return c.get(context.Background(), buf, false) }

// getSlow is get in the long way.
func (c *Consumer) getSlow(ctx context.Context, buf []byte, wait bool) ([]byte, error) {
	if c.size == 0 && c.head == c.tail {
		if cpu.Ordered {
			out, ok := c.getExpress(buf)
			if !ok && wait && c.express && !c.polite && c.poll() { // the tail's line stays with the producer, which writes it next
				out, ok = c.getExpress(buf)
			}
			if ok {
				return out, c.released()
			}
		}
		if c.arrivals() != 0 {
			return c.get(ctx, buf, wait)
		}
	}
	if out, ok := c.getWhole(buf); ok {
		return out, c.released()
	}
	msg, err := c.TryPeek()
	if err == ErrEmpty && wait {
		if c.poll() {
			if out, err := c.TryGet(buf); err != ErrEmpty {
				return out, err
			}
		}
		msg, err = c.peekWait(ctx)
	}
	if err != nil {
		return buf, err
	}
	buf = appendMessage(buf, msg)
	return buf, c.Release()
}

// released does what remains after room was given back: to wake the producer, and to look whether the memory is still
// the ring's. Closed by the producer, it still is.
func (c *Consumer) released() error {
	if atomic.LoadUint32(&c.hdr.room)&1|(atomic.LoadUint32(&c.hdr.producerState)^isOpen) == 0 {
		return nil
	}
	c.roomEvent.Notify(1)
	return c.usable()
}

// Peek returns the next message in place, waiting for one until ctx ends. The bytes are the caller's until Release; a
// consumer that dies before it leaves the message to its successor. Another Peek returns the same message.
func (c *Consumer) Peek(ctx context.Context) ([]byte, error) {
	msg, err := c.TryPeek()
	if err != ErrEmpty {
		return msg, err
	}
	if c.poll() {
		if msg, err := c.TryPeek(); err != ErrEmpty {
			return msg, err
		}
	}
	return c.peekWait(ctx)
}

// TryPeek returns the next message in place, or ErrEmpty.
func (c *Consumer) TryPeek() ([]byte, error) {
	switch c.size {
	case 0:
	case closedHere:
		return nil, ErrClosed
	default:
		return c.payload(c.head, int(c.length0)), c.usable()
	}
	for {
		if c.head == c.tail {
			if err := c.refresh(); err != nil {
				c.flush() // a skipped rest of a lap is given back
				return nil, err
			}
		}
		n := atomic.LoadUint64(c.length(c.head)) // read once, then checked
		have, rest := c.tail-c.head, c.mask+1-c.head&c.mask
		if n == skipMark && rest <= have {
			fault.Point("spsc.get.skipped")
			c.head += rest
			c.untold += rest
			continue
		}
		if n > c.mask || recordSize(int(n)) > min(have, rest) {
			if err := c.usable(); err != nil { // the zeros of a closed segment
				return nil, err
			}
			return nil, fmt.Errorf("ringbuf: %w: a message of %#x bytes, %d are there", ErrCorrupt, n, have)
		}
		c.length0, c.size0 = n, recordSize(int(n))
		c.size = c.size0
		return c.payload(c.head, int(n)), c.usable()
	}
}

// refresh looks at the producer's index. Nil means that there is more.
func (c *Consumer) refresh() error {
	state := atomic.LoadUint32(&c.hdr.producerState) // before the tail: what was put before the close is seen
	fault.Point("spsc.get.looked")
	tail := atomic.LoadUint64(&c.hdr.tail) // pairs with the producer's release stores of it
	race.Acquire(&c.hdr.tail)
	if lead := c.head - tail; lead-1 < expressLead && lead&7 == 0 { // the producer has not come to store it yet, after a message that was taken on its way
		tail = c.head
	}
	if tail == c.head {
		tail += c.hdr.expressed(c.head, c.mask+1-c.head&c.mask)
	}
	if err := c.checkIndices(c.head, tail); err != nil {
		return err
	}
	c.tail = tail
	switch {
	case tail != c.head:
		return nil
	case state == isClosed:
		return ErrClosed
	}
	if err := c.usable(); err != nil {
		return err
	}
	return ErrEmpty
}

// Release gives the room of the message that Peek returned back to the producer. Without one it does nothing.
func (c *Consumer) Release() error {
	if c.size == closedHere {
		return ErrClosed
	}
	c.head += c.size
	c.untold += c.size
	c.size = 0
	c.flush()
	return c.usable()
}

// flush tells the producer how far the consumer is.
func (c *Consumer) flush() {
	if c.untold == 0 {
		return
	}
	c.untold = 0
	fault.Point("spsc.get.read")
	race.Release(&c.hdr.headIdx)
	cpu.StoreRelease64(&c.hdr.headIdx, c.head) // pairs with the load in Producer.look
	fault.Point("spsc.get.released")
	c.roomEvent.Notify(1)
}

// GetBatch waits for a message until ctx ends, then calls fn with it and with those that follow, in place, up to limit in
// all, and releases them together. It returns how many fn was called for. A process that dies in fn leaves the whole batch
// to its successor. An error of fn ends the batch after that message and is returned.
func (c *Consumer) GetBatch(ctx context.Context, limit int, fn func(msg []byte) error) (int, error) {
	if limit < 1 {
		return 0, fmt.Errorf("ringbuf: a batch of %d messages", limit)
	}
	n := 0
	_, err := c.Peek(ctx)
	for err == nil {
		var stop error
		if n, stop = c.deliver(n, limit, fn); stop != nil {
			c.flush()
			return n, stop
		}
		if n == limit || c.head == c.tail || c.size == closedHere { // do not poll for more than there was
			break
		}
		_, err = c.TryPeek() // what deliver has left: a skip, or nonsense
	}
	c.flush()
	if err == ErrEmpty && n > 0 { // only a skipped rest of a lap was left
		err = nil
	}
	if err == nil {
		err = c.usable()
	}
	return n, err
}

// All ranges over the messages, in place: each is valid until the loop goes on, and is released then. The loop ends after an
// error, which comes with a nil message; ErrClosed is not reported.
func (c *Consumer) All(ctx context.Context) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for {
			msg, err := c.Peek(ctx)
			if err == ErrClosed {
				return
			}
			if !yield(msg, err) || err != nil {
				c.Release()
				return
			}
			c.Release()
		}
	}
}

// Close says that nothing more will be taken: the producer's calls return ErrClosed from now on. The ring takes no
// other consumer.
func (c *Consumer) Close() error {
	if err := c.usable(); err != nil {
		return err
	}
	c.size = closedHere
	atomic.StoreUint32(&c.hdr.consumerState, isClosed)
	fault.Point("spsc.get.closed")
	c.roomEvent.Notify(-1)
	return nil
}
