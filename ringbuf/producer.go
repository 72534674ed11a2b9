package ringbuf

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/fb2d3dbd/multiproc/internal/cpu"
	"github.com/fb2d3dbd/multiproc/internal/fault"
	"github.com/fb2d3dbd/multiproc/internal/race"
)

// A Producer puts messages into an [SPSC]. One goroutine at a time may use it.
type Producer struct {
	_ [cpu.CacheLine]byte // goroutines of one process: the other side's own state is on other lines
	ring
	tail     uint64 // where the next record goes
	pending  uint64 // bytes before it that the consumer has not been told of; none when a call begins that may use the room up to until
	head     uint64 // the consumer's index when last looked at: it can only have moved on
	until    uint64 // up to here a record at tail is in one piece and in free room; never before tail
	reserved int    // bytes of the open reservation
	open     bool   // there is a reservation
	near     bool   // the consumer had taken everything when last looked at
	turn     uint64 // which express is to be written next
	lookAt   uint64 // where to look at the consumer again
	fetchAt  uint64 // where to ask for lines again
	_        [cpu.CacheLine]byte
}

const (
	fetchEvery = 512            // bytes
	fetchAhead = 2 * fetchEvery // a put that is a little late must not find what it needs still on its way
)

// Put copies msg into the ring, waiting for room until ctx ends. When it returns nil the message will be delivered,
// whatever happens to this process. ErrTooLarge, ErrClosed (the consumer closed) and ErrPeerDied (it died) say that it was not put.
func (p *Producer) Put(ctx context.Context, msg []byte) error { return p.put(ctx, msg, true) }

// TryPut copies msg into the ring, or returns ErrFull.
func (p *Producer) TryPut(msg []byte) error { return p.put(context.Background(), msg, false) }

// putSlow is put in the long way.
func (p *Producer) putSlow(ctx context.Context, msg []byte, wait bool) error {
	if recordSize(len(msg)) > p.until-p.tail {
		_, err := p.place(len(msg))
		if err != nil {
			p.flush() // a skip may be pending
		}
		if err == ErrFull && wait {
			err = p.waitRoom(ctx, len(msg))
		}
		if err != nil {
			return err
		}
		// Not behind a skip that is still to be published: who finds an express must find the tail at its record.
		if cpu.Ordered && len(msg) <= expressMax && p.pending == 0 {
			return p.put(ctx, msg, false) // place has found the room
		}
	}
	return p.putWhole(msg)
}

// fetch asks for the lines that come next, after a put that ended at tail. The consumer has read them a lap ago, and each would be waited for at the first store to
// it, with all that follows; no further than the room that is known to be free, since beyond the consumer may be reading.
func (p *Producer) fetch(tail uint64) {
	p.fetchAt = tail + fetchEvery
	if n := p.until - tail; n > 0 {
		cpu.FetchForStore((*byte)(p.at(tail)), min(n, fetchAhead))
	}
}

// afterPublish does what remains after a publication: to wake the consumer, and to say what has become of it.
func (p *Producer) afterPublish() error {
	if atomic.LoadUint32(&p.hdr.data)&1|(atomic.LoadUint32(&p.hdr.consumerState)^isOpen) == 0 {
		return nil // nobody sleeps, and nobody has closed anything
	}
	p.dataEvent.Notify(1)
	if err := p.usable(); err != nil {
		return err
	}
	if atomic.LoadUint32(&p.hdr.consumerState) == isClosed {
		return ErrClosed // nobody will take the message
	}
	return nil
}

// Reserve returns n bytes of the ring to be written in place, waiting for room until ctx ends. Commit publishes them; until then
// nobody sees them. A second Reserve drops the first.
func (p *Producer) Reserve(ctx context.Context, n int) ([]byte, error) {
	buf, err := p.TryReserve(n)
	if err != ErrFull {
		return buf, err
	}
	if err := p.waitRoom(ctx, n); err != nil {
		return nil, err
	}
	return p.TryReserve(n)
}

// TryReserve returns n bytes of the ring to be written in place, or ErrFull.
func (p *Producer) TryReserve(n int) ([]byte, error) {
	buf, err := p.place(n)
	if err != nil {
		p.flush() // a skip may be pending, and what a batch has written
		return nil, err
	}
	p.reserved, p.open, p.until = n, true, p.tail // a put goes through place, which drops what is reserved
	return buf, p.usable()
}

// place finds room for a message of n bytes at the tail, in one piece. Where the rest of the lap is too short it is skipped.
func (p *Producer) place(n int) ([]byte, error) {
	p.open = false                       // what was reserved is dropped: its room is given away here, or skipped
	if uint64(n) > p.mask+1-recordHead { // a negative n too
		return nil, fmt.Errorf("ringbuf: message %w: %d bytes; the ring takes up to %d", ErrTooLarge, n, p.mask+1-recordHead)
	}
	if atomic.LoadUint32(&p.hdr.consumerState) == isClosed || atomic.LoadUint32(&p.hdr.producerState) == isClosed {
		return nil, ErrClosed
	}
	need := recordSize(n)
	if rest := p.mask + 1 - p.tail&p.mask; need > rest {
		if ok, err := p.fits(rest); !ok {
			return nil, err
		}
		*p.length(p.tail) = skipMark
		fault.Point("spsc.put.skipped")
		p.tail += rest
		p.pending += rest
		p.until = p.tail
	}
	if ok, err := p.fits(need); !ok {
		return nil, err
	}
	if int64(p.tail+need-p.lookAt) > 0 {
		if err := p.look(); err != nil {
			return nil, err
		}
		p.lookAt += need
	}
	p.until = p.tail + min(p.head+p.mask+1-p.tail, p.mask+1-p.tail&p.mask, p.lookAt-p.tail) // indices wrap: only distances compare
	return p.payload(p.tail, n), nil
}

// fits reports whether need bytes are free; if not, it says ErrFull, or ErrCorrupt.
func (p *Producer) fits(need uint64) (bool, error) {
	size := p.mask + 1
	if size-(p.tail-p.head) >= need {
		return true, nil
	}
	if err := p.look(); err != nil {
		return false, err
	}
	if size-(p.tail-p.head) >= need {
		return true, nil
	}
	return false, ErrFull
}

// look looks how far the consumer is. One that has taken everything waits, or will soon.
func (p *Producer) look() error {
	head := atomic.LoadUint64(&p.hdr.headIdx) // pairs with the consumer's release store: its reads are over
	race.Acquire(&p.hdr.headIdx)
	if err := p.checkIndices(head, p.tail); err != nil {
		return err
	}
	if head-p.head > p.tail-p.head { // room that is gone is nobody's: what is put there goes over what is behind it
		if err := p.usable(); err != nil { // the zeros of a closed segment
			return err
		}
		return fmt.Errorf("ringbuf: %w: the consumer's index went back from %#x to %#x", ErrCorrupt, p.head, head)
	}
	p.head = head
	p.near = cpu.Ordered && head == p.tail-p.pending
	p.lookAt = p.tail + lookEvery
	return nil
}

// Commit publishes the first n bytes of what Reserve returned as one message.
func (p *Producer) Commit(n int) error {
	if !p.open || n < 0 || n > p.reserved {
		return fmt.Errorf("ringbuf: Commit of %d bytes without a Reserve of as many", n)
	}
	p.open = false
	p.append(n)
	p.flush()
	return p.usable()
}

// append makes the n bytes written after the tail a record, still unpublished.
func (p *Producer) append(n int) {
	fault.Point("spsc.put.copied")
	*p.length(p.tail) = uint64(n)
	p.tail += recordSize(n)
	p.pending += recordSize(n)
	p.until = p.tail
}

// flush publishes all records up to the tail.
func (p *Producer) flush() {
	if p.pending == 0 {
		return
	}
	p.pending = 0
	fault.Point("spsc.put.written")
	race.Release(&p.hdr.tail)
	cpu.StoreRelease64(&p.hdr.tail, p.tail) // commits; pairs with the load in Consumer.refresh
	fault.Point("spsc.put.published")
	p.dataEvent.Notify(1)
}

// PutBatch puts messages in order, publishing as many as there is room for at a time, and waits for room until ctx ends. It
// returns how many it put; err says why not all.
func (p *Producer) PutBatch(ctx context.Context, msgs [][]byte) (int, error) {
	for i := p.appendBatch(msgs); i < len(msgs); i += p.appendBatch(msgs[i:]) {
		n := len(msgs[i])
		_, err := p.place(n)
		if err == nil {
			continue // there is room for this one at least
		}
		p.flush()
		if err == ErrFull {
			err = p.waitRoom(ctx, n)
		}
		if err != nil {
			return i, err
		}
	}
	p.flush()
	return len(msgs), p.usable()
}

// waitRoom waits until a message of n bytes fits.
func (p *Producer) waitRoom(ctx context.Context, n int) error {
	return p.roomEvent.AwaitPeers(ctx, func() (bool, error) {
		if err := p.usable(); err != nil {
			return false, err
		}
		_, err := p.place(n)
		p.flush()
		if err == ErrFull {
			return false, nil
		}
		return err == nil, err
	}, func() error {
		if p.dead(&p.hdr.consumer) {
			return ErrPeerDied
		}
		return nil
	}, p.who, p.peer(&p.hdr.consumer))
}

// Close ends the stream: the consumer gets what was put, then ErrClosed. The ring takes no other producer.
func (p *Producer) Close() error {
	if err := p.usable(); err != nil {
		return err
	}
	p.open, p.until = false, p.tail
	atomic.StoreUint32(&p.hdr.producerState, isClosed)
	fault.Point("spsc.put.closed")
	p.dataEvent.Notify(-1)
	return nil
}
