package futex

import (
	"sync/atomic"

	"github.com/fb2d3dbd/multiproc/internal/fault"
)

// change moves the state on and wakes all.
func (b *Barrier) change(from, to uint64) bool {
	if !atomic.CompareAndSwapUint64(b.state, from, to) {
		return false
	}
	fault.Point("barrier.changed")
	b.event.Notify(-1)
	return true
}

func left(w uint64) uint64 {
	round, _, _ := unpackRound(w)
	return packRound(round, placeLeft, 0)
}

// leave empties a place, and the last to go makes the barrier ready.
func (b *Barrier) leave(i int, mine uint64) {
	if atomic.CompareAndSwapUint64(b.at(i), mine, left(mine)) {
		fault.Point("barrier.left")
		if !b.next() {
			b.event.Notify(-1) // in fill, somebody may wait for the place
		}
	}
}

// next begins the next round if the last one has ended and all have gone.
func (b *Barrier) next() bool {
	s := atomic.LoadUint64(b.state)
	round, phase, _ := unpackRound(s)
	if phase != phaseLeave && phase != phaseReset {
		return false
	}
	for i := range b.places {
		if _, kind, _ := unpackRound(atomic.LoadUint64(b.at(i))); kind == placeTaken {
			return false
		}
	}
	return b.change(s, packRound(round+1, phaseFill, 0))
}

// breakRound breaks the round if it has not ended, and reports whether it did.
func (b *Barrier) breakRound(round uint32) bool {
	for {
		s := atomic.LoadUint64(b.state)
		r, phase, _ := unpackRound(s)
		if r != round || phase != phaseFill && phase != phaseAct {
			return false
		}
		if b.change(s, packRound(round, phaseBroken, 0)) {
			return true
		}
	}
}

// mourn breaks the round if one who has come is dead, and empties the places of the dead.
func (b *Barrier) mourn(me uint32) error {
	dead := b.census(me)
	found := false
	for i := range b.places {
		w := atomic.LoadUint64(b.at(i))
		round, kind, token := unpackRound(w)
		if kind != placeTaken || !dead.dead(token) {
			continue
		}
		b.breakRound(round) // if it is that round still; else the dead had only not gone yet
		fault.Point("barrier.mourn.broken")
		if atomic.CompareAndSwapUint64(b.at(i), w, left(w)) {
			found = true
			fault.Point("barrier.mourn.emptied")
		}
	}
	if round, phase, token := unpackRound(atomic.LoadUint64(b.state)); phase == phaseAct && dead.dead(token) {
		b.breakRound(round)
	}
	if found && !b.next() {
		b.event.Notify(-1)
	}
	return b.confirm(me)
}

// parties lists those who have come: whose death a sleeper has to hear of.
func (b *Barrier) parties(me uint32) []uint32 {
	list := watchlist{me: me}
	for i := range b.places {
		if _, kind, token := unpackRound(atomic.LoadUint64(b.at(i))); kind == placeTaken && list.add(token) {
			break
		}
	}
	return list.tokens
}

// Abort breaks the barrier: those who wait, and who come until Reset, get ErrBrokenBarrier.
func (b *Barrier) Abort() error {
	me, err := b.self()
	if err != nil {
		return err
	}
	for {
		s := atomic.LoadUint64(b.state)
		round, phase, _ := unpackRound(s)
		to := uint32(phaseBroken)
		switch phase {
		case phaseBroken, phaseStay:
			return b.confirm(me)
		case phaseLeave:
			to = phaseStay
		case phaseFill, phaseAct, phaseReset:
		default:
			return b.bad(me, s)
		}
		if b.change(s, packRound(round, to, 0)) {
			return b.confirm(me)
		}
	}
}

// Reset makes the barrier as new. Those who wait get ErrBrokenBarrier.
func (b *Barrier) Reset() error {
	me, err := b.self()
	if err != nil {
		return err
	}
	if err := b.mourn(me); err != nil {
		return err
	}
	for {
		s := atomic.LoadUint64(b.state)
		round, phase, _ := unpackRound(s)
		to := uint32(phaseReset)
		switch phase {
		case phaseLeave, phaseReset:
			b.next()
			return b.confirm(me)
		case phaseStay:
			to = phaseLeave
		case phaseFill, phaseAct, phaseBroken:
		default:
			return b.bad(me, s)
		}
		if b.change(s, packRound(round, to, 0)) {
			fault.Point("barrier.reset")
			b.next()
			return b.confirm(me)
		}
	}
}

func (b *Barrier) bad(me uint32, s uint64) error {
	if err := b.confirm(me); err != nil {
		return err
	}
	return b.corrupt(s)
}

// Broken reports whether the barrier is broken.
func (b *Barrier) Broken() bool {
	_, phase, _ := unpackRound(atomic.LoadUint64(b.state))
	return phase == phaseBroken || phase == phaseStay
}

// Parties returns the number of parties that pass the barrier together.
func (b *Barrier) Parties() int { return b.places }

// Waiting returns how many parties have come and wait.
func (b *Barrier) Waiting() int {
	round, phase, _ := unpackRound(atomic.LoadUint64(b.state))
	if phase != phaseFill && phase != phaseAct {
		return 0
	}
	n := 0
	for i := range b.places {
		if r, kind, _ := unpackRound(atomic.LoadUint64(b.at(i))); kind == placeTaken && r == round {
			n++
		}
	}
	return n
}
