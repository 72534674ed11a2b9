package multiproc

import (
	"context"
	"fmt"

	"github.com/fb2d3dbd/multiproc/futex"
	"github.com/fb2d3dbd/multiproc/shm"
)

// A Barrier is where a number of parties, processes and goroutines, wait for each other. When one that waits dies it is broken
// for all, and nobody waits for the dead; see futex.Barrier. It may be part of the argument of a Start and of messages.
type Barrier struct {
	obj object
	b   *futex.Barrier
}

// NewBarrier makes a barrier for so many parties.
func NewBarrier(parties int) (*Barrier, error) {
	if futex.BarrierSize(parties) == 0 {
		return nil, fmt.Errorf("multiproc: a barrier of %d parties", parties)
	}
	obj, mem, err := allocate(shm.KindBarrier, futex.BarrierSize(parties))
	if err != nil {
		return nil, err
	}
	b, err := futex.CreateBarrier(mem, parties, obj.seg)
	return &Barrier{obj, b}, obj.complete(err)
}

// Wait waits until all parties have come and returns this one's number, from 0 to parties-1. ErrBrokenBarrier says that the barrier is, or
// became, broken. If ctx ends while it waits, it breaks the barrier.
func (x *Barrier) Wait(ctx context.Context) (int, error) { return x.b.Wait(ctx) }

// WaitAction is Wait with something to do for the last to come, before anybody goes on. If the action fails, or panics, the barrier is
// broken.
func (x *Barrier) WaitAction(ctx context.Context, action func() error) (int, error) {
	return x.b.WaitAction(ctx, action)
}

// Abort breaks the barrier: those who wait, and who come until Reset, get ErrBrokenBarrier.
func (x *Barrier) Abort() error { return x.b.Abort() }

// Reset makes the barrier as new. Those who wait get ErrBrokenBarrier.
func (x *Barrier) Reset() error { return x.b.Reset() }

// Broken reports whether the barrier is broken.
func (x *Barrier) Broken() bool { return x.b.Broken() }

// Parties returns the number of parties.
func (x *Barrier) Parties() int { return x.b.Parties() }

// Waiting returns how many parties have come and wait.
func (x *Barrier) Waiting() int { return x.b.Waiting() }

// Segment returns the shared memory that the barrier stands in.
func (x *Barrier) Segment() *shm.Segment { return x.obj.seg }

// Free gives the barrier's memory back. No process may use it any more; handles of it that arrive later are refused.
func (x *Barrier) Free() error { return x.obj.free() }

// MarshalBinary returns the barrier's handle.
func (x *Barrier) MarshalBinary() ([]byte, error) { return x.obj.handle() }

// UnmarshalBinary opens the barrier whose handle b is.
func (x *Barrier) UnmarshalBinary(b []byte) error {
	o, mem, err := resolve(b, shm.KindBarrier)
	if err != nil {
		return err
	}
	x.obj = o
	x.b, err = futex.OpenBarrier(mem, o.seg)
	return err
}
