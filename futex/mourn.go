package futex

import (
	"reflect"
	"sync"
	"sync/atomic"
	"time"
)

// mourning is a lane's part in hearing of deaths.
type mourning struct {
	mu    sync.Mutex
	watch watching
	ended bool
}

// follow has the tokens watched, and those of the lane roused when one may have died.
func (m *mourning) follow(who Participants, tokens []uint32, rouse func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.ended {
		m.watch.set(who, tokens, rouse)
	}
}

func (m *mourning) end() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ended = true
	m.watch.stop()
}

// A mourner is a lane and those whose death its sleepers want to hear of.
type mourner struct {
	lane  *lane
	who   Participants
	peers []uint32
}

// slice is what a hub does for its lanes every maxSlice, in the stead of all who are parked there: it has those watched who are to be, asks
// whether they are alive, once for each, and lets some look round who want to. In between it is called for lanes that are new.
func (r *registry) slice(h *hub, now time.Time) {
	mourners := r.mourners(h, now)
	known := map[participant]bool{} // whether it is alive
	for _, m := range mourners {
		m.lane.follow(m.who, m.peers, func() { go r.spread(m.lane.word) })
		for _, tok := range m.peers {
			if r.alive(known, m.who, tok) {
				continue
			}
			r.mu.Lock()
			m.lane.rouse()
			r.mu.Unlock()
			break
		}
	}
}

// mourners lists whom to ask for, and does what needs no asking.
func (r *registry) mourners(h *hub, now time.Time) (all []mourner) {
	r.mu.Lock()
	defer r.mu.Unlock()
	full := now.Sub(h.last) >= maxSlice
	h.young = time.Time{}
	lanes := h.lanes
	if h == r.hubs[0] && len(r.over) > 0 {
		lanes = append(append([]*lane{}, lanes...), r.over...)
	}
	looks, busy := looksPerSlice, false
	for i := range lanes {
		l := lanes[(i+h.round)%len(lanes)]
		if l.n == 0 {
			continue
		}
		busy = true
		if l.aged && !full {
			continue
		}
		l.aged = true
		if peers := l.mourned(); len(peers) > 0 {
			all = append(all, mourner{l, l.who, peers})
		}
		if l.exclusive && atomic.LoadUint32(l.word)>>ownerShift == handed {
			l.rouse() // the one handed to may have died before it took the lock; after two slices the first here does
		}
		if full && !l.exclusive {
			if l.doubt {
				l.lookRound(looksPerLane + l.n/doubtSlices)
			} else {
				looks -= l.lookRound(min(looks, looksPerLane))
			}
		}
	}
	if full {
		h.last = now
		h.round += looksPerSlice
		h.quiet++
	}
	if busy {
		h.quiet = 0
	}
	return all
}

// mourned lists whose death those of the lane have to hear of.
func (l *lane) mourned() []uint32 {
	if l.who == nil {
		return nil
	}
	if l.exclusive {
		l.peers = nil
		if w := atomic.LoadUint32(l.word); !isFree(w) {
			l.peers = []uint32{w >> ownerShift}
		}
	}
	var others []uint32
	me := l.who.Self()
	for _, tok := range l.peers {
		if tok != 0 && tok != me {
			others = append(others, tok)
		}
	}
	return others
}

type participant struct {
	who Participants
	tok uint32
}

// alive asks who, if it is not known.
func (r *registry) alive(known map[participant]bool, who Participants, tok uint32) bool {
	if !reflect.TypeOf(who).Comparable() {
		return who.Alive(tok)
	}
	p := participant{who, tok}
	alive, ok := known[p]
	if !ok {
		alive = who.Alive(tok)
		known[p] = alive
	}
	return alive
}

// lookRound wakes up to n of the lane, others each time, and returns how many.
func (l *lane) lookRound(n int) int {
	woken := 0
	s := l.first
	for s != nil && s.ticket <= l.turn {
		s = s.next
	}
	for s != nil && woken < n {
		next := s.next
		l.turn = s.ticket
		l.wakeUp(s, oddBaton, true)
		woken++
		s = next
	}
	if s == nil { // from the beginning next time
		l.turn = 0
		l.doubt = false
	}
	return woken
}
