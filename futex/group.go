package futex

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/fb2d3dbd/multiproc/internal/sys"
)

// A Source is something in shared memory that can be waited for together with others, in a [Group]. It is ready, or is not; waiting takes nothing of it.
type Source struct {
	// Event tells of changes.
	Event *EventCount
	// Ready looks. An error counts as ready: it is what an operation would say.
	Ready func() (bool, error)
	// Idle, if not nil, is called when one of Peers may have died, and from time to time; its error counts as ready.
	Idle func() error
	// Who and Peers are as in [EventCount.AwaitPeers]; both may be nil.
	Who   Participants
	Peers func() []uint32
	// Begin and End, if not nil, are called before and after all the rest; after an error of Begin nothing else is, and the source is ready.
	Begin func() error
	End   func()

	mutex *Mutex // in the place of Event
}

// Source returns the lock as something to wait for: it is ready while TryLock would take it, being free or its owner dead.
func (m *Mutex) Source() *Source {
	return &Source{
		mutex: m,
		Ready: func() (bool, error) {
			me := m.who.Self()
			if me == 0 {
				return false, ErrClosed
			}
			return isFree(atomic.LoadUint32(&m.at.word)), nil
		},
		Idle: func() error {
			if w := atomic.LoadUint32(&m.at.word); !isFree(w) && !m.who.Alive(w>>ownerShift) {
				return ErrOwnerDied
			}
			return nil
		},
		Who: m.who, Peers: m.owner,
	}
}

// Source returns the lock as something to wait for; see [Mutex.Source].
func (l *RLock) Source() *Source { return l.m.Source() }

// Source returns the semaphore as something to wait for: it is ready while a permit is free.
func (s *permits) Source() *Source {
	return &Source{
		Event: s.event,
		Ready: func() (bool, error) { n, err := s.Value(); return n > 0, err },
		Idle: func() error {
			me, err := s.self()
			if err == nil {
				err = s.reap(me)
			}
			return err
		},
		Who: s.who,
		Peers: func() []uint32 {
			me, err := s.self()
			if err != nil {
				return nil
			}
			return s.owners(me)
		},
	}
}

// Source returns the event as something to wait for: it is ready while it is set.
func (e *Event) Source() *Source {
	return &Source{Event: e.event, Ready: e.IsSet, Who: e.who, Idle: func() error { _, err := e.self(); return err }}
}

// armTries is how often arm tries to make a lock's word say that somebody sleeps. If others change it all the time, the slice of who sleeps must do.
const armTries = 100

// arm makes the word say that somebody sleeps, and returns what it says.
func (s *Source) arm() (word *uint32, val uint32) {
	for tries := 0; ; tries++ {
		if s.mutex != nil {
			w := atomic.LoadUint32(&s.mutex.at.word)
			switch {
			case isFree(w) || tries == armTries:
			case w&waiters != 0 || s.mutex.announce(w):
				w |= waiters
			default:
				continue
			}
			return &s.mutex.at.word, w
		}
		w := atomic.LoadUint32(s.Event.word)
		next := (w + generation) | sleepers
		if atomic.CompareAndSwapUint32(s.Event.word, w, next) { // pairs with the load in Notify
			return s.Event.word, next
		}
	}
}

// pass wakes another, in whichever process: who only waited here may have been woken in the place of one who takes.
func (s *Source) pass() {
	if s.mutex != nil {
		wake(&s.mutex.at.word, 1)
		return
	}
	s.Event.Notify(1)
}

// A Group waits until any of many sources is ready, on one channel and without a thread or goroutine of its own. One goroutine may use it.
//
//	g := NewGroup(sources); defer g.Close()
//	for len(ready) == 0 { ready = g.Arm(); select { case <-g.C(): ...; case <-time.After(g.Slice()): ... }; ready = g.Woken() }
type Group struct {
	sources []*Source
	beds    []*sleeper // of the sources; nil for those that have failed
	in      []bool     // the bed was put into a lane, and is counted as parked
	failed  []bool     // the source has said an error
	bell    chan struct{}
	idled   int
}

// NewGroup makes a group. Sources are named by their index.
func NewGroup(sources []*Source) *Group {
	g := &Group{
		sources: sources,
		beds:    make([]*sleeper, len(sources)),
		in:      make([]bool, len(sources)),
		failed:  make([]bool, len(sources)),
		bell:    make(chan struct{}, len(sources)+1), // each rings once before it is taken out
	}
	for i, s := range sources {
		if s.Begin != nil && s.Begin() != nil {
			g.failed[i] = true
			continue
		}
		bed := newSleeper(context.Background(), nil, s.Who)
		if s.Who != nil {
			bed.peers = s.Peers
		}
		if bed.exclusive = s.mutex != nil; !bed.exclusive {
			bed.all = allBit
		}
		bed.bell = g.bell
		g.beds[i] = bed
	}
	return g
}

// C tells that some source may be ready: see [Group.Woken].
func (g *Group) C() <-chan struct{} { return g.bell }

// Slice returns after how long Look must be called although nothing was told.
func (g *Group) Slice() time.Duration {
	if !sys.Futex {
		return time.Millisecond
	}
	return maxSlice
}

// Look returns those that are ready.
func (g *Group) Look() (ready []int) {
	for i := range g.sources {
		if g.look(i) {
			ready = append(ready, i)
		}
	}
	return ready
}

func (g *Group) look(i int) bool {
	if !g.failed[i] {
		ok, err := g.sources[i].Ready()
		if err == nil {
			return ok
		}
		g.failed[i] = true
	}
	return true
}

// Arm has the sources tell of changes from now on. If some are ready it returns them instead.
func (g *Group) Arm() (ready []int) {
	all := make([]int, len(g.sources))
	for i := range all {
		all[i] = i
	}
	return g.arm(all)
}

func (g *Group) arm(which []int) (ready []int) {
	vals := make([]uint32, len(which))
	for k, i := range which {
		if g.failed[i] {
			return g.Look()
		}
		g.beds[i].word, vals[k] = g.sources[i].arm()
	}
	sys.Barrier() // as in EventCount.park
	for _, i := range which {
		if g.look(i) {
			return g.Look()
		}
	}
	if !sys.Futex {
		return nil
	}
	var tell []*hub
	changed := false
	for k, i := range which {
		bed := g.beds[i]
		var tokens []uint32
		if bed.peers != nil && !bed.exclusive {
			tokens = bed.peers()
		}
		parked.Add(1) // before the look at the word: pairs with the load in wake
		hub, ok := home.enter(bed, vals[k], tokens)
		if !ok {
			parked.Add(-1)
			changed = true
			continue
		}
		g.in[i] = true
		if hub != nil && (len(tell) == 0 || tell[len(tell)-1] != hub) {
			tell = append(tell, hub)
		}
	}
	for _, h := range tell {
		h.kick()
	}
	if changed {
		select {
		case g.bell <- struct{}{}:
		default:
		}
	}
	return nil
}

// Woken returns those that are ready after C has told of something; else it arms again those that told.
func (g *Group) Woken() (ready []int) {
	rung, elapsed := g.rung()
	for _, i := range rung {
		if g.look(i) {
			return g.Look()
		}
	}
	for _, i := range elapsed {
		g.idle(i)
	}
	for _, i := range rung {
		g.beds[i].handOn(false)
	}
	return g.arm(rung)
}

// Idle is for when a slice has passed: some of the sources look who has died, others each time. It returns those that are ready.
func (g *Group) Idle() (ready []int) {
	if n := len(g.sources); n > 0 {
		for range min(n, looksPerLane) {
			g.idle(g.idled % n)
			g.idled++
		}
	}
	return g.Look()
}

func (g *Group) idle(i int) {
	if s := g.sources[i]; !g.failed[i] && s.Idle != nil && s.Idle() != nil {
		g.failed[i] = true
	}
}

// rung takes note of which beds are not, or no longer, in a lane, and which of them are to look who has died.
func (g *Group) rung() (rung, elapsed []int) {
	home.mu.Lock()
	defer home.mu.Unlock()
	for { // nobody rings meanwhile
		select {
		case <-g.bell:
			continue
		default:
		}
		break
	}
	for i, bed := range g.beds {
		if bed == nil || bed.lane != nil {
			continue
		}
		rung = append(rung, i)
		if g.in[i] {
			g.in[i] = false
			parked.Add(-1)
			if bed.elapsed {
				elapsed = append(elapsed, i)
			}
		}
	}
	return rung, elapsed
}

// Close ends the wait. Wake-ups that came here are handed on.
func (g *Group) Close() {
	woken := make([]bool, len(g.beds))
	home.mu.Lock()
	for i, bed := range g.beds {
		if bed == nil || bed.word == nil {
			continue
		}
		if bed.lane != nil {
			bed.lane.remove(bed)
		} else {
			woken[i] = true
		}
		if g.in[i] {
			parked.Add(-1)
		}
	}
	home.mu.Unlock()
	for i, s := range g.sources {
		if g.beds[i] == nil {
			continue
		}
		g.beds[i].handOn(true)
		if woken[i] {
			s.pass()
		}
		if s.End != nil {
			s.End()
		}
	}
}
