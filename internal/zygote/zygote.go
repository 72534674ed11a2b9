// Package zygote is the process that the start method forkserver copies: how it is made, asked, and made anew when it has died. Package
// forkserver documents what users see of it, docs/design/forkserver.md the rest.
package zygote

import (
	"errors"
	"fmt"
	"time"

	"github.com/fb2d3dbd/multiproc/internal/child"
)

// Errors of this package. They are matched with errors.Is.
var (
	// ErrDied says that the zygote has died while it was asked, and again when it was started anew. The process was not started.
	ErrDied = errors.New("the zygote has died")
	// ErrTooManySegments says that the handles in an argument belong to more segments than one request can carry.
	ErrTooManySegments = errors.New("too many segments")
)

// A PreloadError says that the zygote could not be made: what a preload function returned, how it panicked, or that it took too long. No process
// was started. The next Start tries again.
type PreloadError struct {
	Name  string // of the function; "" when it is none of theirs
	Text  string
	Stack string // of a panic, or where the function stood when its time was over
}

// Error names the function and what it said.
func (e *PreloadError) Error() string {
	if e.Name == "" {
		return "forkserver: the zygote: " + e.Text
	}
	return fmt.Sprintf("forkserver: preload %q: %s", e.Name, e.Text)
}

// Config is how zygotes are made. The zero value is the default.
type Config struct {
	// Limit is how long each preload function may take; 0 means five minutes.
	PreloadTimeout time.Duration
	// HugePages asks the kernel to put what was preloaded into huge pages. It takes seconds a gigabyte, once, and makes every start several times
	// faster when the zygote has hundreds of megabytes.
	HugePages bool
}

// Available returns nil where a process can be copied, and otherwise why not.
func Available() error {
	if err := child.CanFork(); err != nil {
		return fmt.Errorf("forkserver: %w; use the start method spawn", err)
	}
	return nil
}
