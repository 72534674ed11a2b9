package manager

import (
	"bytes"
	"context"
	"slices"
)

// listEntity is a List, an Array, whose length does not change, or a Value, which is an array of one.
type listEntity struct {
	s     *Server
	fixed bool
	turn
	v []value
}

func init() {
	makers[kindList] = func(_ context.Context, s *Server, _ string, r *reader) (entity, error) { return newList(s, r, false) }
	makers[kindArray] = func(_ context.Context, s *Server, _ string, r *reader) (entity, error) { return newList(s, r, true) }
	makers[kindValue] = makers[kindArray]
}

// newList makes a list of the values in r.
func newList(s *Server, r *reader, fixed bool) (entity, error) {
	all := r.values()
	if err := r.err(); err != nil {
		return nil, err
	}
	if err := retainAll(s, all...); err != nil {
		return nil, err
	}
	for i, v := range all {
		all[i] = v.kept()
	}
	return &listEntity{s: s, fixed: fixed, v: all}, nil
}

func (l *listEntity) drop() []uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	refs := refsOf(l.v)
	l.v, l.gone = nil, true
	return refs
}

func refsOf(all []value) (refs []uint64) {
	for _, v := range all {
		refs = append(refs, v.refs...)
	}
	return refs
}

func (l *listEntity) do(c *call, r *reader, b []byte) ([]byte, error) {
	if l.fixed {
		switch c.op {
		case opGet, opSet, opSwap, opCompareAndSwap, opUpdate, opLen, opSlice, opSetMany, opSort, opReverse:
		default:
			return nil, refuse(ErrProtocol, "operation %d of a %v", c.op, c.obj.kind)
		}
	}
	return l.turn.do(l.s, l.perform, c, r, b)
}

// at checks an index. One below 0 counts from the end, as in Python.
func (l *listEntity) at(i int) (int, error) {
	k := i
	if k < 0 {
		k += len(l.v)
	}
	if k < 0 || k >= len(l.v) {
		return 0, refuse(ErrIndex, "index %d of %d elements", i, len(l.v))
	}
	return k, nil
}

// perform does an operation with the lock held, and returns what it has let go.
func (l *listEntity) perform(c *call, r *reader, b []byte) (_ []byte, released []uint64, err error) {
	switch c.op {
	case opGet, opPop:
		i := r.int()
		if err := r.err(); err != nil {
			return nil, nil, err
		}
		if c.op == opPop && len(l.v) == 0 {
			return nil, nil, ErrEmpty
		}
		if i, err = l.at(i); err != nil {
			return nil, nil, err
		}
		v := l.v[i]
		l.s.onTheWay(v.refs)
		if c.op == opPop {
			l.v, released = slices.Delete(l.v, i, i+1), v.refs
		}
		return v.append(b), released, nil
	case opSet, opSwap, opInsert:
		i, v := r.int(), r.value()
		if err := r.err(); err != nil {
			return nil, nil, err
		}
		if err := retainAll(l.s, v); err != nil {
			return nil, nil, err
		}
		if c.op == opInsert { // before an index of 0 to len, which is cut to that as in Python
			if i < 0 {
				i = max(i+len(l.v), 0)
			}
			l.v = slices.Insert(l.v, min(i, len(l.v)), v.kept())
			return b, nil, nil
		}
		if i, err = l.at(i); err != nil {
			return nil, v.refs, err
		}
		released = l.v[i].refs
		if c.op == opSwap {
			l.s.onTheWay(released)
			b = l.v[i].append(b)
		}
		l.v[i] = v.kept()
		return b, released, nil
	case opCompareAndSwap:
		i, old, v := r.int(), r.bytes(), r.value()
		if err := r.err(); err != nil {
			return nil, nil, err
		}
		if err := retainAll(l.s, v); err != nil {
			return nil, nil, err
		}
		if i, err = l.at(i); err != nil {
			return nil, v.refs, err
		}
		if !bytes.Equal(l.v[i].data, old) {
			return appendBool(b, false), v.refs, nil
		}
		released, l.v[i] = l.v[i].refs, v.kept()
		return appendBool(b, true), released, nil
	case opAppend, opSetMany: // at the end; from an index on
		i := 0
		if c.op == opSetMany {
			i = r.int()
		}
		all := r.values()
		if err := r.err(); err != nil {
			return nil, nil, err
		}
		if err := retainAll(l.s, all...); err != nil {
			return nil, nil, err
		}
		if c.op == opSetMany {
			if i < 0 || i > len(l.v) || len(all) > len(l.v)-i {
				return nil, refsOf(all), refuse(ErrIndex, "%d elements at index %d of %d", len(all), i, len(l.v))
			}
			for k, v := range all {
				released = append(released, l.v[i+k].refs...)
				l.v[i+k] = v.kept()
			}
			return b, released, nil
		}
		for _, v := range all {
			l.v = append(l.v, v.kept())
		}
		return appendUint(b, len(l.v)), nil, nil
	case opLen:
		return appendUint(b, len(l.v)), nil, r.err()
	case opClear:
		released, l.v = refsOf(l.v), nil
		return b, released, r.err()
	case opSlice: // from i to j, cut as in Python
		i, j := r.int(), r.int()
		if err := r.err(); err != nil {
			return nil, nil, err
		}
		i, j = clip(i, len(l.v)), clip(j, len(l.v))
		part := l.v[min(i, j):j]
		l.s.onTheWay(refsOf(part))
		return appendValues(b, part), nil, nil
	case opReverse:
		slices.Reverse(l.v)
		return b, nil, r.err()
	case opSort:
		name, down := r.string(), r.bool()
		if err := r.err(); err != nil {
			return nil, nil, err
		}
		return nil, nil, l.sort(c, name, down)
	case opIndex, opRemove: // of the first that is equal
		v := r.bytes()
		if err := r.err(); err != nil {
			return nil, nil, err
		}
		i := slices.IndexFunc(l.v, func(have value) bool { return bytes.Equal(have.data, v) })
		if c.op == opRemove && i >= 0 {
			released = l.v[i].refs
			l.v = slices.Delete(l.v, i, i+1)
		}
		return appendInt(b, i), released, nil
	case opUpdate:
		return nil, nil, l.update(c, r)
	}
	return nil, nil, refuse(ErrProtocol, "operation %d of a %v", c.op, c.obj.kind)
}

// clip makes an index one of a slice's border, as Python does.
func clip(i, n int) int {
	if i < 0 {
		i += n
	}
	return min(max(i, 0), n)
}

// sort sorts by a registered order. Nobody else uses the list meanwhile.
func (l *listEntity) sort(c *call, name string, down bool) error {
	order, err := findOrder(name)
	if err != nil {
		return err
	}
	all := l.v
	return l.run(c, l.resumed, func(ctx context.Context) (func([]byte) []byte, error) {
		perm, err := order(all, down)
		if err != nil {
			return nil, err
		}
		sorted := make([]value, len(perm))
		for i, p := range perm {
			sorted[i] = all[p]
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.gone {
			return nil, ErrGone
		}
		if !c.commit() {
			return nil, context.Canceled
		}
		l.v = sorted
		return nil, nil
	})
}

// update calls a registered function with an element, and stores what it returns. Nobody else uses the list meanwhile.
func (l *listEntity) update(c *call, r *reader) error {
	i, name, arg := r.int(), r.string(), append([]byte(nil), r.bytes()...)
	if err := r.err(); err != nil {
		return err
	}
	fn, err := findUpdate(name)
	if err != nil {
		return err
	}
	if i, err = l.at(i); err != nil {
		return err
	}
	old := l.v[i].data
	return l.run(c, l.resumed, func(ctx context.Context) (func([]byte) []byte, error) {
		v, keep, err := fn(ctx, l.s.id, old, true, arg)
		if err != nil {
			return nil, err
		}
		var released []uint64
		defer func() { l.s.release(released) }()
		l.mu.Lock()
		defer l.mu.Unlock()
		switch {
		case l.gone:
			return nil, ErrGone
		case !c.commit():
			return nil, context.Canceled
		case keep:
			if err := l.s.retain(v.refs); err != nil {
				return nil, err
			}
			l.s.storedValue(&v)
			released, l.v[i] = l.v[i].refs, v
		case l.fixed:
			return nil, refuse(ErrValue, "the update %q would take an element out of a %v, whose length is fixed", name, c.obj.kind)
		default:
			released = l.v[i].refs
			l.v = slices.Delete(l.v, i, i+1)
		}
		l.s.onTheWay(v.refs)
		return func(b []byte) []byte { return v.append(appendBool(b, keep)) }, nil
	})
}

func (l *listEntity) resumed() { l.resume(l.s, l.perform) }
