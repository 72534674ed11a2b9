package conn_test

import (
	"context"
	"io"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"github.com/fb2d3dbd/multiproc/conn"
	"github.com/fb2d3dbd/multiproc/internal/proctest"
	"github.com/fb2d3dbd/multiproc/spawn"
)

// Many goroutines send over one end and many receive from the other, while receives are given up all the time.
func TestManyGoroutines(t *testing.T) {
	each(t, func(t *testing.T, a, b *conn.Conn) {
		ctx := proctest.Context(t)
		const senders, receivers, n = 4, 3, 60
		var sending, receiving sync.WaitGroup
		for s := range uint64(senders) {
			sending.Go(func() {
				for seq := uint64(1); seq <= n; seq++ {
					m := stamped(s, seq, sizeOf(seq))
					var err error
					if seq%3 == 0 {
						if err = a.TrySendBytes(m); err == conn.ErrFull {
							err = a.SendBytes(ctx, m)
						}
					} else {
						err = a.SendBytes(ctx, m)
					}
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
		var mu sync.Mutex
		seen := map[[2]uint64]bool{}
		for range receivers {
			receiving.Go(func() {
				last := map[uint64]uint64{}
				for i := 0; ; i++ {
					short, cancel := context.WithCancel(ctx)
					if i%4 == 0 {
						go cancel()
					}
					m, err := b.RecvBytes(short)
					cancel()
					if err == context.Canceled {
						continue
					}
					if err == io.EOF {
						return
					}
					if err != nil {
						t.Error(err)
						return
					}
					s, seq, err := readStamp(m)
					if err != nil || seq <= last[s] {
						t.Errorf("message %d of %d after %d: %v", seq, s, last[s], err)
						return
					}
					last[s] = seq
					mu.Lock()
					if seen[[2]uint64{s, seq}] {
						t.Errorf("message %d of %d came twice", seq, s)
					}
					seen[[2]uint64{s, seq}] = true
					mu.Unlock()
				}
			})
		}
		sending.Wait()
		check(t, a.Close())
		receiving.Wait()
		if len(seen) != senders*n {
			t.Errorf("%d messages of %d came", len(seen), senders*n)
		}
	})
}

type listening struct {
	Path  string
	Ready *conn.Conn
}

var listens = spawn.NewTarget("conn-listens", func(ctx context.Context, l listening) error {
	if _, err := conn.Listen("unix", l.Path, nil); err != nil {
		return err
	}
	if err := l.Ready.Send(ctx, true); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
})

// The socket of a listener that was killed is replaced, also when several want it at once: one gets it. That of one who is stopped is his.
func TestListenerKilled(t *testing.T) {
	ctx := proctest.Context(t)
	path := filepath.Join(tempDir(t), "s")
	for range 5 {
		a, b := packets(t)
		p := startProcess(t, listens, listening{path, b})
		must(conn.Recv[bool](ctx, a))(t)
		if err := p.Signal(syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		<-p.Done()
		var won sync.Map
		var all sync.WaitGroup
		for i := range 4 {
			all.Go(func() {
				l, err := conn.Listen("unix", path, nil)
				if err == nil {
					won.Store(i, l)
				} else {
					want(t, err, syscall.EADDRINUSE)
				}
			})
		}
		all.Wait()
		n := 0
		won.Range(func(_, l any) bool {
			n++
			c := must(conn.Dial(ctx, "unix", path, nil))(t)
			check(t, must(l.(*conn.Listener).Accept(ctx))(t).Close())
			check(t, c.Close())
			check(t, l.(*conn.Listener).Close())
			return true
		})
		if n != 1 {
			t.Errorf("%d of 4 got the dead one's path", n)
		}
		check(t, a.Close())
		check(t, b.Close())
	}
	a, b := packets(t)
	p := startProcess(t, listens, listening{path, b})
	must(conn.Recv[bool](ctx, a))(t)
	proctest.Stop(t, p.PID())
	_, err := conn.Listen("unix", path, nil)
	want(t, err, syscall.EADDRINUSE)
	check(t, p.Kill())
	<-p.Done()
	check(t, a.Close())
	check(t, b.Close())
}
