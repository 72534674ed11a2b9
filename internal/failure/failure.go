// Package failure brings errors and panics from one process to another: their text, their type, the stack of a panic, and the error itself where it can
// travel.
package failure

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"runtime/debug"
	"slices"
	"sync"

	"github.com/fb2d3dbd/multiproc/internal/codec"
	"github.com/fb2d3dbd/multiproc/internal/layout"
)

// An Error is an error that a function returned in another process, or its panic.
type Error struct {
	Text  string
	Type  string // of the error, or of the panic's value
	Panic bool
	Stack string // of a panic
	// Err is the error itself, or the first of those that it wraps, where one can travel: a registered type (see multiproc.Register), a registered sentinel
	// (see multiproc.RegisterError), or a well-known value such as context.Canceled, io.EOF or fs.ErrNotExist. Else nil.
	Err error
}

func (e *Error) Error() string {
	if e.Panic {
		return "panic: " + e.Text
	}
	return e.Text
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// A Record is an error or a panic on its way.
type Record struct {
	Text, Type string
	Panic      bool
	Stack      string
	Known      []string // the sentinels that the error is
	Encoded    []byte   // the error itself, as an error
}

// sentinels are errors that are the same on both sides, by name.
var sentinels = struct {
	sync.RWMutex
	names  []string // in the order of registration
	byName map[string]error
}{byName: map[string]error{}}

func init() {
	Register("context.Canceled", context.Canceled)
	Register("context.DeadlineExceeded", context.DeadlineExceeded)
	Register("io.EOF", io.EOF)
	Register("io.ErrUnexpectedEOF", io.ErrUnexpectedEOF)
	Register("fs.ErrNotExist", fs.ErrNotExist)
	Register("fs.ErrExist", fs.ErrExist)
	Register("fs.ErrPermission", fs.ErrPermission)
	Register("fs.ErrClosed", fs.ErrClosed)
	Register("fs.ErrInvalid", fs.ErrInvalid)
	Register("errors.ErrUnsupported", errors.ErrUnsupported)
}

// Register makes err known under a name: an error that matches it by errors.Is here matches it in the other process too. It panics if the name is another's.
func Register(name string, err error) {
	sentinels.Lock()
	defer sentinels.Unlock()
	if have, ok := sentinels.byName[name]; ok {
		if have != err {
			panic(fmt.Sprintf("multiproc: two errors are registered as %q", name))
		}
		return
	}
	sentinels.names = append(sentinels.names, name)
	sentinels.byName[name] = err
}

const maxText = 256 << 10

func cut(s string) string {
	if len(s) > maxText {
		return s[:maxText] + "\n(cut)"
	}
	return s
}

// Of makes a record of what a function returned. An Error that came from another process goes on as it is.
func Of(err error) *Record {
	f := &Record{Text: Text(err), Type: fmt.Sprintf("%T", err)}
	if e, ok := err.(*Error); ok && e != nil {
		f = &Record{Text: e.Text, Type: e.Type, Panic: e.Panic, Stack: e.Stack}
		if err = e.Err; err == nil {
			return f
		}
	}
	for e := err; e != nil && f.Encoded == nil; e = errors.Unwrap(e) {
		if b, bad := codec.Append(nil, &e, nil); bad == nil && len(b) <= maxText {
			var back error
			if codec.Decode(b, &back) == nil {
				f.Encoded = b
			}
		}
	}
	sentinels.RLock()
	defer sentinels.RUnlock()
	for _, name := range sentinels.names {
		if matches(err, sentinels.byName[name]) {
			f.Known = append(f.Known, name)
		}
	}
	return f
}

// Text is the error's text, cut where it is very long. The error's method may panic.
func Text(err error) (text string) {
	defer func() {
		if v := recover(); v != nil {
			text = fmt.Sprintf("%T, whose Error method panics: %v", err, v)
		}
	}()
	return cut(err.Error())
}

// OfPanic makes a record of a recovered panic, on its own stack.
func OfPanic(v any) *Record {
	return &Record{Panic: true, Text: cut(fmt.Sprint(v)), Type: fmt.Sprintf("%T", v), Stack: cut(string(debug.Stack()))}
}

// Append appends the record's bytes to dst.
func (f *Record) Append(dst []byte) []byte {
	b, err := codec.Append(dst, f, nil)
	if err != nil {
		panic(err) // strings, numbers and bytes
	}
	return b
}

// From returns the error whose record the bytes are.
func From(b []byte) (*Error, error) {
	var f Record
	if err := codec.Decode(b, &f); err != nil {
		return nil, fmt.Errorf("%w: a failure that cannot be read: %w", layout.ErrCorrupt, err)
	}
	e := &Error{Text: f.Text, Type: f.Type, Panic: f.Panic, Stack: f.Stack}
	var all []error
	if len(f.Encoded) > 0 {
		var err error
		if codec.Decode(f.Encoded, &err) == nil && err != nil { // else the text has to do
			all = append(all, err)
		}
	}
	sentinels.RLock()
	defer sentinels.RUnlock()
	for _, name := range f.Known {
		if s := sentinels.byName[name]; s != nil && !slices.ContainsFunc(all, func(have error) bool { return matches(have, s) }) {
			all = append(all, s)
		}
	}
	switch len(all) {
	case 0:
	case 1:
		e.Err = all[0]
	default:
		e.Err = several(all)
	}
	return e, nil
}

// several are errors that one error is.
type several []error

func (s several) Error() string   { return s[0].Error() }
func (s several) Unwrap() []error { return s }

// matches is errors.Is for errors whose methods may panic.
func matches(err, target error) (is bool) {
	defer func() { _ = recover() }()
	return errors.Is(err, target)
}
