package multiproc

import (
	"context"

	"github.com/fb2d3dbd/multiproc/internal/sharer"
	"github.com/fb2d3dbd/multiproc/ringbuf"
)

// A Delivery is a value in this process's hands. If the process dies before it has said Ack, the value is handed out again.
type Delivery[T any] struct {
	// Value is what was put.
	Value T
	d     *ringbuf.Delivery
	files *sharer.Borrower
}

// Receive takes the next value, to be acknowledged, waiting for one until ctx ends. Its errors are those of Get.
func (q *Queue[T]) Receive(ctx context.Context) (*Delivery[T], error) {
	return q.delivery(q.q.Receive(ctx))
}

// TryReceive takes the next value, to be acknowledged, or returns ErrEmpty.
func (q *Queue[T]) TryReceive() (*Delivery[T], error) { return q.delivery(q.q.TryReceive()) }

// DeadLetter takes a value that was set aside, after MaxDeliveries deliveries without an Ack, or returns ErrEmpty. Ack disposes of it.
func (q *Queue[T]) DeadLetter() (*Delivery[T], error) { return q.delivery(q.q.DeadLetter()) }

func (q *Queue[T]) delivery(d *ringbuf.Delivery, err error) (*Delivery[T], error) {
	if err != nil {
		return nil, err
	}
	b := d.Bytes()
	if q.form == formBytes {
		b = append([]byte(nil), b...) // the value outlives its place in the queue
	}
	var files *sharer.Borrower
	if q.form == formCodec {
		files = new(sharer.Borrower)
	}
	v, err := q.decode(b, files)
	if err != nil {
		if e := d.Ack(); e != nil { // nobody could make anything of it
			err = e
		}
		return nil, err
	}
	return &Delivery[T]{Value: v, d: d, files: files}, nil
}

// Deliveries says how many times the value was handed out, this time included.
func (d *Delivery[T]) Deliveries() int { return d.d.Deliveries() }

// Ack says that the value is dealt with: nobody will get it again. A second call returns ErrNotHeld.
func (d *Delivery[T]) Ack() error {
	err := d.d.Ack()
	if err == nil {
		d.files.Release()
	}
	return err
}

// Nack gives the value back: it is handed out again, before those that wait. After an Ack it returns ErrNotHeld.
func (d *Delivery[T]) Nack() error { return d.d.Nack() }
