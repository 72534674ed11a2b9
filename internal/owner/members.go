package owner

import (
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/fb2d3dbd/multiproc/internal/fault"
	"github.com/fb2d3dbd/multiproc/internal/layout"
)

// Participants says who this process is among those that share some memory, and which of them are dead; see
// futex.Participants, which this is for the packages above.
type Participants interface {
	Self() uint32
	Alive(token uint32) bool
}

// Members gives the processes that use one shared object small numbers, from 1, to be written into the object's words, and has what the
// dead among them left repaired before their number is used again. It stands on plain 64-bit words, zeros at first, and needs nothing but
// the proof of death that [Participants] gives.
//
// The repair of a member is exclusive and may itself be killed: whoever proves the repairer dead starts it again, so it must be
// idempotent. A repairer that is stopped delays that one repair and nothing else.
//
//	the word   flags:4 | repairer token:30 | token:30
//
//	0                  nobody has the number        → (token), CAS, by who joins
//	(token)            the process has the number   → flags, CAS, by itself; (token, repairer), CAS, by who has proof that token is dead
//	(token, repairer)  repairer mends what it left  → (token, repairer'), CAS, by who has proof that repairer is dead
//	                                                → (token), CAS, by the repairer, if it cannot
//	                                                → 0, CAS, by the repairer, when all is done
type Members struct {
	words []uint64
	who   Participants
}

const (
	tokenMask     = 1<<TokenBits - 1
	repairerShift = TokenBits
	flagShift     = 2 * TokenBits

	// MemberFlags is the number of flag bits that a member has for the object's own use.
	MemberFlags = 64 - flagShift
)

// NewMembers views words as the members of an object; number i is words[i-1].
func NewMembers(words []uint64, who Participants) *Members {
	return &Members{words: words, who: who}
}

// joinMu keeps two goroutines of this process from taking two numbers for it.
var joinMu sync.Mutex

// Join returns the number of this process, which is self to the other participants, taking one if it has none. Numbers are
// given from the lowest, so that who looks through them need not look far. before is called before a number is taken.
func (m *Members) Join(self uint32, before func(number int)) (int, error) {
	joinMu.Lock()
	defer joinMu.Unlock()
	for i := range m.words {
		if atomic.LoadUint64(&m.words[i])&^(uint64(1<<MemberFlags-1)<<flagShift) == uint64(self) {
			return i + 1, nil
		}
	}
	for i := range m.words {
		if atomic.LoadUint64(&m.words[i]) != 0 {
			continue
		}
		before(i + 1)
		fault.Point("members.join")
		if atomic.CompareAndSwapUint64(&m.words[i], 0, uint64(self)) {
			fault.Point("members.joined")
			return i + 1, nil
		}
	}
	return 0, fmt.Errorf("%w: %d members are in it", layout.ErrTooMany, len(m.words))
}

// Flag sets flags of member i, which is this process.
func (m *Members) Flag(i int, flags uint64) {
	w := &m.words[i-1]
	for {
		old := atomic.LoadUint64(w)
		if old>>flagShift&flags == flags || atomic.CompareAndSwapUint64(w, old, old|flags<<flagShift) {
			return
		}
	}
}

// Get returns the token and the flags of member i, or 0 when there is none, or one that is known to be dead.
func (m *Members) Get(i int) (token uint32, flags uint64) {
	w := atomic.LoadUint64(&m.words[i-1])
	if w>>repairerShift&tokenMask != 0 {
		return 0, 0
	}
	return uint32(w & tokenMask), w >> flagShift
}

// Mending reports whether member i is dead and a survivor, who has not ended, mends what it left.
func (m *Members) Mending(i int) bool {
	return atomic.LoadUint64(&m.words[i-1])>>repairerShift&tokenMask != 0
}

// Free reports whether number i is nobody's, neither a living member's nor one whose repair is to be done.
func (m *Members) Free(i int) bool { return atomic.LoadUint64(&m.words[i-1]) == 0 }

// Alive asks for the proof: it reports whether a token that Get returned may still run.
func (m *Members) Alive(token uint32) bool { return m.who.Alive(token) }

// Bury looks for the dead among the first n members and has repair mend what each left. It returns how many numbers are free again. An error of
// repair ends it, and leaves that member to the next who looks.
func (m *Members) Bury(self uint32, n int, repair func(number int) error) (buried int, err error) {
	for i := range m.words[:min(n, len(m.words))] {
		w := &m.words[i]
		old := atomic.LoadUint64(w)
		tok, by := uint32(old&tokenMask), uint32(old>>repairerShift&tokenMask)
		last := by // whose death makes the repair ours
		if by == 0 {
			last = tok
		}
		if old == 0 || last == self || m.who.Alive(last) {
			continue
		}
		claim := uint64(tok) | uint64(self)<<repairerShift
		fault.Point("members.bury")
		if !atomic.CompareAndSwapUint64(w, old, claim) {
			continue // another survivor was faster
		}
		fault.Point("members.claimed")
		if err := repair(i + 1); err != nil {
			atomic.CompareAndSwapUint64(w, claim, uint64(tok))
			return buried, err
		}
		fault.Point("members.repaired")
		// Not a plain store: in memory that was closed here meanwhile, which others go on using, the repair is another's by now.
		if atomic.CompareAndSwapUint64(w, claim, 0) {
			buried++
		}
	}
	return buried, nil
}
