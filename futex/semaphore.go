package futex

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/fb2d3dbd/multiproc/internal/fault"
	"github.com/fb2d3dbd/multiproc/internal/layout"
	"github.com/fb2d3dbd/multiproc/internal/race"
)

// A Semaphore gives out a number of permits between processes and their goroutines. A permit belongs to the process that has
// acquired it, and when that dies, however it dies, the permit is free again.
//
// Release gives back a permit of this process. A process that holds none may release as well: there is one free permit more,
// up to the maximum that the semaphore was made with. So a semaphore can be a signal; who waits for signals calls
// [Semaphore.Consume], which takes the permit away for good, also from the reach of its own death.
//
// In memory stands a word for each permit that there can be:
//
//	the word   version:32 | kind:2 | token:30; the version grows with every change
//
//	none    there is no such permit       → free, by who releases and holds none
//	free    for anybody                   → held(me), by who acquires; none, by who consumes
//	held    belongs to the process        → free, by the owner; free or held(me), by who has proof that the owner is dead;
//	                                        free, by who releases and holds none when there is no word in `none`
//
// A counter would be faster to search, and could not say whose permits have died.
type Semaphore struct {
	permits
}

// A BoundedSemaphore is a [Semaphore] whose permits are a fixed number: only who holds one can release it.
type BoundedSemaphore struct {
	permits
}

// permits is what both are.
type permits struct {
	member
	*object
	event   *EventCount
	bounded bool
	hint    atomic.Uint32 // the place that this handle has used last
}

const (
	permitNone = iota
	permitFree
	permitHeld
)

// MaxPermits is the most permits that a semaphore can have.
const MaxPermits = 1 << 20

var (
	semaphore = object{what: "semaphore", magic: layout.Magic("MPFXSEMA"), front: 64, place: 8, limit: MaxPermits}
	bounded   = object{what: "bounded semaphore", magic: layout.Magic("MPFXBSEM"), front: 64, place: 8, limit: MaxPermits}
)

// SemaphoreSize returns the memory that a semaphore of at most max permits needs, in bytes; 0 if max is not 1 to MaxPermits.
func SemaphoreSize(max int) int { return semaphore.size(max) }

// CreateSemaphore makes a semaphore at the beginning of mem, with free permits at first and at most max ever.
func CreateSemaphore(mem []byte, free, max int, who Participants) (*Semaphore, error) {
	s := new(Semaphore)
	return s, s.create(semaphore, mem, free, max, who)
}

// OpenSemaphore views a semaphore that was made in mem.
func OpenSemaphore(mem []byte, who Participants) (*Semaphore, error) {
	s := new(Semaphore)
	return s, s.open(semaphore, mem, who)
}

// CreateBoundedSemaphore makes a semaphore of n permits, all free, at the beginning of mem, which has SemaphoreSize(n) bytes.
func CreateBoundedSemaphore(mem []byte, n int, who Participants) (*BoundedSemaphore, error) {
	s := &BoundedSemaphore{permits{bounded: true}}
	return s, s.create(bounded, mem, n, n, who)
}

// OpenBoundedSemaphore views a bounded semaphore that was made in mem.
func OpenBoundedSemaphore(mem []byte, who Participants) (*BoundedSemaphore, error) {
	s := &BoundedSemaphore{permits{bounded: true}}
	return s, s.open(bounded, mem, who)
}

func (s *permits) create(kind object, mem []byte, free, max int, who Participants) (err error) {
	if free < 0 || free > max {
		return fmt.Errorf("futex: %s: %d free permits of at most %d", kind.what, free, max)
	}
	if s.object, err = kind.create(mem, max); err != nil {
		return err
	}
	for i := range free {
		*s.at(i) = pack(0, permitFree, 0)
	}
	s.publish()
	return s.view(who)
}

func (s *permits) open(kind object, mem []byte, who Participants) (err error) {
	if s.object, err = kind.open(mem); err != nil {
		return err
	}
	return s.view(who)
}

func (s *permits) view(who Participants) (err error) {
	s.member = member{who}
	if err := s.valid("futex: " + s.what); err != nil {
		return err
	}
	s.event, err = NewEventCount(s.mem[placesOff+4:])
	return err
}

// Acquire takes a permit, waiting for one until ctx ends. The errors are ctx.Err() and ErrClosed. A ctx that has ended does not
// keep it from taking a free permit.
func (s *permits) Acquire(ctx context.Context) error { return s.wait(ctx, permitHeld) }

// TryAcquire takes a permit if one is free or its owner is dead, else it returns ErrLocked.
func (s *permits) TryAcquire() error { return s.try(permitHeld) }

// Consume takes a permit away for good, waiting for one until ctx ends: it belongs to nobody, and no death brings it back.
func (s *Semaphore) Consume(ctx context.Context) error { return s.wait(ctx, permitNone) }

// TryConsume takes a free permit away for good, or returns ErrLocked.
func (s *Semaphore) TryConsume() error { return s.try(permitNone) }

func (s *permits) wait(ctx context.Context, as uint32) error {
	me, err := s.self()
	if err != nil {
		return err
	}
	err = s.await(ctx, s.event, me, func() (bool, error) {
		ok, _, err := s.take(me, as, nil)
		return ok, err
	}, func() error { return s.reap(me) }, func() []uint32 { return s.owners(me) })
	if err == nil {
		race.Acquire(s.at(0))
	}
	return err
}

func (s *permits) try(as uint32) error {
	me, err := s.self()
	if err != nil {
		return err
	}
	for {
		// Permits may move behind the eye's back. Two looks with the same versions saw all words at one instant between
		// them, so none was free then.
		ok, before, err := s.take(me, as, nil)
		var after uint64
		if !ok && err == nil {
			ok, after, err = s.take(me, as, s.census(me))
		}
		if e := s.confirm(me); e != nil {
			return e
		}
		switch {
		case err != nil:
			return err
		case ok:
			race.Acquire(s.at(0))
			return nil
		case before == after:
			return ErrLocked
		}
	}
}

// take makes a free permit, or with a census one of the dead, this process's, or nobody's. When there is none it returns the sum of
// the versions that it saw.
func (s *permits) take(me, as uint32, dead *census) (ok bool, sum uint64, err error) {
	token := me
	if as == permitNone {
		token = 0
	}
	start := int(s.hint.Load())
	for k := range s.places {
		i := (start + k) % s.places
		for {
			w := atomic.LoadUint64(s.at(i))
			version, kind, owner := unpack(w)
			if kind > permitHeld || kind == permitNone && s.bounded {
				return false, 0, s.corrupt(w)
			}
			if kind == permitNone || kind == permitHeld && (dead == nil || !dead.dead(owner)) {
				sum += uint64(version)
				break
			}
			if !atomic.CompareAndSwapUint64(s.at(i), w, pack(version+1, as, token)) {
				continue
			}
			fault.Point("semaphore.taken")
			s.hint.Store(uint32(i))
			return true, 0, nil
		}
	}
	return false, sum, nil
}

// reap frees the permits of the dead.
func (s *permits) reap(me uint32) error {
	dead, found := s.census(me), 0
	for i := range s.places {
		w := atomic.LoadUint64(s.at(i))
		if version, kind, owner := unpack(w); kind == permitHeld && dead.dead(owner) &&
			atomic.CompareAndSwapUint64(s.at(i), w, pack(version+1, permitFree, 0)) {
			fault.Point("semaphore.reaped")
			found++
		}
	}
	if found > 0 {
		s.event.Notify(found)
	}
	return s.confirm(me)
}

// owners lists who holds permits: whose death a waiter has to hear of.
func (s *permits) owners(me uint32) []uint32 {
	list := watchlist{me: me}
	for i := range s.places {
		if _, kind, owner := unpack(atomic.LoadUint64(s.at(i))); kind == permitHeld && list.add(owner) {
			break
		}
	}
	return list.tokens
}

// Release gives a permit back and wakes one who waits. See [Semaphore] for a process that holds none; when there is no room for one
// more it returns ErrBound, and a bounded semaphore whose permits are others' returns ErrNotOwner.
func (s *permits) Release() error {
	me, err := s.self()
	if err != nil {
		return err
	}
	race.Release(s.at(0))
	for {
		v, done, err := s.giveBack(me)
		if err == nil && !done {
			var v2 view
			// As in try: only two looks alike prove that this process held nothing at an instant.
			if v2, done, err = s.giveBack(me); err == nil && !done {
				if v.sum != v2.sum {
					continue
				}
				done, err = s.add(v2)
			}
		}
		if e := s.confirm(me); e != nil {
			return e
		}
		if err != nil {
			return err
		}
		if done {
			fault.Point("semaphore.released")
			s.event.Notify(1)
			return nil
		}
	}
}

// view is what a search for a permit of one's own has seen.
type view struct {
	sum        uint64
	none, held int // a place of this kind, or -1
	noneWord   uint64
	heldWord   uint64
}

// giveBack frees a permit of this process.
func (s *permits) giveBack(me uint32) (v view, done bool, err error) {
	v.none, v.held = -1, -1
	start := int(s.hint.Load())
	for k := range s.places {
		i := (start + k) % s.places
		for {
			w := atomic.LoadUint64(s.at(i))
			version, kind, owner := unpack(w)
			if kind == permitHeld && owner == me {
				if atomic.CompareAndSwapUint64(s.at(i), w, pack(version+1, permitFree, 0)) {
					s.hint.Store(uint32(i))
					return v, true, nil
				}
				continue
			}
			switch {
			case kind == permitNone && !s.bounded:
				v.none, v.noneWord = i, w
			case kind == permitHeld:
				v.held, v.heldWord = i, w
			case kind == permitFree:
			default:
				return v, false, s.corrupt(w)
			}
			v.sum += uint64(version)
			break
		}
	}
	return v, false, nil
}

// add makes one permit more free, on behalf of a process that holds none.
func (s *permits) add(v view) (done bool, err error) {
	i, w := v.none, v.noneWord
	switch {
	case s.bounded && v.held >= 0:
		return false, ErrNotOwner
	case s.bounded || v.none < 0 && v.held < 0:
		return false, ErrBound
	case v.none < 0:
		i, w = v.held, v.heldWord
	}
	version, _, _ := unpack(w)
	return atomic.CompareAndSwapUint64(s.at(i), w, pack(version+1, permitFree, 0)), nil
}

// Value returns the number of free permits at an instant; those of the dead whom nobody has found yet are not among them.
func (s *permits) Value() (int, error) {
	free, _, err := s.count()
	return free, err
}

// Holders returns for each process that holds permits how many.
func (s *permits) Holders() (map[uint32]int, error) {
	_, held, err := s.count()
	return held, err
}

// Locked reports whether no permit is free.
func (s *permits) Locked() bool {
	free, err := s.Value()
	return err == nil && free == 0
}

func (s *permits) count() (free int, held map[uint32]int, err error) {
	me, err := s.self()
	if err != nil {
		return 0, nil, err
	}
	last := ^uint64(0)
	for range 1000 { // who counts does not hold up others; while it never gets two looks alike the last one has to do
		free, held = 0, map[uint32]int{}
		sum := uint64(0)
		for i := range s.places {
			version, kind, owner := unpack(atomic.LoadUint64(s.at(i)))
			sum += uint64(version)
			switch kind {
			case permitFree:
				free++
			case permitHeld:
				held[owner]++
			}
		}
		if sum == last {
			break
		}
		last = sum
	}
	return free, held, s.confirm(me)
}

// Cap returns the most permits that the semaphore can have.
func (s *permits) Cap() int { return s.places }
