package ringbuf

import (
	"context"
	"sync/atomic"
	"unsafe"

	"github.com/fb2d3dbd/multiproc/internal/cpu"
	"github.com/fb2d3dbd/multiproc/internal/fault"
	"github.com/fb2d3dbd/multiproc/internal/race"
)

// put and get do the common case, a small message that fits or is there, in one piece and without a call. What has to outlive a call stands in memory, and every
// store that waits behind one to the peer's line fills the store buffer, which is what a ring between CPUs waits for. So a call is only the last thing that they
// do: whatever is not common is left to it.

// put puts msg. If wait is false it returns ErrFull instead of waiting for room.
func (p *Producer) put(ctx context.Context, msg []byte, wait bool) error {
	n := uint64(len(msg))
	size := (n + recordHead + 7) &^ 7
	tail := p.tail
	if !cpu.Ordered || n > expressMax || size > p.until-tail { // a distance: indices wrap
		return p.putSlow(ctx, msg, wait)
	}
	h, next := p.hdr, tail+size
	at := p.at(tail)
	*(*uint64)(at) = n
	// By words, which can come out of the store buffer, where a message that was just made may still be; what is copied by larger pieces has to wait until it has
	// left it.
	from, i, left := unsafe.Pointer(unsafe.SliceData(msg)), uint64(0), n
	for ; left >= 32; left -= 32 {
		d, s := (*[4]uint64)(unsafe.Add(at, recordHead+i)), (*[4]uint64)(unsafe.Add(from, i))
		d[0] = s[0]
		d[1] = s[1]
		d[2] = s[2]
		d[3] = s[3]
		i += 32
	}
	for ; left >= 8; left -= 8 {
		*(*uint64)(unsafe.Add(at, recordHead+i)) = *(*uint64)(unsafe.Add(from, i))
		i += 8
	}
	for ; left > 0; left-- {
		*(*byte)(unsafe.Add(at, recordHead+i)) = *(*byte)(unsafe.Add(from, i))
		i++
	}
	fault.Point("spsc.put.fast.written")
	if p.near {
		x := &h.express[p.turn&1]
		p.turn++
		// Backwards: the line that the consumer looks at is written last, and at one go.
		whole := n &^ 7
		for i := n; i > whole; {
			i--
			x.msg[i] = msg[i]
		}
		for i := whole; i > 0; {
			i -= 8
			*(*uint64)(unsafe.Pointer(&x.msg[i])) = *(*uint64)(unsafe.Add(from, i))
		}
		fault.Point("spsc.put.express.written")
		cpu.StoreRelease64(&x.word, expressWord(tail, n)) // commits too; pairs with the loads in getExpress and spscHeader.expressed
		fault.Point("spsc.put.express.published")
	}
	p.tail = next
	race.Release(&h.tail)
	cpu.StoreRelease64(&h.tail, next) // commits; pairs with the loads in Consumer.arrivals and refresh
	fault.Point("spsc.put.fast.published")
	if atomic.LoadUint32(&h.data)&1|(atomic.LoadUint32(&h.consumerState)^isOpen) != 0 { // somebody sleeps, or has closed something
		return p.afterPublish()
	}
	if int64(next-p.fetchAt) > 0 {
		p.fetch(next)
	}
	return nil
}

// get appends the next message to buf and gives its room back. If wait is false it returns ErrEmpty instead of waiting for one.
func (c *Consumer) get(ctx context.Context, buf []byte, wait bool) ([]byte, error) {
	if !cpu.Ordered || c.size != 0 {
		return c.getSlow(ctx, buf, wait)
	}
	h, head := c.hdr, c.head
	have := c.tail - head
	if have == 0 && c.polite { // else the next may come by an express
		have = c.arrivals()
	}
	if have == 0 {
		return c.getSlow(ctx, buf, wait)
	}
	at := c.at(head)
	n := atomic.LoadUint64((*uint64)(at)) // read once, then checked
	// Where the next record is must not wait for this line to come: while the lengths are the same it does not depend on it.
	if n != c.length0 {
		c.length0, c.size0 = n, (n+recordHead+7)&^7
	}
	size, old := c.size0, uint64(len(buf))
	if n > expressMax || size > have || size > c.mask+1-head&c.mask || n > uint64(cap(buf))-old {
		return c.getSlow(ctx, buf, wait)
	}
	copyOut(unsafe.Pointer(unsafe.SliceData(buf)), old, at, recordHead, n)
	head += size
	c.head = head
	fault.Point("spsc.get.fast.read")
	race.Release(&h.headIdx)
	cpu.StoreRelease64(&h.headIdx, head) // pairs with the load in Producer.look
	fault.Point("spsc.get.fast.released")
	if atomic.LoadUint32(&h.room)&1|(atomic.LoadUint32(&h.producerState)^isOpen) == 0 {
		return buf[:old+n], nil
	}
	return buf[:old+n], c.released()
}

// putWhole puts msg, of any size, where it is known to fit.
func (p *Producer) putWhole(msg []byte) error {
	n := uint64(len(msg))
	at := p.at(p.tail)
	*(*uint64)(at) = n
	cpu.Copy(unsafe.Slice((*byte)(at), recordHead+n)[recordHead:], msg) // not at+8: no pointer may stand behind the last byte
	p.tail += recordSize(len(msg))
	p.pending = 0
	fault.Point("spsc.put.whole.written")
	race.Release(&p.hdr.tail)
	cpu.StoreRelease64(&p.hdr.tail, p.tail) // commits; pairs with the loads in arrivals and refresh
	fault.Point("spsc.put.whole.published")
	if int64(p.tail-p.fetchAt) > 0 {
		p.fetch(p.tail)
	}
	return p.afterPublish()
}

// getWhole appends the next message, of any size, to buf and gives its room back. It reports false if there is none that it knows of, or it can be none.
func (c *Consumer) getWhole(buf []byte) ([]byte, bool) {
	at := c.at(c.head)
	have, rest := c.tail-c.head, c.mask+1-c.head&c.mask
	if have == 0 || c.size != 0 {
		return buf, false
	}
	n := atomic.LoadUint64((*uint64)(at)) // read once, then checked
	size := (n + recordHead + 7) &^ 7
	if n > c.mask || size > min(have, rest) {
		return buf, false
	}
	buf = appendMessage(buf, unsafe.Slice((*byte)(at), recordHead+n)[recordHead:])
	c.head += size
	c.untold = 0
	fault.Point("spsc.get.whole.read")
	race.Release(&c.hdr.headIdx)
	cpu.StoreRelease64(&c.hdr.headIdx, c.head) // pairs with the load in Producer.look
	fault.Point("spsc.get.whole.released")
	return buf, true
}

// arrivals looks at the producer's index, of a ring that was empty, and returns the bytes that have come. Nonsense is none: the long way says so.
func (c *Consumer) arrivals() uint64 {
	tail := atomic.LoadUint64(&c.hdr.tail) // pairs with the release stores of the producer
	have := tail - c.head
	if have-1 > c.mask || have&7 != 0 {
		return 0
	}
	race.Acquire(&c.hdr.tail)
	c.tail, c.express = tail, false
	return have
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
	c.tail = c.head
	fault.Point("spsc.get.express.checked")
	cpu.StoreRelease64(&c.hdr.headIdx, c.head) // pairs with the load in Producer.look
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
