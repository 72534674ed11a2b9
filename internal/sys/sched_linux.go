package sys

import (
	"fmt"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"
)

const (
	membarrierGlobalExpedited         = 1 << 1
	membarrierRegisterGlobalExpedited = 1 << 2
)

// registerOnce declares this process to the kernel as one whose running threads a [Barrier] of any process must reach.
var registerOnce = sync.OnceValue(func() bool {
	_, _, errno := unix.Syscall(unix.SYS_MEMBARRIER, membarrierRegisterGlobalExpedited, 0, 0)
	return errno == 0
})

// RegisterBarrier makes the running threads of this process take part in every [Barrier]; it reports whether the kernel
// can do it. A process that publishes with a plain release store calls it once before its first publication.
func RegisterBarrier() bool { return registerOnce() }

// Barrier makes every running thread of every registered process on this machine pass a full memory barrier. It pays
// for the fence that publishers leave out: a store of theirs that came before is visible to the caller afterwards, or
// their load that comes after it sees what the caller stored before.
func Barrier() bool {
	// Raw: it takes some microseconds at most, and thousands of goroutines may call it at a time, which must not cost a thread each.
	_, _, errno := unix.RawSyscall(unix.SYS_MEMBARRIER, membarrierGlobalExpedited, 0, 0)
	return errno == 0
}

// Yield gives the CPU to another runnable thread of any process.
func Yield() { unix.RawSyscall(unix.SYS_SCHED_YIELD, 0, 0, 0) }

// PinThread locks the goroutine to its thread and the thread to the given CPUs; restore undoes both.
func PinThread(cpus ...int) (restore func(), err error) {
	runtime.LockOSThread()
	var old, set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &old); err != nil {
		runtime.UnlockOSThread()
		return nil, fmt.Errorf("read CPU affinity: %w", err)
	}
	for _, c := range cpus {
		set.Set(c)
	}
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		runtime.UnlockOSThread()
		return nil, fmt.Errorf("set CPU affinity to %v: %w", cpus, err)
	}
	return func() {
		_ = unix.SchedSetaffinity(0, &old) // it was allowed before
		runtime.UnlockOSThread()
	}, nil
}

// AllowedCPUs lists the CPUs on which the calling thread may run.
func AllowedCPUs() ([]int, error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return nil, fmt.Errorf("read CPU affinity: %w", err)
	}
	var cpus []int
	for c := 0; len(cpus) < set.Count(); c++ {
		if set.IsSet(c) {
			cpus = append(cpus, c)
		}
	}
	return cpus, nil
}
