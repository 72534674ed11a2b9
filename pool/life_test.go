package pool_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/fb2d3dbd/multiproc"
	"github.com/fb2d3dbd/multiproc/internal/proctest"
	"github.com/fb2d3dbd/multiproc/pool"
)

// A deadline that has passed, and a context that has ended, begin nothing.
func TestEndedContext(t *testing.T) {
	p := start(t, act, nil)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.Apply(ended, "echo"); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	for _, err := range p.IMap(ended, slices.Values([]string{"echo"})) {
		if !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
	if s := p.Stats(); s.Begun != 0 {
		t.Errorf("%+v", s)
	}
}

func TestTasksPerWorker(t *testing.T) {
	p := start(t, act, &pool.Options{Workers: 3, TasksPerWorker: 10})
	ctx := proctest.Context(t)
	for _, chunk := range []int{1, 7, 100} {
		got, err := p.With(&pool.CallOptions{Chunk: chunk}).Map(ctx, slices.Repeat([]string{"pid"}, 100))
		if err != nil {
			t.Fatal(err)
		}
		count := map[string]int{}
		for _, pid := range got {
			count[pid]++
		}
		for pid, n := range count {
			if n > 10 {
				t.Errorf("process %s ran %d tasks", pid, n)
			}
		}
	}
	finish(t, p)
	if s := p.Stats(); s.Died != 0 || s.Started < 30 {
		t.Errorf("%+v", s)
	}
}

type counter struct {
	path string
	n    int
}

func (c *counter) Close() error { return os.WriteFile(c.path, []byte(strconv.Itoa(c.n)), 0o600) }

var counting = pool.NewFuncInit("counting", func(_ context.Context, dir string) (counter, error) {
	if dir == "" {
		return counter{}, errors.New("no folder")
	}
	return counter{path: fmt.Sprintf("%s/%d", dir, os.Getpid())}, nil
}, func(_ context.Context, c *counter, n int) (int, error) {
	c.n += n
	return c.n, nil
})

// Each worker has its state, which is closed when it leaves in order.
func TestInitializer(t *testing.T) {
	dir := t.TempDir()
	p := start(t, counting.With(dir), &pool.Options{Workers: 1})
	for i := 1; i <= 3; i++ {
		if n, err := p.Apply(proctest.Context(t), 5); n != 5*i || err != nil {
			t.Error(n, err)
		}
	}
	q := start(t, counting.With(dir), &pool.Options{Workers: 2}) // does nothing
	finish(t, q)
	finish(t, p)
	files, err := os.ReadDir(dir)
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	sum := 0
	for _, f := range files {
		b, _ := os.ReadFile(dir + "/" + f.Name())
		n, _ := strconv.Atoi(string(b))
		sum += n
	}
	if sum != 15 {
		t.Errorf("the states have counted %d", sum)
	}
}

// Workers that die at start again and again: a clear error, and no storm.
func TestBreaker(t *testing.T) {
	p := start(t, counting.With(""), &pool.Options{Workers: 2, StartFailures: 4})
	ctx := proctest.Context(t)
	_, err := p.Apply(ctx, 1)
	if !errors.Is(err, pool.ErrBroken) || !strings.Contains(err.Error(), "no folder") {
		t.Error(err)
	}
	if _, err := p.Map(ctx, []int{1}); !errors.Is(err, pool.ErrBroken) {
		t.Error(err)
	}
	if s := p.Stats(); s.Started > 8 {
		t.Errorf("%+v", s)
	}
	if err := p.Join(ctx); err != nil {
		t.Error(err)
	}
}

// A pool whose processes cannot all be started leaves none.
func TestNotStarted(t *testing.T) {
	if multiproc.DefaultStartMethod() != multiproc.Spawn {
		t.Skip("a copy runs no other program")
	}
	p, err := pool.New(act, &pool.Options{Workers: 3, Process: multiproc.ProcessOptions{Executable: "/nowhere/to/be/found"}})
	if p != nil || !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	if n := len(multiproc.ActiveChildren()); n != 0 {
		t.Errorf("%d children", n)
	}
}

var hoard = pool.NewFunc("hoard", func(ctx context.Context, n int) (int, error) {
	b := make([]byte, n)
	for i := range b {
		b[i] = 1
	}
	if n > 100<<20 {
		select {}
	}
	return len(b), nil
})

func TestMemoryLimit(t *testing.T) {
	p := start(t, hoard, &pool.Options{Workers: 2, MemoryLimit: 100 << 20})
	got, err := p.With(&pool.CallOptions{Chunk: 4}).Map(proctest.Context(t), []int{1 << 20, 200 << 20, 1 << 20, 2 << 20})
	var m *pool.MapError
	if !errors.As(err, &m) || len(m.Tasks) != 1 || m.Tasks[0].Index != 1 || !errors.Is(err, pool.ErrMemory) || got[3] != 2<<20 {
		t.Error(got, err)
	}
	finish(t, p)
}

// A pool in a worker of a pool.
var inner = pool.NewFunc("inner", func(ctx context.Context, n int) (int, error) {
	p, err := pool.New(square, &pool.Options{Workers: 2})
	if err != nil {
		return 0, err
	}
	defer p.Terminate()
	got, err := p.Map(ctx, numbers(n))
	sum := 0
	for _, v := range got {
		sum += v
	}
	return sum, errors.Join(err, p.Close(), p.Join(ctx))
})

func TestPoolInAWorker(t *testing.T) {
	p := start(t, inner, &pool.Options{Workers: 2})
	got, err := p.Map(proctest.Context(t), []int{10, 20})
	if err != nil || !slices.Equal(got, []int{285, 2470}) {
		t.Error(got, err)
	}
	finish(t, p)
}

type job struct {
	N   int
	Out *multiproc.Queue[int]
	Sum *multiproc.Value[int64]
}

var handled = pool.NewFunc("handled", func(ctx context.Context, j job) (*multiproc.Value[int64], error) {
	if _, err := multiproc.Add(j.Sum, int64(j.N)); err != nil {
		return nil, err
	}
	return j.Sum, j.Out.Put(ctx, j.N)
})

// Handles in arguments and results refer to the same objects.
func TestHandles(t *testing.T) {
	p := start(t, handled, &pool.Options{Workers: 2})
	ctx := proctest.Context(t)
	out, err := multiproc.NewQueue[int](nil)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Free()
	sum, err := multiproc.NewValue[int64](0)
	if err != nil {
		t.Fatal(err)
	}
	defer sum.Free()
	got, err := p.Map(ctx, []job{{1, out, sum}, {2, out, sum}, {3, out, sum}})
	if err != nil {
		t.Fatal(err)
	}
	if n, err := got[0].Load(); n != 6 || err != nil {
		t.Error(n, err)
	}
	total := 0
	for range 3 {
		n, err := out.Get(ctx)
		if err != nil {
			t.Fatal(err)
		}
		total += n
	}
	if total != 6 {
		t.Error(total)
	}
	finish(t, p)
}

// lonely is a program that dies with a pool at work.
var lonely = proctest.NewProgram("lonely pool", func() int {
	multiproc.Init()
	setMethod()
	p, err := pool.New(act, &pool.Options{Workers: 2})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	for _, w := range p.Workers() {
		fmt.Println(w.PID())
	}
	p.ApplyAsync(context.Background(), "ignore")
	if len(os.Args) > 1 {
		proctest.Suicide()
	}
	return 0
})

// Workers end with their parent, which need not have closed its pool.
func TestParentDies(t *testing.T) {
	for _, args := range [][]string{nil, {"killed"}} {
		out, err := lonely.Command(proctest.Context(t), args...).Output()
		if (err == nil) != (args == nil) {
			t.Fatal(err)
		}
		pids := strings.Fields(string(out))
		if len(pids) != 2 {
			t.Fatalf("%q", out)
		}
		for _, s := range pids {
			pid, err := strconv.Atoi(s)
			if err != nil {
				t.Fatal(err)
			}
			proctest.Eventually(t, func() bool { return !proctest.Running(t, pid) }, "a worker ends with its parent")
		}
	}
}
