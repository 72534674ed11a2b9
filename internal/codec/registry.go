package codec

import (
	"fmt"
	"reflect"
	"sync"
	"time"
)

// registry holds the named types that may stand in interfaces.
var registry = struct {
	sync.RWMutex
	types map[string]reflect.Type
	names map[reflect.Type]string
}{
	types: make(map[string]reflect.Type),
	names: make(map[reflect.Type]string),
}

func init() {
	Register[time.Time]()
	Register[time.Duration]()
	Register[time.Month]()
	Register[time.Weekday]()
}

// Register makes T known by its name for values inside interfaces, and with it
// every pointer, slice, array and map made of T. The name is the import path of
// the package and the name of the type, with its type arguments if it is generic. Of an
// unnamed composite type, such as []*Job, the named parts are registered.
//
// Register belongs into a package-level variable or an init function, so that
// it runs in each process. It may be repeated, and it panics if T is or contains
// an unnamed struct or function type, or if another type already has the name,
// which happens to types of equal names declared inside functions.
//
// Whether T can be sent shows when a value is sent, or by [Check].
func Register[T any]() { register(reflect.TypeFor[T]()) }

func register(t reflect.Type) {
	switch {
	case t.PkgPath() != "":
		registerNamed(t)
	case builtinCode(t) != 0:
	case t.Kind() == reflect.Pointer, t.Kind() == reflect.Slice, t.Kind() == reflect.Array:
		register(t.Elem())
	case t.Kind() == reflect.Map:
		register(t.Key())
		register(t.Elem())
	default:
		panic(fmt.Sprintf("multiproc: cannot register %s, which has no name: declare a type with one", typeName(t)))
	}
}

func registerNamed(t reflect.Type) {
	name := t.PkgPath() + "." + t.Name()
	registry.Lock()
	defer registry.Unlock()
	if old, ok := registry.types[name]; ok && old != t {
		panic(fmt.Sprintf("multiproc: two types have the name %s: declare them at package level, or rename one", name))
	}
	registry.types[name] = t
	registry.names[t] = name
}

func registeredName(t reflect.Type) (string, bool) {
	registry.RLock()
	defer registry.RUnlock()
	name, ok := registry.names[t]
	return name, ok
}

func registeredType(name string) (reflect.Type, bool) {
	registry.RLock()
	defer registry.RUnlock()
	t, ok := registry.types[name]
	return t, ok
}

// Know is [Register] for a type that is known when the program runs; what Register panics for is an error.
func Know(t reflect.Type) (err error) {
	if _, ok := registeredName(t); ok {
		return nil
	}
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("%v", v)
		}
	}()
	register(t)
	return nil
}
