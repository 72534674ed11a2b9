package codec

import "reflect"

// buildPointer compiles a pointer: nil, or a value of its own. The depth is
// counted here, since recursive types recur through pointers.
func (c *compiler) buildPointer(p *program) error {
	p.min = 1
	elem, err := c.compile(p.typ.Elem())
	if err != nil {
		return err
	}
	p.encode = func(e *encoder, v reflect.Value) error {
		if v.IsNil() {
			e.buf = append(e.buf, 0)
			return nil
		}
		if err := e.enter(v); err != nil {
			return err
		}
		e.buf = append(e.buf, 1)
		if err := elem.encode(e, v.Elem()); err != nil {
			return err
		}
		e.leave()
		return nil
	}
	p.decode = func(d *decoder, v reflect.Value) error {
		set, err := d.flag()
		if err != nil || !set {
			return err
		}
		if err := d.enter(); err != nil {
			return err
		}
		target, err := d.allocate(elem)
		if err != nil {
			return err
		}
		if err := elem.decode(d, target.Elem()); err != nil {
			return err
		}
		v.Set(target)
		d.leave()
		return nil
	}
	return nil
}

// allocate returns a pointer to a new value for p, once it is certain that the
// input can hold one.
func (d *decoder) allocate(p *program) (reflect.Value, error) {
	if p.min > d.left() {
		return reflect.Value{}, d.corrupt("%d bytes wanted for %s, %d left", p.min, typeName(p.typ), d.left())
	}
	return reflect.New(p.typ), nil
}
