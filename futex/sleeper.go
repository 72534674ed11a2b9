package futex

import (
	"context"
	"math"
	"sync/atomic"
	"time"

	"github.com/fb2d3dbd/multiproc/internal/sys"
)

// A sleeper is the one door by which a call that must wait goes to sleep, again and again until what it waits for has come. It sleeps in
// slices, watches those whose death would be the end of the wait, and obeys its context.
//
//	s := newSleeper(ctx, word, who)
//	defer s.done()
//	for ... { look; s.sleep(val) }
type sleeper struct {
	ctx    context.Context
	word   *uint32
	who    Participants // of those in peers; may be nil
	peers  func() []uint32
	nap    time.Duration
	probed bool // a slice has passed: peers are watched
	stop   func() bool
	watch  watching
	hint   atomic.Bool // one of them may have died, and the sleeper does not know yet
	gone   atomic.Bool
}

// firstNap is short: most waits are, and only who waits longer has the owner watched.
const firstNap = 200 * time.Microsecond

func newSleeper(ctx context.Context, word *uint32, who Participants) *sleeper {
	return &sleeper{ctx: ctx, word: word, who: who, nap: firstNap}
}

// sleep sleeps while *word holds val, until it is woken, the context ends, or the slice is over. elapsed says that it is time to
// ask whether somebody has died: the slice is over, or there is a hint.
func (s *sleeper) sleep(val uint32) (elapsed bool) {
	if s.stop == nil {
		s.stop = wakeOnDone(s.ctx, s.word)
	}
	if s.probed && s.peers != nil {
		s.watch.set(s.who, s.peers(), s.rouse)
	}
	errno := error(nil)
	if !s.hint.Load() {
		errno = sleep(s.word, val, slice(s.ctx, s.nap))
	}
	switch {
	case s.hint.Swap(false):
		s.nap = time.Millisecond // the proof may take a moment more
	case errno == sys.ETIMEDOUT:
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

// done ends the wait.
func (s *sleeper) done() {
	s.gone.Store(true)
	if s.stop != nil {
		s.stop()
	}
	s.watch.stop()
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
