package futex

import (
	"sync"
	"sync/atomic"

	"github.com/fb2d3dbd/multiproc/internal/sys"
)

// The registry is where the goroutines of this process wait whom the kernel is not asked to hold a thread for. Those who wait for the
// same word form a lane, in order of their arrival. A few hubs, threads in futex_waitv(2), sleep on the lanes' words; a
// FUTEX_WAKE by whichever process on a lane's word wakes its hub, which rings the lane. Nothing of this stands in shared
// memory: who wakes knows the word alone, and a death leaves nothing behind.
//
// A hub cannot know how many a FUTEX_WAKE was meant for. So a ring wakes the first of the lane, who looks; if it finds what it waits for it rings
// the next, and so does, up to ringMisses times in a row, one who does not. After a wake-up for all who find it this goes through
// the lane in order, after one for a single sleeper it ends soon. An event count's word says whether all are meant; then all are rung
// at once. Who is passed over because of others' misses gets its look in the slices that follow, at the latest after doubtSlices.
//
// While a hub is not asleep a FUTEX_WAKE reaches nobody. But the word has changed before it; so before a hub goes to sleep it
// compares each word with the value that the last who parked there has seen, and rings where they differ. Words for which
// the hubs have no room are compared every few milliseconds, and all of them every slice.
//
// The kernel's own queue ends when the hub dies with its process, and one who wakes and dies between its change and its FUTEX_WAKE
// costs a slice, as with those who sleep in the kernel.
type registry struct {
	mu     sync.Mutex
	lanes  map[*uint32]*lane
	hubs   []*hub
	over   []*lane // without a place in a hub
	ticket uint64
}

var home = registry{lanes: map[*uint32]*lane{}}

// parked counts the goroutines in the registry, and those who are about to enter it.
var parked atomic.Int64

// ringMisses is how many in a row may be rung in vain.
const ringMisses = 4

// A lane is a word and those of this process who are parked on it.
//
// Its fields are the registry's mutex's, but for those of mourning.
type lane struct {
	word  *uint32
	hub   *hub   // nil: in registry.over
	at    int    // index there
	live  bool   // the hub is in the kernel with this word
	seen  uint32 // the word when somebody last parked here, or when it was last rung
	ring  bool   // somebody may have been woken unnoticed: ring at the hub's next look
	first *sleeper
	last  *sleeper
	n     int
	turn  uint64 // ticket of the last one who was woken to look round

	exclusive bool
	all       uint32
	doubt     bool // a chain of rings ended in misses: others may find more
	who       Participants
	peers     []uint32
	aged      bool // it has been through a slice

	mourning
}

// A berth is a sleeper's place in its lane.
type berth struct {
	lane       *lane // nil: not in one
	prev, next *sleeper
	ticket     uint64        // order of arrival; kept by who parks again
	bell       chan struct{} // holds one ring; of a Group one of each of its beds
	elapsed    bool          // the ring means: look who has died
	baton      int           // of who was rung: see the constants
}

// What one who was rung owes the others.
const (
	noBaton  = 0
	ownBaton = -1 // the wake-up was for one: who leaves without use for it hands it on
	oddBaton = -2 // it was no wake-up; but who finds something may not be the only one
	// above 0: the wake-up may have been for all, and so many more may look in vain
)

// park waits in the registry. elapsed is as in sleep.
func (s *sleeper) park(val uint32) (elapsed bool) {
	var tokens []uint32
	if s.peers != nil && !s.exclusive {
		tokens = s.peers()
	}
	parked.Add(1) // before the look at the word: pairs with the load in wake
	defer parked.Add(-1)
	tell, ok := home.enter(s, val, tokens)
	if s.errno = nil; !ok {
		s.errno = sys.EAGAIN
		return false
	}
	if tell != nil {
		tell.kick()
	}
	select {
	case <-s.bell:
	case <-s.ctx.Done():
		home.leave(s)
		s.errno = sys.EINTR
	}
	return s.elapsed
}

// enter puts s into its word's lane, or reports false: the word has another value than val. It returns the hub
// that has to be told.
func (r *registry) enter(s *sleeper, val uint32, tokens []uint32) (tell *hub, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if atomic.LoadUint32(s.word) != val {
		return nil, false
	}
	if s.bell == nil {
		s.bell = make(chan struct{}, 1)
	}
	if s.ticket == 0 {
		r.ticket++
		s.ticket = r.ticket
	}
	s.elapsed = false
	l := r.lanes[s.word]
	if l == nil {
		l = &lane{word: s.word, seen: val}
		r.lanes[s.word] = l
		tell = r.place(l)
	} else if l.hub != nil && l.hub.asleep && !l.live {
		tell = l.hub
	}
	if l.n > 0 && l.seen != val {
		l.ring = true // the change may have been for those who are here, and the hub compares with val from now on
	}
	l.seen, l.exclusive, l.all = val, s.exclusive, s.all
	if s.who != nil {
		l.who = s.who
	}
	if s.peers != nil {
		l.peers = tokens
	}
	l.insert(s)
	return tell, true
}

// leave takes s out of its lane. If it was rung in this moment, it has a ring to hand on.
func (r *registry) leave(s *sleeper) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s.lane != nil {
		s.lane.remove(s)
		return
	}
	<-s.bell
}

// handOn rings the next of the lane if the sleeper was rung and owes it: when it goes to sleep again, or leaves.
func (s *sleeper) handOn(leaves bool) {
	baton := s.baton
	s.baton = noBaton
	switch {
	case baton == noBaton || leaves && s.exclusive && s.won: // who has the lock will wake one at its end
		return
	case leaves && (baton > 0 || baton == oddBaton) && s.won:
		baton = ringMisses
	case baton == oddBaton:
		return
	case leaves && s.won: // the one that it was meant for
		return
	case leaves: // to another who was not asked yet
	case baton == ownBaton: // it looked, and what the wake-up told is gone
		return
	case s.exclusive: // the word says again that somebody sleeps, and somebody else has the lock
		return
	default:
		baton-- // at 0 the chain ends
	}
	home.mu.Lock()
	defer home.mu.Unlock()
	l := home.lanes[s.word]
	if l == nil {
		return
	}
	if baton == 0 {
		if l.turn = min(l.turn, s.ticket); !l.doubt {
			l.turn = s.ticket
		}
		l.doubt = true // the next to look round are those who come after s
		return
	}
	next := l.first
	for baton > 0 && next != nil && next.ticket < s.ticket { // they have looked, or are looking
		next = next.next
	}
	if next != nil {
		l.wakeUp(next, baton, false)
	}
}

// wake wakes up to n who are parked on word and returns how many. Here it is known how many are meant.
func (r *registry) wake(word *uint32, n int) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.lanes[word]
	if l == nil || l.n == 0 {
		return 0
	}
	woken := 0
	for ; woken < n && l.n > 0; woken++ {
		l.wakeUp(l.first, ownBaton, false)
	}
	return woken
}

// spread has all who are parked on word look who has died.
func (r *registry) spread(word *uint32) {
	if parked.Load() == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if l := r.lanes[word]; l != nil {
		l.rouse()
	}
}

// rouse has those of the lane look who has died whom it concerns: of who waits for a lock the first, who hands the news on with the lock.
func (l *lane) rouse() {
	if l.exclusive && l.n > 0 {
		l.wakeUp(l.first, ownBaton, true)
		return
	}
	for l.n > 0 {
		l.wakeUp(l.first, noBaton, true)
	}
}

// wakeUp takes s out of the lane and rings it.
func (l *lane) wakeUp(s *sleeper, baton int, elapsed bool) {
	l.remove(s)
	s.baton, s.elapsed = baton, elapsed
	s.bell <- struct{}{} // has room: s was in the lane
}

// insert puts s in its place by its ticket: who was here before keeps it.
func (l *lane) insert(s *sleeper) {
	after := l.last
	if after != nil && after.ticket > s.ticket { // one of the first
		after = nil
		for x := l.first; x.ticket < s.ticket; x = x.next {
			after = x
		}
	}
	s.lane, s.prev = l, after
	if after == nil {
		s.next, l.first = l.first, s
	} else {
		s.next, after.next = after.next, s
	}
	if s.next == nil {
		l.last = s
	} else {
		s.next.prev = s
	}
	l.n++
}

func (l *lane) remove(s *sleeper) {
	if s.prev == nil {
		l.first = s.next
	} else {
		s.prev.next = s.next
	}
	if s.next == nil {
		l.last = s.prev
	} else {
		s.next.prev = s.prev
	}
	s.lane, s.prev, s.next = nil, nil, nil
	l.n--
}
