package manager

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
)

// An Order is a function that the server sorts lists by.
type Order[T any] struct{ name string }

// rawOrder returns the order of encoded values, as indices.
type rawOrder func(all []value, down bool) ([]int, error)

var orders = newNamed[rawOrder]("orders")

// NewOrder registers a function under a unique name, for use in a package-level variable: the server's program and the clients' have it. It returns less than 0 if a comes
// before b, more than 0 if it comes after it, and else 0, as cmp.Compare does.
func NewOrder[T any](name string, compare func(a, b T) int) *Order[T] {
	orders.add(name, func(all []value, down bool) ([]int, error) {
		elems, perm := make([]T, len(all)), make([]int, len(all))
		for i, v := range all {
			if err := decode(v.data, &elems[i]); err != nil {
				return nil, fmt.Errorf("element %d: %w", i, err)
			}
			perm[i] = i
		}
		slices.SortStableFunc(perm, func(i, j int) int {
			if down {
				i, j = j, i
			}
			return compare(elems[i], elems[j])
		})
		return perm, nil
	})
	return &Order[T]{name}
}

func findOrder(name string) (rawOrder, error) {
	fn, ok := orders.find(name)
	if !ok {
		return nil, refuse(ErrUnknown, "the order %q; register it with NewOrder in a package-level variable of the server's program", name)
	}
	return fn, nil
}

// natural returns the name of the order of a type's kind, which every server has: what is encoded as a number or a string is compared as one.
func natural(t reflect.Type) (string, error) {
	name := "kind " + t.Kind().String()
	if _, err := findOrder(name); err != nil {
		return "", refuse(ErrValue, "values of type %v have no order of their own; use SortBy", t)
	}
	return name, nil
}

func init() {
	addNatural[int]()
	addNatural[int8]()
	addNatural[int16]()
	addNatural[int32]()
	addNatural[int64]()
	addNatural[uint]()
	addNatural[uint8]()
	addNatural[uint16]()
	addNatural[uint32]()
	addNatural[uint64]()
	addNatural[float32]()
	addNatural[float64]()
	addNatural[string]()
}

func addNatural[T cmp.Ordered]() {
	NewOrder("kind "+reflect.TypeFor[T]().Kind().String(), cmp.Compare[T])
}
