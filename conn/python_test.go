package conn_test

import (
	"bufio"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/fb2d3dbd/multiproc/conn"
	"github.com/fb2d3dbd/multiproc/internal/proctest"
)

// pythonsVariable adds programs to those that are tried, separated as in PATH.
const pythonsVariable = "MULTIPROC_TEST_PYTHONS"

// pythons returns the programs python3 and python3.N that there are, from 3.8 on, one for each version, by version.
var pythons = sync.OnceValue(func() map[string]string {
	names := filepath.SplitList(os.Getenv(pythonsVariable))
	names = append(names, "python3")
	for n := 8; n < 20; n++ {
		names = append(names, fmt.Sprintf("python3.%d", n))
	}
	all := map[string]string{}
	for _, name := range names {
		path, err := exec.LookPath(name)
		if err != nil {
			continue
		}
		out, err := exec.Command(path, "-c", "import sys, multiprocessing.connection; sys.version_info >= (3, 8) and print('%d.%d.%d' % sys.version_info[:3])").Output()
		if v := strings.TrimSpace(string(out)); err == nil && v != "" && all[v] == "" {
			all[v] = path
		}
	}
	return all
})

func eachPython(t *testing.T, test func(t *testing.T, python string)) {
	all := pythons()
	if len(all) == 0 {
		t.Skip("there is no python3 in PATH that has multiprocessing.connection")
	}
	for v, path := range all {
		t.Run(v, func(t *testing.T) { test(t, path) })
	}
}

// A script is a run of testdata/peer.py.
type script struct {
	cmd *exec.Cmd
	out *bufio.Reader
	err strings.Builder
}

func startPython(t *testing.T, python string, args ...string) *script {
	t.Helper()
	s := &script{cmd: exec.CommandContext(proctest.Context(t), python, append([]string{filepath.Join("testdata", "peer.py")}, args...)...)}
	s.cmd.Stderr = &s.err
	s.out = bufio.NewReader(must(s.cmd.StdoutPipe())(t))
	check(t, s.cmd.Start())
	return s
}

// line returns the next line that the script prints.
func (s *script) line(t *testing.T) string {
	t.Helper()
	l, err := s.out.ReadString('\n')
	if err != nil {
		t.Fatalf("python says nothing more: %v\n%s", err, s.wait())
	}
	return strings.TrimSpace(l)
}

func (s *script) wait() error {
	_, _ = io.Copy(io.Discard, s.out) // the pipe's end is that of the process
	if err := s.cmd.Wait(); err != nil {
		return fmt.Errorf("%w\n%s", err, s.err.String())
	}
	return nil
}

// A way is how Go and Python come together.
type way struct {
	name, network, family string
	key                   []byte
	goListens             bool
}

func ways() []way {
	var all []way
	for _, goListens := range []bool{false, true} {
		role := "python listens"
		if goListens {
			role = "go listens"
		}
		for _, key := range [][]byte{nil, []byte("secret"), pattern(200)} {
			keyed := fmt.Sprintf("key of %d", len(key))
			all = append(all,
				way{role + ", unix, " + keyed, "unix", "AF_UNIX", key, goListens},
				way{role + ", tcp, " + keyed, "tcp", "AF_INET", key, goListens})
		}
		all = append(all, way{role + ", abstract", "abstract", "AF_UNIX", []byte("k"), goListens})
	}
	return all
}

func hexKey(key []byte) string {
	if key == nil {
		return "-"
	}
	return hex.EncodeToString(key)
}

// meet connects to a script that does what it is told, and returns both.
func (w way) meet(t *testing.T, python, what string, theirKey []byte) (*conn.Conn, *script, error) {
	t.Helper()
	ctx := proctest.Context(t)
	network, address := w.network, ""
	switch network {
	case "unix":
		address = filepath.Join(tempDir(t), "s")
	case "abstract":
		network, address = "unix", "@"+strings.ReplaceAll(tempDir(t), "/", "-")
	default:
		address = "127.0.0.1:0"
	}
	if w.goListens {
		refused := make(chan error, 1)
		l, err := conn.Listen(network, address, &conn.ListenOptions{Key: w.key, OnRefused: func(_ net.Addr, err error) { refused <- err }})
		check(t, err)
		defer func() { check(t, l.Close()) }()
		at := l.Addr().String()
		if network == "tcp" {
			at = at[strings.LastIndexByte(at, ':')+1:]
		}
		s := startPython(t, python, "dial", w.family, at, hexKey(theirKey), what)
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		var why error
		stop := make(chan struct{})
		go func() {
			defer close(stop)
			select {
			case why = <-refused:
				cancel()
			case <-ctx.Done():
			}
		}()
		c, err := l.Accept(ctx)
		cancel()
		<-stop
		if why != nil {
			err = why
		}
		return c, s, err
	}
	at := address
	if network == "tcp" {
		at = "0"
	}
	s := startPython(t, python, "listen", w.family, at, hexKey(theirKey), what)
	if port := s.line(t); network == "tcp" {
		address = "127.0.0.1:" + port
	}
	c, err := conn.Dial(ctx, network, address, &conn.DialOptions{Key: w.key})
	return c, s, err
}

func TestPythonEcho(t *testing.T) {
	eachPython(t, func(t *testing.T, python string) {
		for _, w := range ways() {
			t.Run(w.name, func(t *testing.T) {
				c, s, err := w.meet(t, python, "echo", w.key)
				if err != nil {
					t.Fatal(err, s.wait())
				}
				big := 3<<20 + 1
				if w.goListens == (w.network == "unix") && len(w.key) == 6 {
					big = 100 << 20
				}
				echo(t, c, append(sizes, big))
				check(t, c.Close())
				if l := s.line(t); l != "end" {
					t.Errorf("python says %q", l)
				}
				check(t, s.wait())
			})
		}
	})
}

// echo sends messages and has them come back.
func echo(t *testing.T, c *conn.Conn, sizes []int) {
	ctx := proctest.Context(t)
	for _, n := range sizes {
		b := pattern(n)
		check(t, c.SendBytes(ctx, b))
		same(t, must(c.RecvBytes(ctx))(t), b)
	}
}

func TestPythonWrongKey(t *testing.T) {
	eachPython(t, func(t *testing.T, python string) {
		for _, w := range ways() {
			if w.key == nil {
				continue
			}
			t.Run(w.name, func(t *testing.T) {
				_, s, err := w.meet(t, python, "refused", []byte("another"))
				want(t, err, conn.ErrAuthentication)
				if l := s.line(t); !strings.HasPrefix(l, "refused") {
					t.Errorf("python says %q", l)
				}
				check(t, s.wait())
			})
		}
	})
}

// Python has the short lengths alone for what is up to 2 GiB, and takes the long ones for anything.
func TestPythonPipeEnds(t *testing.T) {
	eachPython(t, func(t *testing.T, python string) {
		ctx := proctest.Context(t)
		r, w, err := os.Pipe()
		check(t, err)
		cmd := exec.CommandContext(ctx, python, "-c", `
from multiprocessing.connection import Connection
c = Connection(3, readable=False)
c.send_bytes(b"")
c.send_bytes(b"x" * 100000)
`)
		cmd.ExtraFiles = []*os.File{w}
		cmd.Stderr = os.Stderr
		check(t, cmd.Start())
		check(t, w.Close())
		c := must(conn.FromFile(r))(t)
		check(t, r.Close())
		same(t, must(c.RecvBytes(ctx))(t), nil)
		if b := must(c.RecvBytes(ctx))(t); len(b) != 100000 {
			t.Errorf("got %d bytes", len(b))
		}
		if _, err := c.RecvBytes(ctx); !errors.Is(err, io.EOF) {
			t.Error(err)
		}
		check(t, c.Close())
		check(t, cmd.Wait())
	})
}
