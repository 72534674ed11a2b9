//go:build !linux

package bench

import (
	"os"
	"time"
)

// setPipeSize does nothing: the size of a pipe cannot be chosen here.
func setPipeSize(*os.File, int) {}

// monotonic returns a time in nanoseconds that all processes of the machine share.
func monotonic() int64 { return time.Now().UnixNano() }
