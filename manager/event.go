package manager

import "context"

// An Event is a flag in a server that processes set, clear and wait for. A death changes nothing of it.
type Event struct{ r *ref }

// NewEvent makes an event that is not set.
func NewEvent(ctx context.Context, m *Manager, o *ObjectOptions) (*Event, error) {
	r, err := m.create(ctx, kindEvent, "", o, nil)
	if err != nil {
		return nil, err
	}
	return &Event{r}, nil
}

func (x *Event) reference() *ref { return x.r }

// Set sets the event and has all who wait go on.
func (x *Event) Set(ctx context.Context) error { return x.r.simple(ctx, opSet) }

// Clear makes later waits wait.
func (x *Event) Clear(ctx context.Context) error { return x.r.simple(ctx, opClear) }

// IsSet reports whether the event is set.
func (x *Event) IsSet(ctx context.Context) (bool, error) { return x.r.truth(ctx, opIsSet) }

// Wait returns nil when the event is set or has been since the call.
func (x *Event) Wait(ctx context.Context) error { return x.r.simple(ctx, opWait) }

// Close lets the Event go. It ends when nobody refers to it; who waits for it then gets ErrGone. A second Close does nothing.
func (x *Event) Close() error { return x.r.close() }

// MarshalBinary returns the Event's handle, for another process. It asks the server to keep the Event until the handle is opened.
func (x *Event) MarshalBinary() ([]byte, error) { return x.r.marshal() }

// UnmarshalBinary opens the Event whose handle b is.
func (x *Event) UnmarshalBinary(b []byte) (err error) {
	x.r, err = unmarshal(b, kindEvent, "")
	return err
}
