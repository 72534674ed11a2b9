package manager

import (
	"context"
	"fmt"
)

// A Func is a function that clients have the server run, without an object.
type Func[In, Out any] struct{ name string }

// rawFunc is a function of encoded values.
type rawFunc struct {
	types string
	call  func(ctx context.Context, server uint64, in []byte) (value, error)
}

var funcs = newNamed[rawFunc]("functions")

// NewFunc registers a function under a unique name, for use in a package-level variable: the server's program and the clients' have it. Calls run concurrently, each on a
// goroutine of its own. ctx ends when the client's does, and when it is gone.
func NewFunc[In, Out any](name string, fn func(ctx context.Context, in In) (Out, error)) *Func[In, Out] {
	if fn == nil {
		panic("manager: NewFunc without a function")
	}
	funcs.add(name, rawFunc{types: typeOf[In]() + "," + typeOf[Out](), call: func(ctx context.Context, server uint64, raw []byte) (value, error) {
		var in In
		if err := decode(raw, &in); err != nil {
			return value{}, fmt.Errorf("function %q: the argument: %w", name, err)
		}
		out, err := fn(ctx, in)
		if err != nil {
			return value{}, failed(err)
		}
		v, err := encode(server, nil, &out)
		if err != nil {
			err = fmt.Errorf("function %q was called; its result: %w", name, err)
		}
		return v, err
	}})
	return &Func[In, Out]{name}
}

// Call has the server run the function and returns what it returned. Its error or panic is a [*RemoteError], as those of methods are; see [Object.Call].
func (f *Func[In, Out]) Call(ctx context.Context, m *Manager, in In) (out Out, err error) {
	q := m.request(opCall, 0)
	defer q.release()
	q.b = appendString(appendString(q.b, f.name), typeOf[In]()+","+typeOf[Out]())
	v, err := encode(m.serverID(), nil, &in)
	if err != nil {
		return out, fmt.Errorf("the argument of the function %q: %w", f.name, err)
	}
	q.b = appendBytes(q.b, v.data)
	r, err := m.do(ctx, q)
	if err != nil {
		return out, err
	}
	return out, get(&r, &out)
}

// function runs a registered function.
func (c *call) function(r *reader) error {
	name, typ, in := r.string(), r.string(), append([]byte(nil), r.bytes()...)
	if err := r.err(); err != nil {
		return err
	}
	fn, ok := funcs.find(name)
	if !ok {
		return refuse(ErrUnknown, "the function %q; register it with NewFunc in a package-level variable of the server's program, which has %s", name, funcs.names())
	}
	if typ != fn.types {
		return refuse(ErrValue, "the function %q is one of [%s], not of [%s]", name, fn.types, typ)
	}
	s := c.s.srv
	return c.run(func(ctx context.Context) (func([]byte) []byte, error) {
		v, err := fn.call(ctx, s.id, in)
		if err != nil {
			return nil, err
		}
		s.onTheWay(v.refs)
		return v.append, nil
	})
}
