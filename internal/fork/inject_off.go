//go:build !fault

package fork

import "syscall"

// inject makes a step fail in a build with the tag "fault".
//
//go:nosplit
func inject(step) syscall.Errno { return 0 }
