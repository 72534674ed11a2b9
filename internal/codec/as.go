package codec

import "reflect"

// As gives a value that was decoded as an interface the type that is asked for: a *T is taken for a T, and nil for the nil of an interface. ok is false
// where it is another.
func As[T any](v any) (t T, ok bool) {
	switch x := v.(type) {
	case T:
		return x, true
	case *T:
		if x != nil {
			return *x, true
		}
	case nil:
		return t, reflect.TypeFor[T]().Kind() == reflect.Interface
	}
	return t, false
}
