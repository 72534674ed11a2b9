package codec

import (
	"fmt"
	"math/bits"
	"reflect"
)

// markDepth is the number of references from which the encoder looks for
// cycles; a power of two. Hardly any value nests so deep, so hardly any pays for
// it.
const markDepth = 64

// A reference is a pointer, map or slice on the way to the current value.
// Meeting it once more below itself proves a cycle: the type is part of it
// because a struct and its first field have the same address, the length because
// a slice may hold a shorter slice of the same array.
type reference struct {
	typ     reflect.Type
	address uintptr
	length  int
}

func referenceTo(v reflect.Value) reference {
	r := reference{typ: v.Type(), address: v.Pointer()}
	if v.Kind() == reflect.Slice {
		r.length = v.Len()
	}
	return r
}

// marks holds, of the references on the way, each one whose number is a power of
// two. A later reference is compared with the last mark before it alone, as in
// Brent's algorithm: a cycle is met once a mark lies in it and the next mark is
// at least its length away. A mark is always on the way to what is compared with
// it, since whoever goes back above it comes down through its number again and
// replaces it.
type marks [14]reference // numbers up to 1<<13, the last below maxDepth

// enter goes down into v, a pointer, slice or map that is not nil. It fails with
// ErrTooDeep where v contains itself or lies too deep.
func (e *encoder) enter(v reflect.Value) error {
	if err := e.enterInterface(); err != nil {
		return err
	}
	if e.refs++; e.refs >= markDepth {
		return e.mark(v)
	}
	return nil
}

func (e *encoder) mark(v reflect.Value) error {
	last := bits.Len(uint(e.refs)) - 1
	r := referenceTo(v)
	if e.refs == 1<<last {
		e.marks[last] = r
	} else if r == e.marks[last] {
		return fmt.Errorf("%w: this %s contains itself; send the values without the cycle, for instance with indices in place of pointers", ErrTooDeep, typeName(v.Type()))
	}
	return nil
}

// enterInterface goes down into an interface, which cannot contain itself but
// through a reference, and yet nests.
func (e *encoder) enterInterface() error {
	if e.depth++; e.depth > maxDepth {
		return errNesting
	}
	return nil
}

// leave undoes enter, and leaveInterface undoes enterInterface. After an error
// the whole encoding ends, so nobody has to leave.
func (e *encoder) leave() {
	e.refs--
	e.depth--
}

func (e *encoder) leaveInterface() { e.depth-- }
