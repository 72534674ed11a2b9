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
			p.tail = tail
			return i
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
	p.tail = tail
	return len(msgs)
}

// deliver calls fn with the messages that are known to be there, in place, until there were limit in all; n were before. The first may have been peeked at.
func (c *Consumer) deliver(n, limit int, fn func(msg []byte) error) (int, error) {
	if c.size > closedHere {
		n++
		if err := c.hand(fn); err != nil {
			return n, err
		}
	}
	for n < limit && c.head != c.tail && c.size == 0 {
		length := atomic.LoadUint64(c.length(c.head)) // read once, then checked
		size := (length + recordHead + 7) &^ 7
		if length > c.mask || size > c.tail-c.head || size > c.mask+1-c.head&c.mask {
			break
		}
		if atomic.LoadUint32(&c.hdr.producerState) == 0 { // after the length: it may be one of the zeros of a closed segment
			break
		}
		c.size, c.msg = size, c.payload(c.head, int(length))
		n++
		if err := c.hand(fn); err != nil {
			return n, err
		}
	}
	return n, nil
}

// hand calls fn with the message that was peeked at, which is done with then; it stays if fn panics.
func (c *Consumer) hand(fn func(msg []byte) error) error {
	err := fn(c.msg)
	if c.size != closedHere { // fn may have closed the ring
		c.head += c.size
		c.size, c.msg = 0, nil
	}
	return err
}
