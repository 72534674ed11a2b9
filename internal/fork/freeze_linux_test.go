//go:build amd64 && !race && !msan && !asan

package fork_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fb2d3dbd/multiproc/internal/fork"
	"github.com/fb2d3dbd/multiproc/internal/proctest"
)

func init() {
	if strings.HasPrefix(os.Getenv("MULTIPROC_TEST_PROGRAM"), "zygote") {
		runtime.LockOSThread()
	}
}

const (
	maxData = 1000
	maxFDs  = 5
)

// zygoteProgram is a zygote. What a child does is in the request: its first byte is the exit code, the descriptors it writes to.
var zygoteProgram = proctest.NewProgram("zygote", func() int {
	syscall.CloseOnExec(3)
	if os.Getenv("ZYGOTE_MOUNT") != "" { // the /proc of its own pid namespace
		if err := errors.Join(syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""), syscall.Mount("proc", "/proc", "proc", 0, "")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 4
		}
	}
	faults()
	prepared := strings.Repeat("prepared ", 1000)
	r, err := fork.Freeze(fork.FreezeOptions{Socket: 3, MaxData: maxData, MaxFDs: maxFDs, Procs: -1, HugePages: os.Getenv("ZYGOTE_HUGE") != ""})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 4
	}
	if _, err := syscall.GetsockoptInt(3, syscall.SOL_SOCKET, syscall.SO_TYPE); err != syscall.EBADF {
		return 5
	}
	if len(r.Data) == 0 {
		return 6
	}
	for i, fd := range r.FDs {
		f := os.NewFile(uintptr(fd), "given")
		fmt.Fprintf(f, "%d %d %d %d %d %d|", i, r.ID, len(r.Data), len(prepared), os.Getpid(), os.Getppid())
		f.Close()
	}
	runtime.GC()
	if r.Data[0] == 100 { // it lasts
		time.Sleep(time.Hour)
	}
	return int(r.Data[0])
})

type zygote struct {
	t    *testing.T
	cmd  *exec.Cmd
	conn int
}

func start(t *testing.T, attr *syscall.SysProcAttr, env ...string) *zygote {
	t.Helper()
	need(t)
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_SEQPACKET|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	z := &zygote{t: t, conn: pair[0], cmd: zygoteProgram.Command(proctest.Context(t))}
	theirs := os.NewFile(uintptr(pair[1]), "zygote")
	defer theirs.Close()
	z.cmd.Env = append(append(z.cmd.Env, "GOMAXPROCS=1"), env...)
	z.cmd.SysProcAttr = attr
	z.cmd.ExtraFiles = []*os.File{theirs}
	z.cmd.Stderr = os.Stderr // no pipe: children may keep it open
	if err := z.cmd.Start(); err != nil {
		syscall.Close(pair[0])
		t.Skipf("start: %v", err)
	}
	t.Cleanup(func() {
		if z.conn >= 0 {
			syscall.Close(z.conn)
		}
		if z.cmd.ProcessState == nil {
			z.cmd.Wait()
		}
	})
	return z
}

func (z *zygote) send(b []byte, fds ...int) {
	z.t.Helper()
	var rights []byte
	if len(fds) > 0 {
		rights = syscall.UnixRights(fds...)
	}
	if err := syscall.Sendmsg(z.conn, b, rights, nil, 0); err != nil {
		z.t.Fatal(err)
	}
}

func (z *zygote) reply() fork.Reply {
	z.t.Helper()
	b := make([]byte, 100)
	for {
		n, err := syscall.Read(z.conn, b)
		if err == syscall.EINTR {
			continue
		}
		if err != nil || n == 0 {
			z.t.Fatalf("no reply: %d, %v", n, err)
		}
		r, err := fork.ParseReply(b[:n])
		if err != nil {
			z.t.Fatal(err)
		}
		return r
	}
}

// ask asks and returns the pid of the child, which is complete.
func (z *zygote) ask(id uint64, data []byte, fds ...int) int {
	z.t.Helper()
	z.send(fork.AppendRequest(nil, id, data), fds...)
	a, b := z.reply(), z.reply()
	if a.Kind > b.Kind {
		a, b = b, a
	}
	if a.Kind != fork.Started || b.Kind != fork.Ready || a.PID != b.PID || a.PID == 0 || a.ID != id || b.ID != id {
		z.t.Fatalf("replies %+v, %+v", a, b)
	}
	return a.PID
}

func (z *zygote) end() {
	z.t.Helper()
	syscall.Close(z.conn)
	z.conn = -1
	if err := z.cmd.Wait(); err != nil {
		z.t.Errorf("the zygote ended with %v", err)
	}
}

func TestFreeze(t *testing.T) {
	z := start(t, nil)
	for n := range 100 {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		fds := make([]int, n%(maxFDs+1))
		for i := range fds {
			fds[i] = int(w.Fd())
		}
		data := make([]byte, 1+n*n%maxData)
		data[0] = byte(n)
		pid := z.ask(uint64(n)<<40|5, data, fds...)
		w.Close()
		text, err := io.ReadAll(r) // it ends, so nobody else has kept the descriptors
		r.Close()
		if ws := waitFor(t, pid); err != nil || ws.ExitStatus() != n {
			t.Fatalf("%d: status %#x, %v", n, int(ws), err)
		}
		var want string
		for i := range fds {
			want += fmt.Sprintf("%d %d %d %d %d %d|", i, uint64(n)<<40|5, len(data), 9000, pid, os.Getpid())
		}
		if string(text) != want {
			t.Fatalf("the child wrote %q, want %q", text, want)
		}
	}
	z.end()
}

// What is no request, or too large, is refused, and nothing of it stays in the zygote.
func TestFreezeRefuses(t *testing.T) {
	z := start(t, nil)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	fd := int(w.Fd())
	many := func(n int) (fds []int) {
		for range n {
			fds = append(fds, fd)
		}
		return fds
	}
	for _, c := range []struct {
		text  []byte
		fds   []int
		errno syscall.Errno
		id    uint64
	}{
		{[]byte("x"), many(1), syscall.EBADMSG, 0},
		{make([]byte, 16), many(2), syscall.EBADMSG, 0},
		{fork.AppendRequest(nil, 1, make([]byte, maxData+1)), many(1), syscall.EMSGSIZE, 1},
		{fork.AppendRequest(nil, 2, make([]byte, 100*maxData)), many(5), syscall.EMSGSIZE, 2},
		{fork.AppendRequest(nil, 3, []byte{1}), many(maxFDs + 1), syscall.EMSGSIZE, 3},
		{fork.AppendRequest(nil, 4, []byte{1}), many(253), syscall.EMSGSIZE, 4},
		{append([]byte("fkRQ\x01\x00\x00\x00"), make([]byte, 20)...), nil, syscall.EBADMSG, 0},
	} {
		z.send(c.text, c.fds...)
		if r := z.reply(); r.Kind != fork.Refused || r.ID != c.id || !errors.Is(r.Err(), c.errno) {
			t.Errorf("%d bytes with %d descriptors: %+v (%v)", len(c.text), len(c.fds), r, r.Err())
		}
	}
	w.Close()
	if _, err := r.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("somebody has kept a descriptor: %v", err)
	}
	if ws := waitFor(t, z.ask(9, make([]byte, maxData))); ws != 0 { // the largest that is allowed
		t.Errorf("status %#x", int(ws))
	}
	z.end()
}

// Children are children of the asker: they outlive the zygote, can be signalled, and tell their end.
func TestFreezeChildren(t *testing.T) {
	z := start(t, nil, "ZYGOTE_HUGE=1")
	var pids []int
	for id := range uint64(8) {
		z.send(fork.AppendRequest(nil, id, []byte{100})) // several at a time
	}
	for range 16 {
		if r := z.reply(); r.Kind == fork.Ready {
			pids = append(pids, r.PID)
		} else if r.Kind != fork.Started {
			t.Fatalf("%+v", r)
		}
	}
	z.end()
	for _, pid := range pids {
		if !proctest.Running(t, pid) {
			t.Errorf("process %d has ended with the zygote", pid)
		}
		proctest.Signal(t, pid, syscall.SIGTERM)
		if ws := waitFor(t, pid); ws.Signal() != syscall.SIGTERM {
			t.Errorf("status %#x", int(ws))
		}
	}
}

// A zygote that is killed leaves an end of the socket.
func TestFreezeKilled(t *testing.T) {
	z := start(t, nil)
	pid := z.ask(1, []byte{100})
	proctest.Signal(t, z.cmd.Process.Pid, syscall.SIGTERM) // it does not hear this
	if ws := waitFor(t, z.ask(2, []byte{7})); ws.ExitStatus() != 7 {
		t.Errorf("status %#x", int(ws))
	}
	proctest.Signal(t, z.cmd.Process.Pid, syscall.SIGKILL)
	z.cmd.Wait()
	if n, err := syscall.Read(z.conn, make([]byte, 1)); n > 0 {
		t.Errorf("%d bytes, %v from the dead", n, err)
	}
	proctest.Signal(t, pid, syscall.SIGKILL)
	waitFor(t, pid)
}

// The init of a pid namespace cannot make siblings.
func TestFreezeInit(t *testing.T) {
	z := start(t, &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS}, "ZYGOTE_MOUNT=1")
	z.send(fork.AppendRequest(nil, 3, []byte{1}))
	if r := z.reply(); r.Kind != fork.Refused || !errors.Is(r.Err(), syscall.EINVAL) {
		t.Errorf("%+v", r)
	}
	z.end()
}

// With the /proc of another pid namespace, whose numbers mean other threads, nothing is tried.
func TestForeignProc(t *testing.T) {
	need(t)
	cmd := quietProgram.Command(proctest.Context(t))
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
	out, err := cmd.CombinedOutput()
	if errors.Is(err, syscall.EPERM) {
		t.Skip(err)
	}
	if err == nil || !strings.Contains(string(out), "fork: /proc: it knows this process as") {
		t.Errorf("%v: %s", err, out)
	}
}

// zygoteBadProgram freezes where it cannot.
var zygoteBadProgram = proctest.NewProgram("zygote-bad", func() int {
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_SEQPACKET, 0)
	if err != nil {
		return 1
	}
	p := make([]int, 2)
	if err := syscall.Pipe(p); err != nil {
		return 1
	}
	try := func(o fork.FreezeOptions) {
		r, err := fork.Freeze(o)
		fmt.Println(r, err)
	}
	try(fork.FreezeOptions{Socket: pair[0], MaxData: -1})
	try(fork.FreezeOptions{Socket: pair[0], MaxFDs: 254})
	try(fork.FreezeOptions{Socket: p[0]})
	syscall.SetNonblock(pair[0], true)
	try(fork.FreezeOptions{Socket: pair[0]})
	syscall.SetNonblock(pair[0], false)
	stop := make(chan bool)
	go func() { <-stop }()
	try(fork.FreezeOptions{Socket: pair[0]})
	close(stop)
	for runtime.NumGoroutine() > 1 {
		time.Sleep(time.Millisecond)
	}
	fork.AllowGoroutine("proctest.runProgram(") // this one, which keeps the first thread
	done := make(chan bool)
	go func() { try(fork.FreezeOptions{Socket: pair[0]}); close(done) }()
	<-done
	return 0
})

func TestFreezeErrors(t *testing.T) {
	need(t)
	out, err := zygoteBadProgram.Command(proctest.Context(t)).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	lines := strings.Split(string(out), "<nil> ")[1:]
	want := []string{"out of range", "out of range", "no SOCK_SEQPACKET", "does not block", "other goroutines run", "first thread"}
	for i, w := range want {
		if i >= len(lines) || !strings.Contains(lines[i], w) {
			t.Errorf("%q does not say %q", lines, w)
		}
	}
}
