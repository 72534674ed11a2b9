//go:build linux && amd64 && !race && !msan && !asan

package fork

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	_ "unsafe" // for linkname
)

// The runtime publishes under this name which descriptors are its poller's; it is the only name of another package that is
// linked to (docs/design/fork.md says why).
//
//go:linkname isPollServerDescriptor internal/poll.runtime_isPollServerDescriptor
func isPollServerDescriptor(fd uintptr) bool

const randBuffer = 32 // numbers in the buffer of runtime.m.chacha8

// facts verifies, once, what is the same for the life of the process.
var facts = sync.OnceValue(func() error {
	for _, fact := range []struct {
		name  string
		check func(f *forker) error
	}{
		{"Go version", func(*forker) error { return version(runtime.Version()) }},
		{"no cgo", pure},
		{"poller's descriptors", (*forker).findPoller},
		{"thread's m", (*forker).findProcid},
		{"generator of m", (*forker).findRand},
		{"/proc/self/task", func(*forker) error { _, err := threadCount(); return err }},
		{"/proc/self/timers", func(*forker) error { _, err := os.ReadFile("/proc/self/timers"); return err }},
		{"signal 34", func(f *forker) error {
			if !f.install() {
				return f.failErrno
			}
			return nil
		}},
	} {
		if err := fact.check(&fk); err != nil {
			return &FactError{Fact: fact.name, Err: err}
		}
	}
	return nil
})

// version accepts the versions whose runtime was read and tested.
func version(v string) error {
	number, experiments, _ := strings.Cut(v, " ")
	const verified = "go1.26"
	if (number == verified || strings.HasPrefix(number, verified+".")) && (experiments == "" || experiments == "X:nogreenteagc") {
		return nil
	}
	return fmt.Errorf("%s is not one that was verified (%s): %w", v, verified, errors.ErrUnsupported)
}

// pure asks package syscall, which refuses this call to programs that have C threads, of which it knows nothing.
func pure(*forker) error {
	if _, _, e := syscall.AllThreadsSyscall(syscall.SYS_CLOSE, none, 0, 0); e != syscall.EBADF {
		return fmt.Errorf("the program is linked with cgo: %w", errors.ErrUnsupported)
	}
	return nil
}

// findPoller finds the poller's descriptors, which stay the same while the process lives.
func (f *forker) findPoller() error {
	r, w, err := os.Pipe() // so that there is a poller
	if err != nil {
		return err
	}
	r.Close()
	w.Close()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return err
	}
	f.epfd, f.wakefd = none, none
	for _, e := range entries {
		fd, err := strconv.ParseUint(e.Name(), 10, 31)
		if err != nil || !isPollServerDescriptor(uintptr(fd)) {
			continue
		}
		to, err := os.Readlink("/proc/self/fd/" + e.Name())
		if err != nil {
			return err
		}
		switch {
		case to == "anon_inode:[eventpoll]" && f.epfd == none:
			f.epfd = uintptr(fd)
		case to == "anon_inode:[eventfd]" && f.wakefd == none:
			f.wakefd = uintptr(fd)
		default:
			return fmt.Errorf("descriptor %d is %s", fd, to)
		}
	}
	if f.epfd == none || f.wakefd == none {
		return errors.New("not found")
	}
	copy(pathPoller[len("/proc/self/fdinfo/"):], strconv.Itoa(int(f.epfd)))
	return nil
}

// findProcid finds the thread's ID in its m.
func (f *forker) findProcid() error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	g, m, fs := self()
	if g == 0 || m == 0 || load64(fs-8) != uint64(g) || load64(uintptr(load64(m))+48) != uint64(m) {
		return errors.New("the thread pointer leads to no m")
	}
	hits := 0
	for at := uintptr(0); at < 256; at += 8 {
		if load64(m+at) == uint64(syscall.Gettid()) {
			f.procid = at
			hits++
		}
	}
	if hits != 1 {
		return fmt.Errorf("%d words of m hold the thread's ID", hits)
	}
	return nil
}

// findRand finds the buffer of the generator in m: it holds a number that was just drawn, and behind it and the seed stand the index of the
// next and the length of the buffer.
func (f *forker) findRand() error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	_, m, _ := self()
	const window = 2048 // bytes; m is longer
	for range 8 {
		x := rand.Uint64()
		var found []uintptr
		for at := uintptr(0); at+8*(randBuffer+6) <= window; at += 8 {
			at2 := load64(m + at + 8*(randBuffer+4))
			i, n := at2&(1<<32-1), at2>>32
			if n <= randBuffer && n > 0 && i > 0 && i <= n && load64(m+at+8*uintptr(i-1)) == x {
				found = append(found, at)
			}
		}
		if len(found) == 1 {
			f.rand = found[0]
			return nil
		}
	}
	return errors.New("not found")
}

// threadCount is the number of links of a directory of threads but two, which is relied on to know that a listing was whole.
func threadCount() (int, error) {
	var st syscall.Stat_t
	if err := syscall.Stat("/proc/self/task", &st); err != nil {
		return 0, err
	}
	if st.Nlink < 3 {
		return 0, fmt.Errorf("it has %d links", st.Nlink)
	}
	return int(st.Nlink) - 2, nil
}

// blockers lists the threads that block the stop signal now.
func blockers() (all []string) {
	tasks, _ := os.ReadDir("/proc/self/task")
	for _, t := range tasks {
		text, _ := os.ReadFile("/proc/self/task/" + t.Name() + "/status")
		_, line, _ := strings.Cut(string(text), "\nSigBlk:\t")
		line, _, _ = strings.Cut(line, "\n")
		if mask, err := strconv.ParseUint(line, 16, 64); err == nil && mask&(1<<(stopSignal-1)) != 0 {
			all = append(all, t.Name())
		}
	}
	return all
}
