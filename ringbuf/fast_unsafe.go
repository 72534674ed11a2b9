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
	fault.Point("spsc.put.fast.written")
	// Not behind a skip that is still to be published: who finds the word must find the tail at its record.
	if p.near && n <= expressMax && p.published == p.tail {
		x := &p.hdr.express[p.turn&1]
		p.turn++
		// Backwards: the line that the consumer looks at is written last, and at one go. By words, because they can come out of the store
		// buffer, where a message that was just received may still be.
		whole := n &^ 7
		if whole < n {
			copy(x.msg[whole:n], msg[whole:])
		}
		for i, from := whole, unsafe.Pointer(unsafe.SliceData(msg)); i > 0; {
			i -= 8
			*(*uint64)(unsafe.Pointer(&x.msg[i])) = *(*uint64)(unsafe.Add(from, i))
		}
		fault.Point("spsc.put.express.written")
		cpu.StoreRelease64(&x.word, expressWord(p.tail, n)) // commits too; pairs with the loads in getFast and spscHeader.expressed
		fault.Point("spsc.put.express.published")
	}
	p.tail, p.published, p.open = next, next, false
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
		if cpu.Ordered {
			x := &c.hdr.express
			if !isAt(atomic.LoadUint64(&x[c.next&1].word), c.head) { // these loads pair with the release store in putFast
				c.next++
			}
			if isAt(atomic.LoadUint64(&x[c.next&1].word), c.head) {
				if out, ok := c.getExpress(buf); ok {
					return out, true
				}
			} else {
				c.next++
			}
		}
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

// getExpress appends the next message to buf from the express that c.next names, if it is there, and gives its room in the ring back.
func (c *Consumer) getExpress(buf []byte) ([]byte, bool) {
	x := &c.hdr.express[c.next&1]
	w := atomic.LoadUint64(&x.word) // read once, then checked
	n := w & expressSizes >> 1
	size := (n + recordHead + 7) &^ 7
	if !isAt(w, c.head) || n > expressMax || size > c.mask+1-c.head&c.mask {
		return buf, false
	}
	out := append(buf, x.msg[:n]...)
	fault.Point("spsc.get.express.read")
	if isLater(atomic.LoadUint64(&c.hdr.express[^c.next&1].word), c.head) {
		return buf, false // it may have been written over; the ring has it
	}
	c.next++
	c.head += size
	c.tail, c.taken = c.head, c.head
	fault.Point("spsc.get.express.checked")
	cpu.StoreRelease64(&c.hdr.headIdx, c.head) // pairs with the load in Producer.fits
	fault.Point("spsc.get.express.released")
	return out, true
}

// arrived is a short look whether there may be another message.
func (c *Consumer) arrived() bool {
	h := c.hdr
	if cpu.Ordered {
		for i := range h.express {
			if isAt(atomic.LoadUint64(&h.express[i].word), c.head) {
				c.next = uint64(i)
				return true
			}
		}
	}
	return int64(atomic.LoadUint64(&h.tail)-c.head) > 0
}
