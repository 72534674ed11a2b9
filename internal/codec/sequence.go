package codec

import (
	"fmt"
	"math"
	"reflect"
)

// buildSlice compiles a slice. The properties of the element are read when the
// program runs: while it is compiled, a recursive element is still in the
// making. That one is never raw, though, as it contains at least a slice.
func (c *compiler) buildSlice(p *program) error {
	p.min = 1
	elem, err := c.compile(p.typ.Elem())
	if err != nil {
		return at("[]", err)
	}
	if elem.raw > 0 {
		buildRawSlice(p, elem.raw)
		return nil
	}
	p.encode = func(e *encoder, v reflect.Value) error { return encodeSlice(e, v, elem) }
	p.decode = func(d *decoder, v reflect.Value) error { return decodeSlice(d, v, elem) }
	return nil
}

// buildRawSlice is for slices whose elements are copied as memory, in one piece.
func buildRawSlice(p *program, size uintptr) {
	empty := reflect.MakeSlice(p.typ, 0, 0)
	bytes := p.typ.Elem().Kind() == reflect.Uint8
	p.encode = func(e *encoder, v reflect.Value) error {
		if v.IsNil() {
			e.buf = append(e.buf, 0)
			return nil
		}
		e.uvarint(v.Len() + 1)
		e.buf = append(e.buf, sliceMemory(v, size)...)
		return nil
	}
	p.decode = func(d *decoder, v reflect.Value) error {
		n, err := d.nilableLength(int(size))
		if err != nil || n < 0 {
			return err
		}
		if n == 0 {
			v.Set(empty)
			return nil
		}
		b, err := d.take(n * int(size))
		if err != nil {
			return err
		}
		if bytes {
			v.SetBytes(append([]byte(nil), b...))
			return nil
		}
		v.Grow(n)
		v.SetLen(n)
		copy(sliceMemory(v, size), b)
		return nil
	}
}

func encodeSlice(e *encoder, v reflect.Value, elem *program) error {
	if v.IsNil() {
		e.buf = append(e.buf, 0)
		return nil
	}
	n := v.Len()
	if elem.min == 0 {
		return encodeEmptyElements(e, n)
	}
	if err := e.enter(v); err != nil {
		return err
	}
	e.uvarint(n + 1)
	for i := range n {
		if err := elem.encode(e, v.Index(i)); err != nil {
			return at(indexStep(i), err)
		}
	}
	e.leave()
	return nil
}

// encodeEmptyElements stands a zero byte for each element that has no encoding.
// Otherwise a message of a few bytes could claim any length.
func encodeEmptyElements(e *encoder, n int) error {
	if n > math.MaxInt32 {
		return fmt.Errorf("%d elements that hold nothing; send their number instead", n)
	}
	e.uvarint(n + 1)
	e.buf = append(e.buf, make([]byte, n)...)
	return nil
}

func decodeSlice(d *decoder, v reflect.Value, elem *program) error {
	n, err := d.nilableLength(elem.min)
	if err != nil || n < 0 {
		return err
	}
	if n == 0 {
		v.Set(reflect.MakeSlice(v.Type(), 0, 0))
		return nil
	}
	if elem.min == 0 {
		if _, err := d.take(n); err != nil {
			return err
		}
		v.Grow(n)
		v.SetLen(n)
		return nil
	}
	if err := d.enter(); err != nil {
		return err
	}
	// Large elements with a short encoding would let a small message claim much
	// memory, so more is made only as elements arrive.
	v.Grow(d.affordable(n, elem.typ.Size()))
	for i := range n {
		if i == v.Cap() {
			v.Grow(min(n-i, i))
		}
		v.SetLen(i + 1)
		if err := elem.decode(d, v.Index(i)); err != nil {
			return at(indexStep(i), err)
		}
	}
	d.leave()
	return nil
}

// affordable returns how many of n elements, at least 1, to allocate before the
// first is decoded. The bytes so granted during one Decode are a multiple of the
// input; whoever needs more gets it as elements arrive. A limit for each slice
// alone would not do, as slices nest.
func (d *decoder) affordable(n int, size uintptr) int {
	const factor = 32
	if size == 0 {
		return n
	}
	budget := factor*len(d.data) - d.spent
	n = max(1, min(n, budget/int(size)))
	d.spent += n * int(size)
	return n
}

// buildArray compiles an array: no length, just the elements.
func (c *compiler) buildArray(p *program) error {
	elem, err := c.compile(p.typ.Elem())
	if err != nil {
		return at("[]", err)
	}
	n := p.typ.Len()
	p.partial = elem.partial
	if n == 0 || elem.min == 0 {
		buildNothing(p)
		return nil
	}
	if elem.raw > 0 {
		buildRaw(p)
		return nil
	}
	p.min, p.inPlace = n*min(elem.min, math.MaxInt32/n), true
	p.encode = func(e *encoder, v reflect.Value) error {
		for i := range n {
			if err := elem.encode(e, v.Index(i)); err != nil {
				return at(indexStep(i), err)
			}
		}
		return nil
	}
	p.decode = func(d *decoder, v reflect.Value) error {
		for i := range n {
			if err := elem.decode(d, v.Index(i)); err != nil {
				return at(indexStep(i), err)
			}
		}
		return nil
	}
	return nil
}

// buildNothing is for types whose encoding is empty.
func buildNothing(p *program) {
	p.encode = func(*encoder, reflect.Value) error { return nil }
	p.decode = func(*decoder, reflect.Value) error { return nil }
}
