package futex

import (
	"sync/atomic"

	"github.com/fb2d3dbd/multiproc/internal/fault"
)

// event returns the event count of a place.
func (c *Cond) event(i int) *uint32 { return c.word32(c.front + i*c.place + 8) }

// tell gives a notification to place i, where w stood.
func (c *Cond) tell(i int, w uint64) bool {
	seq, _, token := unpack(w)
	if !atomic.CompareAndSwapUint64(c.at(i), w, pack(seq, condTold, token)) { // pairs with the load in Wait
		return false
	}
	fault.Point("cond.tell.told")
	(&EventCount{word: c.event(i)}).Notify(-1)
	return true
}

// tellOne tells the one alive who has waited longest, and returns false if nobody waits.
func (c *Cond) tellOne(dead *census) (bool, error) {
	for {
		first, word, age := -1, uint64(0), uint32(0)
		now := atomic.LoadUint32(c.next)
		for i := range c.places {
			w := atomic.LoadUint64(c.at(i))
			seq, kind, token := unpack(w)
			switch {
			case kind > condTold:
				return false, c.corrupt(w)
			case kind != condWaits:
			case dead.dead(token):
				atomic.CompareAndSwapUint64(c.at(i), w, 0)
			case first < 0 || now-seq > age:
				first, word, age = i, w, now-seq
			}
		}
		if first < 0 {
			return false, nil
		}
		if c.tell(first, word) {
			return true, nil
		}
	}
}

func (c *Cond) tellAll(dead *census) error {
	for i := range c.places {
		w := atomic.LoadUint64(c.at(i))
		_, kind, token := unpack(w)
		switch {
		case kind > condTold:
			return c.corrupt(w)
		case kind == condWaits && !dead.dead(token):
			c.tell(i, w) // it fails for one who gives up
		}
	}
	return c.confirm(dead.me)
}

// mourn frees the places of the dead and passes on what they had been told. It needs no lock: who has changed a dead one's word
// to its own token is alone with it.
func (c *Cond) mourn(me uint32) error {
	dead := c.census(me)
	for i := range c.places {
		w := atomic.LoadUint64(c.at(i))
		seq, kind, token := unpack(w)
		if w == 0 || !dead.dead(token) {
			continue
		}
		if kind != condTold {
			atomic.CompareAndSwapUint64(c.at(i), w, 0)
			continue
		}
		mine := pack(seq, condTold, me)
		if !atomic.CompareAndSwapUint64(c.at(i), w, mine) {
			continue
		}
		fault.Point("cond.mourn.taken")
		if _, err := c.tellOne(dead); err != nil {
			return err
		}
		fault.Point("cond.mourn.passed")
		atomic.CompareAndSwapUint64(c.at(i), mine, 0)
	}
	return c.confirm(me)
}

// owing lists those who have been told and not come back yet: whose death a sleeper has to hear of.
func (c *Cond) owing(me uint32) []uint32 {
	list := watchlist{me: me}
	for i := range c.places {
		if _, kind, token := unpack(atomic.LoadUint64(c.at(i))); kind == condTold && list.add(token) {
			break
		}
	}
	return list.tokens
}

// Waiting returns how many wait at this instant; the dead whom nobody has found yet are among them.
func (c *Cond) Waiting() int {
	n := 0
	for i := range c.places {
		if _, kind, _ := unpack(atomic.LoadUint64(c.at(i))); kind == condWaits {
			n++
		}
	}
	return n
}
