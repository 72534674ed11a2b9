package ringbuf

import (
	"sync/atomic"
	"unsafe"

	"github.com/fb2d3dbd/multiproc/internal/cpu"
	"github.com/fb2d3dbd/multiproc/internal/fault"
)

// appendBatch and deliver do the common case of a batch in one loop, as put and get do it of a message. They commit nothing: that is for flush, once.

// appendBatch makes records of the first of msgs, up to one that is not known to fit, and returns of how many. They are unpublished.
func (p *Producer) appendBatch(msgs [][]byte) int {
	tail := p.tail
	for i, msg := range msgs {
		n := uint64(len(msg))
		size := (n + recordHead + 7) &^ 7
		if size > p.until-tail { // a distance: indices wrap
			p.pending += tail - p.tail
			p.tail = tail
			return i
		}
		if int64(tail+size-p.fetchAt) > 0 {
			p.fetch(tail)
		}
		at := p.at(tail)
		*(*uint64)(at) = n
		if cpu.Ordered && n <= expressMax {
			copyOut(at, recordHead, unsafe.Pointer(unsafe.SliceData(msg)), 0, n) // made a batch ago: it is no longer in the store buffer
		} else {
			cpu.Copy(unsafe.Slice((*byte)(at), recordHead+n)[recordHead:], msg)
		}
		fault.Point("spsc.put.copied")
		tail += size
	}
	p.pending += tail - p.tail
	p.tail = tail
	return len(msgs)
}

// deliver calls fn with the messages that are known to be there, in place, until there were limit in all; n were before. The first may have been peeked at.
func (c *Consumer) deliver(n, limit int, fn func(msg []byte) error) (int, error) {
	if c.size > closedHere {
		n++
		if err := c.hand(c.payload(c.head, int(c.length0)), fn); err != nil {
			return n, err
		}
	}
	for n < limit && c.head != c.tail && c.size == 0 {
		length := atomic.LoadUint64(c.length(c.head)) // read once, then checked
		if length != c.length0 {                      // as in get
			c.length0, c.size0 = length, (length+recordHead+7)&^7
		}
		size := c.size0
		if length > c.mask || size > c.tail-c.head || size > c.mask+1-c.head&c.mask {
			break
		}
		if atomic.LoadUint32(&c.hdr.producerState) == 0 { // after the length: it may be one of the zeros of a closed segment
			break
		}
		c.size = size
		n++
		if err := c.hand(c.payload(c.head, int(length)), fn); err != nil {
			return n, err
		}
	}
	return n, nil
}

// hand calls fn with msg, which was peeked at and is done with then; it stays if fn panics.
func (c *Consumer) hand(msg []byte, fn func(msg []byte) error) error {
	err := fn(msg)
	if c.size != closedHere { // fn may have closed the ring
		c.head += c.size
		c.untold += c.size
		c.size = 0
	}
	return err
}
