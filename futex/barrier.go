package futex

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/fb2d3dbd/multiproc/internal/fault"
	"github.com/fb2d3dbd/multiproc/internal/layout"
	"github.com/fb2d3dbd/multiproc/internal/race"
)

// A Barrier is where a number of parties, processes and goroutines, wait for each other: when the last has come all go on, and the
// barrier is ready for the next round. The last to come may run an action before anybody goes on.
//
// When a process dies that has come and waits, or in the action, the barrier is broken for all: nobody waits for the dead. So
// it is when one gives up because its context ends, when the action fails, and after [Barrier.Abort]. A broken barrier stays so until
// [Barrier.Reset]. Who is stopped is waited for. A process that dies before it comes is not known to the barrier.
//
//	the state   round:30 | phase:4 | token:30
//
//	fill       parties come              → act, or without an action leave, by the last to come; broken; reset, by Reset
//	act        token runs the action     → leave, by token; broken, by token if the action fails, and by who has proof of its
//	                                       death; reset
//	leave      all have come, and go     → fill of the next round, by who sees that all places are empty; stay, by Abort
//	broken     ErrBrokenBarrier for all         → reset, by Reset
//	stay       leave, and broken for who → leave, by Reset
//	           comes
//	reset      ErrBrokenBarrier for those who   → fill of the next round, by who sees that all places are empty; broken, by Abort
//	           have come; who comes waits
//
//	a place     round:30 | kind:4 | token:30, one for each party
//
//	left(q), 0   empty in every round but q   → taken(r, me), by who comes in round r
//	taken(r)     somebody has come in round r → left(r), by the owner when it goes, and by who has proof of its death, after
//	                                            breaking round r if that is in fill or act
//
// A place serves one party in a round: so whoever has taken one in round r is among those without whom r neither acts nor leaves.
type Barrier struct {
	member
	*object
	state *uint64
	event *EventCount
}

const (
	phaseFill = iota
	phaseAct
	phaseLeave
	phaseBroken
	phaseStay
	phaseReset
	phases

	placeTaken = 1
	placeLeft  = 2

	roundShift = 34
	roundMask  = 1<<30 - 1
	barState   = 64
)

var barrier = object{what: "barrier", magic: layout.Magic("MPFXBARR"), front: 128, place: 8, limit: 1 << 12}

// BarrierSize returns the memory that a barrier of so many parties needs, in bytes; 0 if parties is not 1 to 4096.
func BarrierSize(parties int) int { return barrier.size(parties) }

// CreateBarrier makes a barrier at the beginning of mem.
func CreateBarrier(mem []byte, parties int, who Participants) (*Barrier, error) {
	o, err := barrier.create(mem, parties)
	if err != nil {
		return nil, err
	}
	o.publish()
	return viewBarrier(o, who)
}

// OpenBarrier views a barrier that was made in mem.
func OpenBarrier(mem []byte, who Participants) (*Barrier, error) {
	o, err := barrier.open(mem)
	if err != nil {
		return nil, err
	}
	return viewBarrier(o, who)
}

func viewBarrier(o *object, who Participants) (*Barrier, error) {
	b := &Barrier{member: member{who}, object: o, state: o.word64(barState)}
	if err := b.valid("futex: barrier"); err != nil {
		return nil, err
	}
	var err error
	b.event, err = NewEventCount(o.mem[barState+8:])
	return b, err
}

func packRound(round, phase, token uint32) uint64 {
	return uint64(round&roundMask)<<roundShift | uint64(phase)<<kindShift | uint64(token)
}

func unpackRound(w uint64) (round, phase, token uint32) {
	return uint32(w >> roundShift), uint32(w>>kindShift) & 15, uint32(w) & tokenMask
}

// Wait waits until all parties have come and returns this one's number, from 0 for the first to parties-1; all numbers of a round
// differ. ErrBrokenBarrier says that the barrier is, or became, broken. If ctx ends while it waits, it breaks the barrier and the error
// matches ErrBrokenBarrier and ctx.Err(); if ctx ends before it has come, the barrier is as before and the error is ctx.Err().
func (b *Barrier) Wait(ctx context.Context) (int, error) { return b.WaitAction(ctx, nil) }

// WaitAction is [Barrier.Wait] with something to do for the last to come, before anybody goes on. When the action fails the barrier is
// broken: the last to come gets the action's error, which a panic is as well, after the barrier is broken, and the others ErrBrokenBarrier.
// All parties should come with the same action.
func (b *Barrier) WaitAction(ctx context.Context, action func() error) (int, error) {
	me, err := b.self()
	if err != nil {
		return -1, err
	}
	if err := ctx.Err(); err != nil {
		return -1, err
	}
	race.Release(b.state)
	i, round, err := b.come(ctx, me)
	if err != nil {
		return -1, err
	}
	err = b.meet(ctx, me, round, action, i)
	race.Acquire(b.state)
	if err != nil {
		return -1, err
	}
	return i, b.confirm(me)
}

// come takes a place.
func (b *Barrier) come(ctx context.Context, me uint32) (place int, round uint32, err error) {
	err = b.await(ctx, b.event, me, func() (ok bool, err error) {
		place, round, ok, err = b.take(me)
		return ok, err
	}, func() error { return b.mourn(me) }, func() []uint32 { return b.parties(me) })
	return place, round, err
}

// take takes the first empty place if the round is being filled.
func (b *Barrier) take(me uint32) (place int, round uint32, ok bool, err error) {
	s := atomic.LoadUint64(b.state)
	if b.next() {
		s = atomic.LoadUint64(b.state)
	}
	round, phase, _ := unpackRound(s)
	switch phase {
	case phaseBroken, phaseStay:
		return 0, 0, false, ErrBrokenBarrier
	case phaseAct, phaseLeave, phaseReset:
		return 0, 0, false, nil
	case phaseFill:
	default:
		return 0, 0, false, b.corrupt(s)
	}
	mine := packRound(round, placeTaken, me)
	for i := range b.places {
		w := atomic.LoadUint64(b.at(i))
		at, kind, _ := unpackRound(w)
		if kind > placeLeft {
			return 0, 0, false, b.corrupt(w)
		}
		if kind == placeTaken || kind == placeLeft && at == round || !atomic.CompareAndSwapUint64(b.at(i), w, mine) {
			continue
		}
		fault.Point("barrier.come")
		now, phase, _ := unpackRound(atomic.LoadUint64(b.state))
		if now == round && phase != phaseBroken && phase != phaseReset {
			return i, round, true, nil // all may be here already, and the round over
		}
		// The round ended before the place was taken: the others do not know of it.
		b.leave(i, mine)
		if now == round && phase == phaseBroken {
			return 0, 0, false, ErrBrokenBarrier
		}
		return 0, 0, false, nil // look again: leave has raised the event
	}
	return 0, 0, false, nil
}

// meet waits, with a place taken, for the end of the round, and leaves the place.
func (b *Barrier) meet(ctx context.Context, me, round uint32, action func() error, i int) (err error) {
	defer func() {
		if err != ErrClosed { // a party that has closed the memory is as good as dead: its place says so
			b.leave(i, packRound(round, placeTaken, me))
		}
	}()
	if b.full(round) {
		// All are here. Of several who see it the exchange makes one the last.
		if err := b.mourn(me); err != nil { // if one has died since it came, the round is broken
			return err
		}
		fill := packRound(round, phaseFill, 0)
		if action == nil {
			b.change(fill, packRound(round, phaseLeave, 0))
		} else if atomic.CompareAndSwapUint64(b.state, fill, packRound(round, phaseAct, me)) {
			fault.Point("barrier.act")
			if err := b.act(me, round, action); err != nil {
				return err
			}
		}
	}
	err = b.await(ctx, b.event, me, func() (bool, error) { return b.over(round) },
		func() error { return b.mourn(me) }, func() []uint32 { return b.parties(me) })
	if err != nil && err == ctx.Err() {
		if b.breakRound(round) {
			return fmt.Errorf("%w: %w", ErrBrokenBarrier, err)
		}
		_, err = b.over(round) // it ended before this one could give up
	}
	return err
}

// act runs the action.
func (b *Barrier) act(me, round uint32, action func() error) (err error) {
	returned := false
	defer func() {
		if !returned || err != nil {
			b.breakRound(round) // also when the action panics
		}
	}()
	err = action()
	returned = true
	if err == nil {
		fault.Point("barrier.acted")
		b.change(packRound(round, phaseAct, me), packRound(round, phaseLeave, 0)) // else it was broken meanwhile
	}
	return err
}

// full reports whether all places are taken in this round.
func (b *Barrier) full(round uint32) bool {
	for i := range b.places {
		if r, kind, _ := unpackRound(atomic.LoadUint64(b.at(i))); kind != placeTaken || r != round {
			return false
		}
	}
	return true
}

// over reports how the round ended, if it did.
func (b *Barrier) over(round uint32) (bool, error) {
	s := atomic.LoadUint64(b.state)
	r, phase, _ := unpackRound(s)
	switch {
	case r != round || phase >= phases: // not while this party has a place
		return false, b.corrupt(s)
	case phase == phaseLeave || phase == phaseStay:
		return true, nil
	case phase == phaseBroken || phase == phaseReset:
		return true, ErrBrokenBarrier
	}
	return false, nil
}
