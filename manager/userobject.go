package manager

import (
	"context"
	"fmt"
	"reflect"

	"github.com/fb2d3dbd/multiproc/internal/codec"
)

// An Object is a proxy of an object of a registered type in a server; see [NewType].
type Object struct{ r *ref }

func init() { codec.Register[Object]() }

func (o *Object) reference() *ref { return o.r }

// Type returns the name that the object's type is registered under.
func (o *Object) Type() string {
	if o.r == nil {
		return ""
	}
	return o.r.typ
}

// Call has the server call a method of the object and returns what it returned, without the error.
//
// A context that the method takes first is not among the arguments: it ends when ctx does, and when this process dies. Then Call returns at once, and what the method
// returns later is dropped. Arguments are what can be assigned to the method's parameters; an integer of a builtin type does for any other number that it is exactly, such as
// 5 for an int64, a floating-point number for any floating-point type, a bool or string for a type that is one, a *T for a T, and an *Object for a parameter of its
// registered type. Results that are objects come as *Object.
//
// The method's error or panic, and the end of its goroutine, is a [*RemoteError], with the stack of a panic: errors.Is finds the sentinels that were registered by
// multiproc.RegisterError, and errors.As errors of types that were registered by multiproc.Register. ErrUnknown says that there is no such method, ErrValue that an
// argument or a result is not of the right type, or cannot be sent. Of both, but a result that cannot be sent, is known before the method is called.
func (o *Object) Call(ctx context.Context, method string, args ...any) ([]any, error) {
	return o.call(ctx, method, "", args)
}

// Call is [Object.Call] of a method that returns one value besides an error. An R of another type than the method's is ErrValue, and the method is not called.
func Call[R any](ctx context.Context, o *Object, method string, args ...any) (R, error) {
	var r R
	want, t := anyType, reflect.TypeFor[R]()
	if t.Kind() != reflect.Interface {
		want = typeName(t)
		_ = codec.Know(t)
	}
	all, err := o.call(ctx, method, want, args)
	if err != nil {
		return r, err
	}
	if len(all) != 1 {
		return r, refuse(ErrProtocol, "%d results where one was asked for", len(all))
	}
	if all[0] == nil && isNil(reflect.ValueOf(&r).Elem()) {
		return r, nil
	}
	r, ok := codec.As[R](all[0])
	if !ok {
		closeObjects(all)
		return r, refuse(ErrValue, "%s.%s returned %T, not %v", o.Type(), method, all[0], t)
	}
	return r, nil
}

func (o *Object) call(ctx context.Context, method, want string, args []any) ([]any, error) {
	q, err := o.r.request(opCall)
	if err != nil {
		return nil, err
	}
	defer q.release()
	q.b = appendUint(appendString(appendString(q.b, method), want), len(args))
	for i := range args {
		if err := putBare(o.r, q, &args[i]); err != nil {
			return nil, fmt.Errorf("argument %d of %s.%s: %w", i+1, o.Type(), method, err)
		}
	}
	out, err := o.r.do(ctx, q)
	if err != nil {
		return nil, err
	}
	return o.results(q, &out)
}

// results reads what a method has returned. Objects among it are this process's own from then on.
func (o *Object) results(q *request, out *reader) (all []any, err error) {
	n := out.uint()
	if n > uint64(len(out.b)) {
		return nil, refuse(ErrProtocol, "%d results in %d bytes", n, len(out.b))
	}
	defer func() {
		if err != nil {
			closeObjects(all)
		}
	}()
	given := false
	for i := range n {
		if out.bool() {
			given = true
			id, typ := out.uint(), out.string()
			if out.bad {
				break
			}
			all = append(all, &Object{o.r.m.hold(id, kindObject, typ)})
			continue
		}
		var v any
		if e := decode(out.bytes(), &v); e != nil && !out.bad && err == nil {
			err = fmt.Errorf("result %d of a method of %s: %w", i+1, o.Type(), e)
		}
		all = append(all, v)
	}
	if err == nil {
		err = out.err()
	}
	if given {
		if e := q.confirm(); err == nil {
			err = e
		}
	}
	return all, err
}

// closeObjects lets the objects go of results that nobody gets.
func closeObjects(all []any) {
	for _, v := range all {
		if o, ok := v.(*Object); ok {
			_ = o.Close()
		}
	}
}

// Methods returns the names of the methods that can be called, sorted.
func (o *Object) Methods(ctx context.Context) ([]string, error) {
	q, err := o.r.request(opMethods)
	if err != nil {
		return nil, err
	}
	defer q.release()
	out, err := o.r.do(ctx, q)
	if err != nil {
		return nil, err
	}
	var all []string
	for n := out.uint(); n > 0 && !out.bad; n-- {
		all = append(all, out.string())
	}
	return all, out.err()
}

// Close lets the object go. It ends when nobody refers to it. A second Close does nothing.
func (o *Object) Close() error { return o.r.close() }

// MarshalBinary returns the object's handle, for another process. It asks the server to keep the object until the handle is opened.
func (o *Object) MarshalBinary() ([]byte, error) { return o.r.marshal() }

// UnmarshalBinary opens the object whose handle b is.
func (o *Object) UnmarshalBinary(b []byte) (err error) {
	var h handle
	if err := h.read(b); err != nil {
		return err
	}
	o.r, err = unmarshal(b, kindObject, h.typ)
	return err
}
