package codec

import "reflect"

// tagKey is the key of the struct tag, whose only value is "-": leave out.
const tagKey = "multiproc"

// A step of a struct program is either a field with a program, or a run of
// memory that holds one or more fields of numbers without a gap.
type step struct {
	program *program // nil for a run
	index   int      // of the field
	hidden  bool     // an embedded struct of an unexported type
	name    string
	off, n  uintptr // of the run
}

// buildStruct compiles a struct: its fields one after the other.
func (c *compiler) buildStruct(p *program) error {
	t := p.typ
	var steps []step
	raw := uintptr(0)
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Tag.Get(tagKey) == "-" {
			p.partial = true
			continue
		}
		hidden := !f.IsExported()
		if f.Name == "_" || hidden && f.Type.Size() == 0 {
			continue
		}
		if hidden && !isEmbeddedStruct(f) {
			return at("."+f.Name, unsupported(f.Type, "an unexported field of %s cannot be sent to another process; export it, leave it out with the tag `multiproc:\"-\"`, or give %[1]s methods MarshalBinary and UnmarshalBinary%s", typeName(t), selfEncodingHint(t)))
		}
		fp, err := c.compile(f.Type)
		if err != nil {
			return at("."+f.Name, err)
		}
		p.min += fp.min
		p.partial = p.partial || fp.partial
		if fp.min == 0 {
			continue // nothing to encode
		}
		if fp.raw > 0 {
			raw += fp.raw
			if k := len(steps) - 1; k >= 0 && steps[k].program == nil && steps[k].off+steps[k].n == f.Offset {
				steps[k].n += fp.raw
				continue
			}
			steps = append(steps, step{name: f.Name, off: f.Offset, n: fp.raw})
			continue
		}
		steps = append(steps, step{program: fp, index: i, hidden: hidden, name: f.Name})
	}
	switch {
	case len(steps) == 0:
		buildNothing(p)
	case raw == t.Size():
		buildRaw(p)
	default:
		p.inPlace = true
		p.encode = func(e *encoder, v reflect.Value) error { return encodeStruct(e, v, steps) }
		p.decode = func(d *decoder, v reflect.Value) error { return decodeStruct(d, v, steps) }
	}
	return nil
}

// isEmbeddedStruct reports whether the unexported field f is an embedded struct or a
// pointer to one: it is unexported only because its type is, while its fields
// are promoted.
func isEmbeddedStruct(f reflect.StructField) bool {
	t := f.Type
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return f.Anonymous && t.Kind() == reflect.Struct
}

func (s *step) field(v reflect.Value) reflect.Value {
	f := v.Field(s.index)
	if s.hidden {
		f = exposed(f)
	}
	return f
}

func encodeStruct(e *encoder, v reflect.Value, steps []step) error {
	for i := range steps {
		s := &steps[i]
		if s.program == nil {
			e.buf = append(e.buf, memory(v, s.off, s.n)...)
			continue
		}
		if err := s.program.encode(e, s.field(v)); err != nil {
			return at("."+s.name, err)
		}
	}
	return nil
}

func decodeStruct(d *decoder, v reflect.Value, steps []step) error {
	for i := range steps {
		s := &steps[i]
		if s.program == nil {
			b, err := d.take(int(s.n))
			if err != nil {
				return at("."+s.name, err)
			}
			copy(memory(v, s.off, s.n), b)
			continue
		}
		if err := s.program.decode(d, s.field(v)); err != nil {
			return at("."+s.name, err)
		}
	}
	return nil
}
