package codec

import (
	"fmt"
	"reflect"
	"sync"
	"sync/atomic"
)

// A program encodes and decodes the values of one type. It is compiled once;
// the programs of a recursive type refer to each other.
type program struct {
	typ reflect.Type

	// encode appends v, decode sets v, which is addressable and zero. encode
	// needs an addressable v if inPlace is set.
	encode func(e *encoder, v reflect.Value) error
	decode func(d *decoder, v reflect.Value) error

	inPlace bool
	raw     uintptr // bytes of memory that are the encoding, or 0 if it has another form
	min     int     // the least bytes of an encoding; 0 means that it is always empty
	partial bool    // the type leaves out fields by tag, so distinct values may become equal

	signature atomic.Pointer[string] // for interfaces; nil before its first use
}

// compiled caches the *outcome for each reflect.Type.
var compiled sync.Map

type outcome struct {
	program *program
	err     error // a *TypeError
}

// Check reports whether values of type t can be sent, as far as the type tells:
// an interface may still hold a type that cannot. The error is a [*TypeError],
// for instance
//
//	field Job.Callback: func() cannot be sent to another process; leave the field out with the tag `multiproc:"-"`
//
// The answer is remembered for each type.
func Check(t reflect.Type) error {
	_, err := programFor(t)
	return err
}

func programFor(t reflect.Type) (*program, error) {
	if o, ok := compiled.Load(t); ok {
		o := o.(*outcome)
		return o.program, o.err
	}
	c := compiler{programs: make(map[reflect.Type]*program)}
	p, err := c.compile(t)
	if err != nil {
		// The programs made on the way may depend on what failed, so all are
		// dropped.
		path, cause := locate(t, err)
		te := cause.(*TypeError)
		te.Path, te.field = path, path != rootName(t)
		o, _ := compiled.LoadOrStore(t, &outcome{err: te})
		return o.(*outcome).program, o.(*outcome).err
	}
	for t, p := range c.programs {
		compiled.LoadOrStore(t, &outcome{program: p})
	}
	return p, nil
}

// A compiler makes the program of a type along with those of its parts.
type compiler struct {
	// programs holds those in the making as well, whose raw, min and partial are
	// not known yet. Only a part behind a pointer, slice, map or interface can be
	// in the making, so whoever embeds a part in place finds it complete.
	programs map[reflect.Type]*program
}

func (c *compiler) compile(t reflect.Type) (*program, error) {
	if p := c.programs[t]; p != nil {
		return p, nil
	}
	if o, ok := compiled.Load(t); ok && o.(*outcome).err == nil {
		return o.(*outcome).program, nil
	}
	p := &program{typ: t}
	c.programs[t] = p
	return p, c.build(p)
}

func (c *compiler) build(p *program) error {
	t := p.typ
	if h, ok := handles.Load(t); ok {
		buildHandle(p, h.(*handleType))
		return nil
	}
	if m := selfEncoding(t); m != nil {
		buildSelf(p, m)
		return nil
	}
	switch t.Kind() {
	case reflect.Bool:
		p.min = 1
		p.encode, p.decode = encodeBool, decodeBool
	case reflect.String:
		p.min = 1
		p.encode, p.decode = encodeString, decodeString
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64,
		reflect.Float32, reflect.Float64, reflect.Complex64, reflect.Complex128:
		buildRaw(p)
	case reflect.Slice:
		return c.buildSlice(p)
	case reflect.Array:
		return c.buildArray(p)
	case reflect.Map:
		return c.buildMap(p)
	case reflect.Pointer:
		return c.buildPointer(p)
	case reflect.Struct:
		return c.buildStruct(p)
	case reflect.Interface:
		buildInterface(p)
	case reflect.Chan:
		return unsupported(t, "%s cannot be sent to another process; use a queue, or leave the field out with the tag `multiproc:\"-\"`", typeName(t))
	case reflect.Uintptr, reflect.UnsafePointer:
		return unsupported(t, "%s is an address in this process and cannot be sent to another process; use uint64 for a number, or leave the field out with the tag `multiproc:\"-\"`", typeName(t))
	default:
		return unsupported(t, "%s cannot be sent to another process; leave the field out with the tag `multiproc:\"-\"`", typeName(t))
	}
	return nil
}

func unsupported(t reflect.Type, format string, args ...any) error {
	return &TypeError{Type: t, Reason: fmt.Sprintf(format, args...)}
}

// buildRaw is for types whose memory is their encoding.
func buildRaw(p *program) {
	size := p.typ.Size()
	p.raw, p.min, p.inPlace = size, int(size), true
	p.encode = func(e *encoder, v reflect.Value) error {
		e.buf = append(e.buf, memory(v, 0, size)...)
		return nil
	}
	p.decode = func(d *decoder, v reflect.Value) error {
		b, err := d.take(int(size))
		if err != nil {
			return err
		}
		copy(memory(v, 0, size), b)
		return nil
	}
}

func encodeBool(e *encoder, v reflect.Value) error {
	b := byte(0)
	if v.Bool() {
		b = 1
	}
	e.buf = append(e.buf, b)
	return nil
}

func decodeBool(d *decoder, v reflect.Value) error {
	b, err := d.flag()
	if err != nil {
		return err
	}
	v.SetBool(b)
	return nil
}

// flag reads a byte that is 0 or 1.
func (d *decoder) flag() (bool, error) {
	b, err := d.byte()
	if err != nil {
		return false, err
	}
	if b > 1 {
		return false, d.corrupt("byte %#x where 0 or 1 belongs", b)
	}
	return b == 1, nil
}

func encodeString(e *encoder, v reflect.Value) error {
	s := v.String()
	e.uvarint(len(s))
	e.buf = append(e.buf, s...)
	return nil
}

func decodeString(d *decoder, v reflect.Value) error {
	n, err := d.length(1)
	if err != nil {
		return err
	}
	b, err := d.take(n)
	if err != nil {
		return err
	}
	v.SetString(string(b))
	return nil
}
