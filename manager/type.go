package manager

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sync"

	"github.com/fb2d3dbd/multiproc/internal/codec"
)

// A Type is a type of the program's whose objects live in servers. A is what an object is made of, and O what it is: mostly a pointer to a struct, or an interface.
type Type[A, O any] struct{ t *userType }

// userType is a Type without its parameters.
type userType struct {
	name    string
	arg     string // A
	typ     reflect.Type
	methods map[string]*method
	names   []string // of the methods, sorted
	make    func(ctx context.Context, arg []byte) (reflect.Value, error)
}

var types = struct {
	sync.RWMutex
	byName map[string]*userType
	byType map[reflect.Type]*userType
}{byName: map[string]*userType{}, byType: map[reflect.Type]*userType{}}

// NewType registers a type under a unique name, for use in a package-level variable: the server's program and the clients' have it. The server calls fn to make an object,
// with a context that ends when the client gives the call up or is gone; an error, or a panic, is the client's.
//
// The exported methods of O can be called through proxies; see [Object.Call]. Methods run concurrently, each on a goroutine of its own: the object locks itself. Of an
// O that is an interface the methods of the interface can be called. Methods of embedded fields are methods too, those of a sync.Mutex as well; see [Type.Only].
//
// A result that is an O of a registered type, of this one or of another, is not copied: it becomes an object of the server, and the caller gets an [*Object]. In the same
// way an [*Object] is an argument for a parameter that is an O.
//
// An object that is an io.Closer is closed when no proxy and no value of the server refers to it any more and its methods have returned, and when the server ends, in order: Close is
// not among the methods for clients.
func NewType[A, O any](name string, fn func(ctx context.Context, arg A) (O, error)) *Type[A, O] {
	if name == "" || fn == nil {
		panic("manager: NewType without a name, or without a function")
	}
	t := &userType{name: name, arg: typeOf[A](), typ: reflect.TypeFor[O](), methods: methodsOf(reflect.TypeFor[O]())}
	t.list()
	t.make = func(ctx context.Context, raw []byte) (reflect.Value, error) {
		var arg A
		if err := decode(raw, &arg); err != nil {
			return reflect.Value{}, fmt.Errorf("type %q: the argument: %w", name, err)
		}
		o, err := fn(ctx, arg)
		if err != nil {
			return reflect.Value{}, failed(err)
		}
		v := reflect.ValueOf(&o).Elem()
		if isNil(v) {
			return reflect.Value{}, refuse(ErrValue, "type %q: its function returned nil and no error", name)
		}
		return v, nil
	}
	types.Lock()
	defer types.Unlock()
	if types.byName[name] != nil {
		panic(fmt.Sprintf("manager: two types are called %q", name))
	}
	types.byName[name] = t
	if types.byType[t.typ] == nil {
		types.byType[t.typ] = t
	}
	for _, m := range t.methods {
		m.know()
	}
	return &Type[A, O]{t}
}

// Only has clients call these methods and no others. It is called where the type is registered, and panics if there is no such method.
func (t *Type[A, O]) Only(methods ...string) *Type[A, O] {
	all := map[string]*method{}
	for _, name := range methods {
		m := t.t.methods[name]
		if m == nil {
			panic(fmt.Sprintf("manager: %v has no method %q for clients", t.t.typ, name))
		}
		all[name] = m
	}
	types.Lock()
	t.t.methods = all
	t.t.list()
	types.Unlock()
	return t
}

func (t *userType) list() {
	t.names = slices.Sorted(maps.Keys(t.methods))
}

// New makes an object in the server, or finds one by its name. An error of the type's function is a [*RemoteError].
func (t *Type[A, O]) New(ctx context.Context, m *Manager, arg A, o *ObjectOptions) (*Object, error) {
	r, err := m.create(ctx, kindObject, t.t.name, o, func(b []byte) ([]byte, error) {
		v, err := encode(m.serverID(), nil, &arg)
		if err != nil {
			return nil, fmt.Errorf("the argument of the type %q: %w", t.t.name, err)
		}
		return v.append(appendString(b, t.t.arg)), nil
	})
	if err != nil {
		return nil, err
	}
	return &Object{r}, nil
}

// Name returns the name that the type is registered under.
func (t *Type[A, O]) Name() string { return t.t.name }

func findType(name string) (*userType, error) {
	types.RLock()
	defer types.RUnlock()
	if t := types.byName[name]; t != nil {
		return t, nil
	}
	return nil, refuse(ErrUnknown, "the type %q; register it with NewType in a package-level variable of the server's program, which has %s", name,
		listed(slices.Sorted(maps.Keys(types.byName))))
}

// typeOfValue returns the registered type that a value is an object of, or nil. static is what it is declared as.
func typeOfValue(v reflect.Value, static reflect.Type) *userType {
	types.RLock()
	defer types.RUnlock()
	if t := types.byType[static]; t != nil {
		return t
	}
	if static.Kind() == reflect.Interface && !v.IsNil() {
		return types.byType[v.Elem().Type()]
	}
	return nil
}

func (t *userType) method(name string) (*method, error) {
	types.RLock()
	defer types.RUnlock()
	if m := t.methods[name]; m != nil {
		return m, nil
	}
	return nil, refuse(ErrUnknown, "the method %q of the type %q, which has %s", name, t.name, listed(t.names))
}

// know makes the types of parameters and results known for values that travel inside interfaces, as far as they can be.
func (m *method) know() {
	for _, t := range slices.Concat(m.in, m.out) {
		if t.Kind() != reflect.Interface {
			_ = codec.Know(t)
		}
	}
}

func isNil(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface, reflect.Map, reflect.Slice, reflect.Func, reflect.Chan:
		return v.IsNil()
	}
	return false
}
