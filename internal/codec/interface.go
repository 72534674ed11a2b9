package codec

import (
	"fmt"
	"reflect"
)

var errorType = reflect.TypeFor[error]()

// buildInterface compiles an interface: nil, or the signature of the type of its
// value and the value.
func buildInterface(p *program) {
	p.min = 1
	if p.typ.NumMethod() == 0 {
		p.encode = encodeAny
	} else {
		p.encode = encodeInterface
	}
	p.decode = decodeInterface
}

// encodeAny spares the types that are most common in an any the way through
// reflect, which would have to copy the value.
func encodeAny(e *encoder, v reflect.Value) error {
	switch x := v.Interface().(type) {
	case nil:
		e.buf = append(e.buf, 0)
	case bool:
		b := byte(0)
		if x {
			b = 1
		}
		e.buf = append(e.buf, 1, codeBool, b)
	case int:
		e.buf = append(append(e.buf, 1, codeInt), numberMemory(&x)...)
	case int64:
		e.buf = append(append(e.buf, 1, codeInt64), numberMemory(&x)...)
	case float64:
		e.buf = append(append(e.buf, 1, codeFloat64), numberMemory(&x)...)
	case string:
		e.buf = append(e.buf, 1, codeString)
		e.uvarint(len(x))
		e.buf = append(e.buf, x...)
	default:
		return encodeInterface(e, v)
	}
	return nil
}

func encodeInterface(e *encoder, v reflect.Value) error {
	if v.IsNil() {
		e.buf = append(e.buf, 0)
		return nil
	}
	x := v.Elem()
	p, err := programFor(x.Type())
	if err != nil {
		return hintError(v.Type(), x.Type(), err)
	}
	s, err := signatureOf(p)
	if err != nil {
		return hintError(v.Type(), x.Type(), err)
	}
	if len(s) > 1 { // nothing nests in a builtin type
		if err := e.enterInterface(); err != nil {
			return err
		}
		defer e.leaveInterface()
	}
	e.uvarint(len(s))
	e.buf = append(e.buf, s...)
	if p.inPlace { // what an interface holds is not addressable
		c := reflect.New(p.typ).Elem()
		c.Set(x)
		x = c
	}
	if err := p.encode(e, x); err != nil {
		return at(".("+typeName(p.typ)+")", err)
	}
	return nil
}

// hintError tells the sender of an error value what helps in practice: most
// types of errors belong to others and can be neither changed nor sent.
func hintError(iface, t reflect.Type, err error) error {
	if iface == errorType || t.Implements(errorType) {
		return fmt.Errorf("%w; or send the text of the error", err)
	}
	return err
}

func decodeInterface(d *decoder, v reflect.Value) error {
	n, err := d.length(1)
	if err != nil || n == 0 {
		return err
	}
	signature, err := d.take(n)
	if err != nil {
		return err
	}
	if n == 1 {
		return d.decodeBuiltin(signature[0], v)
	}
	p, err := d.programOf(signature)
	if err != nil {
		return err
	}
	if err := d.enter(); err != nil {
		return err
	}
	if err := d.decodeInto(v, p); err != nil {
		return err
	}
	d.leave()
	return nil
}

// decodeBuiltin sets v to a value of a builtin type. It does not count as
// nesting, just as in encodeAny, since nothing nests in it.
func (d *decoder) decodeBuiltin(code byte, v reflect.Value) error {
	if int(code) >= len(builtins) || builtins[code] == nil || builtins[code].Kind() == reflect.Interface {
		return d.corrupt("%#x is not the type of a value", code)
	}
	if t := v.Type(); t.NumMethod() == 0 {
		switch code {
		case codeInt:
			return decodeNumber[int](d, v)
		case codeInt64:
			return decodeNumber[int64](d, v)
		case codeFloat64:
			return decodeNumber[float64](d, v)
		}
	}
	p, err := programFor(builtins[code])
	if err != nil {
		return err
	}
	return d.decodeInto(v, p)
}

// decodeNumber allocates once, where decodeInto does so twice.
func decodeNumber[N int | int64 | float64](d *decoder, v reflect.Value) error {
	var x N
	memory := numberMemory(&x)
	b, err := d.take(len(memory))
	if err != nil {
		return err
	}
	copy(memory, b)
	v.Set(reflect.ValueOf(x))
	return nil
}

// decodeInto sets the interface v to a value for p.
func (d *decoder) decodeInto(v reflect.Value, p *program) error {
	if t := v.Type(); t.NumMethod() > 0 && !p.typ.Implements(t) {
		return d.corrupt("%s is not a %s", typeName(p.typ), typeName(t))
	}
	x, err := d.allocate(p)
	if err != nil {
		return err
	}
	if err := p.decode(d, x.Elem()); err != nil {
		return at(".("+typeName(p.typ)+")", err)
	}
	v.Set(x.Elem())
	return nil
}
