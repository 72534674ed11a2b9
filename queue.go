package multiproc

import (
	"context"
	"fmt"
	"iter"
	"math"
	"reflect"

	"github.com/fb2d3dbd/multiproc/internal/codec"
	"github.com/fb2d3dbd/multiproc/internal/layout"
	"github.com/fb2d3dbd/multiproc/ringbuf"
	"github.com/fb2d3dbd/multiproc/shm"
)

// A Queue hands values of type T from many producers to many consumers, processes and goroutines. Values of one producer
// are taken in its order, each by one consumer. It may be part of the argument of a Start and of messages.
//
// A T without pointers is copied as it stands in memory, []byte and string as their bytes, and everything else is encoded: any value
// that a Target takes as its argument.
type Queue[T any] struct {
	obj  object
	q    *ringbuf.MPMC
	form form
	max  int // bytes of the largest message
}

// QueueOptions are for making a queue. Nil and the zero value work.
type QueueOptions struct {
	// Capacity is the most values that the queue holds; a Put then waits. 0 means 1024.
	Capacity int
	// Bytes is the memory for values that wait. 0 means room for Capacity values if T has no pointers, else 1 MiB. No
	// single value may be larger.
	Bytes int
}

const (
	defaultCapacity = 1024
	defaultBytes    = 1 << 20
)

// form is how a T travels.
type form int

const (
	formRaw   form = iota // its memory
	formBytes             // []byte
	formText              // string
	formCodec             // encoded
)

func formOf[T any]() (form, error) {
	t := reflect.TypeFor[T]()
	switch any((*T)(nil)).(type) {
	case *[]byte:
		return formBytes, nil
	case *string:
		return formText, nil
	}
	if layout.PointerFree(t) == nil {
		return formRaw, nil
	}
	if err := codec.Check(t); err != nil {
		return 0, fmt.Errorf("multiproc: a queue of %s: %w", t, err)
	}
	return formCodec, nil
}

// NewQueue makes a queue in the memory that this process shares with its descendants.
func NewQueue[T any](o *QueueOptions) (*Queue[T], error) {
	f, err := formOf[T]()
	if err != nil {
		return nil, err
	}
	var opts QueueOptions
	if o != nil {
		opts = *o
	}
	if opts.Capacity < 0 || opts.Bytes < 0 {
		return nil, fmt.Errorf("multiproc: negative QueueOptions: Capacity %d, Bytes %d", opts.Capacity, opts.Bytes)
	}
	if opts.Capacity == 0 {
		opts.Capacity = defaultCapacity
	}
	if opts.Bytes == 0 {
		opts.Bytes = defaultBytes
		if f == formRaw {
			one := ringbuf.MessageSize(int(reflect.TypeFor[T]().Size()))
			if opts.Bytes = opts.Capacity * one; opts.Bytes/one != opts.Capacity {
				return nil, fmt.Errorf("multiproc: a queue of %d values of %d bytes is too large", opts.Capacity, one)
			}
		}
	}
	ring := opts.Bytes
	if f != formRaw {
		// A message does not wrap round the ring's end. In twice its size it fits wherever an empty ring stands.
		ring = min(ring, math.MaxInt/4)
		ring = 2 * ringbuf.MessageSize(ring)
	}
	size := ringbuf.MPMCSize(ring)
	if size == 0 {
		return nil, fmt.Errorf("multiproc: a queue of %d bytes is too large", opts.Bytes)
	}
	obj, mem, err := allocate(shm.KindQueue, size)
	if err != nil {
		return nil, err
	}
	q, err := ringbuf.CreateMPMC(mem, &ringbuf.MPMCOptions{Options: ringbuf.Options{Participants: obj.seg}, Limit: opts.Capacity})
	if err != nil {
		return nil, err
	}
	return newQueue[T](obj, q, f), nil
}

func newQueue[T any](o object, q *ringbuf.MPMC, f form) *Queue[T] {
	limit := q.MaxMessage()
	if f != formRaw {
		limit -= ringbuf.MessageSize(limit) / 2
	}
	return &Queue[T]{o, q, f, limit}
}

// Segment returns the shared memory that the queue stands in.
func (q *Queue[T]) Segment() *shm.Segment { return q.obj.seg }

// Free gives the queue's memory back. No process may use it any more; handles of it that arrive later are refused. Without
// Free the memory is given back when the last process of the family ends.
func (q *Queue[T]) Free() error { return q.obj.free() }

// MarshalBinary returns the queue's handle.
func (q *Queue[T]) MarshalBinary() ([]byte, error) { return q.obj.handle() }

// UnmarshalBinary opens the queue whose handle b is.
func (q *Queue[T]) UnmarshalBinary(b []byte) error {
	f, err := formOf[T]()
	if err != nil {
		return err
	}
	o, mem, err := resolve(b, shm.KindQueue)
	if err != nil {
		return err
	}
	r, err := ringbuf.OpenMPMC(mem, &ringbuf.Options{Participants: o.seg})
	if err != nil {
		return err
	}
	*q = *newQueue[T](o, r, f)
	return nil
}

// message returns v's message. Its memory may be v's own.
func (q *Queue[T]) message(v *T) ([]byte, error) {
	b, err := q.encode(v)
	if err == nil && len(b) > q.max {
		err = fmt.Errorf("%w: %d bytes; the queue takes up to %d", ErrTooLarge, len(b), q.max)
	}
	return b, err
}

func (q *Queue[T]) encode(v *T) ([]byte, error) {
	switch q.form {
	case formRaw:
		return layout.View(v), nil
	case formBytes:
		return any(*v).([]byte), nil
	case formText:
		return layout.Text(any(*v).(string)), nil
	}
	var foreign error
	b, err := codec.Append(nil, v, func(h any) {
		if s, ok := h.(interface{ Segment() *shm.Segment }); ok && s.Segment() != nil && s.Segment().ID() != q.obj.seg.ID() {
			foreign = fmt.Errorf("multiproc: the %T stands in segment %#x, which whoever takes it from the queue may not have open: pass it in the arguments of Start", h, s.Segment().ID())
		}
	})
	if err == nil {
		err = foreign
	}
	return b, err
}

// decode makes a value of a message, which is the callee's to keep.
func (q *Queue[T]) decode(b []byte) (v T, err error) {
	switch q.form {
	case formRaw:
		if dst := layout.View(&v); copy(dst, b) != len(dst) || len(b) != len(dst) {
			err = fmt.Errorf("multiproc: %w: a message of %d bytes in a queue of %T", ErrCorrupt, len(b), v)
		}
	case formBytes:
		v = any(b).(T)
	case formText:
		v = any(string(b)).(T)
	default:
		err = codec.Decode(b, &v)
	}
	return v, err
}

// Put puts v into the queue, waiting for room until ctx ends. When it returns nil v will be delivered, whatever happens to
// this process. ErrClosed says that the queue was closed, ErrTooLarge that v can never fit.
func (q *Queue[T]) Put(ctx context.Context, v T) error {
	msg, err := q.message(&v)
	if err != nil {
		return err
	}
	return q.q.Put(ctx, msg)
}

// TryPut puts v into the queue, or returns ErrFull.
func (q *Queue[T]) TryPut(v T) error {
	msg, err := q.message(&v)
	if err != nil {
		return err
	}
	return q.q.TryPut(msg)
}

// PutBatch puts values in order, waiting for room until ctx ends: one wake-up and one lock for as many as fit. It returns how
// many it put; err says why not all.
func (q *Queue[T]) PutBatch(ctx context.Context, vs []T) (int, error) {
	msgs := make([][]byte, len(vs))
	for i := range vs {
		msg, err := q.message(&vs[i])
		if err != nil {
			return 0, err
		}
		msgs[i] = msg
	}
	return q.q.PutBatch(ctx, msgs)
}

// Get takes the next value, waiting for one until ctx ends. ErrClosed comes when the queue is closed and empty. A value that
// cannot be decoded is an error, and is gone.
func (q *Queue[T]) Get(ctx context.Context) (v T, err error) {
	b, err := q.q.Get(ctx, nil)
	if err != nil {
		return v, err
	}
	return q.decode(b)
}

// TryGet takes the next value, or returns ErrEmpty.
func (q *Queue[T]) TryGet() (v T, err error) {
	b, err := q.q.TryGet(nil)
	if err != nil {
		return v, err
	}
	return q.decode(b)
}

// GetBatch takes the next value, waiting for one until ctx ends, and those that follow, up to limit in all.
func (q *Queue[T]) GetBatch(ctx context.Context, limit int) ([]T, error) {
	msgs, err := q.q.GetBatch(ctx, limit)
	vs := make([]T, 0, len(msgs))
	for _, b := range msgs {
		v, e := q.decode(b)
		if e != nil {
			err = e
			continue
		}
		vs = append(vs, v)
	}
	return vs, err
}

// All ranges over the values as they come, until the queue is closed and empty or the loop breaks. Another error, ctx's
// included, is the last that the loop sees.
func (q *Queue[T]) All(ctx context.Context) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for {
			v, err := q.Get(ctx)
			if err == ErrClosed || !yield(v, err) || err != nil {
				return
			}
		}
	}
}

// Len returns the number of values in the queue at this instant.
func (q *Queue[T]) Len() (int, error) { return q.q.Len() }

// Cap returns the most values that the queue holds.
func (q *Queue[T]) Cap() int { return q.q.Limit() }

// Empty reports whether the queue holds no value at this instant.
func (q *Queue[T]) Empty() (bool, error) {
	n, err := q.Len()
	return n == 0, err
}

// Full reports whether the queue holds its capacity of values at this instant.
func (q *Queue[T]) Full() (bool, error) {
	n, err := q.Len()
	return n >= q.Cap(), err
}

// Close ends the queue for everybody: puts return ErrClosed from now on, gets take what is there and then return ErrClosed.
// A second Close does nothing.
func (q *Queue[T]) Close() error { return q.q.Close() }
