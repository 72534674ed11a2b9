package codec

import (
	"errors"
	"reflect"
)

var errMapChanged = errors.New("the map was changed while it was encoded; nobody may write to a value that is being sent")

// buildMap compiles a map.
func (c *compiler) buildMap(p *program) error {
	p.min = 1
	key, err := c.compile(p.typ.Key())
	if err != nil {
		return at("[key]", err)
	}
	if key.partial {
		return at("[key]", unsupported(key.typ, "%s leaves out fields, so that distinct keys could become equal; use a key that is sent in full", typeName(key.typ)))
	}
	elem, err := c.compile(p.typ.Elem())
	if err != nil {
		return at("[]", err)
	}
	p.encode = func(e *encoder, v reflect.Value) error { return encodeMap(e, v, key, elem) }
	p.decode = func(d *decoder, v reflect.Value) error { return decodeMap(d, v, key, elem) }
	return nil
}

func encodeMap(e *encoder, v reflect.Value, key, elem *program) error {
	if v.IsNil() {
		e.buf = append(e.buf, 0)
		return nil
	}
	n := v.Len()
	e.uvarint(n + 1)
	if n == 0 {
		return nil
	}
	if err := e.enter(v); err != nil {
		return err
	}
	k := reflect.New(key.typ).Elem()
	x := reflect.New(elem.typ).Elem()
	count := 0
	for iter := v.MapRange(); iter.Next(); count++ {
		k.SetIterKey(iter)
		if err := key.encode(e, k); err != nil {
			return at(keyStep(k), err)
		}
		x.SetIterValue(iter)
		if err := elem.encode(e, x); err != nil {
			return at(keyStep(k), err)
		}
		if key.min+elem.min == 0 {
			e.buf = append(e.buf, 0)
		}
	}
	if count != n {
		return errMapChanged
	}
	e.leave()
	return nil
}

func decodeMap(d *decoder, v reflect.Value, key, elem *program) error {
	n, err := d.nilableLength(key.min + elem.min)
	if err != nil || n < 0 {
		return err
	}
	if key.min == 0 && n > 1 {
		return d.corrupt("%d entries for the one value of %s", n, typeName(key.typ))
	}
	if n == 0 {
		v.Set(reflect.MakeMap(v.Type()))
		return nil
	}
	if err := d.enter(); err != nil {
		return err
	}
	m := reflect.MakeMapWithSize(v.Type(), d.affordable(n, key.typ.Size()+elem.typ.Size()))
	k := reflect.New(key.typ).Elem()
	x := reflect.New(elem.typ).Elem()
	for range n {
		k.SetZero()
		if err := key.decode(d, k); err != nil {
			return at("[key]", err)
		}
		// An interface in the key may hold a slice or a map.
		if !k.Comparable() {
			return at("[key]", d.corrupt("value of a type that cannot be a map key"))
		}
		x.SetZero()
		if err := elem.decode(d, x); err != nil {
			return at(keyStep(k), err)
		}
		if key.min+elem.min == 0 {
			if _, err := d.byte(); err != nil {
				return err
			}
		}
		m.SetMapIndex(k, x)
	}
	if m.Len() != n {
		return d.corrupt("%d keys, of which only %d are distinct", n, m.Len())
	}
	v.Set(m)
	d.leave()
	return nil
}
