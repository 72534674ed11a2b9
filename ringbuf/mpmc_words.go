package ringbuf

import "math/bits"

// Cell words: lap:32 | owner:12 | slot:20. docs/design/queue.md has the table of their states.
//
//	EMPTY(lap; c, k)  the position of this lap is not put; c (0: nobody) took slot k from it a lap ago
//	                  → FULL(lap; k'), CAS, by the producer that has settled k; → END(lap), CAS, by a consumer of a closed queue
//	FULL(lap; k)      the message is in slot k → EMPTY(lap+1; c, k), CAS, by consumer c
//	END(lap)          the queue ends here
type cell uint64

const (
	slotBits  = 20
	ownerBits = 12

	full    = 1<<ownerBits - 1 // in the place of an owner
	endSlot = 1<<slotBits - 1  // of a FULL cell: it is the END

	maxMembers = full - 1
	maxSlots   = endSlot
)

func (c cell) lap() uint64   { return uint64(c) >> (ownerBits + slotBits) }
func (c cell) owner() uint64 { return uint64(c) >> slotBits & (1<<ownerBits - 1) }
func (c cell) slot() uint64  { return uint64(c) & (1<<slotBits - 1) }

func makeCell(lap, owner, slot uint64) cell {
	return cell(lap<<(ownerBits+slotBits) | owner<<slotBits | slot)
}

// Slot words: state:4 | owner:12 | position:48.
//
//	FREE      nobody's                     → OWN(o), CAS, by who needs a slot
//	OWN(o)    o writes it or empties it    → PUB(o,p) or FREE, store, by o; FREE, by who repairs o
//	PUB(o,p)  cell p shows FULL, this slot: queued
//	          cell p shows EMPTY(c), this slot, a lap on: c holds it → TAK(c,p), CAS, by anybody (settle); as TAK, by c
//	          else not published           → PUB(o,p') or OWN(o), store, by o; OWN(o), CAS, by who repairs o
//	TAK(c,p)  c holds it                   → FREE or OWN(c), store, by c; ORP(p), CAS, by c or who repairs c
//	ORP(p)    to be handed out again       → TAK(c,p) or DLQ(p), CAS, by a consumer
//	DLQ(p)    set aside                    → TAK(c,p), CAS, by who reads dead letters
type slotWord uint64

const (
	stateFree uint64 = iota
	stateOwn
	statePub
	stateTak
	stateOrp
	stateDlq

	posBits    = 48
	posMask    = 1<<posBits - 1
	stateShift = posBits + ownerBits
)

func (w slotWord) state() uint64 { return uint64(w) >> stateShift }
func (w slotWord) owner() uint64 { return uint64(w) >> posBits & (1<<ownerBits - 1) }
func (w slotWord) pos() uint64   { return uint64(w) & posMask }

func makeWord(state, owner, pos uint64) slotWord {
	return slotWord(state<<stateShift | owner<<posBits | pos)
}

// Size words: large:1 | deliveries:15 | outside:1 | length:47. Written by the slot's owner alone.
const (
	lengthBits    = 47
	lengthMask    = 1<<lengthBits - 1
	outsideFlag   = 1 << lengthBits // the message has a block of its own
	deliveryShift = lengthBits + 1
	deliveryOne   = 1 << deliveryShift
	maxDeliveries = 1<<15 - 1
	largeFlag     = 1 << 63
)

func deliveriesOf(size uint64) int { return int(size >> deliveryShift & maxDeliveries) }

// Positions are lap | index, with the index in the low shift bits and as many bits of lap as a cell has room for. Laps wrap: only
// their difference means something.
type positions struct {
	n       uint64 // cells
	shift   uint8  // bits of index
	idxMask uint64
	lapMask uint64
	posMask uint64
}

func newPositions(n int) positions {
	b := bits.Len(uint(n - 1))
	lapBits := min(32, posBits-b)
	return positions{
		n:       uint64(n),
		shift:   uint8(b),
		idxMask: 1<<b - 1,
		lapMask: 1<<lapBits - 1,
		posMask: 1<<(lapBits+b) - 1,
	}
}

func (p *positions) lap(pos uint64) uint64   { return pos >> (p.shift & 63) }
func (p *positions) index(pos uint64) uint64 { return pos & p.idxMask }

// at returns the position of an index in a lap.
func (p *positions) at(lap, index uint64) uint64 {
	return lap&p.lapMask<<(p.shift&63) | index
}

func (p *positions) next(pos uint64) uint64 {
	if i := pos & p.idxMask; i+1 == p.n {
		return (pos - i + p.idxMask + 1) & p.posMask
	}
	return pos + 1
}

// before returns the position with the same cell one lap ago.
func (p *positions) before(pos uint64) uint64 { return (pos - p.idxMask - 1) & p.posMask }

// after returns the position with the same cell one lap on.
func (p *positions) after(pos uint64) uint64 { return (pos + p.idxMask + 1) & p.posMask }

// sane returns a position from shared memory as one that has a cell; ok is false for one that cannot be.
func (p *positions) sane(pos uint64) (uint64, bool) {
	return pos & p.posMask, pos&p.idxMask < p.n && pos&^p.posMask == 0
}

// A relation is what a cell's lap says of a position with its index.
type relation int

const (
	sameLap relation = iota
	lapBefore
	otherLap // the position is an old hint
)

func (p *positions) relate(c cell, pos uint64) relation {
	switch (p.lap(pos) - c.lap()) & p.lapMask {
	case 0:
		return sameLap
	case 1:
		return lapBefore
	}
	return otherLap
}

// afterTaken returns the position after the last one that was taken through the cell, as it says itself. A hint that does not fit the
// cell is corrected by it and not compared with it: who was stopped for long may have left a hint from any number of laps ago, and laps wrap.
func (p *positions) afterTaken(c cell, index uint64) uint64 {
	return p.next(p.before(p.at(c.lap(), index)))
}

// afterPut returns the position after the last one that was put through the cell.
func (p *positions) afterPut(c cell, index uint64) uint64 {
	if c.owner() == full {
		return p.next(p.at(c.lap(), index))
	}
	return p.afterTaken(c, index)
}

// distance returns how many positions to lies after from; both have cells.
func (p *positions) distance(from, to uint64) uint64 {
	laps := (p.lap(to) - p.lap(from)) & p.lapMask
	return laps*p.n + p.index(to) - p.index(from)
}
