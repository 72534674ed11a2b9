package codec

import (
	"encoding/binary"
	"fmt"
	"math"
	"reflect"
	"sync"
)

// A signature is the type of a value inside an interface, as bytes: a builtin
// type is one byte, any other a letter and what it is made of.
//
//   - elem          pointer
//     [ elem          slice
//     # n elem        array, uvarint n
//     { key elem      map
//     @ n name        registered type, uvarint length of the name
const (
	sigPointer = '*'
	sigSlice   = '['
	sigArray   = '#'
	sigMap     = '{'
	sigNamed   = '@'
)

// builtins are the types whose signature is one byte, their index, which lies
// below the letters.
var builtins = [...]reflect.Type{
	codeBool:    reflect.TypeFor[bool](),
	codeInt:     reflect.TypeFor[int](),
	3:           reflect.TypeFor[int8](),
	4:           reflect.TypeFor[int16](),
	5:           reflect.TypeFor[int32](),
	codeInt64:   reflect.TypeFor[int64](),
	7:           reflect.TypeFor[uint](),
	8:           reflect.TypeFor[uint8](),
	9:           reflect.TypeFor[uint16](),
	10:          reflect.TypeFor[uint32](),
	11:          reflect.TypeFor[uint64](),
	12:          reflect.TypeFor[float32](),
	codeFloat64: reflect.TypeFor[float64](),
	14:          reflect.TypeFor[complex64](),
	15:          reflect.TypeFor[complex128](),
	codeString:  reflect.TypeFor[string](),
	17:          reflect.TypeFor[any](),
	18:          reflect.TypeFor[error](),
}

// The codes of the builtin types that encodeInterface knows.
const (
	codeBool    = 1
	codeInt     = 2
	codeInt64   = 6
	codeFloat64 = 13
	codeString  = 16
)

func builtinCode(t reflect.Type) byte {
	if t.PkgPath() == "" {
		for code, b := range builtins {
			if b == t {
				return byte(code)
			}
		}
	}
	return 0
}

const (
	// maxNesting bounds the unnamed types around one another in a signature.
	maxNesting = 32

	// maxArray bounds the bytes of an unnamed array type in a signature.
	maxArray = math.MaxInt32

	// maxComposites bounds the unnamed types made from signatures. reflect never
	// frees a type, so hostile input could otherwise use up the memory with types,
	// while an executable has only so many.
	maxComposites = 1 << 14
)

// signatureOf returns the signature of the type of p.
func signatureOf(p *program) (string, error) {
	if s := p.signature.Load(); s != nil {
		return *s, nil
	}
	b, err := appendSignature(nil, p.typ, 0)
	if err != nil {
		return "", err
	}
	s := string(b)
	p.signature.Store(&s)
	return s, nil
}

func appendSignature(b []byte, t reflect.Type, depth int) ([]byte, error) {
	if depth > maxNesting {
		return nil, fmt.Errorf("%w: declare a named type and register it", ErrTooDeep)
	}
	if code := builtinCode(t); code != 0 {
		return append(b, code), nil
	}
	if t.PkgPath() != "" {
		name, ok := registeredName(t)
		if !ok {
			return nil, fmt.Errorf("%w: %s stands in an interface; call multiproc.Register[%[2]s]() in an init function or package-level variable", ErrUnregistered, typeName(t))
		}
		b = append(b, sigNamed)
		b = binary.AppendUvarint(b, uint64(len(name)))
		return append(b, name...), nil
	}
	switch t.Kind() {
	case reflect.Pointer:
		return appendSignature(append(b, sigPointer), t.Elem(), depth+1)
	case reflect.Slice:
		return appendSignature(append(b, sigSlice), t.Elem(), depth+1)
	case reflect.Array:
		if !isPlainArray(t.Len(), t.Elem()) {
			break
		}
		b = binary.AppendUvarint(append(b, sigArray), uint64(t.Len()))
		return appendSignature(b, t.Elem(), depth+1)
	case reflect.Map:
		b, err := appendSignature(append(b, sigMap), t.Key(), depth+1)
		if err != nil {
			return nil, err
		}
		return appendSignature(b, t.Elem(), depth+1)
	}
	return nil, fmt.Errorf("%w: the unnamed type %s stands in an interface; declare a type with a name and register it", ErrUnregistered, typeName(t))
}

// isPlainArray reports whether an unnamed array type may be in a signature: not
// one of gigabytes, nor one of empty elements, whose length costs nothing and
// could keep a comparison busy for years.
func isPlainArray(n int, elem reflect.Type) bool {
	return n >= 0 && (n == 0 || elem.Size() > 0 && uintptr(n) <= maxArray/elem.Size())
}

// known caches what signatures mean.
var known = struct {
	sync.RWMutex
	programs   map[string]*program
	composites map[reflect.Type]struct{} // made from signatures
}{
	programs:   make(map[string]*program),
	composites: make(map[reflect.Type]struct{}),
}

// programOf returns the program of the type with the signature, which comes
// from the input.
func (d *decoder) programOf(signature []byte) (*program, error) {
	known.RLock()
	p := known.programs[string(signature)]
	known.RUnlock()
	if p != nil {
		return p, nil
	}
	s := string(signature)
	known.Lock()
	t, rest, err := d.parseSignature(s, 0)
	known.Unlock()
	if err != nil {
		return nil, err
	}
	if rest != "" || t.Kind() == reflect.Interface {
		return nil, d.corrupt("%q is not the type of a value", s)
	}
	// One type has one signature, or the cache could grow without end.
	if b, err := appendSignature(nil, t, 0); err != nil || string(b) != s {
		return nil, d.corrupt("%q is not how %s is written", s, typeName(t))
	}
	p, err = programFor(t)
	if err != nil {
		return nil, err
	}
	known.Lock()
	known.programs[s] = p
	known.Unlock()
	return p, nil
}

// parseSignature returns the type at the beginning of s, and the rest of s. The caller
// holds the lock of known.
func (d *decoder) parseSignature(s string, depth int) (t reflect.Type, rest string, err error) {
	if s == "" || depth > maxNesting {
		return nil, "", d.corrupt("signature of a type is cut off or too long")
	}
	code, s := s[0], s[1:]
	if int(code) < len(builtins) && builtins[code] != nil {
		return builtins[code], s, nil
	}
	switch code {
	case sigNamed:
		n, s, ok := cutUvarint(s)
		if !ok || n > uint64(len(s)) {
			break
		}
		t, ok := registeredType(s[:n])
		if !ok {
			return nil, "", fmt.Errorf("%w: %q is the name of a type in an interface; register it in this process too", ErrUnregistered, s[:n])
		}
		return t, s[n:], nil
	case sigPointer, sigSlice:
		elem, s, err := d.parseSignature(s, depth+1)
		if err != nil {
			return nil, "", err
		}
		if code == sigPointer {
			return d.composite(func() reflect.Type { return reflect.PointerTo(elem) }, s)
		}
		return d.composite(func() reflect.Type { return reflect.SliceOf(elem) }, s)
	case sigArray:
		n, s, ok := cutUvarint(s)
		if !ok || n > maxArray {
			break
		}
		elem, s, err := d.parseSignature(s, depth+1)
		if err != nil {
			return nil, "", err
		}
		if !isPlainArray(int(n), elem) {
			break
		}
		return d.composite(func() reflect.Type { return reflect.ArrayOf(int(n), elem) }, s)
	case sigMap:
		key, s, err := d.parseSignature(s, depth+1)
		if err != nil {
			return nil, "", err
		}
		elem, s, err := d.parseSignature(s, depth+1)
		if err != nil {
			return nil, "", err
		}
		if !key.Comparable() {
			break
		}
		return d.composite(func() reflect.Type { return reflect.MapOf(key, elem) }, s)
	}
	return nil, "", d.corrupt("signature of a type has no valid %q", code)
}

func (d *decoder) composite(build func() reflect.Type, rest string) (reflect.Type, string, error) {
	if len(known.composites) >= maxComposites {
		return nil, "", d.corrupt("more than %d unnamed types in interfaces", maxComposites)
	}
	t := build()
	known.composites[t] = struct{}{}
	return t, rest, nil
}

func cutUvarint(s string) (n uint64, rest string, ok bool) {
	n, size := binary.Uvarint([]byte(s[:min(len(s), binary.MaxVarintLen64)]))
	if size <= 0 {
		return 0, "", false
	}
	return n, s[size:], true
}
