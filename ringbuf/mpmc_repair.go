package ringbuf

import (
	"context"
	"sync/atomic"
	"time"
	"weak"

	"github.com/fb2d3dbd/multiproc/futex"
	"github.com/fb2d3dbd/multiproc/internal/fault"
	"github.com/fb2d3dbd/multiproc/internal/life"
)

// Repair mends what dead processes have left in the queue and returns how many it buried. Whoever waits does so by itself; a program that
// has just learned of a death may call it to hurry.
func (q *MPMC) Repair() (int, error) {
	me, err := q.enter(0)
	if err != nil {
		return 0, err
	}
	return q.bury(me.token)
}

func (q *MPMC) bury(tok uint32) (int, error) {
	top := int(min(atomic.LoadUint32(&q.hdr.top), uint32(q.memberMax)))
	return q.members.Bury(tok, top, func(number int) error { return q.repair(uint64(number)) })
}

// mayBury reports whether it is time to ask who is dead, for who looks for room again and again and never sleeps: every proof is a system call.
func (q *MPMC) mayBury() bool {
	now := time.Now().UnixNano()
	last := q.buried.Load()
	return now-last > int64(buryInterval) && q.buried.CompareAndSwap(last, now)
}

const buryInterval = 10 * time.Millisecond

// repair mends what member d left, who is proven dead, with d's member word held. Every step may be done again.
func (q *MPMC) repair(d uint64) error {
	// First all cells: once a slot was passed below, no producer that settles a cell may make it a dead consumer's.
	for i := range q.n {
		e := cell(atomic.LoadUint64(q.cellOf(i)))
		if e.owner() != d {
			continue
		}
		fault.Point("mpmc.repair.cell")
		if err := q.settle(e, q.at(e.lap(), i)); err != nil {
			return err
		}
	}
	fault.Point("mpmc.repair.cells")
	var emptied map[uint32]bool // slots, plus one, whose units are to be freed
	for k := range q.slots {
		own, err := q.repairSlot(d, k)
		if err != nil {
			return err
		}
		if own {
			q.freeBlock(k)
		}
		if own && q.units == nil {
			q.free(k)
		} else if own {
			if emptied == nil {
				emptied = map[uint32]bool{}
			}
			emptied[uint32(k)+1] = true
		}
	}
	fault.Point("mpmc.repair.slots")
	if emptied != nil {
		for i := range q.units {
			if u := &q.units[i]; emptied[atomic.LoadUint32(u)] {
				atomic.StoreUint32(u, 0)
				fault.Point("mpmc.repair.unit")
			}
		}
		for k := range emptied {
			q.free(uint64(k) - 1)
		}
	}
	q.orphaned() // also when this repair has made none: one that was killed may have
	fault.Point("mpmc.repair.told")
	q.roomEvent.Notify(-1)
	q.doneEvent.Notify(-1)
	return nil
}

// repairSlot mends slot k as far as it is d's. own says that it is now in OWN(d), to be freed.
func (q *MPMC) repairSlot(d, k uint64) (own bool, err error) {
	w := q.wordOf(k)
	for {
		old := slotWord(atomic.LoadUint64(w))
		if old.owner() != d {
			return false, nil
		}
		var next slotWord
		switch old.state() {
		case stateOwn:
			return true, nil
		case stateTak:
			next = makeWord(stateOrp, 0, old.pos())
		case statePub:
			p, ok := q.sane(old.pos())
			if !ok {
				return false, q.corrupt("slot %d is %#x", k, uint64(old))
			}
			e := cell(atomic.LoadUint64(q.cellOf(q.index(p))))
			switch {
			case e.owner() == full && e.lap() == q.lap(p) && e.slot() == k:
				return false, nil // queued
			case e.owner() != full && e.owner() != 0 && e.lap() == q.lap(q.after(p)) && e.slot() == k:
				next = makeWord(stateTak, e.owner(), p) // taken
			default:
				next = makeWord(stateOwn, d, 0) // never put
			}
		default:
			return false, nil
		}
		fault.Point("mpmc.repair.slot")
		if !atomic.CompareAndSwapUint64(w, uint64(old), uint64(next)) {
			continue // settled, taken or released meanwhile
		}
		fault.Point("mpmc.repair.mended")
		if next.state() != stateOwn && next.owner() != d {
			return false, nil
		}
	}
}

// idle is what who has slept for a slice does: it buries the dead, looks for orphans that nobody has told of, and finds out if there is
// anybody left to wait for. cannot is the flag of those who cannot end the wait.
func (q *MPMC) idle(cannot uint64) error {
	me, err := q.enter(0)
	if err != nil {
		return err
	}
	if _, err := q.bury(me.token); err != nil {
		return err
	}
	q.lookAgain()
	if q.pipe != nil {
		q.pipe.deserted()
		return nil
	}
	if q.abandoned(me, cannot) {
		return ErrPeerDied
	}
	return nil
}

// wait waits on ev until try says something else than none. cannot is the flag of those who cannot end the wait.
func (q *MPMC) wait(ctx context.Context, ev *futex.EventCount, none error, cannot uint64, try func() error) error {
	var last error
	alone := false
	err := ev.AwaitPeers(ctx, func() (bool, error) {
		if last = try(); last == none && alone {
			last = ErrPeerDied
		}
		if last == none && q.pipe != nil {
			if err := q.pipe.stopped(q); err != nil { // by another goroutine
				return false, err
			}
		}
		return last != none, nil
	}, func() error {
		// The last of the others may have died after the last look, and after what it did: so there is one more look. What it left
		// is repaired by now.
		err := q.idle(cannot)
		if alone = err == ErrPeerDied; alone {
			err = nil
		}
		return err
	}, q.who, q.peers)
	if err == nil {
		err = last
	}
	return err
}

// lookAgain makes the next get look for orphans that nobody has told of.
func (q *MPMC) lookAgain() {
	q.looked.Store(0)
	q.seen.Store(atomic.LoadUint32(&q.hdr.gen) - 1)
}

// careInterval is how long a death may go unnoticed in a queue that never runs empty, so that nobody sleeps.
const careInterval = 50 * time.Millisecond

// care sees to it that the dead are buried while this process takes messages without ever having to wait. It costs the common get
// nothing: after each interval the caretaker has the next get look after the dead. When there was none it goes, and that get calls it
// again. It touches nothing but the handle: the memory may be given back, and another's, by the time it comes.
func (q *MPMC) care() {
	if q.caring.CompareAndSwap(false, true) {
		time.AfterFunc(careInterval, (&caretaker{weak.Make(q)}).come)
	}
}

type caretaker struct{ handle weak.Pointer[MPMC] }

// It may be at work while this process forks: the child has a handle of its own.
func init() {
	life.Background("ringbuf.(*caretaker).come")
	life.Background("ringbuf.(*caretaker).come-fm") // the same, before it has run
}

func (c *caretaker) come() {
	q := c.handle.Value()
	if q == nil {
		return
	}
	if q.due.Swap(true) { // nothing was taken since the last time
		q.caring.Store(false)
		return
	}
	q.seen.Add(^uint32(0)) // behind gen: the next get looks
	time.AfterFunc(careInterval, c.come)
}

// coming reports whether a process is on its way that is going to open the queue.
func (q *MPMC) coming() bool { return q.underway != nil && q.underway() != nil }

// abandoned reports whether nobody is left who could end a wait: for a message with noPut, for room with noGet. A process that has only been
// seen on the waiting side does not count, one that has done nothing yet does, and so does a dead one whose repair is under way.
func (q *MPMC) abandoned(me identity, cannot uint64) bool {
	// Asked before the members are looked at: who is no longer coming then is a member by now, or dead.
	if atomic.LoadUint32(&q.hdr.joined) < 2 || q.coming() {
		return false // the others are still to come
	}
	does, waits := hasPut, hasGot
	if cannot == noGet {
		does, waits = hasGot, hasPut
	}
	top := int(min(atomic.LoadUint32(&q.hdr.top), uint32(q.memberMax)))
	for i := 1; i <= top; i++ {
		if q.members.Mending(i) {
			return false // what it had may be about to be handed out again
		}
		tok, flags := q.members.Get(i)
		if tok == 0 || flags&cannot != 0 {
			continue
		}
		if uint64(i) == me.id {
			if flags&does != 0 {
				return false
			}
			continue
		}
		if (flags&does != 0 || flags&waits == 0) && q.members.Alive(tok) {
			return false
		}
	}
	return q.usable(me.token) == nil
}

// watched is the most members whose death wakes a waiter at once. Of more than so many the slices find out.
const watched = 64

// peers lists the members whose death matters to one who waits: any may hold what is to be handed out again, or a slot.
func (q *MPMC) peers() []uint32 {
	self := q.who.Self()
	top := int(min(atomic.LoadUint32(&q.hdr.top), uint32(q.memberMax)))
	var all []uint32
	for i := 1; i <= top && len(all) < watched; i++ {
		if tok, _ := q.members.Get(i); tok != 0 && tok != self {
			all = append(all, tok)
		}
	}
	return all
}
