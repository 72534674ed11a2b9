package futex

import (
	"context"
	"math"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/fb2d3dbd/multiproc/internal/sys"
)

// A sleeper is the one door by which a call that must wait goes to sleep, again and again until what it waits for has come. It sleeps in
// slices, watches those whose death would be the end of the wait, and obeys its context. The first few of a process
// sleep in the kernel, in a thread each; the others park, see registry.
//
//	s := newSleeper(ctx, word, who)
//	defer s.done()
//	for { look; make the word say that somebody sleeps; s.sleep(val) }
//
// What wakes them goes through [wake]. Whoever wakes has changed the word before, so a sleeper whose word holds another value than
// val has something to look at; and a sleeper who was woken and finds nothing has made the word say again that somebody sleeps
// before it looked for the last time. The registry stands on both.
type sleeper struct {
	ctx   context.Context
	word  *uint32
	who   Participants    // of those in peers; may be nil
	peers func() []uint32 // whose death has to be heard of; nil: nobody's
	// exclusive says that what one gets by waking the others do not: who has got it will wake the next when it is done.
	// The word's owner, ownerShift bits up, is the peer then.
	exclusive bool
	all       uint32 // bits of the word that say: who wakes means all
	won       bool   // the wait has ended well
	kernel    bool   // it slept in the kernel, where a wake-up may have been meant for it

	nap    time.Duration
	probed bool // a slice has passed: peers are watched
	stop   func() bool
	watch  watching
	errno  error       // of the last sleep: nil, EAGAIN, EINTR or ETIMEDOUT, as of futex(2)
	hint   atomic.Bool // one of them may have died, and the sleeper does not know yet
	gone   atomic.Bool

	berth // while parked
}

// firstNap is short: most waits are, and only who waits longer has the owner watched. Tests make it long, to see
// that nobody needs a slice.
var firstNap = 200 * time.Microsecond

// maxDirect is how many goroutines of a process sleep in the kernel at a time, maxHubs how many hubs there are; each
// takes a thread. The more the runtime has itself, the fewer are left; and under load it has some more, for calls that the kernel
// did not come back from at once.
var maxDirect, maxHubs = threadBudget(runtime.GOMAXPROCS(0))

func threadBudget(procs int) (direct int32, hubs int) {
	switch {
	case procs <= 4:
		return 3, 2
	}
	return 2, 1
}

// direct counts those who sleep in the kernel, in a thread each.
var direct atomic.Int32

func newSleeper(ctx context.Context, word *uint32, who Participants) *sleeper {
	return &sleeper{ctx: ctx, word: word, who: who, nap: firstNap}
}

// sleep sleeps while *word holds val, until it is woken, the context ends, or the slice is over. elapsed says that it is time to
// ask whether somebody has died: the slice is over, or there is a hint.
func (s *sleeper) sleep(val uint32) (elapsed bool) {
	s.handOn(false)
	if sys.Futex && direct.Add(1) > maxDirect {
		direct.Add(-1)
		s.kernel = false
		return s.park(val)
	}
	s.kernel = true
	elapsed = s.sleepDirect(val)
	if sys.Futex {
		direct.Add(-1)
	}
	return elapsed
}

func (s *sleeper) sleepDirect(val uint32) (elapsed bool) {
	if s.stop == nil {
		s.stop = wakeOnDone(s.ctx, s.word)
	}
	if s.probed && s.peers != nil {
		s.watch.set(s.who, s.peers(), s.rouse)
	}
	s.errno = nil
	if !s.hint.Load() {
		s.errno = sleep(s.word, val, slice(s.ctx, s.nap))
	}
	switch {
	case s.hint.Swap(false):
		s.nap = time.Millisecond // the proof may take a moment more
	case s.errno == sys.ETIMEDOUT:
		s.nap = min(max(2*s.nap, time.Millisecond), maxSlice)
	default:
		return false
	}
	if !s.probed && s.peers != nil { // before the caller asks who is alive: from here on no death is overlooked
		s.probed = true
		s.watch.set(s.who, s.peers(), s.rouse)
	}
	return true
}

// rouse wakes the sleeper to look who has died. The wake-up may come just before the sleep, so it is repeated.
func (s *sleeper) rouse() {
	s.hint.Store(true)
	for nap := 50 * time.Microsecond; nap < maxSlice && s.hint.Load() && !s.gone.Load(); nap *= 2 {
		sys.FutexWake(s.word, math.MaxInt32)
		time.Sleep(nap)
	}
}

// done ends the wait. A wake-up that the one who leaves has no use for is handed on.
func (s *sleeper) done() {
	s.gone.Store(true)
	if s.stop != nil {
		s.stop()
	}
	s.watch.stop()
	s.handOn(true)
}

// sleep waits on word, or, where there are no futexes, lets a little of d pass.
func sleep(word *uint32, val uint32, d time.Duration) error {
	errno := sys.FutexWait(word, val, d)
	if errno == sys.ENOSYS {
		time.Sleep(min(d, time.Millisecond))
		return sys.ETIMEDOUT
	}
	if errno == 0 {
		return nil
	}
	return errno
}

// wake wakes up to n of those who sleep on word, here and in other processes, and returns how many it knows of. The word was changed
// before.
func wake(word *uint32, n int) int {
	woken, _ := sys.FutexWake(word, n)
	if woken < n && parked.Load() != 0 { // pairs with the addition in park
		woken += home.wake(word, n-woken)
	}
	return woken
}

// wakeNear wakes one who sleeps on word, and rather one who is parked here: that takes no call of the kernel.
func wakeNear(word *uint32) {
	if parked.Load() == 0 || home.wake(word, 1) == 0 {
		wake(word, 1)
	}
}
