package futex

import (
	"sync/atomic"
	"time"

	"github.com/fb2d3dbd/multiproc/internal/life"
	"github.com/fb2d3dbd/multiproc/internal/sys"
)

const (
	hubWords  = sys.MaxFutexes - 1 // one is the hub's own
	youngLook = time.Millisecond   // until the first look at a new lane
	// looksPerSlice is how many of all who are parked look round in each slice, and looksPerLane how many of one lane,
	// also when there is no reason to.
	looksPerSlice = 256
	looksPerLane  = 32
	// doubtSlices is in how many slices all of a lane do so when there is.
	doubtSlices = 8
)

// A hub is a goroutine that sleeps in the kernel on up to hubWords lanes. The first also looks after those for which no hub
// has room. It ends when nobody was parked for a while.
//
//	asleep  it is in the kernel, or about to go: who parks on a word that it does not have kicks it
//	else    it will compare all its words before it sleeps
type hub struct {
	ctl    *uint32 // its own word: changed and woken by who wants it to look
	asleep bool    // the registry's mutex's, as lanes
	lanes  []*lane

	words []sys.FutexWord // as the kernel has them
	armed []*lane
	last  time.Time     // of the last slice
	young time.Time     // when to look at lanes that are new; zero: there are none
	pace  time.Duration // between looks at the lanes that have no room
	quiet int           // slices without anybody
	round int           // where the next round of looks begins
}

// Goroutines that wake and watch, and change nothing in shared memory.
func init() {
	for _, f := range []string{
		"(*registry).run", "(*registry).spread", "(*sleeper).rouse", "(*sleeper).rouse-fm", "(*mourning).end", "wakeOnDone.func2",
	} {
		life.Background("futex." + f)
	}
}

// place finds room for a new lane, and returns the hub that has to look at it.
func (r *registry) place(l *lane) *hub {
	for _, h := range r.hubs {
		if len(h.lanes) < hubWords {
			l.hub, l.at = h, len(h.lanes)
			h.lanes = append(h.lanes, l)
			return h.wanted()
		}
	}
	if len(r.hubs) < maxHubs {
		h := &hub{ctl: new(uint32), lanes: []*lane{l}, last: time.Now(), pace: minPace}
		l.hub, l.at = h, 0
		r.hubs = append(r.hubs, h)
		go r.run(h)
		return nil
	}
	l.at = len(r.over)
	r.over = append(r.over, l)
	if l.at > 0 {
		return nil // it looks every few milliseconds already
	}
	return r.hubs[0].wanted()
}

func (h *hub) wanted() *hub {
	if h.asleep {
		return h
	}
	return nil
}

// kick makes the hub look at its lanes.
func (h *hub) kick() {
	atomic.AddUint32(h.ctl, 1)
	sys.FutexWake(h.ctl, 1)
}

// haveWaitAny is unset when the kernel turns out to lack futex_waitv.
var haveWaitAny atomic.Bool

func init() { haveWaitAny.Store(true) }

// run is the hub's goroutine.
func (r *registry) run(h *hub) {
	for {
		ctl := atomic.LoadUint32(h.ctl) // before the look at the lanes: what is kicked for later ends the sleep
		nap, ok := r.look(h)
		if !ok {
			return
		}
		i := -1
		if haveWaitAny.Load() {
			h.words = append(h.words, sys.FutexWord{})
			h.words[len(h.words)-1].Set(h.ctl, ctl)
			n, e := sys.FutexWaitAny(h.words, nap)
			switch e {
			case 0:
				i = n
			case sys.EAGAIN, sys.EINTR, sys.ETIMEDOUT:
			default:
				haveWaitAny.Store(false)
			}
		} else {
			sys.FutexWait(h.ctl, ctl, min(nap, h.pace))
		}
		r.mu.Lock()
		h.asleep = false
		if i >= 0 && i < len(h.armed) {
			if l := h.armed[i]; l.n > 0 {
				l.look(true)
			}
		}
		r.mu.Unlock()
		if now := time.Now(); now.Sub(h.last) >= maxSlice || !h.young.IsZero() && !now.Before(h.young) {
			life.Gate.RLock() // it asks and watches in the name of this process, which no fork may change meanwhile
			r.slice(h, now)
			life.Gate.RUnlock()
		}
	}
}

// look rings the lane if somebody was woken on its word, or may have been.
func (l *lane) look(woken bool) {
	cur := atomic.LoadUint32(l.word)
	if !woken {
		if !l.ring && cur == l.seen {
			return
		}
		if l.exclusive && !isFree(cur) && cur&waiters != 0 { // who has the lock now will wake one
			l.ring, l.seen = false, cur
			return
		}
	}
	l.ring, l.seen = false, cur // what changes from here on is noticed at the next look
	switch {
	case cur&l.all != 0:
		for l.n > 0 {
			l.wakeUp(l.first, noBaton, false)
		}
	case l.n > 0:
		l.wakeUp(l.first, ringMisses, false)
	}
}

// look compares the words of the hub with what was seen, and lists them for the kernel. It returns how long the hub may sleep,
// or false when the hub is no longer needed and was taken out.
func (r *registry) look(h *hub) (nap time.Duration, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := 0; i < len(h.lanes); {
		l := h.lanes[i]
		if l.n == 0 { // its memory may be gone: no look at the word
			h.lanes = cut(h.lanes, i)
			r.drop(l)
			continue
		}
		i++
	}
	for len(h.lanes) < hubWords && len(r.over) > 0 && haveWaitAny.Load() {
		l := r.over[len(r.over)-1]
		r.over = cut(r.over, l.at)
		if l.n == 0 {
			r.drop(l)
			continue
		}
		l.hub, l.at = h, len(h.lanes)
		h.lanes = append(h.lanes, l)
	}
	if len(h.lanes) == 0 && (h != r.hubs[0] || len(r.over) == 0) && h.quiet > 1 {
		r.remove(h)
		return 0, false
	}
	h.words, h.armed = h.words[:0], h.armed[:0]
	nap = maxSlice - time.Since(h.last)
	for _, l := range h.lanes {
		l.look(false)
		l.live = haveWaitAny.Load()
		h.armed = append(h.armed, l)
		h.words = append(h.words, sys.FutexWord{})
		h.words[len(h.words)-1].Set(l.word, l.seen)
		if !l.aged && h.young.IsZero() {
			h.young = time.Now().Add(youngLook)
		}
	}
	if !h.young.IsZero() {
		nap = min(nap, time.Until(h.young))
	}
	if h == r.hubs[0] && len(r.over) > 0 {
		nap = min(nap, r.lookOver(h))
	}
	h.asleep = true
	return max(nap, time.Microsecond), true
}

// What the looks at the lanes without room may cost: one part in paceShare of a CPU.
const (
	minPace   = 2 * time.Millisecond
	maxPace   = 25 * time.Millisecond
	paceShare = 50
)

// lookOver compares the words of the lanes that have no room in a hub, and returns when to do so again.
func (r *registry) lookOver(h *hub) time.Duration {
	start := time.Now()
	for i := 0; i < len(r.over); {
		l := r.over[i]
		if l.n == 0 {
			r.over = cut(r.over, i)
			r.drop(l)
			continue
		}
		l.look(false)
		i++
	}
	h.pace = min(max(paceShare*time.Since(start), minPace), maxPace)
	return h.pace
}

// cut takes the lane at i out of a list.
func cut(list []*lane, i int) []*lane {
	end := len(list) - 1
	list[i] = list[end]
	list[i].at = i
	list[end] = nil
	return list[:end]
}

// drop forgets a lane on which nobody is parked.
func (r *registry) drop(l *lane) {
	l.hub, l.live = nil, false
	delete(r.lanes, l.word)
	if l.aged {
		go l.end() // without the registry's mutex: it may call what the caller of NewMutex has brought
	}
}

// remove takes the hub out. Another becomes the first, and learns it at its next look.
func (r *registry) remove(h *hub) {
	for i, x := range r.hubs {
		if x == h {
			r.hubs = append(r.hubs[:i], r.hubs[i+1:]...)
			return
		}
	}
}
