package conn_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/fb2d3dbd/multiproc"
	"github.com/fb2d3dbd/multiproc/conn"
	"github.com/fb2d3dbd/multiproc/internal/proctest"
	"github.com/fb2d3dbd/multiproc/shm"
)

// carriers are the connections that descriptors travel over.
func carriers(t *testing.T, test func(t *testing.T, a, b *conn.Conn)) {
	for _, k := range kinds(t)[:2] {
		t.Run(k.name, func(t *testing.T) {
			a, b := k.make(t)
			t.Cleanup(func() {
				check(t, a.Close())
				check(t, b.Close())
			})
			test(t, a, b)
		})
	}
}

// pipeFile returns a file to be read, and what is in it.
func pipeFile(t *testing.T, text string) *os.File {
	r, w, err := os.Pipe()
	check(t, err)
	must(w.WriteString(text))(t)
	check(t, w.Close())
	return r
}

func readAll(t *testing.T, f io.ReadCloser) string {
	t.Helper()
	b := must(io.ReadAll(f))(t)
	check(t, f.Close())
	return string(b)
}

func TestSendFile(t *testing.T) {
	carriers(t, func(t *testing.T, a, b *conn.Conn) {
		ctx := proctest.Context(t)
		f := pipeFile(t, "hello")
		check(t, a.Send(ctx, f))
		check(t, f.Close())
		if s := readAll(t, must(conn.Recv[*os.File](ctx, b))(t)); s != "hello" {
			t.Errorf("got %q", s)
		}
		err := a.Send(ctx, f)
		want(t, err, os.ErrClosed)
		check(t, a.Send(ctx, []any{1, (*os.File)(nil)}))
		if v := must(conn.Recv[[]any](ctx, b))(t); v[1].(*os.File) != nil {
			t.Errorf("got %v", v)
		}
	})
}

// More descriptors than one message of the kernel carries, also with so much beside them that the message goes as a file.
func TestSendManyFiles(t *testing.T) {
	carriers(t, func(t *testing.T, a, b *conn.Conn) {
		ctx := proctest.Context(t)
		for _, n := range []int{1, 252, 253, 254, 600} {
			for _, more := range []int{0, 200 << 10} {
				r, w, err := os.Pipe()
				check(t, err)
				job := manyFiles{More: pattern(more)}
				for range n {
					job.Files = append(job.Files, w)
				}
				done := make(chan error, 1)
				go func() {
					err := a.Send(ctx, job)
					done <- errors.Join(err, w.Close())
				}()
				got := must(conn.Recv[manyFiles](ctx, b))(t)
				check(t, <-done)
				same(t, got.More, job.More)
				if len(got.Files) != n {
					t.Fatalf("got %d files of %d", len(got.Files), n)
				}
				for i, f := range got.Files {
					must(fmt.Fprintf(f, "%d,", i))(t)
					check(t, f.Close())
				}
				text := readAll(t, r)
				want := ""
				for i := range n {
					want += fmt.Sprintf("%d,", i)
				}
				if text != want {
					t.Fatalf("the files are not those that were sent, or not in order: %.100q", text)
				}
			}
		}
	})
}

type manyFiles struct {
	Files []*os.File
	More  []byte
}

func TestSendSockets(t *testing.T) {
	carriers(t, func(t *testing.T, a, b *conn.Conn) {
		ctx := proctest.Context(t)
		for _, network := range []string{"tcp", "unix"} {
			address := "127.0.0.1:0"
			if network == "unix" {
				address = filepath.Join(tempDir(t), "s")
			}
			l := must(net.Listen(network, address))(t)
			check(t, a.Send(ctx, l)) // an interface holds it
			got := must(conn.Recv[net.Listener](ctx, b))(t)
			d := must(net.Dial(network, l.Addr().String()))(t)
			check(t, a.Send(ctx, []net.Conn{d}))
			check(t, d.Close())
			d = must(conn.Recv[[]net.Conn](ctx, b))(t)[0]
			s := must(got.Accept())(t)
			must(d.Write([]byte("hello")))(t)
			check(t, d.Close())
			if s := readAll(t, s); s != "hello" {
				t.Errorf("got %q", s)
			}
			check(t, got.Close())
			check(t, l.Close())
		}
		u := must(net.ListenPacket("udp", "127.0.0.1:0"))(t)
		check(t, a.Send(ctx, u))
		check(t, u.Close())
		check(t, must(conn.Recv[net.PacketConn](ctx, b))(t).Close())
	})
}

// A Conn over packets is shared by those who have it, a stream moves.
func TestSendConn(t *testing.T) {
	carriers(t, func(t *testing.T, a, b *conn.Conn) {
		ctx := proctest.Context(t)
		x, y := packets(t)
		check(t, a.Send(ctx, y))
		z := must(conn.Recv[*conn.Conn](ctx, b))(t)
		check(t, x.Send(ctx, 1))
		check(t, x.Send(ctx, 2))
		if n := must(conn.Recv[int](ctx, z))(t) + must(conn.Recv[int](ctx, y))(t); n != 3 {
			t.Errorf("got %d", n)
		}
		check(t, y.Close())
		check(t, z.Send(ctx, "still here"))
		must(conn.Recv[string](ctx, x))(t)
		check(t, z.Close())
		_, err := x.Recv(ctx)
		want(t, err, io.EOF)
		check(t, x.Close())

		x, y = streams(t)
		check(t, a.Send(ctx, y))
		z = must(conn.Recv[*conn.Conn](ctx, b))(t)
		for _, err := range []error{y.SendBytes(ctx, nil), y.Send(ctx, 1), a.Send(ctx, y)} {
			want(t, err, os.ErrClosed)
		}
		check(t, x.Send(ctx, 1))
		if n := must(conn.Recv[int](ctx, z))(t); n != 1 {
			t.Errorf("got %d", n)
		}
		check(t, z.Close())
		_, err = x.Recv(ctx)
		want(t, err, io.EOF)
		check(t, x.Close())

		r, w, err := conn.Pipe(false)
		check(t, err)
		check(t, a.Send(ctx, []*conn.Conn{r, w}))
		check(t, r.Close())
		check(t, w.Close())
		both := must(conn.Recv[[]*conn.Conn](ctx, b))(t)
		if both[0].Writable() || !both[0].Readable() || both[1].Readable() || !both[1].Writable() {
			t.Error("directions")
		}
		check(t, both[1].Send(ctx, 7))
		if n := must(conn.Recv[int](ctx, both[0]))(t); n != 7 {
			t.Errorf("got %d", n)
		}
		check(t, both[0].Close())
		check(t, both[1].Close())
	})
}

// A stream that somebody uses, or that is in the middle of a message, stays.
func TestStreamStays(t *testing.T) {
	ctx := proctest.Context(t)
	a, b := packets(t)
	defer a.Close()
	defer b.Close()
	x, y := streams(t)
	defer x.Close()
	defer y.Close()
	given, cancel := context.WithCancel(ctx)
	done := make(chan error)
	go func() {
		_, err := y.Recv(given)
		done <- err
	}()
	proctest.Eventually(t, func() bool { return a.TrySend(y) != nil || must(b.TryRecv())(t) == nil }, "a stream that is received from stays")
	cancel()
	<-done
	if err := y.Send(ctx, y); err == nil {
		t.Error("a stream was sent over itself")
	}
	check(t, x.Send(ctx, 1))
	s, c := overTLS(t)
	if err := a.Send(ctx, s); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("a TLS connection was sent: %v", err)
	}
	check(t, s.Close())
	check(t, c.Close())
	// Over TCP nothing goes along.
	p, q := tcp(t)
	f := pipeFile(t, "")
	if err := p.Send(ctx, f); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("a file was sent over TCP: %v", err)
	}
	check(t, f.Close())
	check(t, p.Close())
	check(t, q.Close())
}

// Whoever receives as bytes what carries handles gets an error, and nothing leaks.
func TestHandlesAsBytes(t *testing.T) {
	carriers(t, func(t *testing.T, a, b *conn.Conn) {
		ctx := proctest.Context(t)
		f := pipeFile(t, "")
		defer f.Close()
		check(t, a.Send(ctx, f))
		check(t, a.SendBytes(ctx, []byte("x")))
		if _, err := b.RecvBytes(ctx); err == nil {
			t.Error("handles were received as bytes")
		}
		same(t, must(b.RecvBytes(ctx))(t), []byte("x"))
		check(t, a.Send(ctx, f))
		if _, err := conn.Recv[int](ctx, b); err == nil {
			t.Error("a file was received as an int")
		}
		check(t, a.Send(ctx, f)) // and this one is never received
	})
}

// everything is sent to a process that is no relative.
type everything struct {
	File   *os.File
	Socket net.Conn
	Conn   *conn.Conn
	Queue  *multiproc.Queue[string]
	Lock   *multiproc.Mutex
	Value  *multiproc.Value[int]
	Seg    *shm.Segment
}

var unrelated = proctest.NewProgram("unrelated", func() int {
	ctx := context.Background()
	if err := useEverything(ctx, os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
})

func useEverything(ctx context.Context, network, path string) error {
	c, err := conn.Dial(ctx, network, path, &conn.DialOptions{Key: []byte("k")})
	if err != nil {
		return err
	}
	e, err := conn.Recv[everything](ctx, c)
	if err != nil {
		return err
	}
	text, err := io.ReadAll(e.File)
	if err != nil {
		return err
	}
	if _, err := e.Socket.Write(text); err != nil {
		return err
	}
	if err := e.Conn.Send(ctx, string(text)); err != nil {
		return err
	}
	if err := e.Lock.Lock(ctx); err != nil {
		return err
	}
	if err := e.Value.Update(ctx, func(x *int) { *x++ }); err != nil {
		return err
	}
	if err := e.Lock.Unlock(); err != nil {
		return err
	}
	copy(e.Seg.Bytes(), "written elsewhere")
	if err := e.Queue.Put(ctx, "from another family"); err != nil {
		return err
	}
	if err := e.Seg.Close(); err != nil {
		return err
	}
	if _, err := shm.Lookup(e.Seg.ID()); err == nil {
		return errors.New("the segment is still open")
	}
	return c.Send(ctx, "done")
}

func TestSendEverythingToAnother(t *testing.T) {
	for _, network := range []string{"unixpacket", "unix"} {
		t.Run(network, func(t *testing.T) {
			ctx := proctest.Context(t)
			l := listen(t, network, "", &conn.ListenOptions{Key: []byte("k")})
			cmd := unrelated.Command(ctx, network, l.Addr().String())
			cmd.Stderr = os.Stderr
			check(t, cmd.Start())
			c := must(l.Accept(ctx))(t)
			x, y := net.Pipe()
			check(t, x.Close())
			check(t, y.Close())
			tl := must(net.Listen("tcp", "127.0.0.1:0"))(t)
			d := must(net.Dial("tcp", tl.Addr().String()))(t)
			s := must(tl.Accept())(t)
			check(t, tl.Close())
			mine, theirs := packets(t)
			e := everything{
				File: pipeFile(t, "text"), Socket: d, Conn: theirs,
				Queue: must(multiproc.NewQueue[string](nil))(t), Lock: must(multiproc.NewMutex())(t),
				Value: must(multiproc.NewValue(41))(t), Seg: must(shm.New(&shm.Options{Size: 100}))(t),
			}
			check(t, c.Send(ctx, e))
			for _, f := range []io.Closer{e.File, e.Socket, theirs} {
				check(t, f.Close())
			}
			if done := must(conn.Recv[string](ctx, c))(t); done != "done" {
				t.Error(done)
			}
			if got := readAll(t, s); got != "text" {
				t.Errorf("socket: %q", got)
			}
			if got := must(conn.Recv[string](ctx, mine))(t); got != "text" {
				t.Errorf("connection: %q", got)
			}
			if got := must(e.Queue.Get(ctx))(t); got != "from another family" {
				t.Errorf("queue: %q", got)
			}
			if n := must(e.Value.Load())(t); n != 42 {
				t.Errorf("value: %d", n)
			}
			if got := string(e.Seg.Bytes()[:17]); got != "written elsewhere" {
				t.Errorf("segment: %q", got)
			}
			check(t, cmd.Wait())
			check(t, e.Seg.Close())
			check(t, mine.Close())
			check(t, c.Close())
		})
	}
}
