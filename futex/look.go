package futex

import (
	"fmt"
	"sync/atomic"
)

// A State is what somebody can see of a lock who takes no part in it and only reads its memory: for tools. What it says of one in use may be
// over, and may never have been in one instant.
type State struct {
	Owner   uint32         // token of who holds it for itself; 0: nobody, or there is no such thing
	Holders map[uint32]int // tokens of those who hold a share: permits, reading locks, places at a barrier; and how many
	Waiting int            // who wait, where they are counted, in a condition
	Waiters bool           // somebody waits, or has waited
	Damaged bool           // the last owner died, and what the lock guards was not declared consistent
	Detail  string         // what else there is to say, in words
}

// LookMutex looks at a [Mutex] or an [RLock].
func LookMutex(mem []byte) (s State, err error) {
	p, err := wordsOfLock(mem, "futex: mutex")
	if err != nil {
		return s, err
	}
	w := atomic.LoadUint32(&p.word)
	s.see(w)
	if !isFree(w) {
		s.Owner = w >> ownerShift
	} else if w>>ownerShift == handed {
		s.Detail = "handed over"
	}
	return s, nil
}

func (s *State) see(w uint32) { s.Waiters, s.Damaged = w&waiters != 0, w&damaged != 0 }

func (s *State) hold(token uint32, n int) {
	if s.Holders == nil {
		s.Holders = map[uint32]int{}
	}
	s.Holders[token] += n
}

// LookRWMutex looks at a [RWMutex].
func LookRWMutex(mem []byte) (s State, err error) {
	o, err := rwmutex.open(mem)
	if err != nil {
		return s, err
	}
	line, writer := atomic.LoadUint32(o.word32(rwLine)), atomic.LoadUint32(o.word32(rwWriter))
	s.see(line)
	s.Damaged = writer&damaged != 0
	if s.Owner = writer >> ownerShift; s.Owner != 0 && writer&holds == 0 {
		s.Detail, s.Waiters = fmt.Sprintf("%#x waits for the readers", s.Owner), true
		s.Owner = 0
	}
	for i := range o.places {
		if high, _, token := unpack(atomic.LoadUint64(o.at(i))); high>>16 != 0 && token != 0 {
			s.hold(token, int(high>>16))
		}
	}
	return s, nil
}

// LookSemaphore looks at a [Semaphore], or a [BoundedSemaphore].
func LookSemaphore(mem []byte, isBounded bool) (s State, err error) {
	kind := semaphore
	if isBounded {
		kind = bounded
	}
	o, err := kind.open(mem)
	if err != nil {
		return s, err
	}
	s.Waiters = atomic.LoadUint32(o.word32(placesOff+4))&sleepers != 0
	free, held := 0, 0
	for i := range o.places {
		w := atomic.LoadUint64(o.at(i))
		switch _, kind, token := unpack(w); kind {
		case permitNone:
		case permitFree:
			free++
		case permitHeld:
			held++
			s.hold(token, 1)
		default:
			return s, o.corrupt(w)
		}
	}
	s.Detail = fmt.Sprintf("%d free, %d held", free, held)
	return s, nil
}

// LookCond looks at a [Cond].
func LookCond(mem []byte) (s State, err error) {
	o, err := cond.open(mem)
	if err != nil {
		return s, err
	}
	told := 0
	for i := range o.places {
		w := atomic.LoadUint64(o.at(i))
		switch _, kind, token := unpack(w); {
		case w == 0:
		case kind == condWaits:
			s.Waiting++
			s.hold(token, 1)
		case kind == condTold:
			told++
			s.hold(token, 1)
		default:
			return s, o.corrupt(w)
		}
	}
	s.Waiters = s.Waiting > 0
	s.Detail = fmt.Sprintf("%d wait, %d told", s.Waiting, told)
	return s, nil
}

// LookEvent looks at an [Event].
func LookEvent(mem []byte) (s State, err error) {
	p, err := word(mem, "futex: event")
	if err != nil {
		return s, err
	}
	e, err := word(mem[4:], "futex: event")
	if err != nil {
		return s, err
	}
	s.Detail = "not set"
	if w := atomic.LoadUint32(p); w&eventSet != 0 {
		s.Detail = "set"
	}
	s.Waiters = atomic.LoadUint32(e)&sleepers != 0
	return s, nil
}

// LookBarrier looks at a [Barrier].
func LookBarrier(mem []byte) (s State, err error) {
	o, err := barrier.open(mem)
	if err != nil {
		return s, err
	}
	w := atomic.LoadUint64(o.word64(barState))
	round, phase, token := unpackRound(w)
	if phase >= phases {
		return s, o.corrupt(w)
	}
	come := 0
	for i := range o.places {
		if _, kind, token := unpackRound(atomic.LoadUint64(o.at(i))); kind == placeTaken {
			come++
			s.hold(token, 1)
		}
	}
	s.Waiting, s.Waiters = come, come > 0
	if phase == phaseAct {
		s.Owner = token
	}
	s.Detail = fmt.Sprintf("%d of %d have come, round %d: %s", come, o.places, round,
		[...]string{"filling", "in the action", "leaving", "broken", "leaving, broken", "being reset"}[phase])
	return s, nil
}
