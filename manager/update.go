package manager

import (
	"context"
	"fmt"
	"reflect"

	"github.com/fb2d3dbd/multiproc/internal/codec"
)

// An Update is a function that changes a value in the server, in one step for everybody.
type Update[V, A any] struct{ name string }

// rawUpdate is an update of encoded values.
type rawUpdate func(ctx context.Context, server uint64, old []byte, has bool, arg []byte) (v value, keep bool, err error)

var updates = newNamed[rawUpdate]("updates")

// NewUpdate registers a function under a unique name, for use in a package-level variable: the server's program and the clients' have it. It gets the value of a key, or of
// an index, or the zero V and false where there is none, and an argument, and returns the new value; keep false takes the key out. An error or a panic leaves everything as it
// was. While it runs nobody else can use the object, so it is short and calls no proxies.
func NewUpdate[V, A any](name string, fn func(ctx context.Context, old V, has bool, arg A) (v V, keep bool, err error)) *Update[V, A] {
	updates.add(name, func(ctx context.Context, server uint64, old []byte, has bool, raw []byte) (value, bool, error) {
		var v V
		var arg A
		if has {
			if err := decode(old, &v); err != nil {
				return value{}, false, fmt.Errorf("update %q: the value: %w", name, err)
			}
		}
		if err := decode(raw, &arg); err != nil {
			return value{}, false, fmt.Errorf("update %q: the argument: %w", name, err)
		}
		v, keep, err := fn(ctx, v, has, arg)
		if err != nil {
			return value{}, false, failed(err)
		}
		out, err := encode(server, nil, &v)
		return out, keep, err
	})
	return &Update[V, A]{name}
}

func findUpdate(name string) (rawUpdate, error) {
	fn, ok := updates.find(name)
	if !ok {
		return nil, refuse(ErrUnknown, "the update %q; register it with NewUpdate in a package-level variable of the server's program", name)
	}
	return fn, nil
}

// encode encodes a value behind what stands in buf, and collects the proxies in it of the server's objects.
func encode[T any](server uint64, buf []byte, v *T) (value, error) {
	know[T](v)
	found := collector{server: server}
	data, err := codec.AppendWith(buf, v, nil, &found)
	if err != nil {
		return value{}, fmt.Errorf("%w: %w", ErrValue, err)
	}
	found.v.data = data[len(buf):]
	return found.v, nil
}

// A collector makes the handles of the proxies in a value, and collects those of the server's objects.
type collector struct {
	server uint64
	v      value
}

func (x *collector) Marshal(v any) ([]byte, bool, error) {
	p, ok := v.(proxy)
	if !ok {
		return nil, false, nil
	}
	r := p.reference()
	if r == nil || r.server != x.server {
		return nil, false, nil
	}
	h, err := r.pin()
	if err != nil {
		return nil, false, err
	}
	x.v.refs, x.v.tickets = append(x.v.refs, r.id), append(x.v.tickets, h.ticket)
	return h.append(nil), true, nil
}

// know registers the types of a value that travels inside an interface, as far as it can be.
func know[T any](v *T) {
	if t := reflect.TypeFor[T](); t.Kind() == reflect.Interface {
		if e := reflect.ValueOf(v).Elem(); !e.IsNil() {
			_ = codec.Know(e.Elem().Type())
		}
	}
}

func decode[T any](data []byte, v *T) error {
	if err := codec.Decode(data, v); err != nil {
		return fmt.Errorf("%w: %w", ErrValue, err)
	}
	return nil
}
