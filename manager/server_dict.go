package manager

import (
	"bytes"
	"context"
)

// dictEntity is a Dict, a Set (of keys without values) or a Namespace. Keys are equal if their encodings are.
//
// A scan goes in the order in which the keys were put in, as in Python. order has every key that was put in since the last sweep at its place, and nothing where it was
// taken out.
type dictEntity struct {
	s *Server
	turn
	m     map[string]*entry
	order []*entry
	holes int
}

type entry struct {
	key  string
	refs []uint64 // of the key
	v    value
	at   int // in order
}

func init() {
	for _, k := range []kind{kindDict, kindSet, kindNamespace} {
		makers[k] = func(_ context.Context, s *Server, _ string, _ *reader) (entity, error) {
			return &dictEntity{s: s, m: map[string]*entry{}}, nil
		}
	}
}

func (d *dictEntity) drop() []uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.gone = true
	return d.clear()
}

func (d *dictEntity) clear() (refs []uint64) {
	for _, e := range d.m {
		refs = append(append(refs, e.refs...), e.v.refs...)
	}
	d.m, d.order, d.holes = map[string]*entry{}, nil, 0
	return refs
}

// set puts a value in, and returns what it has let go. What v and the key refer to is retained.
func (d *dictEntity) set(key, v value) (refs []uint64) {
	if e := d.m[string(key.data)]; e != nil {
		refs = append(e.v.refs, key.refs...)
		e.v = v.kept()
		return refs
	}
	e := &entry{key: string(key.data), refs: key.refs, v: v.kept(), at: len(d.order)}
	d.m[e.key] = e
	d.order = append(d.order, e)
	return nil
}

// del takes an entry out and returns what it has let go of the key.
func (d *dictEntity) del(e *entry) (refs []uint64) {
	delete(d.m, e.key)
	d.order[e.at] = nil
	if d.holes++; d.holes > 32 && d.holes > len(d.order)/2 {
		live := d.order[:0]
		for _, e := range d.order {
			if e != nil {
				e.at = len(live)
				live = append(live, e)
			}
		}
		clear(d.order[len(live):])
		d.order, d.holes = live, 0
	}
	return e.refs
}

func (d *dictEntity) do(c *call, r *reader, b []byte) ([]byte, error) {
	return d.turn.do(d.s, d.perform, c, r, b)
}

// perform does an operation with the lock held, and returns what it has let go: that is seen to without the lock.
func (d *dictEntity) perform(c *call, r *reader, b []byte) (_ []byte, released []uint64, err error) {
	switch c.op {
	case opGet, opHas, opDelKey, opPop:
		key := r.bytes()
		if err := r.err(); err != nil {
			return nil, nil, err
		}
		e := d.m[string(key)]
		switch {
		case c.op == opHas:
			return appendBool(b, e != nil), nil, nil
		case e == nil:
			return nil, nil, ErrKey
		case c.op == opGet:
			return d.value(b, e.v), nil, nil
		}
		released = append(d.del(e), e.v.refs...)
		if c.op == opPop {
			b = d.value(b, e.v)
		}
		return b, released, nil
	case opSet, opSwap, opSetDefault:
		key, v := r.value(), r.value()
		if err := d.retain(r, key, v); err != nil {
			return nil, nil, err
		}
		e := d.m[string(key.data)]
		if c.op != opSet {
			if b = appendBool(b, e != nil); e != nil {
				b = d.value(b, e.v)
			}
			if c.op == opSetDefault && e != nil {
				return b, append(key.refs, v.refs...), nil
			}
		}
		return b, d.set(key, v), nil
	case opCompareAndSwap:
		key, had, old, v := r.value(), r.bool(), r.bytes(), r.value()
		if err := d.retain(r, key, v); err != nil {
			return nil, nil, err
		}
		e := d.m[string(key.data)]
		if (e != nil) != had || had && !bytes.Equal(e.v.data, old) {
			return appendBool(b, false), append(key.refs, v.refs...), nil
		}
		return appendBool(b, true), d.set(key, v), nil
	case opSetMany:
		all := r.values()
		if len(all)%2 != 0 {
			return nil, nil, refuse(ErrProtocol, "a key without a value")
		}
		if err := d.retain(r, all...); err != nil {
			return nil, nil, err
		}
		for i := 0; i < len(all); i += 2 {
			released = append(released, d.set(all[i], all[i+1])...)
		}
		return b, released, nil
	case opGetMany:
		keys := r.values()
		if err := r.err(); err != nil {
			return nil, nil, err
		}
		for _, key := range keys {
			e := d.m[string(key.data)]
			if b = appendBool(b, e != nil); e != nil {
				b = d.value(b, e.v)
			}
			if len(b) > d.s.o.MaxMessage { // the same key may be there a million times
				return nil, nil, refuse(ErrTooLarge, "the values have more than %d bytes; at most so many are allowed in an answer", d.s.o.MaxMessage)
			}
		}
		return b, nil, nil
	case opLen:
		return appendUint(b, len(d.m)), nil, r.err()
	case opClear:
		return b, d.clear(), r.err()
	case opPopAny: // the one that was put in last, as in Python
		for i := len(d.order) - 1; i >= 0; i-- {
			if e := d.order[i]; e != nil {
				b = d.value(d.value(b, value{data: []byte(e.key), refs: e.refs}), e.v)
				return b, append(d.del(e), e.v.refs...), nil
			}
		}
		return nil, nil, ErrEmpty
	case opScan: // all of them, as they are at one instant
		b = appendUint(b, 2*len(d.m))
		for _, e := range d.order {
			if e != nil {
				b = d.value(d.value(b, value{data: []byte(e.key), refs: e.refs}), e.v)
			}
		}
		return b, nil, r.err()
	case opUpdate:
		return nil, nil, d.update(c, r)
	}
	return nil, nil, refuse(ErrProtocol, "operation %d of a %v", c.op, c.obj.kind)
}

// value appends a value that goes to a client, who may make proxies of what it refers to.
func (d *dictEntity) value(b []byte, v value) []byte {
	d.s.onTheWay(v.refs)
	return v.append(b)
}

// retain refers to what the values of an operation refer to.
func (d *dictEntity) retain(r *reader, all ...value) error {
	if err := r.err(); err != nil {
		return err
	}
	return retainAll(d.s, all...)
}

func retainAll(s *Server, all ...value) error {
	var ids []uint64
	for _, v := range all {
		ids = append(ids, v.refs...)
	}
	return s.retain(ids)
}

// update calls a registered function with the value of a key, or none, and stores what it returns. Nobody else uses the dictionary meanwhile.
func (d *dictEntity) update(c *call, r *reader) error {
	key, name, arg := r.value().kept(), r.string(), append([]byte(nil), r.bytes()...)
	if err := r.err(); err != nil {
		return err
	}
	fn, err := findUpdate(name)
	if err != nil {
		return err
	}
	var old []byte
	e := d.m[string(key.data)]
	if e != nil {
		old = e.v.data
	}
	return d.run(c, d.resumed, func(ctx context.Context) (func([]byte) []byte, error) {
		v, keep, err := fn(ctx, d.s.id, old, e != nil, arg)
		if err != nil {
			return nil, err
		}
		var released []uint64
		defer func() { d.s.release(released) }()
		d.mu.Lock()
		defer d.mu.Unlock()
		switch {
		case d.gone:
			return nil, ErrGone
		case !c.commit():
			return nil, context.Canceled
		case keep:
			if err := retainAll(d.s, key, v); err != nil {
				return nil, err
			}
			released = d.set(key, v)
			d.s.storedValue(&v)
		case e != nil:
			released = append(d.del(e), e.v.refs...)
		}
		d.s.onTheWay(v.refs)
		return func(b []byte) []byte { return v.append(appendBool(b, keep)) }, nil
	})
}

func (d *dictEntity) resumed() { d.resume(d.s, d.perform) }
