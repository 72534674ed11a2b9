package sys_test

import (
	"os"
	"runtime"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/fb2d3dbd/multiproc/internal/proctest"
	"github.com/fb2d3dbd/multiproc/internal/sys"
)

// long is more than any test takes.
const long = time.Hour

// words maps a shared page twice and returns its words by each mapping.
func words(t testing.TB) (a, b *[1024]uint32) {
	t.Helper()
	fd := keep(sys.Memfd("multiproc-test", 4096))(t)
	return (*[1024]uint32)(unsafe.Pointer(&mapped(t, fd, 4096)[0])), (*[1024]uint32)(unsafe.Pointer(&mapped(t, fd, 4096)[0]))
}

func mapped(t testing.TB, fd, size int) []byte {
	t.Helper()
	mem, err := unix.Mmap(fd, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	ok(t, err)
	t.Cleanup(func() { ok(t, unix.Munmap(mem)) })
	return mem
}

func TestFutex(t *testing.T) {
	a, b := words(t)
	a[3] = 5
	if errno := sys.FutexWait(&b[3], 4, long); errno != sys.EAGAIN {
		t.Errorf("the word has another value: %v", errno)
	}
	if errno := sys.FutexWait(&b[3], 5, time.Nanosecond); errno != sys.ETIMEDOUT {
		t.Errorf("nobody wakes: %v", errno)
	}
	if n, errno := sys.FutexWake(&b[3], 1); n != 0 || errno != 0 {
		t.Errorf("nobody sleeps: %d woken, %v", n, errno)
	}
	odd := (*uint32)(unsafe.Add(unsafe.Pointer(a), 1))
	if errno := sys.FutexWait(odd, 0, long); errno != syscall.EINVAL {
		t.Errorf("sleep at an odd address: %v", errno)
	}
	if _, errno := sys.FutexWake(odd, 1); errno != syscall.EINVAL {
		t.Errorf("wake at an odd address: %v", errno)
	}
}

// A sleeper is woken through another mapping: the word is the file's, not the process's.
func TestFutexWake(t *testing.T) {
	a, b := words(t)
	for _, limit := range []time.Duration{0, long} {
		const sleepers = 3
		done := make(chan syscall.Errno, sleepers)
		for range sleepers {
			go func() {
				for {
					if errno := sys.FutexWait(&a[1], 0, limit); errno != sys.EINTR {
						done <- errno
						return
					}
				}
			}()
		}
		woken := 0
		proctest.Eventually(t, func() bool {
			n, errno := sys.FutexWake(&b[1], 2)
			if errno != 0 || n > 2 {
				t.Errorf("a call for 2 woke %d, %v", n, errno)
			}
			woken += n
			return woken >= sleepers
		}, "all are woken")
		for range sleepers {
			if errno := <-done; errno != 0 {
				t.Errorf("a sleeper was woken with %v", errno)
			}
		}
	}
}

// A signal ends a sleep that has a limit.
func TestFutexInterrupted(t *testing.T) {
	a, _ := words(t)
	thread := make(chan int)
	done := make(chan syscall.Errno, 1)
	go func() {
		runtime.LockOSThread()
		thread <- unix.Gettid()
		done <- sys.FutexWait(&a[1], 0, long)
		<-thread // until then the number is this thread's
		runtime.UnlockOSThread()
	}()
	tid := <-thread
	proctest.Eventually(t, func() bool {
		ok(t, unix.Tgkill(os.Getpid(), tid, unix.SIGURG)) // the runtime's own, harmless at any time
		select {
		case errno := <-done:
			if errno != sys.EINTR {
				t.Errorf("the sleep ended with %v", errno)
			}
			return true
		default:
			return false
		}
	}, "a signal ends the sleep")
	close(thread)
}

func TestFutexWaitAny(t *testing.T) {
	a, b := words(t)
	set := make([]sys.FutexWord, sys.MaxFutexes+1)
	for i := range set {
		set[i].Set(&a[i], 0)
	}
	if _, errno := sys.FutexWaitAny(set[:1], time.Nanosecond); errno == sys.ENOSYS {
		t.Skip("this kernel has no futex_waitv")
	} else if errno != sys.ETIMEDOUT {
		t.Errorf("nobody wakes: %v", errno)
	}
	if _, errno := sys.FutexWaitAny(set, long); errno != syscall.EINVAL {
		t.Errorf("%d words: %v", len(set), errno)
	}
	set = set[:sys.MaxFutexes]
	b[5] = 1
	if _, errno := sys.FutexWaitAny(set, long); errno != sys.EAGAIN {
		t.Errorf("a word has another value: %v", errno)
	}
	b[5] = 0
	type result struct {
		index int
		errno syscall.Errno
	}
	done := make(chan result, 1)
	go func() {
		for {
			if i, errno := sys.FutexWaitAny(set, long); errno != sys.EINTR {
				done <- result{i, errno}
				return
			}
		}
	}()
	proctest.Eventually(t, func() bool {
		n, errno := sys.FutexWake(&b[77], 1)
		return n == 1 && errno == 0
	}, "somebody sleeps on word 77")
	if r := <-done; r != (result{77, 0}) {
		t.Errorf("word %d, %v; want 77", r.index, r.errno)
	}
}
