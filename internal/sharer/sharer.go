// Package sharer is how open files and sockets travel in messages that stand in shared memory, where no descriptor can stand: the process that sends one keeps
// a copy and hands it out, over a socket, to whoever asks with the ticket that is in the message.
//
// A ticket is the name of the socket and a secret number, 16 random bytes each. Who takes a message for good has the copy handed out and dropped in one
// step; who may give it back (Receive) takes the copy first and has it dropped with the Ack.
//
// When the process that sent the file has died its copies are gone with it, and a message that is taken afterwards is [ErrGone]. What is never taken is kept until
// the process ends; it keeps at most maxShared.
package sharer

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/fb2d3dbd/multiproc/conn"
	"github.com/fb2d3dbd/multiproc/internal/codec"
	"github.com/fb2d3dbd/multiproc/internal/life"
	"github.com/fb2d3dbd/multiproc/internal/sys"
)

// Errors of this package. They are matched with errors.Is.
var (
	// ErrGone says that the file in a message cannot be had any more: the process that sent it has died, or somebody has it already.
	ErrGone = errors.New("multiproc: an open file in the message is gone: the process that sent it has died, or it was taken before")
	// ErrTooMany says that too many files of this process wait in messages to be taken.
	ErrTooMany = fmt.Errorf("multiproc: more than %d open files wait in messages to be taken", maxShared)
)

const (
	maxShared = 1024
	patience  = 10 * time.Second // for a question and its answer: the sender may be stopped
)

type number [16]byte

type ticket struct{ Name, ID number }

const ticketSize = 32

func (n number) address() string { return "@multiproc-share-" + hex.EncodeToString(n[:]) }

func random() (n number) {
	rand.Read(n[:]) // never fails
	return n
}

// A shop is where this process's copies are handed out. It is open while it has any.
var shop struct {
	sync.Mutex
	life  uint32
	name  number
	l     *conn.Listener // nil while closed
	files map[number]int
}

func init() {
	life.Background("internal/sharer.serve")
	life.Background("internal/sharer.answer")
}

// put takes a copy of a descriptor into the shop.
func put(fd int) (ticket, error) {
	dup, err := sys.DupRight(fd)
	if err != nil {
		return ticket{}, err
	}
	shop.Lock()
	defer shop.Unlock()
	if shop.life != life.Count() { // what stands here was the parent's before a fork
		for _, fd := range shop.files {
			sys.CloseRights([]int{fd})
		}
		shop.life, shop.l, shop.files = life.Count(), nil, nil
	}
	if len(shop.files) >= maxShared {
		sys.CloseRights([]int{dup})
		return ticket{}, ErrTooMany
	}
	if shop.l == nil {
		name := random()
		l, err := conn.Listen("unixpacket", name.address(), nil)
		if err != nil {
			sys.CloseRights([]int{dup})
			return ticket{}, err
		}
		shop.name, shop.l, shop.files = name, l, map[number]int{}
		go serve(l)
	}
	t := ticket{shop.name, random()}
	shop.files[t.ID] = dup
	return t, nil
}

// drop closes a copy, and the shop after the last.
func drop(t ticket) {
	shop.Lock()
	defer shop.Unlock()
	dropLocked(t)
}

func dropLocked(t ticket) {
	fd, ok := shop.files[t.ID]
	if !ok || shop.name != t.Name || shop.life != life.Count() {
		return
	}
	delete(shop.files, t.ID)
	sys.CloseRights([]int{fd})
	if len(shop.files) == 0 {
		go shop.l.Close() // it waits for those that it has accepted
		shop.l = nil
	}
}

// open returns a file of a copy, and drops the copy if it is the last time.
func open(t ticket, last bool) (*os.File, error) {
	shop.Lock()
	defer shop.Unlock()
	fd, ok := shop.files[t.ID]
	if !ok || shop.name != t.Name || shop.life != life.Count() {
		return nil, ErrGone
	}
	dup, err := sys.DupRight(fd)
	if err != nil {
		return nil, err
	}
	if last {
		dropLocked(t)
	}
	return os.NewFile(uintptr(dup), "shared"), nil
}

// A question asks for a copy, or that it be dropped, or both.
type question struct {
	Ticket     ticket
	Take, Drop bool
}

// reply is the answer: no File where none was asked for or there is none.
type reply struct{ File *os.File }

func serve(l *conn.Listener) {
	for {
		c, err := l.Accept(context.Background())
		if err != nil {
			return
		}
		go answer(c)
	}
}

func answer(c *conn.Conn) {
	defer c.Close()
	if c.SetDeadline(time.Now().Add(patience)) != nil {
		return
	}
	c.SetLimit(1 << 10)
	q, err := conn.Recv[question](context.Background(), c)
	if err != nil {
		return
	}
	var r reply
	switch {
	case q.Take:
		if r.File, err = open(q.Ticket, q.Drop); err == nil {
			defer r.File.Close()
		}
	case q.Drop:
		drop(q.Ticket)
	}
	_ = c.Send(context.Background(), r) // who asked may be dead, and the message with it
}

// ask asks the process that has given the ticket out.
func ask(q question) (*os.File, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := conn.Dial(ctx, "unixpacket", q.Ticket.Name.address(), nil)
	if errors.Is(err, syscall.ECONNREFUSED) {
		return nil, ErrGone
	}
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if err = c.Send(ctx, q); err == nil {
		var r reply
		if r, err = conn.Recv[reply](ctx, c); err == nil {
			if q.Take && r.File == nil {
				return nil, ErrGone
			}
			return r.File, nil
		}
	}
	if errors.Is(err, io.EOF) || errors.Is(err, conn.ErrPeerClosed) {
		return nil, ErrGone
	}
	return nil, err
}

func (t ticket) bytes() []byte { return append(t.Name[:], t.ID[:]...) }

func cutTicket(b []byte) (t ticket, rest []byte, err error) {
	if len(b) < ticketSize {
		return t, b, fmt.Errorf("%w: %d bytes for a ticket of %d", codec.ErrCorrupt, len(b), ticketSize)
	}
	return ticket{number(b[:16]), number(b[16:32])}, b[32:], nil
}
