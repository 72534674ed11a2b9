package sharer

import (
	"os"

	"github.com/fb2d3dbd/multiproc/internal/sys"
)

// An Out collects the files that one message refers to. It is a cargo.Sender.
type Out struct {
	tickets []ticket
	then    []func(sent bool)
}

// Put takes a copy of the descriptor and returns its ticket.
func (o *Out) Put(fd int) ([]byte, error) {
	t, err := put(fd)
	if err != nil {
		return nil, err
	}
	o.tickets = append(o.tickets, t)
	return t.bytes(), nil
}

// Then has fn called once it is known whether the message was sent.
func (o *Out) Then(fn func(sent bool)) { o.then = append(o.then, fn) }

// End says whether the message was sent; the copies of one that was not are dropped.
func (o *Out) End(sent bool) {
	if o == nil {
		return
	}
	if !sent {
		for _, t := range o.tickets {
			drop(t)
		}
	}
	then := o.then
	o.tickets, o.then = nil, nil
	for _, fn := range then {
		fn(sent)
	}
}

// Taker is the cargo.Receiver of a message that is taken for good.
type Taker struct{}

// Take returns the descriptor of the ticket that b begins with, and the rest of b.
func (Taker) Take(b []byte) (int, []byte, error) {
	t, rest, err := cutTicket(b)
	if err != nil {
		return -1, nil, err
	}
	fd, err := descriptor(ask(question{Ticket: t, Take: true, Drop: true}))
	return fd, rest, err
}

// A Borrower is the cargo.Receiver of a message that may be given back.
type Borrower struct{ tickets []ticket }

// Take is Taker's, and leaves the copy with the sender.
func (r *Borrower) Take(b []byte) (int, []byte, error) {
	t, rest, err := cutTicket(b)
	if err != nil {
		return -1, nil, err
	}
	fd, err := descriptor(ask(question{Ticket: t, Take: true}))
	if err == nil {
		r.tickets = append(r.tickets, t)
	}
	return fd, rest, err
}

// Release has the copies dropped: nobody will take the message again.
func (r *Borrower) Release() {
	if r == nil {
		return
	}
	for _, t := range r.tickets {
		_, _ = ask(question{Ticket: t, Drop: true}) // the sender may be dead, and its copies with it
	}
	r.tickets = nil
}

// descriptor makes a descriptor of a file.
func descriptor(f *os.File, err error) (int, error) {
	if err != nil {
		return -1, err
	}
	defer f.Close()
	rc, err := f.SyscallConn()
	if err != nil {
		return -1, err
	}
	dup := -1
	if e := rc.Control(func(fd uintptr) { dup, err = sys.DupRight(int(fd)) }); e != nil {
		err = e
	}
	return dup, err
}
