package multiproc_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"sync"
	"testing"

	"github.com/fb2d3dbd/multiproc"
	"github.com/fb2d3dbd/multiproc/conn"
	"github.com/fb2d3dbd/multiproc/futex"
	"github.com/fb2d3dbd/multiproc/internal/proctest"
)

// wantReady waits for objects and fails the test unless exactly those are ready.
func wantReady(t testing.TB, objects []any, ready ...any) {
	t.Helper()
	got, err := multiproc.Wait(proctest.Context(t), objects...)
	check(t, err)
	if !slices.Equal(got, ready) {
		t.Errorf("ready are %T, want %T", got, ready)
	}
}

var waitSender = multiproc.NewTarget("waitSender", func(ctx context.Context, end *multiproc.PipeEnd) error {
	for i := range 10 {
		if err := end.Send(ctx, []any{i, os.Getpid()}); err != nil {
			return err
		}
	}
	return end.Close()
})

// TestWaitPipes is CPython's TestWait.test_wait: readers are taken out when they are at their end.
func TestWaitPipes(t *testing.T) {
	ctx := proctest.Context(t)
	var readers []any
	for range 4 {
		r, w := newPipe(t, false)
		start(t, waitSender, w, nil)
		check(t, w.Close())
		readers = append(readers, r)
	}
	got := map[int]int{}
	for len(readers) > 0 {
		ready, err := multiproc.Wait(ctx, readers...)
		check(t, err)
		for _, r := range ready {
			msg, err := multiproc.Recv[[]any](ctx, r.(*multiproc.PipeEnd))
			if errors.Is(err, io.EOF) {
				readers = slices.DeleteFunc(readers, func(x any) bool { return x == r })
				continue
			}
			check(t, err)
			if got[msg[1].(int)] != msg[0] {
				t.Errorf("message %v of process %v, want %d", msg[0], msg[1], got[msg[1].(int)])
			}
			got[msg[1].(int)]++
		}
	}
	for pid, n := range got {
		if n != 10 {
			t.Errorf("%d messages of process %d", n, pid)
		}
	}
	if len(got) != 4 {
		t.Errorf("messages of %d processes", len(got))
	}
}

// TestWaitSockets is CPython's test_wait_socket: children write lines to sockets.
func TestWaitSockets(t *testing.T) {
	ctx := proctest.Context(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	defer l.Close()
	const n = 4
	for i := range n {
		go func() {
			c, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				t.Error(err)
				return
			}
			for k := range 10 {
				fmt.Fprintf(c, "%d.%d\n", i, k)
			}
			c.Close()
		}()
	}
	read := map[any]*bufio.Reader{}
	waitFor := []any{l}
	lines := 0
	for accepted := 0; len(waitFor) > 0; {
		ready, err := multiproc.Wait(ctx, waitFor...)
		check(t, err)
		for _, o := range ready {
			if o == l {
				c, err := l.Accept()
				check(t, err)
				read[c] = bufio.NewReaderSize(c, 16)
				waitFor = append(waitFor, c)
				if accepted++; accepted == n {
					waitFor = waitFor[1:]
				}
				continue
			}
			for more := true; more; more = read[o].Buffered() > 0 {
				_, err := read[o].ReadString('\n')
				if err == nil {
					lines++
					continue
				}
				if err != io.EOF {
					t.Fatal(err)
				}
				o.(net.Conn).Close()
				waitFor = slices.DeleteFunc(waitFor, func(x any) bool { return x == o })
				break
			}
		}
	}
	if lines != n*10 {
		t.Errorf("%d lines", lines)
	}
}

// TestWaitTimeout is CPython's test_wait_timeout and test_neg_timeout.
func TestWaitTimeout(t *testing.T) {
	a, b := newPipe(t, true)
	_, err := multiproc.Wait(ended(), a, b)
	want(t, err, context.Canceled)
	ready, err := multiproc.TryWait(a, b)
	if len(ready) > 0 || err != nil {
		t.Errorf("ready are %v, %v", ready, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { _, err := multiproc.Wait(ctx, a, b); done <- err }()
	cancel()
	want(t, <-done, context.Canceled)
	check(t, b.Send(t.Context(), nil))
	wantReady(t, []any{a, b}, a)
	if ready, err := multiproc.Wait(ended(), a, b); err != nil || len(ready) != 1 {
		t.Errorf("a context that has ended keeps from finding what is ready: %v, %v", ready, err)
	}
}

var waitGo = multiproc.NewTarget("waitGo", func(ctx context.Context, end *multiproc.PipeEnd) error {
	_, err := end.Recv(ctx)
	return err
})

// TestWaitKinds makes one object of each kind ready, one after the other, while somebody waits for all; then looks at all at once. With a process it is CPython's test_wait_integer.
func TestWaitKinds(t *testing.T) {
	ctx := proctest.Context(t)
	mine, child := newPipe(t, true)
	p := start(t, waitGo, child, nil)
	r, w := newPipe(t, false)
	q := newQueue[int](t, nil)
	sq := must(multiproc.NewSimpleQueue[int]())(t)
	jq := must(multiproc.NewJoinableQueue[string](nil))(t)
	mu, rl := newMutex(t), must(multiproc.NewRLock())(t)
	sem, bounded := must(multiproc.NewSemaphore(0, nil))(t), must(multiproc.NewBoundedSemaphore(1))(t)
	event := must(multiproc.NewEvent())(t)
	check(t, mu.Lock(ctx))
	check(t, rl.Lock(ctx))
	check(t, bounded.Acquire(ctx))
	fr, fw, err := os.Pipe()
	check(t, err)
	defer fr.Close()
	defer fw.Close()
	c1, c2, err := conn.Pipe(true)
	check(t, err)
	defer c1.Close()
	defer c2.Close()
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	check(t, err)
	defer l.Close()
	cl, err := conn.Listen("unix", "", nil)
	check(t, err)
	defer cl.Close()
	over, cancel := context.WithCancel(ctx)
	defer cancel()

	kinds := []struct {
		object any
		act    func() error
	}{
		{r, func() error { return w.Send(ctx, 1) }},
		{q, func() error { return q.Put(ctx, 1) }},
		{sq, func() error { return sq.Put(ctx, 1) }},
		{jq, func() error { return jq.Put(ctx, "x") }},
		{mu, mu.Unlock},
		{rl, rl.Unlock},
		{sem, sem.Release},
		{bounded, bounded.Release},
		{event, event.Set},
		{fr, func() error { _, err := fw.WriteString("x"); return err }},
		{c1, func() error { return c2.Send(ctx, 1) }},
		{l, func() error { c, err := net.Dial("unix", l.Addr().String()); _ = c; return err }},
		{cl, func() error { c, err := conn.Dial(ctx, "unix", cl.Addr().String(), nil); _ = c; return err }},
		{over, func() error { cancel(); return nil }},
		{p, func() error { return mine.Send(ctx, 1) }},
	}
	var all, ready []any
	for _, k := range kinds {
		all = append(all, k.object)
	}
	for i, k := range kinds {
		got := make(chan []any)
		go func() {
			r, err := multiproc.Wait(ctx, all[i:]...)
			if err != nil {
				t.Error(err)
			}
			got <- r
		}()
		runtime.Gosched()
		check(t, k.act())
		if r := <-got; !reflect.DeepEqual(r, []any{k.object}) {
			t.Errorf("%T: ready are %T", k.object, r)
		}
		ready = append(ready, k.object)
		wantReady(t, all, ready...)
	}
	if v, err := r.Recv(ctx); v != 1 || err != nil { // nothing was taken
		t.Errorf("received %v, %v", v, err)
	}
	for _, bad := range []any{nil, 3, "x", new(multiproc.Mutex), new(multiproc.PipeEnd), make(chan int)} {
		if _, err := multiproc.TryWait(bad); err == nil {
			t.Errorf("a %T was waited for", bad)
		}
	}
}

// TestWaitClosed waits for what is closed before and meanwhile: it is ready.
func TestWaitClosed(t *testing.T) {
	ctx := proctest.Context(t)
	idle, _ := newPipe(t, true)
	for _, before := range []bool{true, false} {
		a, _ := newPipe(t, true)
		c, d := newPipe(t, true)
		r, w := newPipe(t, false)
		q := newQueue[int](t, nil)
		fr, fw, err := os.Pipe()
		check(t, err)
		defer fw.Close()
		c1, c2, err := conn.Pipe(true)
		check(t, err)
		defer c2.Close()
		cl, err := conn.Listen("unix", "", nil)
		check(t, err)
		for _, k := range []struct {
			object any
			close  func() error
		}{{a, a.Close}, {c, d.Close}, {w, r.Close}, {q, q.Close}, {fr, fr.Close}, {c1, c1.Close}, {cl, cl.Close}} {
			if before {
				check(t, k.close())
				wantReady(t, []any{idle, k.object}, k.object)
				continue
			}
			got := make(chan []any)
			go func() {
				r, err := multiproc.Wait(ctx, idle, k.object)
				if err != nil {
					t.Error(err)
				}
				got <- r
			}()
			for range 50 {
				runtime.Gosched()
			}
			check(t, k.close())
			if r := <-got; !slices.Equal(r, []any{k.object}) {
				t.Errorf("%T: ready are %T", k.object, r)
			}
		}
	}
}

func TestWaitNothing(t *testing.T) {
	if ready, err := multiproc.TryWait(); len(ready) > 0 || err != nil {
		t.Errorf("ready are %v, %v", ready, err)
	}
	if _, err := multiproc.Wait(context.Background()); err == nil {
		t.Error("a wait for nothing, without an end, ended well")
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { _, err := multiproc.Wait(ctx); done <- err }()
	cancel()
	want(t, <-done, context.Canceled)
}

// TestWaitDeaths kills processes on which the readiness of what is waited for depends.
func TestWaitDeaths(t *testing.T) {
	ctx := proctest.Context(t)
	a, b := newPipe(t, true)
	mu, sem := newMutex(t), must(multiproc.NewBoundedSemaphore(1))(t)
	p := start(t, waitHolder, waitHeld{b, mu, sem}, nil)
	check(t, b.Close())
	must(a.Recv(ctx))(t)
	got := make(chan []any)
	objects := []any{a, mu, sem, p}
	for _, o := range objects {
		go func() {
			r, err := multiproc.Wait(ctx, o)
			if err != nil {
				t.Error(err)
			}
			got <- r
		}()
	}
	if ready, err := multiproc.TryWait(objects...); len(ready) > 0 || err != nil {
		t.Errorf("ready are %v, %v", ready, err)
	}
	kill(t, p)
	for range objects {
		<-got
	}
	want(t, mu.TryLock(), multiproc.ErrOwnerDied)
	check(t, sem.TryAcquire())
	_, err := a.Recv(ctx)
	want(t, err, io.EOF)
}

type waitHeld struct {
	End *multiproc.PipeEnd
	Mu  *multiproc.Mutex
	Sem *multiproc.BoundedSemaphore
}

var waitHolder = multiproc.NewTarget("waitHolder", func(ctx context.Context, h waitHeld) error {
	if err := errors.Join(h.Mu.Lock(ctx), h.Sem.Acquire(ctx), h.End.Send(ctx, 1)); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
})

// TestWaitMany waits for a thousand objects of all kinds at once, from several goroutines, and finds each as it becomes ready.
func TestWaitMany(t *testing.T) {
	ctx := proctest.Context(t)
	const n = 1000
	before, threads := proctest.FDs(t), proctest.Threads(t, os.Getpid())
	var objects []any
	var acts []func() error
	for i := range n {
		switch i % 4 {
		case 0:
			a, b := newPipe(t, false)
			objects, acts = append(objects, a), append(acts, func() error { return b.Send(ctx, i) })
		case 1:
			x := must(multiproc.NewEvent())(t)
			objects, acts = append(objects, x), append(acts, x.Set)
		case 2:
			s := must(multiproc.NewSemaphore(0, &multiproc.SemaphoreOptions{Max: 2}))(t)
			objects, acts = append(objects, s), append(acts, s.Release)
		default:
			r, w, err := os.Pipe()
			check(t, err)
			defer r.Close()
			defer w.Close()
			objects, acts = append(objects, r), append(acts, func() error { _, err := w.Write([]byte{1}); return err })
		}
	}
	fds := proctest.FDs(t)
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			left := slices.Clone(objects)
			for len(left) > 0 {
				ready, err := multiproc.Wait(ctx, left...)
				if err != nil {
					t.Error(err)
					return
				}
				k := 0
				left = slices.DeleteFunc(left, func(o any) bool {
					if k < len(ready) && o == ready[k] {
						k++
						return true
					}
					return false
				})
				if k != len(ready) {
					t.Errorf("%d of %d are ready in order", k, len(ready))
					return
				}
			}
		})
	}
	for i := 0; i < n; i += 50 {
		for k := range 50 {
			check(t, acts[(i+k)*7%n]())
		}
		runtime.Gosched()
	}
	wg.Wait()
	proctest.Eventually(t, func() bool { return proctest.FDs(t) <= fds }, "the waits leave no descriptors")
	if now := proctest.Threads(t, os.Getpid()); now > threads+24 {
		t.Errorf("%d threads, %d before", now, threads)
	}
	_ = before
}

// TestWaitPasses has one wait for an object of which another process's and its own goroutines take: who only waits takes nobody's wake-up away.
func TestWaitPasses(t *testing.T) {
	ctx := proctest.Context(t)
	a, b := newPipe(t, true)
	p := start(t, pipeEcho, b, nil)
	stop, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for {
				if _, err := multiproc.Wait(stop, a, b); err != nil {
					return
				}
				runtime.Gosched()
			}
		})
	}
	for i := range 300 {
		check(t, a.Send(ctx, i))
		if v, err := a.Recv(ctx); v != i || err != nil {
			t.Fatalf("received %v, %v", v, err)
		}
	}
	cancel()
	wg.Wait()
	check(t, b.Close())
	check(t, a.Close())
	wait(t, p)
}

// Objects of the packages below can be waited for as well.
func TestWaitBelow(t *testing.T) {
	mem := make([]byte, 8)
	mu := must(futex.NewMutex(mem, futex.Local{}))(t)
	check(t, mu.Lock(t.Context()))
	if ready, err := multiproc.TryWait(mu); len(ready) > 0 || err != nil {
		t.Errorf("ready are %v, %v", ready, err)
	}
	check(t, mu.Unlock())
	wantReady(t, []any{mu}, mu)
}
