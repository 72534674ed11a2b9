package ringbuf

import (
	"math"
	"sync/atomic"
	"unsafe"

	"github.com/fb2d3dbd/multiproc/internal/cpu"
	"github.com/fb2d3dbd/multiproc/internal/fault"
	"github.com/fb2d3dbd/multiproc/internal/race"
)

const (
	fetchSlots = 4       // at a time
	fetchBytes = 1 << 10 // at most: of large slots, which copying asks for as it goes, the first
)

const maxInline = math.MaxInt32 // more than any stride

// putFast and getFast do the common case of a put and a get in one piece: a message that fits into its slot, the slot beside
// the cell free, nobody in between. They are the long way's steps in its order; whatever is not common is left to it.

// fast says how a fast call ended.
type fast int

const (
	notDone fast = iota // nothing has changed
	allDone
	wakeUp  // done; somebody may sleep, or the memory was closed meanwhile
	damaged // taken, and what stands there can be no message
)

// putFast puts msg.
func (q *MPMC) putFast(msg []byte) fast {
	me := q.me.Load()
	n := uint64(len(msg))
	if me>>myFlags&(hasPut|noPut) != hasPut || n > q.stride-slotHead || atomic.LoadUint32(&q.hdr.state) != isOpen || q.forked() {
		return notDone
	}
	t := atomic.LoadUint64(&q.hdr.tail)
	i := t & q.idxMask
	if i >= q.n || t&^q.posMask != 0 {
		return notDone
	}
	slot := unsafe.Add(q.slot0, i*q.stride)
	c, w := (*uint64)(slot), (*uint64)(unsafe.Add(slot, 8))
	e := cell(atomic.LoadUint64(c))
	lap := q.lap(t)
	if e.lap() != lap || e.owner() == full || atomic.LoadUint64(w) != 0 {
		return notDone
	}
	id := me & (1<<ownerBits - 1)
	if !atomic.CompareAndSwapUint64(w, 0, uint64(makeWord(stateOwn, id, 0))) { // pairs with the release of its last holder
		return notDone
	}
	race.Acquire(w)
	fault.Point("mpmc.fast.claimed")
	*(*uint64)(unsafe.Add(slot, 16)) = deliveryOne | n
	copy((*[maxInline]byte)(unsafe.Add(slot, slotHead))[:n], msg)
	fault.Point("mpmc.fast.written")
	// The position has to be read while the slot is owned: this is when it is.
	if e.slot() != i && e.owner() != 0 || atomic.LoadUint64(c) != uint64(e) {
		return q.publishFast(identity{uint32(me >> myToken), id}, i)
	}
	cpu.StoreRelease64(w, uint64(makeWord(statePub, id, t)))
	fault.Point("mpmc.fast.announced")
	race.Release(c)
	if !atomic.CompareAndSwapUint64(c, uint64(e), uint64(makeCell(lap, full, i))) { // the put; pairs with the loads in take and getFast
		return q.publishFast(identity{uint32(me >> myToken), id}, i)
	}
	fault.Point("mpmc.fast.published")
	cpu.StoreRelease64(&q.hdr.tail, q.next(t))
	fault.Point("mpmc.fast.hinted")
	if t&(fetchSlots-1) == 0 {
		q.fetch(i + 2*fetchSlots)
	}
	// In memory that was closed here meanwhile the state is 0. It is read last: what came before it was done to the memory that is shared.
	if atomic.LoadUint32(&q.hdr.data)&1 == 0 && atomic.LoadUint32(&q.hdr.state) == isOpen {
		return allDone
	}
	return wakeUp
}

// fetch asks for the lines of some slots from i on, which who took their messages a lap ago still has. Where the queue is nearly full that takes them from who is
// about to read them; then it is this side that waits for the other, and not for lines.
func (q *MPMC) fetch(i uint64) {
	if i >= q.n {
		i -= q.n
	}
	if i+fetchSlots <= q.n && q.n >= 4*fetchSlots {
		cpu.FetchForStore((*byte)(unsafe.Add(q.slot0, i*q.stride)), min(fetchSlots*q.stride, fetchBytes))
	}
}

// publishFast puts what putFast has written, in the long way.
func (q *MPMC) publishFast(me identity, k uint64) fast {
	if q.publish(me, k) != nil {
		q.release(me, k)
		return notDone // the long way will find out why
	}
	return wakeUp
}

// getFast takes the next message and appends it to buf.
func (q *MPMC) getFast(buf []byte) ([]byte, fast) {
	me := q.me.Load()
	if me>>myFlags&(hasGot|noGet) != hasGot || atomic.LoadUint32(&q.hdr.gen) != q.seen.Load() || q.forked() {
		return buf, notDone
	}
	h := atomic.LoadUint64(&q.hdr.headPos)
	i := h & q.idxMask
	if i >= q.n || h&^q.posMask != 0 {
		return buf, notDone
	}
	c := (*uint64)(unsafe.Add(q.slot0, i*q.stride))
	e := cell(atomic.LoadUint64(c)) // pairs with the compare-and-swap of the put
	k := e.slot()
	if e.lap() != q.lap(h) || e.owner() != full || k >= q.slots {
		return buf, notDone
	}
	slot := unsafe.Add(q.slot0, k*q.stride)
	id := me & (1<<ownerBits - 1)
	if !atomic.CompareAndSwapUint64(c, uint64(e), uint64(makeCell((e.lap()+1)&q.lapMask, id, k))) { // the get
		return buf, notDone
	}
	race.Acquire(c)
	fault.Point("mpmc.fast.taken")
	cpu.StoreRelease64(&q.hdr.headPos, q.next(h))
	fault.Point("mpmc.fast.head")
	n := atomic.LoadUint64((*uint64)(unsafe.Add(slot, 16))) // read once, then checked
	if n&(largeFlag|outsideFlag) != 0 || n&lengthMask > q.stride-slotHead {
		return q.getRest(identity{uint32(me >> myToken), id}, k, h, buf)
	}
	n &= lengthMask
	buf = append(buf, (*[maxInline]byte)(unsafe.Add(slot, slotHead))[:n]...)
	w := (*uint64)(unsafe.Add(slot, 8))
	fault.Point("mpmc.fast.read")
	race.Release(w)
	cpu.StoreRelease64(w, 0) // pairs with the compare-and-swap of who claims the slot
	fault.Point("mpmc.fast.released")
	if atomic.LoadUint64(q.hdr.waiting())&(1|1<<32) == 0 && atomic.LoadUint32(&q.hdr.state) != 0 { // pairs with the barrier of those who are about to sleep
		return buf, allDone
	}
	return buf, wakeUp
}

// getRest reads a message that getFast has taken and that is a large one, or damaged.
func (q *MPMC) getRest(me identity, k, p uint64, buf []byte) ([]byte, fast) {
	h, err := q.open(me, k, p)
	if err != nil {
		return buf, damaged
	}
	buf = appendMessage(buf, h.msg)
	q.release(me, k)
	return buf, wakeUp
}
