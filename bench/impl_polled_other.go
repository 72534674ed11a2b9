//go:build !linux

package bench

import (
	"errors"
	"os"
)

func pipePolled(size int) Impl {
	return kernelImpl("pipe-polled", func() string { return "it is measured on Linux only" }, nil)
}

func polled(in, out *os.File, size, n int) error { return errors.ErrUnsupported }
