package futex

import (
	"context"
	"math"
	"sync/atomic"

	"github.com/fb2d3dbd/multiproc/internal/fault"
	"github.com/fb2d3dbd/multiproc/internal/sys"
)

// EventCountSize is the memory that an [EventCount] needs, in bytes. Zeros are one that nobody waits on.
const EventCountSize = 4

// An EventCount lets processes and goroutines sleep until something in shared memory has changed, at the price of one
// load for those who change it while nobody sleeps.
//
//	the word   generation:30 | all:1 | sleepers:1
//
//	g            nobody sleeps           → (g+1)+sleepers, by who is about to sleep
//	g+sleepers   somebody may sleep      → the same with g+1, by who is about to sleep or notifies; g+1, by who notified
//	                                       and found fewer asleep than it wanted to wake
//	…+all        the last who notified   → without all, by who notifies few
//	             meant all, or many
//
// all is for those who sleep where nobody can see how many were meant to be woken.
//
// Every change is a compare-and-swap that raises the generation, so a sleeper whose word has moved on looks again. The
// death of a process between a change and its Notify, or between Notify's two steps, costs the sleepers one slice of at most 50 ms.
type EventCount struct {
	word    *uint32
	crowded atomic.Bool // the next wait is not to spin
}

// NewEventCount views the first EventCountSize bytes of mem as an event count.
func NewEventCount(mem []byte) (*EventCount, error) {
	w, err := word(mem, "futex: event count")
	if err != nil {
		return nil, err
	}
	// Whoever notifies may have published with a plain release store; those who sleep pay for the fence, and this makes
	// this process one that they can reach.
	sys.RegisterBarrier()
	return &EventCount{word: w}, nil
}

const (
	sleepers uint32 = 1 << 0
	allBit   uint32 = 1 << 1

	generation = 4 // one more
)

// Notify wakes up to n of those who wait (n < 0: all). Call it after the change that they wait for.
func (e *EventCount) Notify(n int) {
	if atomic.LoadUint32(e.word)&sleepers != 0 { // pairs with the swap and the barrier in Await
		e.notify(n)
	}
}

func (e *EventCount) notify(n int) {
	if n < 0 {
		n = math.MaxInt32
	}
	for {
		w := atomic.LoadUint32(e.word)
		if w&sleepers == 0 {
			return
		}
		next := (w + generation) &^ allBit
		if n > ringMisses {
			next |= allBit
		}
		if !atomic.CompareAndSwapUint32(e.word, w, next) {
			continue
		}
		fault.Point("event.raised") // a death here loses the wake-up: the sleepers' slice shows them the change
		if wake(e.word, n) < n {    // nobody is left asleep, unless the word has changed since
			atomic.CompareAndSwapUint32(e.word, next, (next+generation)&^sleepers)
		}
		return
	}
}

// Await returns nil as soon as ready reports true, and ready's error as soon as it returns one. It looks, spins for some
// microseconds, and sleeps until a [EventCount.Notify], looking again after slices of up to 50 ms. After each slice it
// calls idle, if that is not nil, and returns its error: the place to find out that a peer has died.
func (e *EventCount) Await(ctx context.Context, ready func() (bool, error), idle func() error) error {
	return e.AwaitPeers(ctx, ready, idle, nil, nil)
}

// AwaitPeers is Await for what comes from certain processes alone: peers lists their tokens, and idle is called at once when
// one of them may have died, if who is a [Watcher] (a *shm.Segment is). peers is asked before each sleep that is not
// short, so the list may change; zeros in it are nobody.
func (e *EventCount) AwaitPeers(ctx context.Context, ready func() (bool, error), idle func() error, who Participants, peers func() []uint32) error {
	var spin spinner
	for {
		if ok, err := ready(); ok || err != nil {
			e.answered(&spin, peers)
			return err
		}
		if e.crowded.Load() {
			e.crowded.Store(false)
			break
		}
		if !spin.again(16) {
			break
		}
	}
	bed := newSleeper(ctx, e.word, who)
	if who != nil {
		bed.peers = peers
	}
	bed.all = allBit
	defer bed.done()
	err := e.park(bed, ready, idle)
	bed.won = err == nil
	return err
}

// answered learns from a wait that ended before it came to a sleep. If that was for one process alone, and came when this thread had given its CPU away, the two
// share it, as likely as not, while another may be idle: the kernel leaves those who run in turns where they are, since their caches are warm, for ten milliseconds and
// more. A sleeper is placed anew when it is woken. So the next wait is a sleep.
func (e *EventCount) answered(spin *spinner, peers func() []uint32) {
	if spin.gave && manyCPUs && peers != nil && len(peers()) == 1 {
		e.crowded.Store(true)
	}
}

func (e *EventCount) park(bed *sleeper, ready func() (bool, error), idle func() error) error {
	for {
		if err := bed.ctx.Err(); err != nil {
			if bed.kernel {
				e.Notify(1) // a wake-up that was meant for the one who leaves is passed on
			}
			return err
		}
		w := atomic.LoadUint32(e.word)
		next := (w + generation) | sleepers
		if !atomic.CompareAndSwapUint32(e.word, w, next) { // pairs with the load in Notify
			continue
		}
		fault.Point("event.waiting")
		sys.Barrier() // the fence of those who publish without one: what they stored before their load is visible now
		if ok, err := ready(); ok || err != nil {
			return err
		}
		elapsed := bed.sleep(next)
		fault.Point("event.woken") // a death here takes a wake-up along: others that it would have done for have their slices
		if ok, err := ready(); ok || err != nil {
			return err
		}
		if elapsed && idle != nil {
			if err := idle(); err != nil {
				home.spread(e.word) // it may be the end for the others too
				return err
			}
		}
	}
}
