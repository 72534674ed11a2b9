//go:build !linux

package pool

import (
	"errors"
	"fmt"
	"runtime"
)

// residentSize returns an error: the memory of another process is looked up on Linux only.
func residentSize(pid int) (int64, error) {
	return 0, fmt.Errorf("the memory of a process on %s: %w", runtime.GOOS, errors.ErrUnsupported)
}
