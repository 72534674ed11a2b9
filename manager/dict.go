package manager

import (
	"context"
	"iter"
	"maps"
	"reflect"
)

// A Dict is a map in a server. Each operation is one step for everybody: the history of a Dict is linearizable.
//
// Keys are equal if their encodings are: those that == finds equal, except that 0.0 and -0.0 are two keys, NaN is one, and pointers are keys by what they point to. In a Dict whose
// K is any, keys of several types live side by side, as in Python, and 1 and 1.0 are two.
type Dict[K comparable, V any] struct{ r *ref }

// NewDict makes a Dict.
func NewDict[K comparable, V any](ctx context.Context, m *Manager, o *ObjectOptions) (*Dict[K, V], error) {
	r, err := m.create(ctx, kindDict, typeOf[K]()+","+typeOf[V](), o, nil)
	if err != nil {
		return nil, err
	}
	return &Dict[K, V]{r}, nil
}

func (d *Dict[K, V]) reference() *ref { return d.r }

// keyed begins a call with a key.
func keyed[K any](r *ref, what op, key *K, bare bool) (*request, error) {
	q, err := r.request(what)
	if err != nil {
		return nil, err
	}
	if t := reflect.TypeFor[K](); t.Kind() == reflect.Interface && !reflect.ValueOf(key).Elem().Comparable() {
		q.release()
		return nil, refuse(ErrValue, "a key of type %T: it cannot be compared", any(*key))
	}
	if bare {
		err = putBare(r, q, key)
	} else {
		err = put(r, q, key)
	}
	if err != nil {
		q.release()
		return nil, err
	}
	return q, nil
}

// get reads a value of an answer.
func get[T any](out *reader, v *T) error {
	val := out.value()
	if out.bad {
		return out.err()
	}
	return decode(val.data, v)
}

// Get returns the value of a key, or ErrKey.
func (d *Dict[K, V]) Get(ctx context.Context, key K) (V, error) { return d.take(ctx, opGet, key) }

// Pop takes a key out and returns its value, or ErrKey.
func (d *Dict[K, V]) Pop(ctx context.Context, key K) (V, error) { return d.take(ctx, opPop, key) }

func (d *Dict[K, V]) take(ctx context.Context, what op, key K) (v V, err error) {
	q, err := keyed(d.r, what, &key, true)
	if err != nil {
		return v, err
	}
	defer q.release()
	out, err := d.r.do(ctx, q)
	if err != nil {
		return v, err
	}
	return v, get(&out, &v)
}

// Has reports whether there is a key.
func (d *Dict[K, V]) Has(ctx context.Context, key K) (bool, error) {
	q, err := keyed(d.r, opHas, &key, true)
	if err != nil {
		return false, err
	}
	return ask(ctx, d.r, q, (*reader).bool)
}

// Set gives a key a value.
func (d *Dict[K, V]) Set(ctx context.Context, key K, v V) error {
	q, err := keyed(d.r, opSet, &key, false)
	if err != nil {
		return err
	}
	if err := put(d.r, q, &v); err != nil {
		q.release()
		return err
	}
	return d.r.call(ctx, q)
}

// Swap gives a key a value and returns the one that it had.
func (d *Dict[K, V]) Swap(ctx context.Context, key K, v V) (old V, had bool, err error) {
	return d.swap(ctx, opSwap, key, v)
}

// SetDefault gives a key a value if it has none, and returns the one that it has then, and whether it had it before.
func (d *Dict[K, V]) SetDefault(ctx context.Context, key K, v V) (now V, had bool, err error) {
	now, had, err = d.swap(ctx, opSetDefault, key, v)
	if err == nil && !had {
		now = v
	}
	return now, had, err
}

func (d *Dict[K, V]) swap(ctx context.Context, what op, key K, v V) (old V, had bool, err error) {
	q, err := keyed(d.r, what, &key, false)
	if err != nil {
		return old, false, err
	}
	defer q.release()
	if err := put(d.r, q, &v); err != nil {
		return old, false, err
	}
	out, err := d.r.do(ctx, q)
	if err != nil {
		return old, false, err
	}
	if had = out.bool(); had {
		err = get(&out, &old)
	}
	if err == nil {
		err = out.err()
	}
	return old, had, err
}

// CompareAndSwap gives a key a value if it has the value old, and reports whether it did. Values are equal if their encodings are; those that contain maps mostly are not.
func (d *Dict[K, V]) CompareAndSwap(ctx context.Context, key K, old, v V) (bool, error) {
	return d.cas(ctx, key, &old, v)
}

// Add gives a key a value if it has none, and reports whether it did.
func (d *Dict[K, V]) Add(ctx context.Context, key K, v V) (bool, error) {
	return d.cas(ctx, key, nil, v)
}

func (d *Dict[K, V]) cas(ctx context.Context, key K, old *V, v V) (bool, error) {
	q, err := keyed(d.r, opCompareAndSwap, &key, false)
	if err != nil {
		return false, err
	}
	q.b = appendBool(q.b, old != nil)
	if old == nil {
		q.b = appendBytes(q.b, nil)
	} else {
		err = putBare(d.r, q, old)
	}
	if err == nil {
		err = put(d.r, q, &v)
	}
	if err != nil {
		q.release()
		return false, err
	}
	return ask(ctx, d.r, q, (*reader).bool)
}

// Delete takes a key out, or returns ErrKey.
func (d *Dict[K, V]) Delete(ctx context.Context, key K) error {
	q, err := keyed(d.r, opDelKey, &key, true)
	if err != nil {
		return err
	}
	return d.r.call(ctx, q)
}

// PopItem takes the key out that was put in last, and returns it and its value, or ErrEmpty.
func (d *Dict[K, V]) PopItem(ctx context.Context) (key K, v V, err error) {
	q, err := d.r.request(opPopAny)
	if err != nil {
		return key, v, err
	}
	defer q.release()
	out, err := d.r.do(ctx, q)
	if err == nil {
		err = get(&out, &key)
	}
	if err == nil {
		err = get(&out, &v)
	}
	return key, v, err
}

// Len returns the number of keys.
func (d *Dict[K, V]) Len(ctx context.Context) (int, error) { return d.r.number(ctx, opLen) }

// Clear takes every key out.
func (d *Dict[K, V]) Clear(ctx context.Context) error { return d.r.simple(ctx, opClear) }

// SetAll gives keys values, all in one step.
func (d *Dict[K, V]) SetAll(ctx context.Context, all map[K]V) error {
	q, err := d.r.request(opSetMany)
	if err != nil {
		return err
	}
	q.b = appendUint(q.b, 2*len(all))
	for k, v := range all {
		if err := put(d.r, q, &k); err != nil {
			q.release()
			return err
		}
		if err := put(d.r, q, &v); err != nil {
			q.release()
			return err
		}
	}
	return d.r.call(ctx, q)
}

// GetAll returns the values of those of the keys that there are, as they are at one instant.
func (d *Dict[K, V]) GetAll(ctx context.Context, keys ...K) (map[K]V, error) {
	q, err := d.r.request(opGetMany)
	if err != nil {
		return nil, err
	}
	defer q.release()
	q.b = appendUint(q.b, len(keys))
	for i := range keys {
		if err := put(d.r, q, &keys[i]); err != nil {
			return nil, err
		}
	}
	out, err := d.r.do(ctx, q)
	if err != nil {
		return nil, err
	}
	all := map[K]V{}
	for _, k := range keys {
		if !out.bool() {
			continue
		}
		var v V
		if err := get(&out, &v); err != nil {
			return nil, err
		}
		all[k] = v
	}
	return all, out.err()
}

// Copy returns the keys and values as they are at one instant.
func (d *Dict[K, V]) Copy(ctx context.Context) (map[K]V, error) {
	pairs, err := d.All(ctx)
	if err != nil {
		return nil, err
	}
	return maps.Collect(pairs), nil
}

// All returns the keys and values as they are at one instant, to range over them in the order in which the keys were put in.
func (d *Dict[K, V]) All(ctx context.Context) (iter.Seq2[K, V], error) {
	raw, err := d.r.scan(ctx)
	if err != nil {
		return nil, err
	}
	keys, vs := make([]K, len(raw)/2), make([]V, len(raw)/2)
	for i := range keys {
		if err := decode(raw[2*i].data, &keys[i]); err != nil {
			return nil, err
		}
		if err := decode(raw[2*i+1].data, &vs[i]); err != nil {
			return nil, err
		}
	}
	return func(yield func(K, V) bool) {
		for i, k := range keys {
			if !yield(k, vs[i]) {
				return
			}
		}
	}, nil
}

// scan returns everything that an object has.
func (r *ref) scan(ctx context.Context) ([]value, error) {
	q, err := r.request(opScan)
	if err != nil {
		return nil, err
	}
	out, err := r.do(ctx, q)
	if err != nil {
		q.release()
		return nil, err
	}
	out.b = append([]byte(nil), out.b...)
	q.release()
	all := out.values()
	return all, out.err()
}

// update ends a call that has the server run the function.
func (u *Update[V, A]) update(ctx context.Context, r *ref, q *request, arg A) (v V, ok bool, err error) {
	defer q.release()
	q.b = appendString(q.b, u.name)
	if err := putBare(r, q, &arg); err != nil {
		return v, false, err
	}
	out, err := r.do(ctx, q)
	if err != nil {
		return v, false, err
	}
	ok = out.bool()
	return v, ok, get(&out, &v)
}

// UpdateDict has the server call a registered function with the value of a key, and store what it returns, in one step for everybody. It returns what the function has;
// ok is false if it has taken the key out. An error or a panic of it comes as a [*RemoteError], and changes nothing.
func UpdateDict[K comparable, V, A any](ctx context.Context, d *Dict[K, V], key K, u *Update[V, A], arg A) (v V, ok bool, err error) {
	q, err := keyed(d.r, opUpdate, &key, false)
	if err != nil {
		return v, false, err
	}
	return u.update(ctx, d.r, q, arg)
}

// Close lets the Dict go. It ends when nobody refers to it. A second Close does nothing.
func (d *Dict[K, V]) Close() error { return d.r.close() }

// MarshalBinary returns the Dict's handle, for another process. It asks the server to keep the Dict until the handle is opened.
func (d *Dict[K, V]) MarshalBinary() ([]byte, error) { return d.r.marshal() }

// UnmarshalBinary opens the Dict whose handle b is.
func (d *Dict[K, V]) UnmarshalBinary(b []byte) (err error) {
	d.r, err = unmarshal(b, kindDict, typeOf[K]()+","+typeOf[V]())
	return err
}
