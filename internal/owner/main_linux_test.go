package owner_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"

	"github.com/fb2d3dbd/multiproc/internal/owner"
	"github.com/fb2d3dbd/multiproc/internal/proctest"
	"github.com/fb2d3dbd/multiproc/internal/sys"
)

func TestMain(m *testing.M) { proctest.Main(m) }

func ok(t testing.TB, err error) {
	if err != nil {
		t.Helper()
		t.Fatal(err)
	}
}

// newFile makes a file of zeros for a table of n participants.
func newFile(t testing.TB, n int) (fd int) {
	t.Helper()
	fd, err := sys.Memfd("multiproc-owner-test", int64(owner.TableSize(n)))
	ok(t, err)
	t.Cleanup(func() { sys.CloseFD(fd) })
	return fd
}

// A part is a description and a mapping of a table: what one participant has.
type part struct {
	*owner.Table
	fd  int
	mem []byte
	tok uint32
}

func open(file, n int) (*part, error) {
	fd, err := sys.Reopen(file)
	if err != nil {
		return nil, err
	}
	mem, err := syscall.Mmap(fd, 0, owner.TableSize(n), syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		return nil, err
	}
	table, err := owner.NewTable(mem, n, fd, 0)
	return &part{Table: table, fd: fd, mem: mem}, err
}

// look opens a view of the table that does not join.
func look(t testing.TB, file, n int) *part {
	t.Helper()
	p, err := open(file, n)
	ok(t, err)
	t.Cleanup(p.die)
	return p
}

// join makes a participant. If it is neither left nor dead at the end of the test, it dies then.
func join(t testing.TB, file, n int) *part {
	t.Helper()
	p := look(t, file, n)
	tok, err := p.Join()
	ok(t, err)
	p.tok = tok
	return p
}

// die is what the kernel does for a process that ends.
func (p *part) die() {
	if p.mem != nil {
		syscall.Munmap(p.mem)
		sys.CloseFD(p.fd)
		p.mem = nil
	}
}

func (p *part) leave(t testing.TB) {
	t.Helper()
	ok(t, syscall.Munmap(p.mem))
	p.mem = nil
	ok(t, p.Leave(p.tok))
	ok(t, sys.CloseFD(p.fd))
}

// member is a process that joins the table behind descriptor 3, says its token, and leaves when its standard input ends.
var member = proctest.NewProgram("owner-member", func() int {
	n, err := strconv.Atoi(os.Args[1])
	if err != nil {
		return 2
	}
	p, err := open(3, n)
	if err == nil {
		p.tok, err = p.Join()
	}
	if err == nil {
		fmt.Println(p.tok)
		_, err = io.Copy(io.Discard, os.Stdin)
	}
	if err == nil {
		err = syscall.Munmap(p.mem)
	}
	if err == nil {
		err = p.Leave(p.tok)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
})

// A process is a started member.
type process struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	out   *bufio.Reader
}

func startMember(t testing.TB, file, n int, env ...string) *process {
	t.Helper()
	p := &process{cmd: member.Command(proctest.Context(t), strconv.Itoa(n))}
	fd, err := sys.DupFD(file)
	ok(t, err)
	f := os.NewFile(uintptr(fd), "table")
	defer f.Close()
	p.cmd.ExtraFiles = []*os.File{f}
	p.cmd.Env = append(p.cmd.Env, env...)
	p.cmd.Stderr = os.Stderr
	p.stdin, err = p.cmd.StdinPipe()
	ok(t, err)
	out, err := p.cmd.StdoutPipe()
	ok(t, err)
	p.out = bufio.NewReader(out)
	ok(t, p.cmd.Start())
	t.Cleanup(func() { p.kill() })
	return p
}

// token waits until the process has joined; ok is false when it ends before.
func (p *process) token() (tok uint32, ok bool) {
	_, err := fmt.Fscan(p.out, &tok)
	return tok, err == nil
}

func (p *process) kill() {
	p.cmd.Process.Kill()
	p.cmd.Wait()
}
