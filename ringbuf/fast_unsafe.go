package ringbuf

import (
	"sync/atomic"
	"unsafe"

	"github.com/fb2d3dbd/multiproc/internal/cpu"
	"github.com/fb2d3dbd/multiproc/internal/fault"
	"github.com/fb2d3dbd/multiproc/internal/race"
)

// putFast and getFast do the common case of a put and a get, a message that fits or is there, in one piece and without a
// call that Go does not inline but the copy. Everything else takes the long way.

// putFast publishes msg if there is known to be room for it at the tail.
func (p *Producer) putFast(msg []byte) bool {
	n := uint64(len(msg))
	size := (n + recordHead + 7) &^ 7
	if size > p.until-p.tail { // a distance: indices wrap
		return false
	}
	next := p.tail + size
	at := p.at(p.tail)
	*(*uint64)(at) = n
	copy(unsafe.Slice((*byte)(at), recordHead+n)[recordHead:], msg) // not at+8: no pointer may stand behind the last byte
	p.tail, p.published, p.open = next, next, false
	fault.Point("spsc.put.fast.written")
	race.Release(&p.hdr.tail)
	cpu.StoreRelease64(&p.hdr.tail, next) // commits; pairs with the loads in getFast and Consumer.refresh
	fault.Point("spsc.put.fast.published")
	return true
}

// getFast appends the next message to buf and gives its room back, if it is there, in one piece.
func (c *Consumer) getFast(buf []byte) ([]byte, bool) {
	if c.size != 0 {
		return buf, false
	}
	have := c.tail - c.head
	if have == 0 {
		tail := atomic.LoadUint64(&c.hdr.tail) // pairs with the release stores of the producer
		if have = tail - c.head; have-1 > c.mask || have&7 != 0 {
			return buf, false // nothing there, or nonsense
		}
		race.Acquire(&c.hdr.tail)
		c.tail = tail
	}
	at := c.at(c.head)
	n := atomic.LoadUint64((*uint64)(at)) // read once, then checked
	size := (n + recordHead + 7) &^ 7
	if n > c.mask || size > have || size > c.mask+1-c.head&c.mask {
		return buf, false
	}
	buf = append(buf, unsafe.Slice((*byte)(at), recordHead+n)[recordHead:]...)
	c.head += size
	c.taken = c.head
	fault.Point("spsc.get.fast.read")
	race.Release(&c.hdr.headIdx)
	cpu.StoreRelease64(&c.hdr.headIdx, c.head) // pairs with the load in Producer.fits
	fault.Point("spsc.get.fast.released")
	return buf, true
}
