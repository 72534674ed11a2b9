package codec

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

var (
	// ErrUnsupportedType says that values of a type have no meaning in another
	// process, or that it cannot be told how to send them. See [TypeError].
	ErrUnsupportedType = errors.New("type cannot be sent to another process")

	// ErrUnregistered says that an interface holds a named type that was not
	// given to [Register].
	ErrUnregistered = errors.New("type is not registered")

	// ErrTooDeep says that a value contains itself, or nests deeper than 10000
	// pointers, slices, maps and interfaces.
	ErrTooDeep = errors.New("value nests too deep")

	// ErrCorrupt says that bytes are not what Append makes of a value of the
	// type.
	ErrCorrupt = errors.New("corrupt encoding")
)

var errNesting = fmt.Errorf("%w: more than %d levels; send long lists as slices", ErrTooDeep, maxDepth)

// A TypeError says which part of a type cannot be sent, and what to do. It
// matches [ErrUnsupportedType].
type TypeError struct {
	Path   string       // where in the type: "Job.Callback", "Job.Parts[].Done"
	Type   reflect.Type // what stands there
	Reason string
	field  bool // Path leads to a part and not to the whole
}

func (e *TypeError) Error() string {
	if !e.field {
		return e.Reason
	}
	return "field " + e.Path + ": " + e.Reason
}

// Unwrap returns [ErrUnsupportedType].
func (e *TypeError) Unwrap() error { return ErrUnsupportedType }

// An EncodeError says which part of a value could not be encoded.
type EncodeError struct {
	Path string // where in the value: "Job.Parts[3].Next"
	Err  error
}

func (e *EncodeError) Error() string { return "encode " + e.Path + ": " + e.Err.Error() }

// Unwrap returns the cause.
func (e *EncodeError) Unwrap() error { return e.Err }

// A DecodeError says which part of a value could not be decoded.
type DecodeError struct {
	Path   string // where in the value: "Job.Parts[3].Next"
	Offset int    // bytes of the input that were read before
	Err    error
}

func (e *DecodeError) Error() string {
	return "decode " + e.Path + " at byte " + strconv.Itoa(e.Offset) + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *DecodeError) Unwrap() error { return e.Err }

// A located error carries the path of its cause, which grows from the inside to
// the outside as the error travels up. So no path is kept while all goes well.
type located struct {
	err  error
	path []string // innermost first
}

func (l *located) Error() string { return l.err.Error() }

// at puts a step of the path in front of where err happened.
func at(step string, err error) error {
	l, ok := err.(*located)
	if !ok {
		l = &located{err: err}
	}
	l.path = append(l.path, step)
	return l
}

// locate returns the path below t and the cause of err.
func locate(t reflect.Type, err error) (path string, cause error) {
	l, ok := err.(*located)
	if !ok {
		return rootName(t), err
	}
	// The path of a list of thousands of nodes helps nobody in full.
	const head, tail = 12, 6
	var b strings.Builder
	b.WriteString(rootName(t))
	for i := range l.path {
		if hidden := len(l.path) - head - tail; hidden > 1 && i >= head && i < head+hidden {
			if i == head {
				fmt.Fprintf(&b, "...(%d more)...", hidden)
			}
			continue
		}
		b.WriteString(l.path[len(l.path)-1-i])
	}
	return b.String(), l.err
}

func newEncodeError(t reflect.Type, err error) error {
	path, cause := locate(t, err)
	return &EncodeError{Path: path, Err: cause}
}

func newDecodeError(t reflect.Type, pos int, err error) error {
	path, cause := locate(t, err)
	return &DecodeError{Path: path, Offset: pos, Err: cause}
}

// rootName is how a path begins: Job for Job, *Job and **Job.
func rootName(t reflect.Type) string {
	for t.Kind() == reflect.Pointer && t.Name() == "" {
		t = t.Elem()
	}
	if name, _, _ := strings.Cut(t.Name(), "["); name != "" {
		return name
	}
	return typeName(t)
}

// typeName is the name of a type as a programmer writes it.
func typeName(t reflect.Type) string {
	return strings.ReplaceAll(t.String(), "interface {}", "any")
}

// indexStep and keyStep are the steps of a path into a slice or map.
func indexStep(i int) string { return "[" + strconv.Itoa(i) + "]" }

func keyStep(k reflect.Value) string {
	for k.Kind() == reflect.Interface && !k.IsNil() {
		k = k.Elem()
	}
	switch {
	case k.Kind() == reflect.String:
		s := k.String()
		if len(s) > 40 {
			s = s[:40] + "..."
		}
		return "[" + strconv.Quote(s) + "]"
	case k.CanInt(), k.CanUint(), k.CanFloat(), k.Kind() == reflect.Bool:
		return fmt.Sprintf("[%v]", k)
	default:
		return "[" + typeName(k.Type()) + "]"
	}
}
