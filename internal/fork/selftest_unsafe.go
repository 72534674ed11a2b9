//go:build linux && amd64 && !race && !msan && !asan

package fork

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/fb2d3dbd/multiproc/internal/sys"
)

// selfTestVariable marks the process that runs the self-test.
const selfTestVariable = "MULTIPROC_FORK_SELFTEST"

const (
	selfTestOK    = "the fork's self-test passed\n"
	selfTestLimit = 30 * time.Second
)

func init() {
	link()
	if os.Getenv(selfTestVariable) == "" {
		return
	}
	// Its streams are a pipe to whoever wants to know.
	if err := testSelf(); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Print(selfTestOK)
	os.Exit(0)
}

// selfTest has the self-test run, once, by a new process: a copy of this one would continue whatever goroutines there are.
var selfTest = sync.OnceValue(func() error {
	r, w, err := os.Pipe()
	if err != nil {
		return &FactError{"self-test", err}
	}
	defer r.Close()
	p, err := os.StartProcess(sys.SelfExe, os.Args[:1], &os.ProcAttr{
		Env:   append(os.Environ(), selfTestVariable+"=1"),
		Files: []*os.File{w, w, w},
	})
	w.Close()
	if err != nil {
		return &FactError{"self-test", err}
	}
	limit := time.AfterFunc(selfTestLimit, func() { _ = p.Kill() })
	text, err := io.ReadAll(io.LimitReader(r, 1<<16))
	state, err2 := p.Wait()
	if !limit.Stop() {
		return &FactError{"self-test", fmt.Errorf("did not end within %v", selfTestLimit)}
	}
	if err = errors.Join(err, err2); err == nil && (!state.Success() || string(text) != selfTestOK) {
		err = fmt.Errorf("%v: %s", state, strings.TrimSpace(string(text)))
	}
	if err != nil {
		return &FactError{"self-test", err}
	}
	return nil
})

// testSelf forks by the first thread and by another, while one goroutine spins and another holds a thread.
func testSelf() error {
	if err := facts(); err != nil {
		return err
	}
	var stop atomic.Bool
	defer stop.Store(true)
	go func() {
		for !stop.Load() {
		}
	}()
	go func() {
		runtime.LockOSThread()
		select {}
	}()
	// Both run while package init holds the first thread: this goroutine is on it, the new one is not.
	errs := make(chan error)
	go func() { errs <- forkOnce() }()
	return errors.Join(<-errs, forkOnce())
}

func forkOnce() error {
	pid, pidfd, err := fork(Options{Forkall: true}, func() int {
		runtime.GC()
		time.Sleep(time.Microsecond)
		done := make(chan bool)
		go func() { runtime.Gosched(); done <- true }()
		<-done
		r2, w2, err := os.Pipe()
		if err != nil {
			return 1
		}
		go func() { w2.Write([]byte{1}) }()
		if _, err := r2.Read(make([]byte, 1)); err != nil {
			return 2
		}
		runtime.GC()
		return 0
	})
	if err != nil {
		return err
	}
	syscall.Close(pidfd)
	var ws syscall.WaitStatus
	for {
		if _, err = syscall.Wait4(pid, &ws, 0, nil); err != syscall.EINTR {
			break
		}
	}
	if err != nil || !ws.Exited() || ws.ExitStatus() != 0 {
		return fmt.Errorf("a child ended with status %#x (%v)", int(ws), err)
	}
	return nil
}
