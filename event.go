package multiproc

import (
	"context"

	"github.com/fb2d3dbd/multiproc/futex"
	"github.com/fb2d3dbd/multiproc/shm"
)

// An Event is a flag that processes set, clear and wait for; see futex.Event. It may be part of the argument of a Start and of
// messages.
type Event struct {
	obj object
	e   *futex.Event
}

// NewEvent makes an event that is not set.
func NewEvent() (*Event, error) {
	o, mem, err := allocate(shm.KindEvent, futex.EventSize)
	if err != nil {
		return nil, err
	}
	e, err := futex.NewEvent(mem, o.seg)
	return &Event{o, e}, o.complete(err)
}

// Set sets the event and wakes all who wait.
func (x *Event) Set() error { return x.e.Set() }

// Clear makes later waits wait.
func (x *Event) Clear() error { return x.e.Clear() }

// IsSet reports whether the event is set.
func (x *Event) IsSet() (bool, error) { return x.e.IsSet() }

// Wait returns nil when the event is set or has been since the call, or else ctx.Err() or ErrClosed.
func (x *Event) Wait(ctx context.Context) error { return x.e.Wait(ctx) }

// Segment returns the shared memory that the event stands in.
func (x *Event) Segment() *shm.Segment { return x.obj.seg }

// Free gives the event's memory back. No process may use it any more; handles of it that arrive later are refused.
func (x *Event) Free() error { return x.obj.free() }

// MarshalBinary returns the event's handle.
func (x *Event) MarshalBinary() ([]byte, error) { return x.obj.handle() }

// UnmarshalBinary opens the event whose handle b is.
func (x *Event) UnmarshalBinary(b []byte) error {
	o, mem, err := resolve(b, shm.KindEvent)
	if err != nil {
		return err
	}
	x.obj = o
	x.e, err = futex.NewEvent(mem, o.seg)
	return err
}
