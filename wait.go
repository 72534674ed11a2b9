package multiproc

import (
	"context"
	"fmt"

	"github.com/fb2d3dbd/multiproc/futex"
	"github.com/fb2d3dbd/multiproc/internal/await"
)

// Wait waits until some of the objects are ready, or until ctx ends, whose error it then returns. It returns all that are ready, in their order; more may be by then. It takes
// nothing: another goroutine or process may be faster in doing so.
//
//	*PipeEnd                              there is a message, the end of the pipe, or an error to be received; an end that only sends is ready
//	                                      when nobody has the other end any more
//	*conn.Conn                            the same
//	*conn.Listener                        there is a connection to be accepted
//	*Queue, *SimpleQueue, *JoinableQueue  a Get would return at once, with a value or an error
//	*Process, and what has its Done       it has ended; so a context.Context is ready when it is over
//	*Mutex, *RLock                        nobody has the lock, or its owner has died: TryLock would take it
//	*Semaphore, *BoundedSemaphore         there is a permit
//	*Event                                it is set
//	*os.File, *net.TCPConn, net.Listener  the descriptor can be read: there are bytes, the end of the stream, or a connection; a file on a disk is
//	  and whatever has their SyscallConn  always ready
//
// One that is closed, or whose memory is, is ready: what is wrong with it the operation will say. A death that matters is noticed within about 50 ms, and mostly at once.
//
// A wait costs no thread, and for descriptors one goroutine and one descriptor, however many the objects are. Of more than about 250 objects in shared memory some are
// noticed up to 25 ms late. With no objects at all it waits for the end of ctx.
func Wait(ctx context.Context, objects ...any) (ready []any, err error) {
	items := make([]await.Item, len(objects))
	for i, o := range objects {
		if items[i], err = itemOf(o); err != nil {
			return nil, err
		}
	}
	which, err := await.Any(ctx, items)
	if err != nil {
		return nil, err
	}
	ready = make([]any, len(which))
	for k, i := range which {
		ready[k] = objects[i]
	}
	return ready, nil
}

// TryWait returns those of the objects that are ready now, as [Wait] has it, which may be none.
func TryWait(objects ...any) (ready []any, err error) {
	ready, err = Wait(over, objects...)
	if err == context.Canceled {
		err = nil
	}
	return ready, err
}

// over is a context that has ended.
var over = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// itemOf says how it is told that an object is ready.
func itemOf(o any) (await.Item, error) {
	switch o := o.(type) {
	case interface{ source() *futex.Source }:
		if s := o.source(); s != nil {
			return await.Item{Source: s}, nil
		}
		return await.Item{}, fmt.Errorf("multiproc: Wait for the zero value of a %T", o)
	case interface{ Source() *futex.Source }: // of the packages below
		return await.Item{Source: o.Source()}, nil
	case Connection:
		return await.Item{Control: descriptor(o), Ready: o.TryPoll}, nil
	case interface {
		Pending() (bool, <-chan struct{})
	}:
		return await.Item{Watch: o.Pending}, nil
	case interface{ Done() <-chan struct{} }:
		return await.Done(o.Done()), nil
	}
	if it, ok := await.File(o); ok {
		return it, nil
	}
	return await.Item{}, fmt.Errorf("multiproc: Wait for a %T, which cannot be waited for", o)
}

func descriptor(c Connection) func(fn func(fd uintptr)) error {
	return func(fn func(fd uintptr)) error {
		fd, err := c.FD()
		if err == nil {
			fn(uintptr(fd))
		}
		return err
	}
}

func (p *PipeEnd) source() *futex.Source {
	if p.e == nil {
		return nil
	}
	return p.e.Source()
}

func (q *Queue[T]) source() *futex.Source {
	if q.q == nil {
		return nil
	}
	return q.q.Source()
}

func (s *SimpleQueue[T]) source() *futex.Source { return s.q.source() }

func (j *JoinableQueue[T]) source() *futex.Source { return j.q.source() }

func (m *Mutex) source() *futex.Source {
	if m.mu == nil {
		return nil
	}
	return m.mu.Source()
}

func (l *RLock) source() *futex.Source {
	if l.l == nil {
		return nil
	}
	return l.l.Source()
}

func (x *Semaphore) source() *futex.Source {
	if x.s == nil {
		return nil
	}
	return x.s.Source()
}

func (x *BoundedSemaphore) source() *futex.Source {
	if x.s == nil {
		return nil
	}
	return x.s.Source()
}

func (x *Event) source() *futex.Source {
	if x.e == nil {
		return nil
	}
	return x.e.Source()
}
