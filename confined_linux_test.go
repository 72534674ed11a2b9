//go:build amd64

package multiproc_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"unsafe"

	"github.com/fb2d3dbd/multiproc"
	"github.com/fb2d3dbd/multiproc/internal/proctest"
)

// What a container may forbid; docs/guide/containers.md says what becomes of it.
var forbidden = []struct {
	name   string
	number uint32
}{{"madvise", 28}, {"membarrier", 324}, {"pidfd_send_signal", 424}, {"pidfd_open", 434}, {"futex_waitv", 449}}

// confine has the kernel refuse these calls to this process and its descendants, with EPERM as seccomp profiles mostly do.
func confine() error {
	type instruction struct {
		code   uint16
		jt, jf uint8
		k      uint32
	}
	const (
		load, jumpIfEqual, ret = 0x20, 0x15, 0x06
		allow, refuse          = 0x7fff0000, 0x00050000 | uint32(syscall.EPERM)
		noNewPrivileges        = 38
		seccomp, filter, tsync = 317, 1, 1
	)
	program := []instruction{{load, 0, 0, 0}} // the number of the call
	for i, f := range forbidden {
		program = append(program, instruction{jumpIfEqual, uint8(len(forbidden) - i), 0, f.number})
	}
	program = append(program, instruction{ret, 0, 0, allow}, instruction{ret, 0, 0, refuse})
	p := struct {
		n     uint16
		first *instruction
	}{uint16(len(program)), &program[0]}
	runtime.LockOSThread() // the filter then brings the other threads what this one has
	defer runtime.UnlockOSThread()
	if _, _, e := syscall.Syscall(syscall.SYS_PRCTL, noNewPrivileges, 1, 0); e != 0 {
		return fmt.Errorf("no new privileges: %w", e)
	}
	if _, _, e := syscall.Syscall(seccomp, filter, tsync, uintptr(unsafe.Pointer(&p))); e != 0 {
		return fmt.Errorf("seccomp: %w", e)
	}
	for _, f := range forbidden {
		if _, _, e := syscall.Syscall(uintptr(f.number), 0, 0, 0); e != syscall.EPERM {
			return fmt.Errorf("%s is not refused: %w", f.name, e)
		}
	}
	return nil
}

type confinedWork struct {
	Lock   *multiproc.Mutex
	Locked *multiproc.Event
	Go     *multiproc.Event
	Out    *multiproc.Queue[int]
}

const confinedWaiters = 100 // more than sleep in the kernel themselves

var confinedChild = multiproc.NewTarget("confined child", func(ctx context.Context, w confinedWork) error {
	if err := errors.Join(w.Lock.Lock(ctx), w.Locked.Set(), w.Go.Wait(ctx)); err != nil {
		return err
	}
	for i := range confinedWaiters {
		if err := w.Out.Put(ctx, i); err != nil {
			return err
		}
	}
	<-ctx.Done() // it is killed with the lock
	return nil
})

// confined has a process of each start method wake a crowd, and die with a lock that somebody waits for.
var confined = proctest.NewProgram("confined", func() int {
	multiproc.Init()
	if err := confine(); err != nil {
		fmt.Println("skip:", err)
		return 0
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for _, m := range multiproc.StartMethods() {
		err := func() (err error) {
			var w confinedWork
			var errs [4]error
			w.Lock, errs[0] = multiproc.NewMutex()
			w.Locked, errs[1] = multiproc.NewEvent()
			w.Go, errs[2] = multiproc.NewEvent()
			w.Out, errs[3] = multiproc.NewQueue[int](nil)
			if err := errors.Join(errs[:]...); err != nil {
				return err
			}
			p, err := confinedChild.Start(ctx, w, &multiproc.ProcessOptions{Method: m})
			if err != nil {
				return err
			}
			if err := w.Locked.Wait(ctx); err != nil {
				return err
			}
			var crowd sync.WaitGroup
			for range confinedWaiters {
				crowd.Go(func() {
					if _, err := w.Out.Get(ctx); err != nil {
						fmt.Println(err)
					}
				})
			}
			if err := w.Go.Set(); err != nil {
				return err
			}
			crowd.Wait()
			locked := make(chan error)
			go func() { locked <- w.Lock.Lock(ctx) }()
			if err := p.Kill(); err != nil {
				return err
			}
			if err := <-locked; !errors.Is(err, multiproc.ErrOwnerDied) {
				return fmt.Errorf("the lock: %v", err)
			}
			_ = p.Wait(ctx) // it was killed
			return errors.Join(w.Lock.MarkConsistent(), w.Lock.Unlock())
		}()
		fmt.Println(m, err)
	}
	return 0
})

func TestForbiddenCalls(t *testing.T) {
	cmd := confined.Command(proctest.Context(t))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if strings.HasPrefix(string(out), "skip:") {
		t.Skip(string(out))
	}
	var want strings.Builder
	for _, m := range multiproc.StartMethods() {
		fmt.Fprintln(&want, m, error(nil))
	}
	if err != nil || string(out) != want.String() {
		t.Errorf("%v: %s", err, out)
	}
}
