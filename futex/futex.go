// Package futex has what processes that share memory need to wait for each other: [Wait] and [Wake] on a 32-bit word, an
// [EventCount] to sleep until something has changed, and locks that survive the death of who holds them: [Mutex], [RLock], [RWMutex],
// [Semaphore], [BoundedSemaphore], [Cond], [Event] and [Barrier].
//
// Everything stands in the caller's memory: a mapping that several processes share (package shm makes them), or plain memory between goroutines.
// Nothing is allocated in the kernel and nothing is left behind there. Of what zeros are one of, every process calls New; of what has a shape, so many
// readers or parties, one process calls Create and the others Open. Who of them is alive a [Participants] says, such as a *shm.Segment.
//
//	seg, err := shm.OpenOrCreate("table", &shm.Options{Size: 4096})
//	mu, err := futex.NewMutex(seg.Bytes(), seg)
//	err = mu.Lock(ctx) // nil, or ErrOwnerDied with the lock held
//
// Locks tell who holds them by tokens; Segment.Participant says which process that is. A [Source] is something of which a [Group] waits for many at once, and
// the Look functions are for tools that take no part.
package futex

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync/atomic"
	"time"

	"github.com/fb2d3dbd/multiproc/internal/layout"
	"github.com/fb2d3dbd/multiproc/internal/sys"
)

// Errors of this package. They are matched with errors.Is.
var (
	// ErrOwnerDied comes with the lock held: its owner died or left while it held it, and what the lock guards may be half
	// changed. Mend it and call MarkConsistent, or unlock and leave the same news to the next.
	ErrOwnerDied = errors.New("the lock's owner died while it held it; the lock is now yours")
	// ErrLocked says that a try found the lock held.
	ErrLocked = errors.New("the lock is held")
	// ErrNotOwner says that the caller's process does not hold the lock.
	ErrNotOwner = errors.New("the lock is not held by this process")
	// ErrClosed says that the memory under the object was closed; it matches os.ErrClosed.
	ErrClosed = layout.ErrClosed
	// ErrCorrupt says that what stands in shared memory cannot be.
	ErrCorrupt = layout.ErrCorrupt
)

// Participants says who this process is among those that share the memory, and which of them are dead. A
// *shm.Segment is one; [Local] stands in for it where goroutines of one process share memory.
type Participants interface {
	// Self returns this process's token, from 1 to 1<<30-2, or 0 once the memory is closed here.
	Self() uint32
	// Alive reports whether the participant may still run. False must be proven, not guessed from a time-out; any token
	// may be asked about.
	Alive(token uint32) bool
}

// A Tokened is a Participants whose Self is what stands in a word at that time. A lock then reads the word instead of calling Self, which
// is a part of what an uncontended lock costs. A *shm.Segment is one.
type Tokened interface {
	Participants
	// Token returns the word, the same for good, or nil for none. It is good as long as the Tokened is referred to.
	Token() *atomic.Uint32
	// Keeps reports whether this process can no longer write to mem when Alive has come to be false of its token: it is dead, or mem was taken from it first. Of such
	// memory a [Mutex] may be unlocked by a plain store, which comes late where the process was held up; of other memory it is unlocked by an exchange. A
	// *shm.Segment keeps what is its own.
	Keeps(mem []byte) bool
}

// Local is the only participant of memory that no other process shares.
type Local struct{}

// Self returns 1.
func (Local) Self() uint32 { return 1 }

// Alive reports whether token is 1.
func (Local) Alive(token uint32) bool { return token == 1 }

// Token returns a word that holds 1.
func (Local) Token() *atomic.Uint32 { return &local }

// Keeps reports true: it does not die before its memory.
func (Local) Keeps([]byte) bool { return true }

var local atomic.Uint32

func init() { local.Store(Local{}.Self()) }

// A Result says how a [Wait] ended.
type Result int

// The ways in which a Wait ends.
const (
	Woken       Result = iota + 1 // by a Wake, or for no reason: look again at what you wait for
	Changed                       // the word did not hold the value, or no longer did when the sleep began
	TimedOut                      // the context's deadline passed
	Interrupted                   // the context was cancelled
)

// String returns the result in lower case.
func (r Result) String() string {
	switch r {
	case Woken:
		return "woken"
	case Changed:
		return "changed"
	case TimedOut:
		return "timed out"
	case Interrupted:
		return "interrupted"
	}
	return fmt.Sprintf("Result(%d)", int(r))
}

// Wait sleeps while *word holds val, until somebody calls [Wake] on the word, in this process or in another that maps the
// same memory. The error is nil for Woken and Changed, ctx.Err() for TimedOut and Interrupted, and matches
// errors.ErrUnsupported where there are no futexes. The death of the process that would have woken it ends no Wait: whoever
// waits for a process that may die waits in slices and looks (as Mutex and EventCount do).
//
// The first few goroutines of a process that sleep take an operating system thread each, the others none: 10,000 may sleep. One of
// these may be woken when the Wake was meant for fewer, and a Wake that comes without a change of the word may miss them.
func Wait(ctx context.Context, word *uint32, val uint32) (Result, error) {
	if r, err := ctxResult(ctx); err != nil {
		return r, err
	}
	if !sys.Futex {
		return 0, sys.Unsupported("futex")
	}
	s := newSleeper(ctx, word, nil)
	s.nap = maxSlice // it bounds what a cancellation that fell between the look at ctx and the sleep can cost
	defer s.done()
	for {
		s.sleep(val)
		switch s.errno {
		case nil:
			if r, err := ctxResult(ctx); err != nil {
				return r, err
			}
			s.won = true
			return Woken, nil
		case sys.EAGAIN:
			s.won = true
			return Changed, nil
		case sys.EINTR, sys.ETIMEDOUT:
			if r, err := ctxResult(ctx); err != nil {
				return r, err
			}
		case sys.ENOSYS:
			return 0, sys.Unsupported("futex")
		default:
			return 0, fmt.Errorf("futex wait: %w", s.errno)
		}
	}
}

// Wake wakes up to n of those that sleep in a [Wait] on word, in whichever process, and returns how many. n < 0 wakes all.
func Wake(word *uint32, n int) (int, error) {
	if n < 0 || n > math.MaxInt32 {
		n = math.MaxInt32
	}
	woken, errno := sys.FutexWake(word, n)
	switch errno {
	case 0:
		if woken < n && parked.Load() != 0 { // as in wake
			woken += home.wake(word, n-woken)
		}
		return woken, nil
	case sys.ENOSYS:
		return 0, sys.Unsupported("futex")
	}
	return 0, fmt.Errorf("futex wake: %w", errno)
}

func ctxResult(ctx context.Context) (Result, error) {
	err := ctx.Err()
	switch {
	case err == nil:
		return 0, nil
	case errors.Is(err, context.DeadlineExceeded):
		return TimedOut, err
	}
	return Interrupted, err
}

// wakeOnDone arranges that everybody who sleeps on word looks again when ctx ends; stop undoes it. The others take it for
// one of the wakes for no reason that they have to expect.
func wakeOnDone(ctx context.Context, word *uint32) (stop func() bool) {
	if ctx.Done() == nil {
		return func() bool { return true }
	}
	return context.AfterFunc(ctx, func() { sys.FutexWake(word, math.MaxInt32) })
}

// maxSlice is the longest that anybody sleeps without looking whether the one it waits for is dead. A wake-up can be lost
// to a SIGKILL between a store and its FUTEX_WAKE, so no sleep is unbounded.
const maxSlice = 50 * time.Millisecond

// slice shortens d to what is left until ctx's deadline.
func slice(ctx context.Context, d time.Duration) time.Duration {
	if dl, ok := ctx.Deadline(); ok {
		if left := time.Until(dl); left < d {
			return max(left, time.Microsecond)
		}
	}
	return d
}
