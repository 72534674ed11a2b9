package codec

import (
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"
	"sync"
)

// maxDepth bounds how deep pointers, slices, maps and interfaces may nest, for
// the encoder and the decoder alike, so that what was encoded can be decoded.
// It leaves room for lists of thousands of nodes and takes a few megabytes of
// stack at worst.
const maxDepth = 10_000

// Append encodes *v and appends the bytes to dst.
//
// seen, which may be nil, is called with a pointer to each value that encodes
// itself through [encoding.BinaryMarshaler], before it is encoded: *H for a
// value of type H. The pointer leads to the original where the value is reached
// through a pointer, slice or field, and to a copy where it stands in a map or
// directly in an interface.
//
// On error, dst is returned with its length unchanged (the memory behind it may
// have been written). The error is a [*TypeError] if T can never be sent, else an
// [*EncodeError], which matches [ErrUnregistered], [ErrTooDeep], or
// [ErrUnsupportedType] where an interface holds such a type, or the error of a
// marshaling method.
func Append[T any](dst []byte, v *T, seen func(v any)) ([]byte, error) {
	if v == nil {
		return dst, &EncodeError{Path: rootName(reflect.TypeFor[T]()), Err: errNilPointer}
	}
	return appendValue(dst, reflect.ValueOf(v).Elem(), seen, nil)
}

// Decode sets *v to the value that [Append] encoded as data; T has to be the
// same type. The value shares no memory with data. Fields that are not sent are zero
// afterwards, and so is all of *v after an error.
//
// The error is a [*TypeError] if T can never be sent, else a [*DecodeError], which
// matches [ErrCorrupt] where data cannot have come from Append, [ErrUnregistered]
// where this process does not know a type, [ErrTooDeep], or the error of
// an unmarshaling method.
func Decode[T any](data []byte, v *T) error {
	if v == nil {
		return &DecodeError{Path: rootName(reflect.TypeFor[T]()), Err: errNilPointer}
	}
	return decodeValue(data, reflect.ValueOf(v).Elem(), nil)
}

var errNilPointer = errors.New("the pointer to the value is nil")

// An encoder is the state of one Append.
type encoder struct {
	buf     []byte
	seen    func(v any)
	carrier any   // what goes along; see Handle
	depth   int   // pointers, slices, maps and interfaces on the way to the current value
	refs    int   // those but for the interfaces
	marks   marks // stale from the number refs on
}

var encoders = sync.Pool{New: func() any { return new(encoder) }}

// appendValue is Append for an addressable v.
func appendValue(dst []byte, v reflect.Value, seen func(v any), carrier any) ([]byte, error) {
	p, err := programFor(v.Type())
	if err != nil {
		return dst, err
	}
	e := encoders.Get().(*encoder)
	e.buf, e.seen, e.carrier, e.depth, e.refs = dst, seen, carrier, 0, 0
	err = p.encode(e, v)
	out := e.buf
	e.buf, e.seen, e.carrier = nil, nil, nil
	encoders.Put(e)
	if err != nil {
		return dst, newEncodeError(v.Type(), err)
	}
	return out, nil
}

// uvarint appends n, which is a length or a tag and mostly below 128.
func (e *encoder) uvarint(n int) {
	if n < 0x80 {
		e.buf = append(e.buf, byte(n))
		return
	}
	e.buf = binary.AppendUvarint(e.buf, uint64(n))
}

// A decoder is the state of one Decode.
type decoder struct {
	data    []byte
	pos     int
	depth   int
	carrier any // what came along; see Handle
	spent   int // bytes allocated ahead of what is decoded into them; see affordable
}

var decoders = sync.Pool{New: func() any { return new(decoder) }}

// decodeValue is Decode for an addressable v.
func decodeValue(data []byte, v reflect.Value, carrier any) error {
	p, err := programFor(v.Type())
	if err != nil {
		return err
	}
	d := decoders.Get().(*decoder)
	d.data, d.carrier = data, carrier
	v.SetZero()
	err = p.decode(d, v)
	if err == nil && d.left() > 0 {
		err = d.corrupt("bytes left over after the value: %d", d.left())
	}
	pos := d.pos
	*d = decoder{}
	decoders.Put(d)
	if err != nil {
		v.SetZero()
		return newDecodeError(v.Type(), pos, err)
	}
	return nil
}

func (d *decoder) left() int { return len(d.data) - d.pos }

// take returns the next n bytes, which alias the input.
func (d *decoder) take(n int) ([]byte, error) {
	if n < 0 || n > d.left() {
		return nil, d.corrupt("%d bytes wanted, %d left", n, d.left())
	}
	b := d.data[d.pos : d.pos+n : d.pos+n]
	d.pos += n
	return b, nil
}

// byte returns the next byte.
func (d *decoder) byte() (byte, error) {
	if d.pos >= len(d.data) {
		return 0, d.corrupt("1 byte wanted, 0 left")
	}
	b := d.data[d.pos]
	d.pos++
	return b, nil
}

// length reads a number of things that occupy at least size bytes each, and
// fails unless so many can follow. A size of 0 counts as 1.
func (d *decoder) length(size int) (int, error) {
	n, err := d.uvarint()
	if err != nil {
		return 0, err
	}
	if n > uint64(d.left()/max(size, 1)) {
		return 0, d.corrupt("length %d, but only %d bytes left", n, d.left())
	}
	return int(n), nil
}

// nilableLength is length for what can be nil, for which it returns -1.
func (d *decoder) nilableLength(size int) (int, error) {
	n, err := d.uvarint()
	if err != nil || n == 0 {
		return -1, err
	}
	n--
	if n > uint64(d.left()/max(size, 1)) {
		return 0, d.corrupt("length %d, but only %d bytes left", n, d.left())
	}
	return int(n), nil
}

func (d *decoder) uvarint() (uint64, error) {
	if d.pos < len(d.data) {
		if b := d.data[d.pos]; b < 0x80 {
			d.pos++
			return uint64(b), nil
		}
	}
	n, size := binary.Uvarint(d.data[d.pos:])
	if size <= 0 {
		return 0, d.corrupt("no valid length")
	}
	d.pos += size
	return n, nil
}

// enter counts one more level of nesting; leave takes it back. After an error
// the whole decoding ends, so nobody has to leave.
func (d *decoder) enter() error {
	if d.depth++; d.depth > maxDepth {
		return errNesting
	}
	return nil
}

func (d *decoder) leave() { d.depth-- }

func (d *decoder) corrupt(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrCorrupt, fmt.Sprintf(format, args...))
}
