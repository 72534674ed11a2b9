package pool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"runtime/debug"

	"github.com/fb2d3dbd/multiproc/internal/codec"
)

// A remoteFailure is an error or a panic on its way to the parent.
type remoteFailure struct {
	Text, Type string
	Panic      bool
	Stack      string
	Known      int    // 1 + index in known; 0: none
	Encoded    []byte // the error itself, as an error
}

// known are errors that are the same on both sides.
var known = []error{
	context.Canceled, context.DeadlineExceeded, io.EOF, io.ErrUnexpectedEOF, fs.ErrNotExist, fs.ErrExist, fs.ErrPermission, fs.ErrClosed, fs.ErrInvalid,
	errors.ErrUnsupported,
}

const maxText = 256 << 10

func cut(s string) string {
	if len(s) > maxText {
		return s[:maxText] + "\n(cut)"
	}
	return s
}

// failureOf makes a failure of what a function returned.
func failureOf(err error) *remoteFailure {
	f := &remoteFailure{Text: textOf(err), Type: fmt.Sprintf("%T", err)}
	for e := err; e != nil && f.Encoded == nil; e = errors.Unwrap(e) {
		if b, bad := codec.Append(nil, &e, nil); bad == nil && len(b) <= maxText {
			var back error
			if codec.Decode(b, &back) == nil {
				f.Encoded = b
			}
		}
	}
	for i, k := range known {
		if f.Encoded == nil && errors.Is(err, k) {
			f.Known = i + 1
			break
		}
	}
	return f
}

// textOf calls the error's own method, which may panic.
func textOf(err error) (text string) {
	defer func() {
		if v := recover(); v != nil {
			text = fmt.Sprintf("%T, whose Error method panics: %v", err, v)
		}
	}()
	return cut(err.Error())
}

// panicOf makes a failure of a recovered panic, on its own stack.
func panicOf(v any) *remoteFailure {
	return &remoteFailure{Panic: true, Text: cut(fmt.Sprint(v)), Type: fmt.Sprintf("%T", v), Stack: cut(string(debug.Stack()))}
}

func (f *remoteFailure) encode(dst []byte) []byte {
	b, err := codec.Append(dst, f, nil)
	if err != nil {
		panic(err) // strings, numbers and bytes
	}
	return b
}

func failureFrom(b []byte) error {
	var f remoteFailure
	if err := codec.Decode(b, &f); err != nil {
		return fmt.Errorf("pool: %w: a failure that cannot be read: %w", ErrCorrupt, err)
	}
	e := &RemoteError{Text: f.Text, Type: f.Type, Panic: f.Panic, Stack: f.Stack}
	if len(f.Encoded) > 0 {
		_ = codec.Decode(f.Encoded, &e.Err) // else the text has to do
	} else if f.Known > 0 && f.Known <= len(known) {
		e.Err = known[f.Known-1]
	}
	return e
}

// timeoutError is ErrTimeout.
type timeoutError struct{}

func (timeoutError) Error() string { return "pool: the task exceeded its time-out" }

func (timeoutError) Is(target error) bool { return target == context.DeadlineExceeded }
