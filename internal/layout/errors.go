package layout

import (
	"errors"
	"os"
)

// Errors that every package hands on under its own name, so that errors.Is works across them.
var (
	// ErrForeign says that memory was not made by this library, or by another version or for another machine.
	ErrForeign = errors.New("not a multiproc object")
	// ErrCorrupt says that what stands in shared memory cannot be: somebody wrote over it.
	ErrCorrupt = errors.New("shared memory is corrupt")
	// ErrClosed says that an object, or the memory it stands in, was closed. It matches os.ErrClosed.
	ErrClosed error = closedError{}
	// ErrFull says that a try found no room.
	ErrFull = errors.New("full")
	// ErrEmpty says that a try found nothing.
	ErrEmpty = errors.New("empty")
	// ErrTooLarge says that a message or value does not fit where it is to go, and never will.
	ErrTooLarge = errors.New("too large")
	// ErrTooMany says that every place in an object is taken.
	ErrTooMany = errors.New("all places are taken")
)

type closedError struct{}

func (closedError) Error() string { return "closed" }

func (closedError) Is(target error) bool { return target == os.ErrClosed }
