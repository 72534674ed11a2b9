package ringbuf

import (
	"context"
	"sync/atomic"
	"unsafe"

	"github.com/fb2d3dbd/multiproc/internal/cpu"
	"github.com/fb2d3dbd/multiproc/internal/fault"
	"github.com/fb2d3dbd/multiproc/internal/race"
)

// put and get do the common case, a small message that fits or is there, in one piece and without a call: what must outlive a call stands in
// memory, and every store that waits behind one to the peer's line fills the store buffer. Everything else takes the long way.

// put puts msg. If wait is false it returns ErrFull instead of waiting for room.
func (p *Producer) put(ctx context.Context, msg []byte, wait bool) error {
	n := uint64(len(msg))
	size := (n + recordHead + 7) &^ 7
	if size > p.until-p.tail { // a distance: indices wrap
		return p.putSlow(ctx, msg, wait)
	}
	next := p.tail + size
	at := p.at(p.tail)
	*(*uint64)(at) = n
	if cpu.Ordered && n <= expressMax {
		copyWords(at, recordHead, unsafe.Pointer(unsafe.SliceData(msg)), 0, n)
	} else {
		cpu.Copy(unsafe.Slice((*byte)(at), recordHead+n)[recordHead:], msg) // not at+8: no pointer may stand behind the last byte
	}
	fault.Point("spsc.put.fast.written")
	// Not behind a skip that is still to be published: who finds the word must find the tail at its record.
	if p.near && n <= expressMax && p.published == p.tail {
		x := &p.hdr.express[p.turn&1]
		p.turn++
		// Backwards: the line that the consumer looks at is written last, and at one go.
		whole := n &^ 7
		for i := n; i > whole; {
			i--
			x.msg[i] = msg[i]
		}
		for i, from := whole, unsafe.Pointer(unsafe.SliceData(msg)); i > 0; {
			i -= 8
			*(*uint64)(unsafe.Pointer(&x.msg[i])) = *(*uint64)(unsafe.Add(from, i))
		}
		fault.Point("spsc.put.express.written")
		cpu.StoreRelease64(&x.word, expressWord(p.tail, n)) // commits too; pairs with the loads in getExpress and spscHeader.expressed
		fault.Point("spsc.put.express.published")
	}
	p.tail, p.published = next, next
	race.Release(&p.hdr.tail)
	cpu.StoreRelease64(&p.hdr.tail, next) // commits; pairs with the loads in get and Consumer.refresh
	fault.Point("spsc.put.fast.published")
	if atomic.LoadUint32(&p.hdr.data)&1|(atomic.LoadUint32(&p.hdr.consumerState)^isOpen) == 0 {
		return nil // nobody sleeps, and nobody has closed anything
	}
	return p.afterPublish()
}

// get appends the next message to buf and gives its room back. If wait is false it returns ErrEmpty instead of waiting for one.
func (c *Consumer) get(ctx context.Context, buf []byte, wait bool) ([]byte, error) {
	if c.size != 0 {
		return c.getSlow(ctx, buf, wait)
	}
	have := c.tail - c.head
	if have == 0 {
		if cpu.Ordered {
			out, ok := c.getExpress(buf)
			if !ok && wait && c.express && !c.polite && c.poll() { // the tail's line stays with the producer, which writes it next
				out, ok = c.getExpress(buf)
			}
			if ok {
				return out, c.released()
			}
		}
		tail := atomic.LoadUint64(&c.hdr.tail) // pairs with the release stores of the producer
		if have = tail - c.head; have-1 > c.mask || have&7 != 0 {
			return c.getSlow(ctx, buf, wait) // nothing there, or nonsense
		}
		race.Acquire(&c.hdr.tail)
		c.tail, c.express = tail, false
	}
	at := c.at(c.head)
	n := atomic.LoadUint64((*uint64)(at)) // read once, then checked
	size := (n + recordHead + 7) &^ 7
	if n > c.mask || size > have || size > c.mask+1-c.head&c.mask {
		return c.getSlow(ctx, buf, wait)
	}
	if old := uint64(len(buf)); cpu.Ordered && n <= expressMax && n <= uint64(cap(buf))-old {
		copyOut(unsafe.Pointer(unsafe.SliceData(buf)), old, at, recordHead, n)
		buf = buf[:old+n]
	} else {
		buf = appendMessage(buf, unsafe.Slice((*byte)(at), recordHead+n)[recordHead:])
	}
	c.head += size
	c.taken = c.head
	fault.Point("spsc.get.fast.read")
	race.Release(&c.hdr.headIdx)
	cpu.StoreRelease64(&c.hdr.headIdx, c.head) // pairs with the load in Producer.look
	fault.Point("spsc.get.fast.released")
	if atomic.LoadUint32(&c.hdr.room)&1|(atomic.LoadUint32(&c.hdr.producerState)^isOpen) == 0 {
		return buf, nil
	}
	return buf, c.released()
}

// getExpress appends the next message to buf from the express that has it, if one has, and gives its room in the ring back.
func (c *Consumer) getExpress(buf []byte) ([]byte, bool) {
	x := &c.hdr.express[c.next&1]
	w := atomic.LoadUint64(&x.word) // read once, then checked; pairs with the release store in put
	if !isAt(w, c.head) {
		x = &c.hdr.express[^c.next&1]
		if w = atomic.LoadUint64(&x.word); !isAt(w, c.head) {
			return buf, false
		}
		c.next++
	}
	n := w & expressSizes >> 1
	size := (n + recordHead + 7) &^ 7
	if n > expressMax || size > c.mask+1-c.head&c.mask {
		return buf, false
	}
	out := buf
	if old := uint64(len(buf)); n <= uint64(cap(buf))-old {
		copyOut(unsafe.Pointer(unsafe.SliceData(buf)), old, unsafe.Pointer(x), 8, n)
		out = buf[:old+n]
	} else {
		out = append(buf, x.msg[:n]...)
	}
	fault.Point("spsc.get.express.read")
	if isLater(atomic.LoadUint64(&c.hdr.express[^c.next&1].word), c.head) {
		return buf, false // it may have been written over; the ring has it
	}
	c.next++
	c.express = true
	c.head += size
	c.tail, c.taken = c.head, c.head
	fault.Point("spsc.get.express.checked")
	cpu.StoreRelease64(&c.hdr.headIdx, c.head) // pairs with the load in Producer.look
	fault.Point("spsc.get.express.released")
	return out, true
}

// copyWords copies n bytes from src+j to dst+i by words. They can come out of the store buffer, where a message that was just made or received may
// still be; what is copied by larger pieces has to wait until it has left it.
func copyWords(dst unsafe.Pointer, i uint64, src unsafe.Pointer, j, n uint64) {
	for ; n >= 8; n -= 8 {
		*(*uint64)(unsafe.Add(dst, i)) = *(*uint64)(unsafe.Add(src, j))
		i, j = i+8, j+8
	}
	for ; n > 0; n-- {
		*(*byte)(unsafe.Add(dst, i)) = *(*byte)(unsafe.Add(src, j))
		i, j = i+1, j+1
	}
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

// copyOut copies n bytes from src+j to dst+i.
func copyOut(dst unsafe.Pointer, i uint64, src unsafe.Pointer, j, n uint64) {
	for ; n >= 16; n -= 16 {
		*(*[16]byte)(unsafe.Add(dst, i)) = *(*[16]byte)(unsafe.Add(src, j))
		i, j = i+16, j+16
	}
	if n >= 8 {
		*(*uint64)(unsafe.Add(dst, i)) = *(*uint64)(unsafe.Add(src, j))
		i, j, n = i+8, j+8, n-8
	}
	for ; n > 0; n-- {
		*(*byte)(unsafe.Add(dst, i)) = *(*byte)(unsafe.Add(src, j))
		i, j = i+1, j+1
	}
}
