//go:build fault

package fault

import (
	"os"
	"runtime"
	"syscall"
)

// raise sends sig to the calling thread itself, which obeys before it returns from the call. Sent to the process, a SIGSTOP
// would let it run on until another thread has taken notice.
func raise(sig syscall.Signal) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	_ = syscall.Tgkill(os.Getpid(), syscall.Gettid(), sig)
}
