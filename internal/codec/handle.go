package codec

import (
	"fmt"
	"reflect"
	"sync"
)

// A Handle is how a type travels that stands for something outside of memory, such as an open file: the bytes say which of the things it is that go along with
// them. carrier is what the caller of [AppendWith] or [DecodeWith] gave; it is nil where nothing can go along.
type Handle[T any] struct {
	Encode func(carrier any, v *T) ([]byte, error)
	Decode func(carrier any, b []byte) (*T, error)
}

// A Marshaler is a carrier that encodes values of some types, which encode themselves elsewhere, in its own way. ok false leaves one to its methods.
type Marshaler interface {
	Marshal(v any) (b []byte, ok bool, err error)
}

// A handleType is a Handle without its type.
type handleType struct {
	encode func(carrier any, v reflect.Value) ([]byte, error)
	decode func(carrier any, b []byte) (reflect.Value, error)
}

var handles sync.Map // reflect.Type of *T → *handleType

// RegisterHandle makes *T travel as h says, and known for values inside interfaces. It belongs into an init function.
func RegisterHandle[T any](h Handle[T]) {
	handles.Store(reflect.TypeFor[*T](), &handleType{
		encode: func(carrier any, v reflect.Value) ([]byte, error) { return h.Encode(carrier, v.Interface().(*T)) },
		decode: func(carrier any, b []byte) (reflect.Value, error) {
			v, err := h.Decode(carrier, b)
			return reflect.ValueOf(v), err
		},
	})
	Register[T]()
}

// AppendWith is [Append] for a value whose handles may have something go along with the bytes.
func AppendWith[T any](dst []byte, v *T, seen func(v any), carrier any) ([]byte, error) {
	if v == nil {
		return dst, &EncodeError{Path: rootName(reflect.TypeFor[T]()), Err: errNilPointer}
	}
	return appendValue(dst, reflect.ValueOf(v).Elem(), seen, carrier)
}

// DecodeWith is [Decode] for bytes that something may have gone along with.
func DecodeWith[T any](data []byte, v *T, carrier any) error {
	if v == nil {
		return &DecodeError{Path: rootName(reflect.TypeFor[T]()), Err: errNilPointer}
	}
	return decodeValue(data, reflect.ValueOf(v).Elem(), carrier)
}

// buildHandle compiles a pointer that is a handle: uvarint 0 for nil, else length+1 and the bytes.
func buildHandle(p *program, h *handleType) {
	p.min = 1
	p.encode = func(e *encoder, v reflect.Value) error {
		if v.IsNil() {
			e.buf = append(e.buf, 0)
			return nil
		}
		b, err := h.marshal(e.carrier, v)
		if err != nil {
			return err
		}
		e.uvarint(len(b) + 1)
		e.buf = append(e.buf, b...)
		return nil
	}
	p.decode = func(d *decoder, v reflect.Value) error {
		n, err := d.nilableLength(1)
		if err != nil || n < 0 {
			return err
		}
		b, err := d.take(n)
		if err != nil {
			return err
		}
		x, err := h.unmarshal(d.carrier, b)
		if err != nil {
			return err
		}
		if !x.IsValid() || x.IsNil() {
			return fmt.Errorf("%w: a handle of nothing", ErrCorrupt)
		}
		v.Set(x)
		return nil
	}
}

func (h *handleType) marshal(carrier any, v reflect.Value) (b []byte, err error) {
	defer catch(&err, "a handle's Encode")
	return h.encode(carrier, v)
}

func (h *handleType) unmarshal(carrier any, b []byte) (v reflect.Value, err error) {
	defer catch(&err, "a handle's Decode")
	return h.decode(carrier, b)
}
