package futex

import (
	"context"
	"sync/atomic"

	"github.com/fb2d3dbd/multiproc/internal/fault"
	"github.com/fb2d3dbd/multiproc/internal/race"
)

// EventSize is the memory that an [Event] needs, in bytes. Zeros are an event that is not set.
const EventSize = 8

// An Event is a flag that processes set, clear and wait for.
//
//	the word   times set:31 | set:1
//
//	n         clear   → (n+1)+set, by who sets
//	n+set     set     → n, by who clears
//
// The count makes a Set that is followed by a Clear wake everybody who waited. It has no owner: nobody's death changes it, and
// who dies in Set after the change costs the sleepers a slice of up to 50 ms.
type Event struct {
	member
	word  *uint32
	event *EventCount
}

const eventSet uint32 = 1

// NewEvent views the first EventSize bytes of mem as an event.
func NewEvent(mem []byte, who Participants) (*Event, error) {
	e := &Event{member: member{who}}
	if err := e.valid("futex: event"); err != nil {
		return nil, err
	}
	var err error
	if e.word, err = word(mem, "futex: event"); err != nil {
		return nil, err
	}
	e.event, err = NewEventCount(mem[4:])
	return e, err
}

// Set sets the event and wakes all who wait.
func (e *Event) Set() error {
	me, err := e.self()
	if err != nil {
		return err
	}
	race.Release(e.word)
	for {
		w := atomic.LoadUint32(e.word)
		if w&eventSet != 0 || atomic.CompareAndSwapUint32(e.word, w, (w+2)|eventSet) {
			break
		}
	}
	fault.Point("event.set")
	e.event.Notify(-1) // also if it was set before: who set it may have died here
	return e.confirm(me)
}

// Clear makes later waits wait.
func (e *Event) Clear() error {
	me, err := e.self()
	if err != nil {
		return err
	}
	for {
		w := atomic.LoadUint32(e.word)
		if w&eventSet == 0 || atomic.CompareAndSwapUint32(e.word, w, w&^eventSet) {
			fault.Point("event.cleared")
			return e.confirm(me)
		}
	}
}

// IsSet reports whether the event is set.
func (e *Event) IsSet() (bool, error) {
	me, err := e.self()
	if err != nil {
		return false, err
	}
	set := atomic.LoadUint32(e.word)&eventSet != 0
	race.Acquire(e.word)
	return set, e.confirm(me)
}

// Wait returns nil when the event is set or has been since the call, or else ctx.Err() or ErrClosed.
func (e *Event) Wait(ctx context.Context) error {
	me, err := e.self()
	if err != nil {
		return err
	}
	first := atomic.LoadUint32(e.word)
	err = e.await(ctx, e.event, me, func() (bool, error) {
		w := atomic.LoadUint32(e.word)
		return w&eventSet != 0 || w>>1 != first>>1, nil
	}, func() error { return e.confirm(me) }, nil)
	if err == nil {
		race.Acquire(e.word)
	}
	return err
}
