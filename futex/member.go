package futex

import (
	"context"
	"errors"
	"fmt"

	"github.com/fb2d3dbd/multiproc/internal/layout"
)

// Errors of the locks that have places, readers or parties.
var (
	// ErrDamaged says to a reader that a writer died while it held the lock and that nobody has mended what the lock guards. The
	// reader does not have the lock: somebody must take it for writing, mend, and call MarkConsistent.
	ErrDamaged = errors.New("what the lock guards is damaged: a writer died, and nobody has mended it")
	// ErrTooMany says that every place in the object's memory is taken; make the object with more.
	ErrTooMany = layout.ErrTooMany
	// ErrBound says that a permit was released that nobody holds: the semaphore has all it can have.
	ErrBound = errors.New("the semaphore has as many permits as it can have")
	// ErrBrokenBarrier says that a barrier is broken: a member died or gave up, its action failed, or somebody called Abort or Reset.
	ErrBrokenBarrier = errors.New("the barrier is broken")
)

// A member is what the locks know of this process and of the others.
type member struct {
	who Participants
}

func (m member) valid(what string) error {
	if m.who == nil {
		return fmt.Errorf("%s: nil Participants; pass the segment, or futex.Local{} between goroutines", what)
	}
	return nil
}

// self returns this process's token.
func (m member) self() (uint32, error) {
	me := m.who.Self()
	if me == 0 {
		return 0, ErrClosed
	}
	return me, nil
}

// confirm says ErrClosed if the memory was closed under the operation: what it changed may have been memory that nobody
// shares any more. Close sets Self to 0 before it takes the memory away.
func (m member) confirm(me uint32) error {
	if m.who.Self() != me {
		return ErrClosed
	}
	return nil
}

// await sleeps on e until ready. Everything in these files that waits for a change of words does it here. mourn, called when one
// of peers may have died and after slices of up to 50 ms, looks for the dead.
func (m member) await(ctx context.Context, e *EventCount, me uint32, ready func() (bool, error), mourn func() error, peers func() []uint32) error {
	return e.AwaitPeers(ctx, func() (bool, error) {
		if err := m.confirm(me); err != nil { // also in the copy of a sleeper, in the child of a fork: it may change nothing in this name
			return false, err
		}
		ok, err := ready()
		if e := m.confirm(me); e != nil { // the words may have been the zeros of closed memory
			return false, e
		}
		return ok, err
	}, mourn, m.who, peers)
}

// A census remembers during one look at an object who was found alive: the proof is a call into the kernel.
type census struct {
	member
	me    uint32
	known map[uint32]bool
}

func (m member) census(me uint32) *census { return &census{member: m, me: me} }

// dead reports whether the participant is proven dead.
func (c *census) dead(token uint32) bool {
	if token == c.me {
		return false
	}
	alive, ok := c.known[token]
	if !ok {
		if c.known == nil {
			c.known = map[uint32]bool{}
		}
		alive = c.who.Alive(token)
		c.known[token] = alive
	}
	return !alive
}

// maxWatched is the most processes whose death one sleeper hears of at once; it finds out about others by its slice.
const maxWatched = 16

// A watchlist collects the tokens of those that a sleeper depends on.
type watchlist struct {
	me     uint32
	tokens []uint32
}

func (l *watchlist) add(token uint32) (full bool) {
	if token == 0 || token == l.me {
		return false
	}
	for _, t := range l.tokens {
		if t == token {
			return false
		}
	}
	l.tokens = append(l.tokens, token)
	return len(l.tokens) == maxWatched
}

// Words of 64 bits that a participant may own: high:32 | kind:2 | token:30.
const (
	tokenMask = 1<<30 - 1
	kindShift = 30
	highShift = 32
)

func pack(high, kind, token uint32) uint64 {
	return uint64(high)<<highShift | uint64(kind)<<kindShift | uint64(token)
}

func unpack(w uint64) (high, kind, token uint32) {
	return uint32(w >> highShift), uint32(w>>kindShift) & 3, uint32(w) & tokenMask
}
