package codec

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
	"time"
)

// The types below stand for what users send.

type Job struct {
	ID       int
	Name     string
	Weights  []float64
	Parts    []Part
	Labels   map[string]string
	Any      any
	Err      error
	Deadline time.Time
	Timeout  time.Duration
	Next     *Job
}

type Part struct {
	Key   [4]byte
	Scale float32
	Next  *Part
	Any   any
}

type (
	list struct {
		Value int
		Next  *list
	}
	tree struct {
		Name string
		Kids []tree
		Up   map[string]*tree
	}
	nested []nested
	self   map[string]self

	point struct{ X, Y, Z float64 } // numbers without a gap
	gappy struct {                  // numbers with gaps
		A int8
		B int64
		C int16
	}
	runs struct { // runs of numbers around other fields
		A, B int32
		S    string
		C    uint64
		D    complex64
		_    int64
		E    int8
	}
	pair[A, B any] struct {
		Left  A
		Right B
	}
	celsius float64
	names   []string
	blob    []byte
	flags   map[string]bool

	shape interface{ Area() float64 }

	square struct{ Side float64 }
	circle struct{ Radius float64 }
)

func (s square) Area() float64  { return s.Side * s.Side }
func (c *circle) Area() float64 { return 3 * c.Radius * c.Radius }

// Embedding.
type (
	Base struct {
		ID   int
		Tags []string
	}
	base struct {
		Low  string
		High *int
	}
	derived struct {
		Base
		base
		*point
		Extra bool
	}
	stamped struct { // would lose Zone if it used the methods of time.Time
		time.Time
		Zone string
	}
	cached struct {
		Name  string
		Cache func()   `multiproc:"-"`
		done  chan int `multiproc:"-"`
		_     chan int
		empty [0]func()
	}
)

// handle encodes itself through a pointer, as queues and locks do.
type handle struct{ fd int }

func (h *handle) MarshalBinary() ([]byte, error) {
	return binary.AppendUvarint(nil, uint64(h.fd)), nil
}

func (h *handle) UnmarshalBinary(b []byte) error {
	n, k := binary.Uvarint(b)
	if k <= 0 || k != len(b) {
		return errors.New("not a handle")
	}
	h.fd = int(n)
	return nil
}

// rgb encodes itself by value, and by appending.
type rgb struct{ r, g, b byte }

func (c rgb) MarshalBinary() ([]byte, error)        { return c.AppendBinary(nil) }
func (c rgb) AppendBinary(b []byte) ([]byte, error) { return append(b, c.r, c.g, c.b), nil }

func (c *rgb) UnmarshalBinary(b []byte) error {
	if len(b) != 3 {
		return fmt.Errorf("%d bytes of colour", len(b))
	}
	c.r, c.g, c.b = b[0], b[1], b[2]
	return nil
}

// long appends more than fits behind a length of one byte.
type long struct{ n int }

func (l long) MarshalBinary() ([]byte, error)        { return make([]byte, l.n), nil }
func (l long) AppendBinary(b []byte) ([]byte, error) { return append(b, make([]byte, l.n)...), nil }
func (l *long) UnmarshalBinary(b []byte) error       { l.n = len(b); return nil }

// word is opaque and has text alone; grade has text but is not opaque.
type word struct{ s string }

func (w word) MarshalText() ([]byte, error)  { return []byte(w.s), nil }
func (w *word) UnmarshalText(b []byte) error { w.s = string(b); return nil }

type grade int

func (g grade) MarshalText() ([]byte, error)  { return nil, errors.New("must not be asked") }
func (g *grade) UnmarshalText(b []byte) error { return errors.New("must not be asked") }

// Types whose methods fail.
var errMethod = errors.New("method failed")

type failing struct{ Mode int }

func (f failing) MarshalBinary() ([]byte, error) {
	switch f.Mode {
	case 1:
		return nil, errMethod
	case 2:
		panic(errMethod)
	case 3:
		panic("out of luck")
	}
	return []byte{byte(f.Mode)}, nil
}

func (f *failing) UnmarshalBinary(b []byte) error {
	switch b[0] {
	case 11:
		return errMethod
	case 12:
		panic(errMethod)
	}
	return nil
}

type halfway struct{ n int }

func (halfway) MarshalBinary() ([]byte, error) { return nil, nil }

type failure struct{ Code int }

func (f *failure) Error() string { return fmt.Sprint("code ", f.Code) }

type unknown struct{ A int }

func init() {
	Register[Job]()
	Register[*Part]()
	Register[point]()
	Register[gappy]()
	Register[celsius]()
	Register[names]()
	Register[square]()
	Register[circle]()
	Register[shape]()
	Register[failure]()
	Register[list]()
	Register[nested]()
	Register[handle]()
	Register[rgb]()
	Register[big.Int]()
	Register[pair[int, string]]()
	Register[pair[string, point]]()
	Register[failing]()
	Register[withChan]()
}

type withChan struct{ Done chan int }
