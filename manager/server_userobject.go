package manager

import (
	"context"
	"fmt"
	"io"
	"reflect"
	"sync"
)

// userEntity is an object of a registered type. Several may be the same value: what a method returns may be an object already.
type userEntity struct {
	s    *Server
	t    *userType
	v    reflect.Value // of t's type
	inst *instance
	once sync.Once
}

// An instance is what the entities share that are the same pointer.
type instance struct {
	v       any
	key     any // by which it is found, or nil
	users   int // entities, and methods that run
	expired bool
}

// instances has those of a server that can be found again.
type instances struct {
	mu  sync.Mutex
	all map[any]*instance
}

func init() {
	slow[kindObject] = true
	makers[kindObject] = func(ctx context.Context, s *Server, typ string, r *reader) (entity, error) {
		arg, v := r.string(), r.value()
		if err := r.err(); err != nil {
			return nil, err
		}
		t, err := findType(typ)
		if err != nil {
			return nil, err
		}
		if arg != t.arg {
			return nil, refuse(ErrValue, "the type %q is made of %s, not of %s", typ, t.arg, arg)
		}
		obj, err := t.make(ctx, v.data)
		if err != nil {
			return nil, err
		}
		return s.entityOf(t, obj), nil
	}
}

// entityOf makes an entity of a value.
func (s *Server) entityOf(t *userType, v reflect.Value) *userEntity {
	in := &s.instances
	in.mu.Lock()
	defer in.mu.Unlock()
	if v.Kind() == reflect.Interface && t.typ.Kind() != reflect.Interface {
		v = v.Elem()
	}
	var key any
	if v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface && v.Elem().Kind() == reflect.Pointer {
		key = v.Interface()
		if x := in.all[key]; x != nil {
			x.users++
			return &userEntity{s: s, t: t, v: v, inst: x}
		}
	}
	x := &instance{v: v.Interface(), key: key, users: 1}
	if key != nil {
		if in.all == nil {
			in.all = map[any]*instance{}
		}
		in.all[key] = x
	}
	return &userEntity{s: s, t: t, v: v, inst: x}
}

// leave is one user less. With the last the value is closed.
func (s *Server) leave(x *instance) {
	in := &s.instances
	in.mu.Lock()
	x.users--
	last := x.users == 0
	if last {
		x.expired = true
		if x.key != nil {
			delete(in.all, x.key)
		}
	}
	in.mu.Unlock()
	if c, ok := x.v.(io.Closer); last && ok {
		s.closing(fmt.Sprintf("a %T", x.v), c.Close)
	}
}

// use says that a method runs.
func (e *userEntity) use() error {
	e.s.instances.mu.Lock()
	defer e.s.instances.mu.Unlock()
	if e.inst.expired {
		return ErrGone
	}
	e.inst.users++
	return nil
}

func (e *userEntity) drop() []uint64 {
	e.once.Do(func() { e.s.leave(e.inst) })
	return nil
}

func (e *userEntity) do(c *call, r *reader, b []byte) ([]byte, error) {
	switch c.op {
	case opMethods:
		if err := r.err(); err != nil {
			return nil, err
		}
		types.RLock()
		defer types.RUnlock()
		b = appendUint(b, len(e.t.names))
		for _, name := range e.t.names {
			b = appendString(b, name)
		}
		return b, nil
	case opCall:
	default:
		return nil, refuse(ErrProtocol, "operation %d of a %v", c.op, c.obj.kind)
	}
	name, want, n := r.string(), r.string(), r.uint()
	if n > uint64(len(r.b)) {
		return nil, refuse(ErrProtocol, "%d arguments in %d bytes", n, len(r.b))
	}
	args := make([][]byte, n)
	for i := range args {
		args[i] = append([]byte(nil), r.bytes()...)
	}
	if err := r.err(); err != nil {
		return nil, err
	}
	m, err := e.t.method(name)
	if err == nil {
		err = m.takes(e.t, len(args))
	}
	if err == nil {
		err = m.gives(e.t, want)
	}
	if err == nil {
		err = e.use()
	}
	if err != nil {
		return nil, err
	}
	err = c.run(func(ctx context.Context) (func([]byte) []byte, error) {
		defer e.s.leave(e.inst)
		in, release, err := e.arguments(ctx, m, args)
		defer release()
		if err != nil {
			return nil, err
		}
		out := e.v.Method(m.index).Call(in)
		if m.err {
			err, _ := out[len(out)-1].Interface().(error)
			if out = out[:len(out)-1]; err != nil {
				return nil, failed(err)
			}
		}
		return e.results(c, m, out)
	})
	if err != errLater { // it does not run
		e.s.leave(e.inst)
	}
	return nil, err
}

// arguments decodes what the method is called with. release is called when it has returned.
func (e *userEntity) arguments(ctx context.Context, m *method, raw [][]byte) (in []reflect.Value, release func(), err error) {
	var opened []*Object
	release = func() {
		for _, o := range opened {
			_ = o.Close()
		}
	}
	if m.ctx {
		in = append(in, reflect.ValueOf(&ctx).Elem())
	}
	for i, b := range raw {
		var v any
		if err := decode(b, &v); err != nil {
			return nil, release, fmt.Errorf("argument %d of %s.%s%s: %w", i+1, e.t.name, m.name, m.params(), err)
		}
		rv, ok := fits(v, m.param(i))
		if !ok {
			if o, is := v.(*Object); is && o.r != nil { // a proxy of what the method wants itself
				opened = append(opened, o)
				rv, ok = e.referent(o, m.param(i))
			}
		}
		if !ok {
			return nil, release, m.misfit(e.t, i, v)
		}
		in = append(in, rv)
	}
	return in, release, nil
}

// referent returns the value of this server's that a proxy stands for, if it is one for a parameter of type p.
func (e *userEntity) referent(o *Object, p reflect.Type) (reflect.Value, bool) {
	if o.r.server != e.s.id {
		return reflect.Value{}, false
	}
	found := e.s.find(o.r.id)
	if found == nil {
		return reflect.Value{}, false
	}
	u, ok := found.ent.(*userEntity)
	if !ok || !u.v.Type().AssignableTo(p) {
		return reflect.Value{}, false
	}
	return u.v, true
}

// results encodes what a method has returned. Objects are the caller's session's from then on, until it confirms that it has them.
func (e *userEntity) results(c *call, m *method, out []reflect.Value) (func([]byte) []byte, error) {
	b := appendUint(nil, len(out))
	var made []*object
	giveBack := func() {
		for _, o := range made {
			if c.s.drop(o.id) {
				e.s.release([]uint64{o.id})
			}
		}
	}
	for i, v := range out {
		t := typeOfValue(v, m.out[i])
		if t == nil || isNil(v) {
			a := any(nil)
			if t == nil {
				a = v.Interface()
			}
			val, err := encode(e.s.id, nil, &a)
			if err != nil {
				giveBack()
				return nil, fmt.Errorf("%s.%s was called; its result %d, of type %v: %w", e.t.name, m.name, i+1, v.Type(), err)
			}
			b = appendBytes(appendBool(b, false), val.data)
			continue
		}
		o, _, err := e.s.add(kindObject, t.name, "", func() (entity, error) { return e.s.entityOf(t, v), nil })
		if err == nil {
			err = c.s.owns(o)
		}
		if err != nil {
			giveBack()
			return nil, err
		}
		made = append(made, o)
		b = appendString(appendUint64(appendBool(b, true), o.id), t.name)
	}
	if len(made) > 0 {
		c.given(giveBack, nil)
	}
	return func(dst []byte) []byte { return append(dst, b...) }, nil
}
