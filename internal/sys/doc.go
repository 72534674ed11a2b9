// Package sys is the only importer of golang.org/x/sys: the kernel's calls that the other packages stand on, one concern
// a file. Where a platform lacks one, the function returns an error that matches errors.ErrUnsupported and says so.
package sys

import (
	"errors"
	"fmt"
	"runtime"
)

// Unsupported returns the error for a thing that this platform cannot do; it matches errors.ErrUnsupported.
func Unsupported(what string) error {
	return fmt.Errorf("%s is not available on %s/%s: %w", what, runtime.GOOS, runtime.GOARCH, errors.ErrUnsupported)
}
