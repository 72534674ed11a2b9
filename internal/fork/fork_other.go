//go:build !linux || !amd64 || race || msan || asan

package fork

import (
	"fmt"
	"runtime"

	"github.com/fb2d3dbd/multiproc/internal/sys"
)

var unsupported = &FactError{Fact: "platform and build", Err: reason()}

func reason() error {
	if runtime.GOOS == "linux" && runtime.GOARCH == "amd64" {
		return fmt.Errorf("a build with a sanitizer: %w", sys.Unsupported("fork"))
	}
	return sys.Unsupported("fork")
}

// Available returns why not.
func Available() error { return unsupported }

// Notified returns nothing.
func Notified() uint64 { return 0 }

// Fork is not available.
func Fork(o Options, child func() int) (pid, pidfd int, err error) { return 0, -1, unsupported }

// Freeze is not available.
func Freeze(o FreezeOptions) (*Request, error) { return nil, unsupported }
