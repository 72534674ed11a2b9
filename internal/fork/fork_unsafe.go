//go:build linux && amd64 && !race && !msan && !asan

package fork

import "errors"

// Available returns nil where a process can be forked, and otherwise a [FactError] that names the fact which does not hold; it matches
// errors.ErrUnsupported where that is the platform, the build or the Go version. The first call runs the self-test, in
// a process of its own that is started from the running executable and ends before any main function does; it takes some ten milliseconds.
func Available() error { return errNotYet }

// Fork runs child in a copy of this process, and in the parent returns the copy's pid and a descriptor of it, close-on-exec. What child
// returns is the exit code (its low 8 bits): the copy leaves by exit_group(2), so nothing that os.Exit or the end of a main
// function would do happens there. A panic ends it as it ends any program.
//
// When Fork returns without an error the runtime of the child is complete. Otherwise there is no child: it is a *[BusyError],
// *[FactError] or *[StepError], and the parent is as it was.
func Fork(o Options, child func() int) (pid, pidfd int, err error) { return 0, -1, errNotYet }

// Freeze turns this process into a zygote for good. It is called by the main goroutine on the process's first thread (runtime.LockOSThread in
// an init function), when everything is prepared that the children are to have. It returns in each child with the request that
// it was made for, or with an error before anything was frozen.
//
// The zygote is in a loop of raw calls from then on: all its signals are blocked, only SIGKILL reaches it. It exits
// with 0 when the peer has closed the socket. Requests are handled one after the other, each within a millisecond, and any number may
// be under way. The children are children of the zygote's parent, with native exit status and signals.
func Freeze(o FreezeOptions) (*Request, error) { return nil, errNotYet }

var errNotYet = errors.New("fork: not built yet")
