// Package cargo is how open files and sockets travel in messages between processes: as descriptors that go along with the bytes, which refer to them by
// number.
//
// *os.File and the sockets of package net are handles for [codec.AppendWith] and [codec.DecodeWith]; what carries them is a [Sender] and a [Receiver].
package cargo

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"

	"github.com/fb2d3dbd/multiproc/internal/codec"
	"github.com/fb2d3dbd/multiproc/internal/sys"
)

// A Sender takes what is to go along with a message.
type Sender interface {
	// Put takes a copy of the descriptor and returns what refers to it in the message.
	Put(fd int) ([]byte, error)
	// Then has fn called once it is known whether the message was sent.
	Then(fn func(sent bool))
}

// A Receiver has what came along with a message.
type Receiver interface {
	// Take returns the descriptor that the beginning of b refers to, which is the caller's from then on, and the rest of b.
	Take(b []byte) (fd int, rest []byte, err error)
}

// ErrNoCarrier says that a value with open files is to go where they cannot.
var ErrNoCarrier = errors.New("open files and sockets travel over Unix-domain connections, in queues and in the arguments of Start, not here")

// An Out collects the descriptors that go along with one message, in order; the message refers to them by number.
type Out struct {
	fds  []int
	then []func(sent bool)
}

// Put is [Sender]'s.
func (o *Out) Put(fd int) ([]byte, error) {
	dup, err := sys.DupRight(fd)
	if err != nil {
		return nil, err
	}
	return binary.AppendUvarint(nil, o.PutOwn(dup)), nil
}

// PutOwn is Put for a descriptor that the Out owns from then on. It returns the number.
func (o *Out) PutOwn(fd int) uint64 {
	o.fds = append(o.fds, fd)
	return uint64(len(o.fds) - 1)
}

// Then is [Sender]'s.
func (o *Out) Then(fn func(sent bool)) { o.then = append(o.then, fn) }

// FDs returns the descriptors, which stay the Out's.
func (o *Out) FDs() []int { return o.fds }

// End closes the descriptors and tells everybody whether the message was sent. A second End does nothing.
func (o *Out) End(sent bool) {
	sys.CloseRights(o.fds)
	then := o.then
	o.fds, o.then = nil, nil
	for _, fn := range then {
		fn(sent)
	}
}

// An In has the descriptors that came along with one message, in order.
type In struct {
	mu  sync.Mutex
	fds []int // -1 once taken
}

// NewIn makes an In of descriptors, which it owns from then on.
func NewIn(fds []int) *In { return &In{fds: fds} }

// Take is [Receiver]'s.
func (in *In) Take(b []byte) (int, []byte, error) {
	if in == nil {
		return -1, nil, ErrNoCarrier
	}
	n, size := binary.Uvarint(b)
	if size <= 0 {
		return -1, nil, fmt.Errorf("%w: no number of a descriptor", codec.ErrCorrupt)
	}
	fd, err := in.TakeNumber(n)
	return fd, b[size:], err
}

// TakeNumber returns the descriptor with this number, which is the caller's from then on.
func (in *In) TakeNumber(n uint64) (int, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if n >= uint64(len(in.fds)) || in.fds[n] < 0 {
		return -1, fmt.Errorf("%w: descriptor %d of %d, or a second time", codec.ErrCorrupt, n, len(in.fds))
	}
	fd := in.fds[n]
	in.fds[n] = -1
	return fd, nil
}

// Close closes the descriptors that nobody has taken.
func (in *In) Close() {
	if in == nil {
		return
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	for _, fd := range in.fds {
		if fd >= 0 {
			sys.CloseRights([]int{fd})
		}
	}
	in.fds = nil
}

// Put gives the descriptor of f to the carrier and returns what refers to it.
func Put(carrier any, f syscall.Conn) ([]byte, error) {
	s, ok := carrier.(Sender)
	if !ok {
		return nil, ErrNoCarrier
	}
	rc, err := f.SyscallConn()
	if err != nil {
		return nil, err
	}
	var b []byte
	if e := rc.Control(func(fd uintptr) { b, err = s.Put(int(fd)) }); e != nil {
		err = fmt.Errorf("%w: %w", os.ErrClosed, e)
	}
	return b, err
}

// Take takes the descriptor that the beginning of b refers to from the carrier, and returns the rest of b.
func Take(carrier any, b []byte) (fd int, rest []byte, err error) {
	r, ok := carrier.(Receiver)
	if !ok {
		return -1, nil, ErrNoCarrier
	}
	return r.Take(b)
}

func init() {
	codec.RegisterHandle(codec.Handle[os.File]{
		Encode: func(carrier any, f *os.File) ([]byte, error) {
			b, err := Put(carrier, f)
			return append(b, f.Name()...), err
		},
		Decode: func(carrier any, b []byte) (*os.File, error) {
			fd, name, err := Take(carrier, b)
			if err != nil {
				return nil, err
			}
			return os.NewFile(uintptr(fd), string(name)), nil
		},
	})
	socket[*net.TCPConn](conn)
	socket[*net.UnixConn](conn)
	socket[*net.UDPConn](conn)
	socket[*net.IPConn](conn)
	socket[*net.TCPListener](listener)
	socket[*net.UnixListener](listener)
}

func conn(f *os.File) (any, error) { return net.FileConn(f) }

func listener(f *os.File) (any, error) { return net.FileListener(f) }

// socket makes a type of package net travel.
func socket[P interface {
	*T
	syscall.Conn
}, T any](open func(f *os.File) (any, error)) {
	codec.RegisterHandle(codec.Handle[T]{
		Encode: func(carrier any, s *T) ([]byte, error) { return Put(carrier, P(s)) },
		Decode: func(carrier any, b []byte) (*T, error) {
			fd, _, err := Take(carrier, b)
			if err != nil {
				return nil, err
			}
			f := os.NewFile(uintptr(fd), "socket")
			defer f.Close() // package net makes a copy
			s, err := open(f)
			if err != nil {
				return nil, err
			}
			if t, ok := s.(P); ok {
				return t, nil
			}
			if c, ok := s.(interface{ Close() error }); ok {
				c.Close()
			}
			return nil, fmt.Errorf("%w: a %T arrived as a %T", codec.ErrCorrupt, (*T)(nil), s)
		},
	})
}
