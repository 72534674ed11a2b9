package ringbuf

import (
	"runtime"
	"sync/atomic"
	"time"

	"github.com/fb2d3dbd/multiproc/internal/cpu"
	"github.com/fb2d3dbd/multiproc/internal/sys"
)

// A wait is the short part of a wait for a message or for room: it looks again after a pause, then after having offered the CPU to
// others, and then it is time to sleep.
//
// Who looks at the next cell without pause takes its line away from the other side in the middle of every call. One that stays
// away for a little finds several messages when it comes back, and both run faster; but who waits for an answer must not
// stay away too long. So the pause grows while it brings several messages, and shrinks when it brings one. Where there are
// more processes than CPUs the other side may need this one: so the pauses are few.
type wait struct {
	q      *MPMC
	pause  uint32
	spent  int
	yields int
}

const (
	minPause   = 4
	maxPause   = 256
	pauseGain  = 4   // messages that a pause has to bring
	pollBudget = 400 // pauses before the CPU is offered to others
	lookCost   = 8   // pauses that a look is worth
	maxYields  = 16

	// An offer that took so long was taken: others want the CPUs. For the next waits it comes before any pause.
	takenOffer   = 3 * time.Microsecond
	longAway     = time.Millisecond
	crowdedWaits = 64
)

// again passes a moment and reports whether to look once more.
func (w *wait) again() bool {
	if w.spent < pollBudget && w.q.crowded.Load() <= 0 {
		w.pause = w.q.pause.Load()
		cpu.Pause(w.pause)
		w.spent += int(w.pause) + lookCost
		return true
	}
	if w.yields++; w.yields > maxYields {
		return false
	}
	start := time.Now()
	sys.Yield()
	if w.yields > 1 { // this wakes a thread to look for other goroutines, which takes the CPU from another process
		runtime.Gosched()
	}
	switch away := time.Since(start); {
	case away > longAway:
		w.yields = maxYields // who sleeps is woken, and hears of deaths; who only offers the CPU waits for its turn
		fallthrough
	case away > takenOffer:
		w.q.crowded.Store(crowdedWaits)
	case w.q.crowded.Load() > 0:
		w.q.crowded.Add(-1)
	}
	return true
}

// ended learns from a wait for a message that has brought one.
func (w *wait) ended() {
	if w.yields > 0 {
		return
	}
	q := w.q
	t, _ := q.sane(atomic.LoadUint64(&q.hdr.tail))
	h, _ := q.sane(atomic.LoadUint64(&q.hdr.headPos))
	switch d := q.distance(h, t); { // of hints: a guess will do
	case d >= pauseGain && d <= q.n/4 && w.pause < maxPause:
		q.pause.Store(2 * w.pause)
	case (d == 0 || d > q.n/2) && w.pause > minPause: // a queue that is filling up stops who puts
		q.pause.Store(w.pause / 2)
	}
}
