package ringbuf

import (
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/fb2d3dbd/multiproc/futex"
	"github.com/fb2d3dbd/multiproc/internal/fault"
	"github.com/fb2d3dbd/multiproc/internal/layout"
	"github.com/fb2d3dbd/multiproc/internal/owner"
)

// Place words: leaving:1 (bit 62) | handles of end 1:16 | handles of end 0:16 | token:30. They say which ends of a pipe a process has, and how often.
//
//	0             nobody's                    → (token; 1 of an end), CAS, by who opens it
//	(token; a,b)  the process has so many     → one more of an end, CAS; one less, with leaving, CAS; by itself
//	                                          → (another token; 1 of an end), CAS, by who opens it and has proof that token is dead
//	…+leaving     it has given a handle up,   → without leaving, or 0 if it has none, CAS, by itself
//	              and may be closing the end
type place uint64

const (
	placeToken   = 1<<owner.TokenBits - 1
	countBits    = 16
	maxHandles   = 1<<countBits - 1
	placeLeaving = 1 << (owner.TokenBits + 2*countBits)
)

func (p place) token() uint32 { return uint32(p) & placeToken }

func (p place) handles(end int) uint64 {
	return uint64(p) >> (owner.TokenBits + end*countBits) & maxHandles
}

func oneHandle(end int) place { return 1 << (owner.TokenBits + end*countBits) }

// A holders is the table of places, and what says that the ends are closed.
type holders struct {
	hdr        *pipeHeader
	places     []uint64
	who        futex.Participants
	queues     []*MPMC
	generation uint32 // of the pipe, when it was opened
}

// placeMu keeps two goroutines of this process from taking two places for it.
var placeMu sync.Mutex

// hold gives this process one handle more of an end.
func (h *holders) hold(end int) error {
	placeMu.Lock()
	defer placeMu.Unlock()
	self := h.who.Self()
	if self == 0 {
		return ErrClosed
	}
	if err := h.take(self, oneHandle(end)); err != nil {
		return err
	}
	fault.Point("pipe.placed")
	atomic.AddUint32(&h.hdr.joins, 1) // after the place, before the giver lets go: pairs with the loads in held
	fault.Point("pipe.joined")
	state := atomic.LoadUint32(&h.hdr.state[end])
	if h.who.Self() != self {
		return ErrClosed
	}
	if state == endState(h.generation, endOpen) {
		return nil
	}
	h.giveUp(self, end)
	if kind := state & (1<<stateBits - 1); kind != endOpen && kind != endClosed {
		return fmt.Errorf("ringbuf: %w: an end of a pipe in state %#x", ErrCorrupt, state)
	}
	return ErrClosed // or another pipe's by now
}

// take adds handles to this process's place, or takes a place with them.
func (h *holders) take(self uint32, more place) error {
	for {
		i, old, err := h.find(self)
		if err != nil {
			return err
		}
		next := place(self) + more
		if old.token() == self {
			if old.handles(0) == maxHandles || old.handles(1) == maxHandles {
				return fmt.Errorf("ringbuf: this process has an end of the pipe %d times", maxHandles)
			}
			next = old + more
		}
		h.cover(i)
		fault.Point("pipe.hold")
		if atomic.CompareAndSwapUint64(&h.places[i], uint64(old), uint64(next)) {
			return nil
		}
	}
}

// cover raises top so that it covers place i.
func (h *holders) cover(i int) {
	for {
		top := atomic.LoadUint32(&h.hdr.top)
		if top > uint32(i) || atomic.CompareAndSwapUint32(&h.hdr.top, top, uint32(i)+1) {
			return
		}
	}
}

// used returns the places that may be taken.
func (h *holders) used() []uint64 {
	return h.places[:min(int(atomic.LoadUint32(&h.hdr.top)), len(h.places))]
}

// find returns this process's place, or else one that is nobody's, or that of one who is dead.
func (h *holders) find(self uint32) (i int, old place, err error) {
	for i := range h.used() {
		if p := place(atomic.LoadUint64(&h.places[i])); p.token() == self {
			return i, p, nil
		}
	}
	for i := range h.places {
		if atomic.LoadUint64(&h.places[i]) == 0 {
			return i, 0, nil
		}
	}
	for i := range h.places {
		if p := place(atomic.LoadUint64(&h.places[i])); !h.who.Alive(p.token()) {
			return i, p, nil
		}
	}
	return 0, 0, fmt.Errorf("ringbuf: %w: the pipe has %d", layout.ErrTooMany, len(h.places))
}

// letGo takes one handle of an end from this process, and closes the end if nobody else has it.
func (h *holders) letGo(self uint32, end int) {
	placeMu.Lock()
	defer placeMu.Unlock()
	if h.who.Self() == self { // else the memory was closed, and the place with it
		h.giveUp(self, end)
	}
}

// giveUp does so. Until the end is closed the place is still this process's: nobody makes a new pipe of the memory meanwhile.
func (h *holders) giveUp(self uint32, end int) {
	for i := range h.used() {
		w := &h.places[i]
		old := place(atomic.LoadUint64(w))
		if old.token() != self || old.handles(end) == 0 {
			continue
		}
		next := (old - oneHandle(end)) | placeLeaving
		fault.Point("pipe.leave")
		if !atomic.CompareAndSwapUint64(w, uint64(old), uint64(next)) {
			return // written over: nobody else changes it while this process lives
		}
		fault.Point("pipe.leaving")
		if !h.held(end) {
			h.closeEnd(end)
		}
		rest := next &^ placeLeaving
		if rest.handles(0)+rest.handles(1) == 0 {
			rest = 0
		}
		fault.Point("pipe.left")
		atomic.CompareAndSwapUint64(w, uint64(next), uint64(rest))
		return
	}
}

// closeEnd closes an end that nobody has, and the queues into it and out of it. It may be done again.
func (h *holders) closeEnd(end int) {
	atomic.CompareAndSwapUint32(&h.hdr.state[end], endState(h.generation, endOpen), endState(h.generation, endClosed))
	fault.Point("pipe.closed")
	for _, q := range h.queues {
		if !q.Closed() {
			_ = q.Close() // the memory was closed: there is nothing more to do
			fault.Point("pipe.ended")
		}
	}
}

// held reports whether a process that may be alive has a handle of the end. False is certain, but for handles that are on their way in messages.
func (h *holders) held(end int) bool {
	self := h.who.Self()
	for range heldLooks {
		joins := atomic.LoadUint32(&h.hdr.joins)
		for i := range h.used() {
			p := place(atomic.LoadUint64(&h.places[i]))
			if p.handles(end) > 0 && (p.token() == self || h.who.Alive(p.token())) {
				return true
			}
		}
		// Who had the end from a place that was looked at first has raised joins before that place was given up.
		if atomic.LoadUint32(&h.hdr.joins) == joins {
			return self == 0 || h.who.Self() != self // nothing is certain in memory that was closed here
		}
	}
	return true // it is passed on all the time
}

const heldLooks = 100

// unused reports whether no process that may be alive has a place.
func (h *holders) unused() bool {
	self := h.who.Self()
	for i := range h.used() {
		if p := place(atomic.LoadUint64(&h.places[i])); p != 0 && (p.token() == self || h.who.Alive(p.token())) {
			return false
		}
	}
	return self != 0 && h.who.Self() == self
}
