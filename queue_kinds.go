package multiproc

import (
	"context"
	"fmt"
	"iter"
	"sync"

	"github.com/fb2d3dbd/multiproc/shm"
)

// A SimpleQueue is the smallest queue: Put, Get, Empty, Close.
type SimpleQueue[T any] struct{ q Queue[T] }

// NewSimpleQueue makes a queue with the default options.
func NewSimpleQueue[T any]() (*SimpleQueue[T], error) {
	q, err := NewQueue[T](nil)
	if err != nil {
		return nil, err
	}
	return &SimpleQueue[T]{*q}, nil
}

// Put puts v into the queue, as [Queue.Put] does.
func (s *SimpleQueue[T]) Put(ctx context.Context, v T) error { return s.q.Put(ctx, v) }

// Get takes the next value, as [Queue.Get] does.
func (s *SimpleQueue[T]) Get(ctx context.Context) (T, error) { return s.q.Get(ctx) }

// Empty reports whether no value waits in the queue at this instant.
func (s *SimpleQueue[T]) Empty() (bool, error) { return s.q.Empty() }

// Close ends the queue for everybody, as [Queue.Close] does.
func (s *SimpleQueue[T]) Close() error { return s.q.Close() }

// Segment returns the shared memory that the queue stands in.
func (s *SimpleQueue[T]) Segment() *shm.Segment { return s.q.Segment() }

// Free gives the queue's memory back. No process may use it any more.
func (s *SimpleQueue[T]) Free() error { return s.q.Free() }

// MarshalBinary returns the queue's handle.
func (s *SimpleQueue[T]) MarshalBinary() ([]byte, error) { return s.q.MarshalBinary() }

// UnmarshalBinary opens the queue whose handle b is.
func (s *SimpleQueue[T]) UnmarshalBinary(b []byte) error { return s.q.UnmarshalBinary(b) }

// A JoinableQueue is a queue of work: whoever gets a value says Done when the work is done, and Join waits until all is. What a
// process had got and not done when it died is handed out again.
type JoinableQueue[T any] struct {
	q  Queue[T]
	mu sync.Mutex
	// The values that this process has got through this handle and not yet done, in order.
	held []*Delivery[T]
}

// NewJoinableQueue makes a queue of work.
func NewJoinableQueue[T any](o *QueueOptions) (*JoinableQueue[T], error) {
	q, err := NewQueue[T](o)
	if err != nil {
		return nil, err
	}
	return &JoinableQueue[T]{q: *q}, nil
}

var errNotGot = fmt.Errorf("multiproc: Done was called more often than Get has returned a value: %w", ErrNotHeld)

// Put puts v into the queue, as [Queue.Put] does.
func (j *JoinableQueue[T]) Put(ctx context.Context, v T) error { return j.q.Put(ctx, v) }

// TryPut puts v into the queue, or returns ErrFull.
func (j *JoinableQueue[T]) TryPut(v T) error { return j.q.TryPut(v) }

// Get takes the next value, as [Queue.Get] does; Done says when it is dealt with.
func (j *JoinableQueue[T]) Get(ctx context.Context) (T, error) { return j.keep(j.q.Receive(ctx)) }

// TryGet takes the next value, or returns ErrEmpty.
func (j *JoinableQueue[T]) TryGet() (T, error) { return j.keep(j.q.TryReceive()) }

func (j *JoinableQueue[T]) keep(d *Delivery[T], err error) (v T, _ error) {
	if err != nil {
		return v, err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.held = append(j.held, d)
	return d.Value, nil
}

// Done says that the value that this process got first, of those it has not yet done, is dealt with. ErrNotHeld says that there is none. Where several
// goroutines of a process work on values at once, Receive and Ack tell them apart.
func (j *JoinableQueue[T]) Done() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.held) == 0 {
		return errNotGot
	}
	d := j.held[0]
	j.held[0] = nil
	j.held = j.held[1:]
	return d.Ack()
}

// Receive takes the next value, to be acknowledged by the Delivery's own Ack and not by Done.
func (j *JoinableQueue[T]) Receive(ctx context.Context) (*Delivery[T], error) {
	return j.q.Receive(ctx)
}

// TryReceive takes the next value, as Receive does, or returns ErrEmpty.
func (j *JoinableQueue[T]) TryReceive() (*Delivery[T], error) { return j.q.TryReceive() }

// DeadLetter takes a value that was set aside, as [Queue.DeadLetter] does. Such a value counts as dealt with: Join does not wait for it.
func (j *JoinableQueue[T]) DeadLetter() (*Delivery[T], error) { return j.q.DeadLetter() }

// All ranges over the values as they come, each of which is to be done, until the queue is closed and empty.
func (j *JoinableQueue[T]) All(ctx context.Context) iter.Seq2[T, error] { return all(ctx, j.Get) }

// Join waits until every value that was put before the call is done, or ctx ends. ErrPeerDied says that some are not, and
// every process that could take them is gone.
func (j *JoinableQueue[T]) Join(ctx context.Context) error { return j.q.q.Join(ctx) }

// Unfinished returns the number of values that were put and are not yet done.
func (j *JoinableQueue[T]) Unfinished() (int, error) { return j.q.q.Unfinished() }

// Len returns the number of values that wait in the queue at this instant: those that somebody has got are not among them.
func (j *JoinableQueue[T]) Len() (int, error) { return j.q.Len() }

// Cap returns the most values that wait in the queue.
func (j *JoinableQueue[T]) Cap() int { return j.q.Cap() }

// Empty reports whether no value waits in the queue at this instant.
func (j *JoinableQueue[T]) Empty() (bool, error) { return j.q.Empty() }

// Full reports whether as many values wait in the queue at this instant as it holds.
func (j *JoinableQueue[T]) Full() (bool, error) { return j.q.Full() }

// Close ends the queue for everybody, as [Queue.Close] does.
func (j *JoinableQueue[T]) Close() error { return j.q.Close() }

// Segment returns the shared memory that the queue stands in.
func (j *JoinableQueue[T]) Segment() *shm.Segment { return j.q.Segment() }

// Free gives the queue's memory back. No process may use it any more.
func (j *JoinableQueue[T]) Free() error { return j.q.Free() }

// MarshalBinary returns the queue's handle.
func (j *JoinableQueue[T]) MarshalBinary() ([]byte, error) { return j.q.MarshalBinary() }

// UnmarshalBinary opens the queue whose handle b is.
func (j *JoinableQueue[T]) UnmarshalBinary(b []byte) error { return j.q.UnmarshalBinary(b) }
