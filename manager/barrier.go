package manager

import (
	"context"
	"errors"
	"fmt"
)

// A Barrier is where a number of parties, processes and goroutines, wait for each other: when the last has come all go on, and the barrier is ready for the next round.
//
// When one that waits, or acts, dies, loses its connection or gives up, the barrier is broken for all: nobody waits for the dead. It stays so until Reset.
type Barrier struct{ r *ref }

// NewBarrier makes a barrier for so many parties.
func NewBarrier(ctx context.Context, m *Manager, o *ObjectOptions, parties int) (*Barrier, error) {
	if parties < 1 {
		return nil, refuse(ErrValue, "a Barrier of %d parties", parties)
	}
	r, err := m.create(ctx, kindBarrier, "", o, func(b []byte) ([]byte, error) { return appendUint(b, parties), nil })
	if err != nil {
		return nil, err
	}
	return &Barrier{r}, nil
}

func (x *Barrier) reference() *ref { return x.r }

// Wait waits until all parties have come and returns this one's number, from 0 for the first to parties-1. ErrBrokenBarrier says that the barrier is, or became, broken. If ctx ends
// while it waits, it breaks the barrier, and the error matches ErrBrokenBarrier and ctx.Err().
func (x *Barrier) Wait(ctx context.Context) (int, error) { return x.WaitAction(ctx, nil) }

// WaitAction is Wait with something to do for the last to come, in its own process, before anybody goes on; ctx does not end it. When the action fails the barrier is broken: the
// last to come gets the action's error, which a panic is as well, after the barrier is broken, and the others ErrBrokenBarrier. All parties should come with the same action.
func (x *Barrier) WaitAction(ctx context.Context, action func() error) (int, error) {
	q, err := x.r.request(opWait)
	if err != nil {
		return 0, err
	}
	defer q.release()
	q.b = appendBool(q.b, action != nil)
	out, err := x.r.do(ctx, q)
	switch {
	case err == errAct:
		return x.act(ctx, q.id, action)
	case err != nil && errors.Is(err, ErrBrokenBarrier) && q.gaveUp != nil:
		return 0, fmt.Errorf("%w: %w", err, q.gaveUp)
	case err != nil:
		return 0, err
	}
	n := out.count()
	return n, out.err()
}

// act runs the action and says how it went.
func (x *Barrier) act(ctx context.Context, call uint64, action func() error) (n int, err error) {
	ok := false
	defer func() {
		if !ok { // it has failed, or panics
			if _, said := x.acted(ctx, call, false); err == nil {
				err = said
			}
		}
	}()
	if err := action(); err != nil {
		return 0, err
	}
	ok = true
	return x.acted(ctx, call, true)
}

func (x *Barrier) acted(ctx context.Context, call uint64, ok bool) (int, error) {
	ctx, cancel := lastWord(ctx)
	defer cancel()
	q, err := x.r.request(opActed)
	if err != nil {
		return 0, err
	}
	q.b = appendBool(appendUint64(q.b, call), ok)
	return ask(ctx, x.r, q, (*reader).count)
}

// Abort breaks the barrier: those who wait, and who come until Reset, get ErrBrokenBarrier.
func (x *Barrier) Abort(ctx context.Context) error { return x.r.simple(ctx, opAbort) }

// Reset makes the barrier as new. Those who wait get ErrBrokenBarrier.
func (x *Barrier) Reset(ctx context.Context) error { return x.r.simple(ctx, opReset) }

// Parties returns the number of parties.
func (x *Barrier) Parties(ctx context.Context) (int, error) {
	parties, _, _, err := x.state(ctx)
	return parties, err
}

// Waiting returns how many parties have come and wait.
func (x *Barrier) Waiting(ctx context.Context) (int, error) {
	_, waiting, _, err := x.state(ctx)
	return waiting, err
}

// Broken reports whether the barrier is broken.
func (x *Barrier) Broken(ctx context.Context) (bool, error) {
	_, _, broken, err := x.state(ctx)
	return broken, err
}

func (x *Barrier) state(ctx context.Context) (parties, waiting int, broken bool, err error) {
	q, err := x.r.request(opState)
	if err != nil {
		return 0, 0, false, err
	}
	defer q.release()
	out, err := x.r.do(ctx, q)
	if err != nil {
		return 0, 0, false, err
	}
	parties, waiting, broken = out.count(), out.count(), out.bool()
	return parties, waiting, broken, out.err()
}

// Close lets the Barrier go. It ends when nobody refers to it; who waits at it then gets ErrGone. A second Close does nothing.
func (x *Barrier) Close() error { return x.r.close() }

// MarshalBinary returns the Barrier's handle, for another process. It asks the server to keep the Barrier until the handle is opened.
func (x *Barrier) MarshalBinary() ([]byte, error) { return x.r.marshal() }

// UnmarshalBinary opens the Barrier whose handle b is.
func (x *Barrier) UnmarshalBinary(b []byte) (err error) {
	x.r, err = unmarshal(b, kindBarrier, "")
	return err
}
