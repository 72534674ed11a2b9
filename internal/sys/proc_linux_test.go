package sys_test

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/fb2d3dbd/multiproc/internal/proctest"
	"github.com/fb2d3dbd/multiproc/internal/sys"
)

// nobody is a pid that no process can have.
const nobody = 1<<22 + 1

// reader is a process that ends with its standard input.
var reader = proctest.NewProgram("reader", func() int {
	_, err := io.Copy(io.Discard, os.Stdin)
	if err != nil {
		return 1
	}
	return 0
})

// start starts a reader and returns what ends it; it is a zombie then, until the test is over.
func start(t testing.TB, setup func(*syscall.SysProcAttr)) (cmd *exec.Cmd, end func()) {
	t.Helper()
	cmd = reader.Command(proctest.Context(t))
	cmd.SysProcAttr = &syscall.SysProcAttr{}
	if setup != nil {
		setup(cmd.SysProcAttr)
	}
	r, w, err := os.Pipe()
	ok(t, err)
	cmd.Stdin = r
	ok(t, cmd.Start())
	ok(t, r.Close())
	t.Cleanup(func() {
		w.Close() // a second time does nothing
		ok(t, cmd.Wait())
	})
	return cmd, func() { ok(t, w.Close()) }
}

func TestStartTime(t *testing.T) {
	mine, err := sys.StartTime(os.Getpid())
	ok(t, err)
	again, err := sys.StartTime(os.Getpid())
	ok(t, err)
	if mine == 0 || mine != again {
		t.Errorf("this process was started at %d, and at %d", mine, again)
	}
	cmd, _ := start(t, nil)
	child, err := sys.StartTime(cmd.Process.Pid)
	ok(t, err)
	if child < mine {
		t.Errorf("a child was started at %d, its parent at %d", child, mine)
	}
	_, err = sys.StartTime(nobody)
	wantErr(t, "no process", err, os.ErrNotExist)
}

func TestProcessFD(t *testing.T) {
	_, err := sys.OpenProcess(nobody)
	wantErr(t, "no process", err, os.ErrProcessDone)
	_, err = sys.OpenProcess(-1)
	wantErr(t, "no pid", err, unix.EINVAL)

	cmd, end := start(t, nil)
	p, err := sys.OpenProcess(cmd.Process.Pid)
	ok(t, err)
	abandoned, err := sys.OpenProcess(cmd.Process.Pid)
	ok(t, err)
	result := make(chan error)
	go func() { result <- abandoned.Wait() }()
	abandoned.Close()
	if err := <-result; err == nil {
		t.Error("Wait says that a process has ended which has not")
	}
	go func() { result <- p.Wait() }()
	select {
	case err := <-result:
		t.Fatalf("Wait returned before the end: %v", err)
	default:
	}
	end()
	ok(t, <-result)
	if proctest.Running(t, cmd.Process.Pid) {
		t.Error("Wait has returned and the process runs")
	}
	ok(t, p.Wait()) // once more
	p.Close()
	if p.Wait() == nil {
		t.Error("Wait after Close returned nil")
	}

	zombie, err := sys.OpenProcess(cmd.Process.Pid)
	ok(t, err)
	ok(t, zombie.Wait())
	zombie.Close()
}

// The descriptor that a start stores is of the process that was started.
func TestPidFD(t *testing.T) {
	fd := -1
	_, end := start(t, func(attr *syscall.SysProcAttr) { sys.PidFD(attr, &fd) })
	if fd < 0 {
		t.Skip("this kernel has no descriptors of processes")
	}
	p, err := sys.AsProcess(fd)
	ok(t, err)
	defer p.Close()
	result := make(chan error)
	go func() { result <- p.Wait() }()
	end()
	ok(t, <-result)
	if _, err := sys.AsProcess(-1); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("a process behind no descriptor: %v", err)
	}
}

func TestDieWithParent(t *testing.T) {
	var attr syscall.SysProcAttr
	sys.DieWithParent(&attr)
	if attr.Pdeathsig != syscall.SIGKILL {
		t.Errorf("the child is sent %v", attr.Pdeathsig)
	}
}

func TestSelfExe(t *testing.T) {
	a, err := os.Stat(sys.SelfExe)
	ok(t, err)
	exe, err := os.Executable()
	ok(t, err)
	b, err := os.Stat(exe)
	ok(t, err)
	if !os.SameFile(a, b) {
		t.Errorf("%s is not %s", sys.SelfExe, exe)
	}
}
