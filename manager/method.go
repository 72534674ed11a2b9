package manager

import (
	"context"
	"fmt"
	"io"
	"reflect"
	"strings"
)

// A method is what clients can call of a registered type.
type method struct {
	name     string
	index    int
	ctx      bool           // the first parameter is a context, which is not sent
	in       []reflect.Type // without the context; the last is a slice if variadic
	variadic bool
	out      []reflect.Type // without the error
	err      bool
}

var (
	contextType = reflect.TypeFor[context.Context]()
	errorType   = reflect.TypeFor[error]()
	closerType  = reflect.TypeFor[io.Closer]()
	objectType  = reflect.TypeFor[*Object]()
)

// methodsOf returns the exported methods of a type, but for the Close of an io.Closer, which is the server's to call.
func methodsOf(t reflect.Type) map[string]*method {
	all := map[string]*method{}
	for i := range t.NumMethod() {
		rm := t.Method(i)
		if !rm.IsExported() || rm.Name == "Close" && t.Implements(closerType) {
			continue
		}
		m := &method{name: rm.Name, index: i, variadic: rm.Type.IsVariadic()}
		first := 1
		if t.Kind() == reflect.Interface {
			first = 0 // no receiver
		}
		for k := first; k < rm.Type.NumIn(); k++ {
			p := rm.Type.In(k)
			if k == first && p == contextType {
				m.ctx = true
				continue
			}
			m.in = append(m.in, p)
		}
		for k := range rm.Type.NumOut() {
			p := rm.Type.Out(k)
			if k == rm.Type.NumOut()-1 && p == errorType {
				m.err = true
				continue
			}
			m.out = append(m.out, p)
		}
		all[m.name] = m
	}
	return all
}

// params lists the parameters as Go does.
func (m *method) params() string {
	var all []string
	for i, p := range m.in {
		if m.variadic && i == len(m.in)-1 {
			all = append(all, "..."+p.Elem().String())
			continue
		}
		all = append(all, p.String())
	}
	return "(" + strings.Join(all, ", ") + ")"
}

func (m *method) results() string {
	var all []string
	for _, p := range m.out {
		all = append(all, p.String())
	}
	if m.err {
		all = append(all, "error")
	}
	switch len(all) {
	case 0:
		return "nothing"
	case 1:
		return all[0]
	}
	return "(" + strings.Join(all, ", ") + ")"
}

// takes checks the number of arguments.
func (m *method) takes(t *userType, n int) error {
	switch {
	case m.variadic && n < len(m.in)-1:
		return refuse(ErrValue, "%s.%s takes %d arguments or more, %s, not %d", t.name, m.name, len(m.in)-1, m.params(), n)
	case !m.variadic && n != len(m.in):
		return refuse(ErrValue, "%s.%s takes %d arguments, %s, not %d", t.name, m.name, len(m.in), m.params(), n)
	}
	return nil
}

// param returns the type of argument i.
func (m *method) param(i int) reflect.Type {
	if m.variadic && i >= len(m.in)-1 {
		return m.in[len(m.in)-1].Elem()
	}
	return m.in[i]
}

// gives checks, before the method is called, whether it returns one value of the type that the client wants; "" is any number of any.
func (m *method) gives(t *userType, want string) error {
	if want == "" {
		return nil
	}
	if len(m.out) != 1 {
		return refuse(ErrValue, "%s.%s returns %s, not one value; use Object.Call", t.name, m.name, m.results())
	}
	out := m.out[0]
	types.RLock()
	object := types.byType[out] != nil
	types.RUnlock()
	switch have := typeName(out); {
	case want == anyType, out.Kind() == reflect.Interface && !object, want == have && !object, object && want == typeName(objectType):
		return nil
	case object:
		return refuse(ErrValue, "%s.%s returns an object, for a result of type %v, not %s", t.name, m.name, objectType, want)
	default:
		return refuse(ErrValue, "%s.%s returns %s, not %s", t.name, m.name, have, want)
	}
}

// anyType says that a result of any type will do.
const anyType = "any"

// fits makes an argument a value of a parameter's type. What can be assigned is. Beyond that, what a constant has become is taken for what a constant could have become: an
// integer of a builtin type for any number that it is exactly, a floating-point number of one for any floating-point type, and a bool or string for a type that is
// one; a *T is taken for a T.
func fits(v any, p reflect.Type) (reflect.Value, bool) {
	if v == nil {
		switch p.Kind() {
		case reflect.Pointer, reflect.Interface, reflect.Map, reflect.Slice:
			return reflect.Zero(p), true
		}
		return reflect.Value{}, false
	}
	rv := reflect.ValueOf(v)
	t := rv.Type()
	switch {
	case t.AssignableTo(p):
		out := reflect.New(p).Elem()
		out.Set(rv)
		return out, true
	case t.Kind() == reflect.Pointer && t.Elem() == p && !rv.IsNil():
		return rv.Elem(), true
	case t.PkgPath() != "" || t.Name() == "":
		return reflect.Value{}, false
	}
	zero := reflect.Zero(p)
	ok := false
	switch {
	case rv.CanInt():
		n := rv.Int()
		ok = zero.CanInt() && !zero.OverflowInt(n) || zero.CanUint() && n >= 0 && !zero.OverflowUint(uint64(n)) || zero.CanFloat() && n >= -exact(p) && n <= exact(p)
	case rv.CanUint():
		n := rv.Uint()
		ok = zero.CanInt() && n <= 1<<63-1 && !zero.OverflowInt(int64(n)) || zero.CanUint() && !zero.OverflowUint(n) || zero.CanFloat() && n <= uint64(exact(p))
	case rv.CanFloat():
		ok = zero.CanFloat() && !zero.OverflowFloat(rv.Float())
	case t.Kind() == reflect.Bool || t.Kind() == reflect.String:
		ok = t.Kind() == p.Kind()
	}
	if !ok {
		return reflect.Value{}, false
	}
	return rv.Convert(p), true
}

// exact is the largest integer up to which a floating-point type has all.
func exact(p reflect.Type) int64 {
	if p.Kind() == reflect.Float32 {
		return 1 << 24
	}
	return 1 << 53
}

// misfit says what an argument should have been.
func (m *method) misfit(t *userType, i int, v any) error {
	have := fmt.Sprintf("%T", v)
	if v == nil {
		have = "nil"
	} else if rv := reflect.ValueOf(v); rv.CanInt() || rv.CanUint() || rv.CanFloat() {
		have = fmt.Sprintf("%T (%v)", v, v)
	}
	return refuse(ErrValue, "argument %d of %s.%s%s is %s, not %v", i+1, t.name, m.name, m.params(), have, m.param(i))
}
