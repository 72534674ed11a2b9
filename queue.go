package multiproc

import (
	"fmt"
	"reflect"

	"github.com/fb2d3dbd/multiproc/internal/cargo"
	"github.com/fb2d3dbd/multiproc/internal/codec"
	"github.com/fb2d3dbd/multiproc/internal/layout"
	"github.com/fb2d3dbd/multiproc/internal/sharer"
	"github.com/fb2d3dbd/multiproc/ringbuf"
	"github.com/fb2d3dbd/multiproc/shm"
	"github.com/fb2d3dbd/multiproc/spawn"
)

// A Queue hands values of type T from many producers to many consumers, processes and goroutines. Values of one producer
// are taken in its order, each by one consumer. It may be part of the argument of a Start and of messages.
//
// An *os.File or a socket in a T is handed over by the process that put it, which keeps a copy until it is taken: if that process dies before, or has 1024 of
// them waiting, the taking or the putting is an error.
//
// A T without pointers is copied as it stands in memory, []byte and string as their bytes, and everything else is encoded: any value
// that a Target takes as its argument.
type Queue[T any] struct {
	obj  object
	q    *ringbuf.MPMC
	form form
}

// QueueOptions are for making a queue. Nil and the zero value work.
type QueueOptions struct {
	// Capacity is the most values that wait in the queue; a Put then waits. 0 means 1024.
	Capacity int
	// Bytes is the memory for values that take more than 200 bytes or so when they are encoded, those that wait and those not yet
	// acknowledged; no single value may be larger. 0 means 1 MiB. A T without pointers needs none.
	Bytes int
	// Spares is how many values may be in the hands of consumers that have not yet acknowledged them, beside those that wait. 0 means as
	// many as Capacity, and at least 128.
	Spares int
	// MaxDeliveries is how often a value is handed out by Receive before it is set aside for DeadLetter. 0 means without a limit.
	MaxDeliveries int
}

const (
	defaultBytes = 1 << 20
	encodedSize  = 224 // bytes up to which an encoded value stands in its slot of the queue
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
	if opts.Capacity < 0 || opts.Bytes < 0 || opts.Spares < 0 || opts.MaxDeliveries < 0 {
		return nil, fmt.Errorf("multiproc: negative QueueOptions: Capacity %d, Bytes %d, Spares %d, MaxDeliveries %d",
			opts.Capacity, opts.Bytes, opts.Spares, opts.MaxDeliveries)
	}
	mo := ringbuf.MPMCOptions{
		Capacity:      opts.Capacity,
		Spares:        opts.Spares,
		MaxDeliveries: opts.MaxDeliveries,
		Zeroed:        true,
	}
	if _, err := ringbuf.MPMCSize(&ringbuf.MPMCOptions{Capacity: 1, Bytes: opts.Bytes}); err != nil {
		return nil, fmt.Errorf("multiproc: QueueOptions.Bytes: %w", err)
	}
	if f == formRaw {
		mo.MessageSize = int(reflect.TypeFor[T]().Size())
	} else {
		mo.MessageSize, mo.Bytes = encodedSize, opts.Bytes
		if mo.Bytes == 0 {
			mo.Bytes = defaultBytes
		}
	}
	size, err := ringbuf.MPMCSize(&mo)
	if err != nil {
		return nil, fmt.Errorf("multiproc: a queue of %s: %w", reflect.TypeFor[T](), err)
	}
	obj, mem, err := allocate(shm.KindQueue, size)
	if err != nil {
		return nil, err
	}
	mo.Participants, mo.Underway = obj.seg, spawn.Underway
	q, err := ringbuf.CreateMPMC(mem, &mo)
	if err != nil {
		return nil, obj.complete(err)
	}
	remember(q, obj)
	return &Queue[T]{obj, q, f}, obj.complete(nil)
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
	r, err := ringbuf.OpenMPMC(mem, &ringbuf.MPMCOptions{Participants: o.seg, Underway: spawn.Underway})
	if err != nil {
		return err
	}
	remember(r, o)
	*q = Queue[T]{o, r, f}
	return nil
}

// files returns what collects the open files in a value, or nil if there can be none.
func (q *Queue[T]) files() *sharer.Out {
	if q.form != formCodec {
		return nil
	}
	return new(sharer.Out)
}

// encode returns v's message. Its memory may be v's own. The caller ends files once it is known whether the message is in the queue.
func (q *Queue[T]) encode(v *T, files *sharer.Out) ([]byte, error) {
	switch q.form {
	case formRaw:
		return layout.View(v), nil
	case formBytes:
		return any(*v).([]byte), nil
	case formText:
		return layout.Text(any(*v).(string)), nil
	}
	return encodeIn(q.obj.seg, nil, v, files)
}

// decode makes a value of a message, which is the callee's to keep, and of the open files that files has for it.
func (q *Queue[T]) decode(b []byte, files cargo.Receiver) (v T, err error) {
	switch q.form {
	case formRaw:
		if dst := layout.View(&v); copy(dst, b) != len(dst) || len(b) != len(dst) {
			err = wrongSize(v, len(b))
		}
	case formBytes:
		v = any(b).(T)
	case formText:
		v = any(string(b)).(T)
	default:
		err = codec.DecodeWith(b, &v, files)
	}
	return v, err
}
