package manager

import (
	"context"
	"errors"
	"iter"
	"math"
)

// A Queue hands values from many producers to many consumers, who may be on several machines. Values are taken in the order in which they were put, each by one consumer; who
// has waited longest gets the next.
//
// When a Put has returned nil the value will be delivered, whatever happens to the process that put it. A value that a client has not got, for it died or its connection broke when it was
// on its way, goes to another, before all that was put later. One that a Get has returned is the process's, and ends with it; see [JoinableQueue] for one that is handed out again. A
// client over a network that is away when it should say that it has got a value, and does not come back in time, is taken for dead: the value is then handed out twice.
type Queue[T any] struct{ r *ref }

// NewQueue makes a queue for so many values that wait; 0 means without a limit.
func NewQueue[T any](ctx context.Context, m *Manager, o *ObjectOptions, capacity int) (*Queue[T], error) {
	r, err := newQueue[T](ctx, m, kindQueue, o, capacity)
	if err != nil {
		return nil, err
	}
	return &Queue[T]{r}, nil
}

func newQueue[T any](ctx context.Context, m *Manager, k kind, o *ObjectOptions, capacity int) (*ref, error) {
	if capacity < 0 || capacity > math.MaxInt32 {
		return nil, refuse(ErrValue, "a %v for %d values", k, capacity)
	}
	return m.create(ctx, k, typeOf[T](), o, func(b []byte) ([]byte, error) { return appendUint(b, capacity), nil })
}

func (q *Queue[T]) reference() *ref { return q.r }

// Put puts v into the queue, waiting for room until ctx ends. ErrClosed says that the queue was closed.
func (q *Queue[T]) Put(ctx context.Context, v T) error { return enqueue(ctx, q.r, v, false) }

// TryPut puts v into the queue, or returns ErrFull.
func (q *Queue[T]) TryPut(ctx context.Context, v T) error { return enqueue(ctx, q.r, v, true) }

// Get takes the next value, waiting for one until ctx ends. ErrClosed comes when the queue is closed and empty. A value that cannot be decoded is an error, and is gone.
func (q *Queue[T]) Get(ctx context.Context) (T, error) { return one(dequeue[T](ctx, q.r, false, 1)) }

// TryGet takes the next value, or returns ErrEmpty.
func (q *Queue[T]) TryGet(ctx context.Context) (T, error) { return one(dequeue[T](ctx, q.r, true, 1)) }

// GetBatch takes the next value, waiting for one until ctx ends, and those that follow, up to limit in all. With the error of those that
// cannot be decoded come the others.
func (q *Queue[T]) GetBatch(ctx context.Context, limit int) ([]T, error) {
	return dequeue[T](ctx, q.r, false, limit)
}

// All ranges over the values as they come, until the queue is closed and empty or the loop breaks. Another error, ctx's included, is the last that the loop sees.
func (q *Queue[T]) All(ctx context.Context) iter.Seq2[T, error] { return items(ctx, q.Get) }

// Len returns the number of values that wait in the queue at an instant.
func (q *Queue[T]) Len(ctx context.Context) (int, error) { return length(ctx, q.r) }

// Empty reports whether no value waits in the queue at an instant.
func (q *Queue[T]) Empty(ctx context.Context) (bool, error) { return empty(ctx, q.r) }

// Full reports whether a Put would wait.
func (q *Queue[T]) Full(ctx context.Context) (bool, error) { return full(ctx, q.r) }

// CloseQueue ends the queue for everybody: puts return ErrClosed from now on, those that wait for room too, and gets take what is there and then return ErrClosed.
func (q *Queue[T]) CloseQueue(ctx context.Context) error { return q.r.simple(ctx, opClose) }

// Close lets the proxy go, as that of any object: the queue goes on, and ends when nobody refers to it; who waits at it then gets ErrGone. See CloseQueue.
func (q *Queue[T]) Close() error { return q.r.close() }

// MarshalBinary returns the Queue's handle, for another process. It asks the server to keep the Queue until the handle is opened.
func (q *Queue[T]) MarshalBinary() ([]byte, error) { return q.r.marshal() }

// UnmarshalBinary opens the Queue whose handle b is.
func (q *Queue[T]) UnmarshalBinary(b []byte) (err error) {
	q.r, err = unmarshal(b, kindQueue, typeOf[T]())
	return err
}

// A JoinableQueue is a queue of work: whoever gets a value says Done when the work is done, and Join waits until all is. What a process had got and not done when it died, or
// when it was away for longer than the server waits, is handed out again, before all that was put later; also after the queue was closed, to who gets then.
type JoinableQueue[T any] struct{ r *ref }

// NewJoinableQueue makes a queue of work for so many values that wait; 0 means without a limit.
func NewJoinableQueue[T any](ctx context.Context, m *Manager, o *ObjectOptions, capacity int) (*JoinableQueue[T], error) {
	r, err := newQueue[T](ctx, m, kindJoinableQueue, o, capacity)
	if err != nil {
		return nil, err
	}
	return &JoinableQueue[T]{r}, nil
}

func (j *JoinableQueue[T]) reference() *ref { return j.r }

// Put puts v into the queue, as [Queue.Put] does.
func (j *JoinableQueue[T]) Put(ctx context.Context, v T) error { return enqueue(ctx, j.r, v, false) }

// TryPut puts v into the queue, or returns ErrFull.
func (j *JoinableQueue[T]) TryPut(ctx context.Context, v T) error { return enqueue(ctx, j.r, v, true) }

// Get takes the next value, as [Queue.Get] does; Done says when it is dealt with. One that cannot be decoded is an error, and is to be done too.
func (j *JoinableQueue[T]) Get(ctx context.Context) (T, error) {
	return one(dequeue[T](ctx, j.r, false, 1))
}

// TryGet takes the next value, or returns ErrEmpty.
func (j *JoinableQueue[T]) TryGet(ctx context.Context) (T, error) {
	return one(dequeue[T](ctx, j.r, true, 1))
}

// All ranges over the values as they come, each of which is to be done, until the queue is closed and empty.
func (j *JoinableQueue[T]) All(ctx context.Context) iter.Seq2[T, error] { return items(ctx, j.Get) }

// Done says that the value that this process got first, of those it has not yet done, is dealt with. ErrNotHeld says that there is none. A ctx that has ended does not keep it
// from that.
func (j *JoinableQueue[T]) Done(ctx context.Context) error { return j.r.giveBack(ctx, opDone) }

// Join waits until every value that was put before the call is done, or ctx ends.
func (j *JoinableQueue[T]) Join(ctx context.Context) error { return j.r.simple(ctx, opJoin) }

// Unfinished returns the number of values that were put and are not yet done.
func (j *JoinableQueue[T]) Unfinished(ctx context.Context) (int, error) {
	return j.r.number(ctx, opUnfinished)
}

// Len returns the number of values that wait in the queue at an instant: those that somebody has got are not among them.
func (j *JoinableQueue[T]) Len(ctx context.Context) (int, error) { return length(ctx, j.r) }

// Empty reports whether no value waits in the queue at an instant.
func (j *JoinableQueue[T]) Empty(ctx context.Context) (bool, error) { return empty(ctx, j.r) }

// Full reports whether a Put would wait.
func (j *JoinableQueue[T]) Full(ctx context.Context) (bool, error) { return full(ctx, j.r) }

// CloseQueue ends the queue for everybody, as [Queue.CloseQueue] does.
func (j *JoinableQueue[T]) CloseQueue(ctx context.Context) error { return j.r.simple(ctx, opClose) }

// Close lets the proxy go, as that of any object: the queue goes on, and ends when nobody refers to it; who waits at it then gets ErrGone. See CloseQueue.
func (j *JoinableQueue[T]) Close() error { return j.r.close() }

// MarshalBinary returns the JoinableQueue's handle, for another process. It asks the server to keep the JoinableQueue until the handle is opened.
func (j *JoinableQueue[T]) MarshalBinary() ([]byte, error) { return j.r.marshal() }

// UnmarshalBinary opens the JoinableQueue whose handle b is.
func (j *JoinableQueue[T]) UnmarshalBinary(b []byte) (err error) {
	j.r, err = unmarshal(b, kindJoinableQueue, typeOf[T]())
	return err
}

func enqueue[T any](ctx context.Context, r *ref, v T, try bool) error {
	q, err := r.request(opPut)
	if err != nil {
		return err
	}
	q.b = appendBool(q.b, try)
	if err := put(r, q, &v); err != nil {
		q.release()
		return err
	}
	return r.call(ctx, q)
}

// dequeue takes values. The server is told when this process has them: until then they would go to another.
func dequeue[T any](ctx context.Context, r *ref, try bool, limit int) ([]T, error) {
	if limit < 1 {
		return nil, refuse(ErrValue, "a batch of %d values", limit)
	}
	q, err := r.request(opGet)
	if err != nil {
		return nil, err
	}
	defer q.release()
	q.b = appendUint(appendBool(q.b, try), limit)
	out, err := r.do(ctx, q)
	if err != nil {
		return nil, err
	}
	raw := out.values()
	if err := out.err(); err != nil {
		return nil, err
	}
	all := make([]T, 0, len(raw))
	for _, x := range raw {
		var v T
		if e := decode(x.data, &v); e != nil {
			err = errors.Join(err, e)
		} else {
			all = append(all, v)
		}
	}
	if r.kind == kindQueue {
		if lost := q.confirm(); lost != nil {
			return nil, lost
		}
	}
	return all, err
}

func one[T any](all []T, err error) (v T, _ error) {
	switch {
	case err != nil:
		return v, err
	case len(all) != 1:
		return v, refuse(ErrProtocol, "%d values instead of one", len(all))
	}
	return all[0], nil
}

func items[T any](ctx context.Context, get func(context.Context) (T, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for {
			v, err := get(ctx)
			if err == ErrClosed { // the queue is; a proxy that was closed says more
				return
			}
			if !yield(v, err) || err != nil {
				return
			}
		}
	}
}

// room returns how many values wait in a queue, and how many can.
func room(ctx context.Context, r *ref) (n, most int, err error) {
	q, err := r.request(opState)
	if err != nil {
		return 0, 0, err
	}
	defer q.release()
	out, err := r.do(ctx, q)
	if err != nil {
		return 0, 0, err
	}
	n, most = out.count(), out.count()
	return n, most, out.err()
}

func length(ctx context.Context, r *ref) (int, error) {
	n, _, err := room(ctx, r)
	return n, err
}

func empty(ctx context.Context, r *ref) (bool, error) {
	n, _, err := room(ctx, r)
	return n == 0, err
}

func full(ctx context.Context, r *ref) (bool, error) {
	n, most, err := room(ctx, r)
	return n >= most, err
}
