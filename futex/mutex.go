package futex

import (
	"context"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/fb2d3dbd/multiproc/internal/cpu"
	"github.com/fb2d3dbd/multiproc/internal/fault"
	"github.com/fb2d3dbd/multiproc/internal/race"
	"github.com/fb2d3dbd/multiproc/internal/sys"
)

// MutexSize is the memory that a [Mutex] needs, in bytes; it begins at a multiple of 8. Zeros are an unlocked mutex.
const MutexSize = 8

// A Mutex is a mutual-exclusion lock between processes, and between their goroutines, on two words in shared memory. Its
// owner is a process: any of its goroutines may unlock it.
//
// When the owner dies, however it dies, the next Lock gets the lock together with ErrOwnerDied. An owner that lives keeps
// the lock, also while it is stopped.
//
//	the word   owner token:30 | damaged:1 | waiters:1
//
//	0                free                         → owner, by who locks
//	damaged          free, not declared whole     → owner+damaged, by who locks (gets ErrOwnerDied)
//	owner            held                         → 0, by the owner; owner'+damaged, by who has proof that owner is dead
//	owner+waiters    held, somebody may sleep     → 0 and one wake, by the owner, or after its turn handed+waiters; 0 by the store of an owner that
//	                                                had not seen the bit, and one wake after its second look at the mode; as above
//	handed+waiters   free for who has slept       → owner+waiters, by one of those who sleep; by others when it stays so; 0, by
//	                                                who handed it over and woke nobody
//	…+damaged        held, ErrOwnerDied was said  → without damaged, by the owner's MarkConsistent
//
// While nobody sleeps, Unlock is a plain store: half of what the two exchanges of a lock cost. The fence that this leaves out is paid by who goes to
// sleep. The second word says which it is:
//
//	the mode   generation:30 | phase:2
//
//	g blind        an unlock may be a plain store            → g announced, by who is about to sleep
//	g announced    somebody is about to sleep; who unlocked  → g settled, by anybody who has run membarrier(2) since it saw this;
//	               by a store looks again, and wakes one       g never, where there is none
//	g settled      every unlock is an exchange               → g+1 blind, in one exchange with owner → 0, by an owner that has
//	                                                           unlocked many times in a row and found nobody waiting
//	g never        the same, for good
//
// The waiters bit is set in another's word by an exchange of both words, in a mode that is settled (or never). Who unlocks by a store has seen a mode that is
// blind and a word that is clean, and loads the mode once more after its store. If the bit was set in between, a barrier was run in between too, after that
// mode and before the bit: so the store was visible before the bit was set, or the last load sees another mode, one that there has not been
// before. It is the asymmetric fence of Dice, Huang and Yang, "Asymmetric Dekker Synchronization".
//
// It is the futex mutex of Drepper's "Futexes Are Tricky" with the owner in the word, as the kernel's robust futexes have
// it; the proof of death is the participant's, not the kernel's robust list.
//
// A process that unlocks and locks again and again is faster than anybody whom it wakes. So its turn ends a millisecond after the first
// unlock at which somebody waited: it then hands the lock over, as Go's sync.Mutex does, to those who have slept, and queues behind
// them. Nobody is named: if the one that was woken dies, another takes its place, and nothing is damaged.
type Mutex struct {
	at    *lockWords
	who   Participants
	self  *atomic.Uint32 // what who.Self returns, if who is a Tokened
	blind *atomic.Uint32 // the same, if a sleeper's barrier reaches this process; else nil: it unlocks by an exchange always
	calm  uint32         // unlocks in a row that found nobody waiting, while the mode was not blind; about so many
	turn  atomic.Int64   // when this process first unlocked while others waited, since it handed the lock over; nanoseconds, or 0
}

const (
	waiters uint32 = 1 << 0
	damaged uint32 = 1 << 1

	ownerShift = 2

	// The phases of the mode.
	modeMask  uint32 = 3
	blind     uint32 = 0
	announced uint32 = 1
	settled   uint32 = 2
	never     uint32 = 3

	nextMode = modeMask + 1 // a generation more, and blind, is the mode without its phase and this

	// handed stands for an owner when the lock is handed over. It is no participant's token.
	handed = 1<<30 - 1
	// maxTurn is how long a process may take the lock again and again while others wait.
	maxTurn = time.Millisecond
)

// calmUnlocks is how many unlocks in a row must find nobody waiting until the next are plain stores. The first who sleeps then pays for
// a barrier, some microseconds; and where many want the lock, one that is woken may be far from running yet. So it is more than there are in a turn.
var calmUnlocks uint32 = 1 << 18

// barrierHere is replaced by tests.
var barrierHere = sys.Barrier

// wideSwap is false where Go makes the exchange of 64 bits of several instructions and a lock of the process's own: there every unlock is an exchange of 32.
const wideSwap = runtime.GOARCH != "arm" && runtime.GOARCH != "mips" && runtime.GOARCH != "mipsle"

// isFree reports whether nobody owns the lock whose word is w.
func isFree(w uint32) bool { return w>>ownerShift == 0 || w>>ownerShift == handed }

// NewMutex views the first MutexSize bytes of mem as a mutex. Every process that shares the memory does the same; who
// says which of them are alive, as a *shm.Segment does for its own memory.
func NewMutex(mem []byte, who Participants) (*Mutex, error) {
	at, err := wordsOfLock(mem, "futex: mutex")
	if err != nil {
		return nil, err
	}
	if who == nil {
		return nil, fmt.Errorf("futex: mutex: nil Participants; pass the segment, or futex.Local{} between goroutines")
	}
	m := &Mutex{at: at, who: who}
	if t, ok := who.(Tokened); ok {
		m.self = t.Token()
	}
	if m.self != nil && wideSwap && who.(Tokened).Keeps(mem) && sys.RegisterBarrier() {
		m.blind = m.self
	}
	return m, nil
}

// me returns this process's token, or 0 once the memory is closed here.
func (m *Mutex) me() uint32 {
	if m.self != nil {
		return m.self.Load()
	}
	return m.who.Self()
}

// Lock takes the lock, waiting for it until ctx ends. It returns nil or ErrOwnerDied with the lock held, and any
// other error without it: ctx.Err(), or ErrClosed. A ctx that has ended does not keep it from taking a free lock.
func (m *Mutex) Lock(ctx context.Context) error {
	if m.self != nil { // all in one piece: no call costs what the exchange does, but two of them are felt
		if me := m.self.Load(); me != 0 && atomic.CompareAndSwapUint32(&m.at.word, 0, me<<ownerShift) {
			race.Acquire(&m.at.word)
			fault.Point("mutex.locked")
			if m.self.Load() != me { // as in confirm
				return ErrClosed
			}
			return nil
		}
	}
	return m.lockSlow(ctx, m.me())
}

// TryLock takes the lock if it is free or its owner is dead. It returns nil or ErrOwnerDied with the lock held, and
// ErrLocked when a living process holds it.
func (m *Mutex) TryLock() error {
	me := m.me()
	if me == 0 {
		return ErrClosed
	}
	for {
		w := atomic.LoadUint32(&m.at.word)
		next := me<<ownerShift | w&(damaged|waiters)
		if !isFree(w) {
			if w>>ownerShift == me || m.who.Alive(w>>ownerShift) {
				return ErrLocked
			}
			next |= damaged
		}
		if atomic.CompareAndSwapUint32(&m.at.word, w, next) {
			return m.taken(me, next)
		}
	}
}

// confirm says ErrClosed if the memory was closed under the operation: the lock just taken may have been taken in
// memory that nobody shares any more. Close sets Self to 0 before it takes the memory away.
func (m *Mutex) confirm(me uint32) error {
	if m.me() != me {
		return ErrClosed
	}
	return nil
}

func (m *Mutex) taken(me, word uint32) error {
	race.Acquire(&m.at.word)
	fault.Point("mutex.locked")
	if err := m.confirm(me); err != nil {
		return err
	}
	if word&damaged != 0 {
		return ErrOwnerDied
	}
	return nil
}

// lockSlow spins, then sleeps; when the owner may have died, and after slices that grow to 50 ms, it asks for proof.
func (m *Mutex) lockSlow(ctx context.Context, me uint32) error {
	if me == 0 {
		return ErrClosed
	}
	var spin spinner
	var asleep uint32 // waiters once this call has slept: others may sleep too, and who unlocks must wake one
	var bed *sleeper
	early := false // this call slept before the lock was handed over, or was woken for it
	tries := 2     // else, slices that it leaves to those who did
	for {
		w := atomic.LoadUint32(&m.at.word)
		if w>>ownerShift == 0 || w>>ownerShift == handed && (early || tries <= 0) {
			next := me<<ownerShift | w&(damaged|waiters) | asleep
			if atomic.CompareAndSwapUint32(&m.at.word, w, next) {
				if bed != nil {
					bed.won = true
				}
				return m.taken(me, next)
			}
			continue
		}
		if asleep == 0 && spin.again(16) {
			continue
		}
		if err := m.giveUp(ctx, me); err != nil {
			return err
		}
		if w&waiters == 0 && !m.announce(w) { // else who set it has made sure that who takes it away wakes one
			continue
		}
		fault.Point("mutex.waiting")
		if bed == nil {
			bed = newSleeper(ctx, &m.at.word, m.who)
			bed.peers, bed.exclusive = m.owner, true
			defer bed.done()
		}
		asleep = waiters
		early = early || w>>ownerShift != handed
		elapsed := bed.sleep(w | waiters)
		fault.Point("mutex.woken")            // a death here takes the wake-up along: the others have their slices
		if err := m.confirm(me); err != nil { // closed, or this is the copy of a sleeper in the child of a fork
			return err
		}
		if !elapsed {
			early = early || bed.errno == nil // what it was woken for is its own, whenever it came
			continue
		}
		tries--
		if w = atomic.LoadUint32(&m.at.word); isFree(w) || w>>ownerShift == me || m.who.Alive(w>>ownerShift) {
			continue
		}
		// Only a survivor can have changed the word since, by the same exchange; the dead does not come back.
		next := me<<ownerShift | damaged | waiters
		if atomic.CompareAndSwapUint32(&m.at.word, w, next) {
			fault.Point("mutex.robbed")
			bed.won = true
			return m.taken(me, next)
		}
	}
}

// announce sets the waiters bit in the word w of another, and reports false if the word is no longer w, or the mode changed. The exchange
// is of both words: a bit that was set in a mode which is over could be overwritten by a store that nobody who sleeps hears of.
func (m *Mutex) announce(w uint32) bool {
	mode, ok := m.settle()
	if ok && mode&modeMask == never { // it stays that
		return atomic.CompareAndSwapUint32(&m.at.word, w, w|waiters)
	}
	return ok && m.at.swap(w, mode, w|waiters, mode)
}

// settle brings about a mode in which every unlock is an exchange, and returns it, or false if the mode has changed meanwhile: it does not try again by itself, since
// whoever changes the mode without end must not keep anybody from looking at its context. Any number may do this at a time. The death of one
// leaves "announced", and the next runs a barrier of its own.
//
// Without a barrier nothing but the slices of those who sleep covers an unlock whose store is not visible yet while its second look at the mode is already done:
// some instructions, once in the life of the lock, since it stays "never".
func (m *Mutex) settle() (mode uint32, ok bool) {
	mode = atomic.LoadUint32(&m.at.mode)
	if mode&modeMask == blind {
		if !atomic.CompareAndSwapUint32(&m.at.mode, mode, mode|announced) {
			return 0, false
		}
		mode |= announced
		fault.Point("mutex.announced")
	}
	if mode&modeMask == announced {
		next := mode&^modeMask | settled
		if !wideSwap || !barrierHere() { // pairs with the two looks at the mode in Unlock
			next = mode | never
		}
		if !atomic.CompareAndSwapUint32(&m.at.mode, mode, next) {
			return 0, false
		}
		fault.Point("mutex.settled")
		cpu.StoreRelease32(&m.calm, 0)
		mode = next
	}
	return mode, true
}

// owner lists who holds the lock: whose death a waiter has to hear of.
func (m *Mutex) owner() []uint32 {
	if owner := atomic.LoadUint32(&m.at.word) >> ownerShift; owner != 0 && owner != handed && owner != m.me() {
		return []uint32{owner}
	}
	return nil
}

// giveUp returns the error to leave with, if there is one. A wake-up meant for the one who leaves is passed on.
func (m *Mutex) giveUp(ctx context.Context, me uint32) error {
	err := ctx.Err()
	if err == nil {
		err = m.confirm(me)
	}
	if err != nil && isFree(atomic.LoadUint32(&m.at.word)) {
		wake(&m.at.word, 1)
	}
	return err
}

// Unlock releases the lock. It returns ErrNotOwner when this process does not hold it, and ErrClosed after the memory
// was closed. A lock that came with ErrOwnerDied and was not marked consistent says so to the next owner as well.
//
// Two goroutines of a process must not both unlock what was locked once. The later of two such calls gets ErrNotOwner; but when both have seen that the lock is theirs
// before either frees it, the second, whenever it runs on, may free the lock that another process holds by then.
func (m *Mutex) Unlock() error {
	race.Release(&m.at.word)
	if m.blind != nil { // all in one piece, as in Lock
		me := m.blind.Load()
		if mode := atomic.LoadUint32(&m.at.mode); mode&modeMask == blind {
			if me != 0 && atomic.LoadUint32(&m.at.word) == me<<ownerShift {
				fault.Point("mutex.blind")
				cpu.StoreRelease32(&m.at.word, 0) // only waiters bits are set in a word that is owned and clean, and those in another mode
				fault.Point("mutex.stored")
				if atomic.LoadUint32(&m.at.mode) != mode { // pairs with the barrier in settle
					m.wakeLate()
				}
				if m.blind.Load() != me { // as in confirm: the store may have gone where nobody shares it
					return ErrClosed
				}
				return nil
			}
		} else if calm := atomic.LoadUint32(&m.calm) + 1; calm < calmUnlocks && me != 0 && atomic.CompareAndSwapUint32(&m.at.word, me<<ownerShift, 0) {
			cpu.StoreRelease32(&m.calm, calm) // of goroutines that do this at a time one counts
			return nil
		}
	}
	return m.unlockByExchange(m.me())
}

// wakeLate wakes one who may have set the waiters bit in the word that a plain store has overwritten. A death here loses the wake-up, as at
// mutex.unlocked.
func (m *Mutex) wakeLate() {
	fault.Point("mutex.overtaken")
	parked.Add(0) // a fence: the store is visible before the look, in wake, for those who are parked
	wake(&m.at.word, 1)
}

// unlockByExchange unlocks where somebody may sleep, or may not unlock otherwise.
func (m *Mutex) unlockByExchange(me uint32) error {
	if me == 0 {
		return ErrClosed
	}
	clean := me << ownerShift
	if m.blind != nil && atomic.LoadUint32(&m.calm)+1 >= calmUnlocks {
		mode := atomic.LoadUint32(&m.at.mode)
		done := mode&modeMask == settled && m.at.swap(clean, mode, 0, mode&^modeMask+nextMode)
		if done || mode&modeMask != settled {
			cpu.StoreRelease32(&m.calm, 0)
		}
		if done {
			fault.Point("mutex.reset")
			return nil
		}
	}
	if atomic.CompareAndSwapUint32(&m.at.word, clean, 0) {
		return nil
	}
	return m.unlockSlow(me)
}

func (m *Mutex) unlockSlow(me uint32) error {
	for {
		w := atomic.LoadUint32(&m.at.word)
		if w>>ownerShift != me {
			return ErrNotOwner
		}
		if w&waiters == 0 {
			if atomic.CompareAndSwapUint32(&m.at.word, w, w&damaged) {
				return nil
			}
			continue
		}
		cpu.StoreRelease32(&m.calm, 0)
		if !m.turnOver() {
			if atomic.CompareAndSwapUint32(&m.at.word, w, w&damaged) {
				fault.Point("mutex.unlocked") // a death here loses the wake-up: the sleeper's slice finds the lock free
				wakeNear(&m.at.word)
				return nil
			}
			continue
		}
		next := handed<<ownerShift | w&(damaged|waiters)
		if atomic.CompareAndSwapUint32(&m.at.word, w, next) {
			fault.Point("mutex.handed") // a death here or below loses the wake-up too; who sleeps may take it after a slice
			m.turn.Store(0)
			if wake(&m.at.word, 1) == 0 { // nobody sleeps
				fault.Point("mutex.unwanted")
				if atomic.CompareAndSwapUint32(&m.at.word, next, w&damaged) {
					wake(&m.at.word, 1) // who began to sleep on the handed word in between has not changed it
				}
			}
			return nil
		}
	}
}

// turnOver reports whether this process has had the lock for long enough while others waited.
func (m *Mutex) turnOver() bool {
	now := time.Now().UnixNano()
	return !m.turn.CompareAndSwap(0, now) && now-m.turn.Load() > int64(maxTurn)
}

// MarkConsistent declares that what the lock guards has been mended after ErrOwnerDied. The caller's process must hold
// the lock, else ErrNotOwner.
func (m *Mutex) MarkConsistent() error {
	me := m.me()
	if me == 0 {
		return ErrClosed
	}
	for {
		w := atomic.LoadUint32(&m.at.word)
		if w>>ownerShift != me {
			return ErrNotOwner
		}
		if w&damaged == 0 || atomic.CompareAndSwapUint32(&m.at.word, w, w&^damaged) {
			return nil
		}
	}
}

// Holder returns the token of the process that holds the lock; held is false when nobody does.
func (m *Mutex) Holder() (owner uint32, held bool) {
	w := atomic.LoadUint32(&m.at.word)
	if isFree(w) || m.me() == 0 { // closed here, the word is nobody's
		return 0, false
	}
	return w >> ownerShift, true
}
