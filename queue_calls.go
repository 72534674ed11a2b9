package multiproc

import (
	"context"
	"fmt"
	"iter"

	"github.com/fb2d3dbd/multiproc/internal/layout"
	"github.com/fb2d3dbd/multiproc/internal/sharer"
)

// Put puts v into the queue, waiting for room until ctx ends. When it returns nil v will be delivered, whatever happens to
// this process. ErrClosed says that the queue was closed, ErrTooLarge that v can never fit, and ErrPeerDied that the queue is full and every
// process that could take from it is gone.
func (q *Queue[T]) Put(ctx context.Context, v T) error {
	if q.form == formRaw {
		return q.q.Put(ctx, layout.View(&v))
	}
	w := v // only this one needs to live on the heap
	files := q.files()
	msg, err := q.encode(&w, files)
	if err == nil {
		err = q.q.Put(ctx, msg)
		files.End(err == nil)
	}
	return err
}

// TryPut puts v into the queue, or returns ErrFull.
func (q *Queue[T]) TryPut(v T) error {
	if q.form == formRaw {
		return q.q.TryPut(layout.View(&v))
	}
	w := v
	files := q.files()
	msg, err := q.encode(&w, files)
	if err == nil {
		err = q.q.TryPut(msg)
		files.End(err == nil)
	}
	return err
}

// PutBatch puts values in order, waiting for room until ctx ends; others' may come between them. It returns how many it put; err says why
// not all.
func (q *Queue[T]) PutBatch(ctx context.Context, vs []T) (int, error) {
	msgs := make([][]byte, len(vs))
	files := make([]*sharer.Out, len(vs))
	put := 0
	defer func() {
		for i, f := range files {
			f.End(i < put)
		}
	}()
	for i := range vs {
		files[i] = q.files()
		msg, err := q.encode(&vs[i], files[i])
		if err != nil {
			return 0, err
		}
		msgs[i] = msg
	}
	var err error
	put, err = q.q.PutBatch(ctx, msgs)
	return put, err
}

// Get takes the next value, waiting for one until ctx ends. ErrClosed comes when the queue is closed and empty, ErrPeerDied when it is empty
// and every process that could put into it is gone. A value that cannot be decoded is an error, and is gone.
func (q *Queue[T]) Get(ctx context.Context) (v T, err error) {
	if q.form == formRaw {
		b, err := q.q.Get(ctx, layout.View(&v)[:0]) // into the value's own memory
		if err == nil && len(b) != len(layout.View(&v)) {
			err = wrongSize(v, len(b))
		}
		return v, err
	}
	b, err := q.q.Get(ctx, nil)
	if err != nil {
		return v, err
	}
	return q.decode(b, sharer.Taker{})
}

// TryGet takes the next value, or returns ErrEmpty.
func (q *Queue[T]) TryGet() (v T, err error) {
	if q.form == formRaw {
		b, err := q.q.TryGet(layout.View(&v)[:0])
		if err == nil && len(b) != len(layout.View(&v)) {
			err = wrongSize(v, len(b))
		}
		return v, err
	}
	b, err := q.q.TryGet(nil)
	if err != nil {
		return v, err
	}
	return q.decode(b, sharer.Taker{})
}

// GetInto takes the next value of q into b, waiting for one until ctx ends, and returns its length: it needs no new memory, as [Queue.Get] does. If b is too short the
// error matches [io.ErrShortBuffer], n is the length that is needed, and the value stays in the queue, as the next. The other errors are those of Get.
func GetInto(ctx context.Context, q *Queue[[]byte], b []byte) (n int, err error) {
	return q.q.GetInto(ctx, b)
}

// TryGetInto takes the next value of q into b, as [GetInto] does, or returns ErrEmpty.
func TryGetInto(q *Queue[[]byte], b []byte) (n int, err error) { return q.q.TryGetInto(b) }

func wrongSize(v any, n int) error {
	return fmt.Errorf("multiproc: %w: a message of %d bytes in a queue of %T", ErrCorrupt, n, v)
}

// GetBatch takes the next value, waiting for one until ctx ends, and those that follow, up to limit in all.
func (q *Queue[T]) GetBatch(ctx context.Context, limit int) ([]T, error) {
	msgs, err := q.q.GetBatch(ctx, limit)
	vs := make([]T, 0, len(msgs))
	for _, b := range msgs {
		v, e := q.decode(b, sharer.Taker{})
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
func (q *Queue[T]) All(ctx context.Context) iter.Seq2[T, error] { return all(ctx, q.Get) }

func all[T any](ctx context.Context, get func(context.Context) (T, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for {
			v, err := get(ctx)
			if err == ErrClosed || !yield(v, err) || err != nil {
				return
			}
		}
	}
}

// Len returns the number of values that wait in the queue at this instant.
func (q *Queue[T]) Len() (int, error) { return q.q.Len() }

// Cap returns the most values that wait in the queue.
func (q *Queue[T]) Cap() int { return q.q.Cap() }

// Empty reports whether no value waits in the queue at this instant.
func (q *Queue[T]) Empty() (bool, error) {
	n, err := q.Len()
	return n == 0, err
}

// Full reports whether as many values wait in the queue at this instant as it holds.
func (q *Queue[T]) Full() (bool, error) {
	n, err := q.Len()
	return n >= q.Cap(), err
}

// Close ends the queue for everybody: puts return ErrClosed from now on, gets take what is there and then return ErrClosed.
// A second Close does nothing.
func (q *Queue[T]) Close() error { return q.q.Close() }

// CloseWrite says that this process will put nothing more. When every process that could put has said so or is dead, a Get of the empty
// queue returns ErrPeerDied instead of waiting. A process that neither puts nor takes but has the queue's handle counts as one that may
// still put, until it says so.
func (q *Queue[T]) CloseWrite() error { return q.q.CloseWrite() }

// CloseRead says that this process will take nothing more.
func (q *Queue[T]) CloseRead() error { return q.q.CloseRead() }
