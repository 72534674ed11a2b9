package manager

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/fb2d3dbd/multiproc"
	"github.com/fb2d3dbd/multiproc/conn"
	"github.com/fb2d3dbd/multiproc/internal/failure"
	"github.com/fb2d3dbd/multiproc/pool"
	"github.com/fb2d3dbd/multiproc/shm"
)

// Errors of this package. They are matched with errors.Is.
var (
	// ErrClosed says that the Manager or the proxy was closed here, or the queue by anybody; it matches os.ErrClosed.
	ErrClosed = multiproc.ErrClosed
	// ErrServer says that the server cannot be reached: it has ended, or nobody listens at its address.
	ErrServer = errors.New("manager: the server is gone")
	// ErrLost says that the connection broke after a call was sent and before its answer came: whether the server has done it nobody knows, and it
	// was not repeated.
	ErrLost = errors.New("manager: the answer was lost; the server may have done the call or not")
	// ErrShutdown says that the server is ending and takes no more calls.
	ErrShutdown = errors.New("manager: the server is shutting down")
	// ErrGone says that the server has no such object any more: nobody has referred to it, or the server is another one by now.
	ErrGone = errors.New("manager: the object is gone")
	// ErrName says that there is no object of the name, or none of the kind or type that was asked for.
	ErrName = errors.New("manager: no such object under the name")
	// ErrKey says that a dictionary or a namespace does not have the key.
	ErrKey = errors.New("manager: no such key")
	// ErrIndex says that an index is out of range.
	ErrIndex = errors.New("manager: index out of range")
	// ErrValue says that a value cannot be sent, or that an argument makes no sense.
	ErrValue = errors.New("manager: bad value")
	// ErrUnknown says that the server's program has not registered the type, method or function.
	ErrUnknown = errors.New("manager: unknown to the server")
	// ErrLimit says that the server has as many clients, or the client as many calls under way, as the server's options allow.
	ErrLimit = errors.New("manager: too many")
	// ErrProtocol says that what came over the connection is none of this package's.
	ErrProtocol = errors.New("manager: not a message of this package")
	// ErrTooLarge says that a message is larger than the server's options allow.
	ErrTooLarge = multiproc.ErrTooLarge
	// ErrAuthentication says that the peer does not have the same key, or does not speak the protocol.
	ErrAuthentication = conn.ErrAuthentication

	// ErrEmpty says that a try found nothing in a queue, or that a list or set is empty.
	ErrEmpty = multiproc.ErrEmpty
	// ErrFull says that a try found no room in a queue.
	ErrFull = multiproc.ErrFull
	// ErrLocked says that a try found the lock held, or no permit.
	ErrLocked = multiproc.ErrLocked
	// ErrNotOwner says that this process does not hold the lock.
	ErrNotOwner = multiproc.ErrNotOwner
	// ErrOwnerDied comes with the lock or permit held: the one before died, or lost its connection for good, while it held it.
	ErrOwnerDied = multiproc.ErrOwnerDied
	// ErrBound says that a semaphore has as many permits as it can have.
	ErrBound = multiproc.ErrBound
	// ErrBrokenBarrier says that a barrier is broken.
	ErrBrokenBarrier = multiproc.ErrBrokenBarrier
	// ErrNotHeld says that Done was called for more values than this process has got.
	ErrNotHeld = multiproc.ErrNotHeld
)

// What a user's function returns in the server may be an error of a call that it has made itself.
func init() {
	for name, err := range map[string]error{
		"ErrServer": ErrServer, "ErrLost": ErrLost, "ErrShutdown": ErrShutdown, "ErrGone": ErrGone, "ErrName": ErrName, "ErrKey": ErrKey, "ErrIndex": ErrIndex,
		"ErrValue": ErrValue, "ErrUnknown": ErrUnknown, "ErrLimit": ErrLimit, "ErrProtocol": ErrProtocol, "ErrAuthentication": ErrAuthentication,
	} {
		failure.Register("manager."+name, err)
	}
	for name, err := range map[string]error{
		"ErrClosed": multiproc.ErrClosed, "ErrTooLarge": ErrTooLarge, "ErrEmpty": ErrEmpty, "ErrFull": ErrFull, "ErrLocked": ErrLocked, "ErrNotOwner": ErrNotOwner,
		"ErrOwnerDied": ErrOwnerDied, "ErrBound": ErrBound, "ErrNotHeld": ErrNotHeld, "ErrBrokenBarrier": multiproc.ErrBrokenBarrier, "ErrPeerDied": multiproc.ErrPeerDied,
		"ErrDamaged": multiproc.ErrDamaged, "ErrTooMany": multiproc.ErrTooMany, "ErrCorrupt": multiproc.ErrCorrupt,
	} {
		failure.Register("multiproc."+name, err)
	}
}

// codes are the errors that travel as numbers. New ones come last.
var codes = []error{
	ErrProtocol, ErrClosed, ErrShutdown, ErrGone, ErrName, ErrKey, ErrIndex, ErrValue, ErrUnknown, ErrLimit, ErrTooLarge, ErrEmpty, ErrFull, ErrLocked,
	ErrNotOwner, ErrOwnerDied, ErrBound, ErrBrokenBarrier, ErrNotHeld, context.Canceled, errors.ErrUnsupported, os.ErrNotExist, ErrServer, ErrLost,
	shm.ErrNoMemory, pool.ErrTerminated, pool.ErrOpen, pool.ErrBroken, pool.ErrEncoding,
}

// A RemoteError is an error that a user's function or method returned in the server, or its panic; see pool.RemoteError for its fields. It matches the error
// itself where that can travel: a registered type (see multiproc.Register), a registered sentinel (see multiproc.RegisterError), or a well-known one.
type RemoteError = failure.Error

// A refusal is an error with a code from the server.
type refusal struct {
	kind error
	text string
}

func (e *refusal) Error() string { return e.text }

// Unwrap returns the error that it is one of.
func (e *refusal) Unwrap() error { return e.kind }

// appendError appends an error's code and text.
func appendError(b []byte, err error) []byte {
	for i, k := range codes {
		if err == k {
			return appendString(appendUint(b, i), "")
		}
	}
	for i, k := range codes {
		if errors.Is(err, k) {
			return appendString(appendUint(b, i), failure.Text(err))
		}
	}
	return appendString(appendUint(b, len(codes)), failure.Text(err))
}

// error reads what appendError wrote.
func (r *reader) error() error {
	code, text := r.uint(), r.string()
	switch {
	case r.err() != nil:
		return r.err()
	case code >= uint64(len(codes)):
		return errors.New(text)
	case text == "":
		return codes[code]
	}
	return &refusal{codes[code], text}
}

// frameError makes the answer to a call that failed.
func frameError(b []byte, id uint64, err error) []byte {
	var remote *userError
	if errors.As(err, &remote) {
		return remote.record.Append(head(b, isFailure, id))
	}
	return appendError(head(b, isRefused, id), err)
}

// A userError is an error of a user's function.
type userError struct{ record *failure.Record }

func (e *userError) Error() string { return e.record.Text }

func refuse(kind error, format string, args ...any) error {
	return fmt.Errorf("%w: %s", kind, fmt.Sprintf(format, args...))
}
