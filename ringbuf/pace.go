package ringbuf

import (
	"context"
	"sync/atomic"

	"github.com/fb2d3dbd/multiproc/internal/cpu"
)

// A consumer that looks at the tail without pause takes the line away from the producer at every message. If it waits a
// little when it has found the ring empty, the producer fills several lines meanwhile and both run faster. But who
// waits for the answer to a question must not wait one pause too long. So the consumer watches what waiting brings: it
// becomes polite when messages come so close that it finds the ring empty again and again for a moment only, and stops
// when a pause brought it no more than a message or two.
type pace struct {
	express bool // the last message came by an express: there the next is looked for
	polite  bool
	streak  int // times in a row that the next message came at once; below 0 while politeness is punished
	fine    int // length of the last punishment
}

const (
	politePauses = 64      // how long a polite consumer stays away
	politeStreak = 32      // so many short waits in a row make a stream
	politeGain   = 4       // records that a polite pause has to bring
	nearPolls    = 96      // a message that comes within so many looks came at once
	tightPolls   = 500     // looks before the wait becomes a spin with pauses
	maxFine      = 1 << 14 // waits
)

// poll is the short part of a wait for a message, on a ring that was just found empty. It reports whether one has arrived.
func (c *Consumer) poll() bool {
	p := &c.pace
	if p.polite {
		cpu.Pause(politePauses)
		if c.arrived() {
			gain := atomic.LoadUint64(&c.hdr.tail) - c.head
			if gain < politeGain*recordSize(int(atomic.LoadUint64(c.length(c.head)))) { // a guess will do
				p.fine = min(max(2*p.fine, politeStreak), maxFine)
				p.polite, p.streak = false, -p.fine
			}
			return true
		}
	}
	word, tail := &c.hdr.express[c.next&1].word, &c.hdr.tail
	for i := range tightPolls {
		if i >= nearPolls {
			cpu.Pause(1)
		}
		// The line that the next message is not expected on is looked at seldom: the producer is slower when it has to get it back.
		here := false
		if p.express {
			here = isAt(atomic.LoadUint64(word), c.head)
		} else {
			here = int64(atomic.LoadUint64(tail)-c.head) > 0
		}
		if !here && (i&31 != 31 || !c.arrived()) {
			continue
		}
		if p.streak++; i >= nearPolls {
			p.streak = min(p.streak, 0)
		}
		if p.streak >= politeStreak {
			p.polite, p.streak = true, 0
		}
		return true
	}
	p.polite, p.streak, p.express = false, min(p.streak, 0), false
	return false
}

// peekWait is Peek on a ring that is empty for longer.
func (c *Consumer) peekWait(ctx context.Context) ([]byte, error) {
	var msg []byte
	err := c.dataEvent.AwaitPeers(ctx, func() (bool, error) {
		var err error
		if msg, err = c.TryPeek(); err == ErrEmpty {
			return false, nil
		}
		return err == nil, err
	}, func() error {
		if !c.dead(&c.hdr.producer) {
			return nil
		}
		if _, err := c.TryPeek(); err != ErrEmpty { // what it put before it died
			return nil
		}
		return ErrPeerDied
	}, c.who, c.peer(&c.hdr.producer))
	return msg, err
}
