package ringbuf

import (
	"fmt"
	"sync/atomic"
)

// What the tests of this package's users cannot have: the words of the header, to start a ring where no test would get by
// putting, and to damage it.

// SetIndices moves an unused ring to a place in the life of a long one. It must have no producer and no consumer yet.
func SetIndices(s *SPSC, head, tail uint64) {
	atomic.StoreUint64(&s.hdr.headIdx, head)
	atomic.StoreUint64(&s.hdr.tail, tail)
}

// Indices returns what the consumer and the producer have published.
func Indices(s *SPSC) (head, tail uint64) {
	return atomic.LoadUint64(&s.hdr.headIdx), atomic.LoadUint64(&s.hdr.tail)
}

// SetLength overwrites the length word of the record at index i.
func SetLength(s *SPSC, i, v uint64) {
	r, err := newRing(s.mem, s.hdr, s.capacity, s.who)
	if err != nil {
		panic(err)
	}
	atomic.StoreUint64(r.length(i), v)
}

// DropExpress takes away what says that messages are on the way beside the ring.
func DropExpress(s *SPSC) {
	for i := range s.hdr.express {
		atomic.StoreUint64(&s.hdr.express[i].word, 0)
	}
}

// ProducerClosed reports whether a producer has ended the stream.
func ProducerClosed(s *SPSC) bool { return atomic.LoadUint32(&s.hdr.producerState) == isClosed }

// DataWord and RoomWord are the event counts that the consumer and the producer sleep on.
func DataWord(s *SPSC) *uint32 { return &s.hdr.data }

// RoomWord is the event count that the producer sleeps on.
func RoomWord(s *SPSC) *uint32 { return &s.hdr.room }

// Offsets of the header's words in the memory of a ring, for tests that scribble.
const (
	OffCapacity  = 32
	OffTail      = 128
	OffHead      = 256
	OffData      = 384
	OffRoom      = 512
	SPSCHeader   = spscHeaderSize
	OffExpress   = 640 // and 128 behind it the other
	SkipMark     = skipMark
	RecordHead   = recordHead
	OffConsState = OffData + 4
	OffProdState = OffRoom + 4
)

// SetPosition moves an unused queue to a place in the life of a long one.
func SetPosition(q *MPMC, lap, index uint64) {
	for i := range q.n {
		l := lap
		if i < index {
			l++
		}
		atomic.StoreUint64(q.cellOf(i), uint64(makeCell(l&q.lapMask, 0, 0)))
	}
	pos := q.at(lap, index)
	atomic.StoreUint64(&q.hdr.tail, pos)
	atomic.StoreUint64(&q.hdr.headPos, pos)
}

// LastLap is the lap after which laps begin again.
func LastLap(q *MPMC) uint64 { return q.lapMask }

// UsedSlots lists the words of the slots that are not free.
func UsedSlots(q *MPMC) (words []uint64) {
	for k := range q.slots {
		if w := atomic.LoadUint64(q.wordOf(k)); w != 0 {
			words = append(words, w)
		}
	}
	return words
}

// UsedUnits counts the units that are not free.
func UsedUnits(q *MPMC) (n int) {
	for i := range q.units {
		if atomic.LoadUint32(&q.units[i]) != 0 {
			n++
		}
	}
	return n
}

// Hints returns where a queue's hints say that the tail and the head are.
func Hints(q *MPMC) (tail, head uint64) {
	return atomic.LoadUint64(&q.hdr.tail), atomic.LoadUint64(&q.hdr.headPos)
}

// SetHints is what a process does that goes on after it has stood still for long.
func SetHints(q *MPMC, tail, head uint64) {
	atomic.StoreUint64(&q.hdr.tail, tail)
	atomic.StoreUint64(&q.hdr.headPos, head)
}

// BurySlowly buries the dead, and calls between when a repair is the caller's and nothing is mended yet.
func BurySlowly(q *MPMC, between func()) (int, error) {
	top := int(min(atomic.LoadUint32(&q.hdr.top), uint32(q.memberMax)))
	return q.members.Bury(q.who.Self(), top, func(number int) error {
		between()
		return q.repair(uint64(number))
	})
}

// IdleGet is what a Get does after each slice that it has slept. It returns ErrPeerDied when nobody is left to wait for.
func IdleGet(q *MPMC) error { return q.idle(noPut) }

// SetCell overwrites the lap of cell i of an empty queue.
func SetCell(q *MPMC, i, lap uint64) { atomic.StoreUint64(q.cellOf(i), uint64(makeCell(lap, 0, 0))) }

// PipeDrained says what there is in the queues of a pipe in which nothing waits and nobody works.
func PipeDrained(e *PipeEnd) error {
	for i, q := range e.queues {
		if _, err := q.Repair(); err != nil {
			return err
		}
		if err := q.Check(); err != nil {
			return err
		}
		n, err := q.Len()
		if err != nil {
			return err
		}
		if n > 0 || len(UsedSlots(q)) > 0 || UsedUnits(q) > 0 {
			return fmt.Errorf("queue %d has %d messages, %x slots and %d units", i, n, UsedSlots(q), UsedUnits(q))
		}
	}
	return nil
}
