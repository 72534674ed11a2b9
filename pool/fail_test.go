package pool_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fb2d3dbd/multiproc"
	"github.com/fb2d3dbd/multiproc/internal/proctest"
	"github.com/fb2d3dbd/multiproc/pool"
)

func taskError(t testing.TB, err error) *pool.TaskError {
	t.Helper()
	var e *pool.TaskError
	if !errors.As(err, &e) {
		t.Fatalf("%v is no *TaskError", err)
	}
	return e
}

func TestErrorsOfTheFunction(t *testing.T) {
	p := start(t, act, nil)
	ctx := proctest.Context(t)
	_, err := p.Apply(ctx, "error oh dear")
	var remote *pool.RemoteError
	if !errors.As(err, &remote) || remote.Text != "oh dear" || remote.Type != "*errors.errorString" || remote.Panic {
		t.Errorf("%#v", err)
	}
	if e := taskError(t, err); e.Func != "act" || e.Index != 0 {
		t.Errorf("%#v", e)
	}
	if _, err = p.Apply(ctx, "wrapped"); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "looking for it") {
		t.Error(err)
	}
	var age ageError
	if _, err = p.Apply(ctx, "typed"); !errors.As(err, &age) || age.Age != 7 || !strings.Contains(err.Error(), "deep") {
		t.Error(err)
	}
	_, err = p.Apply(ctx, "panic oh no")
	if !errors.As(err, &remote) || !remote.Panic || remote.Text != "oh no" || !strings.Contains(remote.Stack, "main_test.go") {
		t.Errorf("%v\n%s", err, remote.Stack)
	}
	if _, err = p.Apply(ctx, "goexit"); err == nil || !strings.Contains(err.Error(), "Goexit") {
		t.Error(err)
	}
	if s := p.Stats(); s.Died != 0 {
		t.Errorf("%+v", s)
	}
	finish(t, p)
}

// All of a call are run, whatever becomes of some of them, in chunks or not.
func TestMapErrors(t *testing.T) {
	p := start(t, act, nil)
	for _, chunk := range []int{0, 1, 5, 12} {
		got, err := p.With(pool.CallOptions{Chunk: chunk}).Map(proctest.Context(t),
			[]string{"echo a", "error b", "panic c", "echo d", "goexit", "goexit", "echo e", "nonsense", "echo f", "goexit"})
		if want := []string{"a", "", "", "d", "", "", "e", "", "f", ""}; !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
		var m *pool.MapError
		if !errors.As(err, &m) {
			t.Fatal(err)
		}
		var failed []int
		for _, e := range m.Tasks {
			failed = append(failed, e.Index)
		}
		if !slices.Equal(failed, []int{1, 2, 4, 5, 7, 9}) || m.NotBegun != 0 || !strings.Contains(err.Error(), "5 more") {
			t.Error(failed, err)
		}
	}
	finish(t, p)
}

// fickle is what encodes itself, or does not.
type fickle struct{ Text string }

func (f fickle) MarshalBinary() ([]byte, error) {
	if f.Text == "unsendable" {
		return nil, errors.New("cannot be sent")
	}
	return []byte(f.Text), nil
}

func (f *fickle) UnmarshalBinary(b []byte) error {
	if string(b) == "unreadable" {
		return errors.New("cannot be read")
	}
	f.Text = string(b)
	return nil
}

var pass = pool.NewFunc("pass", func(_ context.Context, f fickle) (fickle, error) {
	return fickle{strings.TrimPrefix(f.Text, "un-")}, nil
})

// What cannot be encoded or decoded, on the way there or back, is an error of that task, and never a hang.
func TestEncodingErrors(t *testing.T) {
	p := start(t, pass, nil)
	ctx := proctest.Context(t)
	for range 20 {
		for text, want := range map[string]string{
			"unsendable": "argument: ", "unreadable": "argument: ", "un-unsendable": "result: ", "un-unreadable": "result: ",
		} {
			_, err := p.Apply(ctx, fickle{text})
			if !errors.Is(err, pool.ErrEncoding) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "cannot be") {
				t.Fatalf("%q: %v", text, err)
			}
		}
	}
	in := slices.Repeat([]fickle{{"unsendable"}, {"ok"}, {"un-unsendable"}, {"unreadable"}}, 10)
	for _, chunk := range []int{0, 1, 3, 40} {
		got, err := p.With(pool.CallOptions{Chunk: chunk}).Map(ctx, in)
		var m *pool.MapError
		if !errors.As(err, &m) || len(m.Tasks) != 30 || m.NotBegun != 0 {
			t.Fatal(err)
		}
		for i, f := range got {
			if f.Text != map[bool]string{true: "ok"}[i%4 == 1] {
				t.Errorf("%d: %q", i, f.Text)
			}
		}
	}
	if s := p.Stats(); s.Died != 0 {
		t.Errorf("%+v", s)
	}
	finish(t, p)
}

var (
	badResult = pool.NewFunc("bad result", func(context.Context, int) (func(), error) { return nil, nil })
	blob      = pool.NewFunc("blob", func(_ context.Context, n int) ([]byte, error) { return make([]byte, n), nil })
	measure   = pool.NewFunc("measure", func(_ context.Context, v pool.View) (int, error) {
		sum := 0
		for _, b := range v {
			sum += int(b)
		}
		return sum, nil
	})
	reverse = pool.NewFunc("reverse", func(_ context.Context, b []byte) ([]byte, error) {
		slices.Reverse(b)
		return b, nil
	})
	floats = pool.NewFunc("floats", func(_ context.Context, x [3]float64) (float64, error) { return x[0] + x[1] + x[2], nil })
)

func TestTypesThatCannotTravel(t *testing.T) {
	if p, err := pool.New(badResult, nil); p != nil || err == nil || !strings.Contains(err.Error(), `result of "bad result"`) {
		t.Error(err)
	}
}

func TestLargeValues(t *testing.T) {
	p := start(t, reverse, &pool.Options{Bytes: 8 << 20})
	ctx := proctest.Context(t)
	var in [][]byte
	for _, n := range []int{0, 1, 100, 5000, 70_000, 1 << 20, 3 << 20} {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(i * 7 / 3)
		}
		in = append(in, b)
	}
	for range 3 {
		got, err := p.Map(ctx, in)
		if err != nil {
			t.Fatal(err)
		}
		for i := range in {
			want := slices.Clone(in[i])
			slices.Reverse(want)
			if !slices.Equal(got[i], want) {
				t.Errorf("%d bytes differ", len(want))
			}
		}
	}
	if _, err := p.Apply(ctx, make([]byte, 20<<20)); !errors.Is(err, pool.ErrEncoding) {
		t.Error(err)
	}
	big := start(t, blob, &pool.Options{Bytes: 1 << 20})
	for _, n := range []int{2 << 20, 1 << 19} {
		b, err := big.Apply(ctx, n)
		if tooLarge := n > 1<<20; tooLarge != errors.Is(err, pool.ErrEncoding) || !tooLarge && len(b) != n {
			t.Error(len(b), err)
		}
	}
	view := start(t, measure, nil)
	sums, err := view.Map(ctx, []pool.View{nil, []byte{1, 2, 3}, slices.Repeat([]byte{1}, 1<<20)})
	if err != nil || !slices.Equal(sums, []int{0, 6, 1 << 20}) {
		t.Error(sums, err)
	}
	raw := start(t, floats, nil)
	if x, err := raw.Apply(ctx, [3]float64{1, 2, math.Pi}); x != 3+math.Pi || err != nil {
		t.Error(x, err)
	}
}

// Exactly the task in the hands of a worker that dies fails, and is told how; the pool is back at its strength.
func TestWorkerDeath(t *testing.T) {
	p := start(t, act, &pool.Options{Workers: 2, Process: quiet(t)})
	ctx := proctest.Context(t)
	for _, chunk := range []int{0, 1, 4, 100} {
		in := slices.Repeat([]string{"echo x", "kill", "echo y", "exit", "echo z", "crash oh"}, 3)
		got, err := p.With(pool.CallOptions{Chunk: chunk}).Map(ctx, in)
		var m *pool.MapError
		if !errors.As(err, &m) || len(m.Tasks) != 9 {
			t.Fatal(err)
		}
		for i, v := range got {
			if i%2 == 0 && v != strings.TrimPrefix(in[i], "echo ") || i%2 == 1 && v != "" {
				t.Errorf("%d: %q", i, v)
			}
		}
		for _, e := range m.Tasks {
			var died *pool.WorkerDiedError
			if !errors.As(e, &died) || !errors.Is(e, pool.ErrWorkerDied) || died.PID == 0 || !strings.HasPrefix(died.Worker, "act-") {
				t.Fatalf("%#v", e)
			}
			switch {
			case in[e.Index] == "kill" && died.Signal != syscall.SIGKILL,
				in[e.Index] == "exit" && (died.Signal != 0 || died.Code != 3),
				in[e.Index] == "crash oh" && (died.Code != 2 || !strings.Contains(died.Text, "panic: oh") || died.Stack == ""):
				t.Errorf("%s: %+v", in[e.Index], died)
			}
		}
	}
	proctest.Eventually(t, func() bool { return p.Stats().Workers == 2 }, "the pool is back at its strength")
	finish(t, p)
}

// Workers that are killed while they wait, from outside: nobody notices.
func TestIdleWorkersKilled(t *testing.T) {
	p := start(t, act, &pool.Options{Workers: 2, Process: quiet(t)})
	ctx := proctest.Context(t)
	for range 5 {
		for _, w := range p.Workers() {
			_ = w.Kill()
		}
		if v, err := p.Apply(ctx, "echo a"); err != nil && !errors.Is(err, pool.ErrWorkerDied) || err == nil && v != "a" {
			t.Fatal(v, err)
		}
	}
	finish(t, p)
}

// A retry goes to another worker; what kills all of them is named.
func TestRetries(t *testing.T) {
	p := start(t, act, &pool.Options{Workers: 2, Process: quiet(t)})
	ctx := proctest.Context(t)
	q := p.With(pool.CallOptions{Retries: 2, Chunk: 3})
	got, err := q.Map(ctx, []string{"echo a", "kill", "echo b"})
	var m *pool.MapError
	if !errors.As(err, &m) || len(m.Tasks) != 1 || !slices.Equal(got, []string{"a", "", "b"}) {
		t.Fatal(got, err)
	}
	e := m.Tasks[0]
	if !errors.Is(err, pool.ErrPoison) || e.Index != 1 || e.Attempts != 3 || !strings.Contains(e.Error(), `task 1 of "act" has killed 3 workers`) {
		t.Error(err)
	}
	if s := p.Stats(); s.Retried != 2 {
		t.Errorf("%+v", s)
	}
	once := start(t, dieOnce, &pool.Options{Workers: 1})
	first := t.TempDir() + "/first"
	if v, err := once.With(pool.CallOptions{Retries: 1}).Apply(ctx, first); v != "second" || err != nil {
		t.Error(v, err)
	}
	if _, err := p.Apply(ctx, "kill"); errors.Is(err, pool.ErrPoison) {
		t.Error("one death makes no poison")
	}
	finish(t, p)
}

var dieOnce = pool.NewFunc("die once", func(_ context.Context, mark string) (string, error) {
	if _, err := os.Stat(mark); err == nil {
		return "second", nil
	}
	if err := os.WriteFile(mark, nil, 0o600); err != nil {
		return "", err
	}
	return "", suicide()
})

// A context that ends is the task's; one that takes no notice costs its worker, and nobody else.
func TestCancel(t *testing.T) {
	ctx := proctest.Context(t)
	patient := start(t, act, &pool.Options{Workers: 2, Grace: time.Minute})
	short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
	defer cancel()
	if _, err := patient.Apply(short, "wait"); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, pool.ErrWorkerDied) {
		t.Error(err)
	}
	finish(t, patient)
	if s := patient.Stats(); s.Died != 0 {
		t.Errorf("%+v", s)
	}
	p := start(t, act, &pool.Options{Workers: 2, Grace: 50 * time.Millisecond})
	for _, verb := range []string{"ignore", "stop"} {
		end, cancel := context.WithCancel(ctx)
		h := p.ApplyAsync(end, verb)
		other := p.ApplyAsync(ctx, "sleep 10ms")
		proctest.Eventually(t, func() bool { return p.Stats().Begun >= 2 }, "both are handed over")
		cancel()
		if _, err := h.Get(ctx); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if v, err := other.Get(ctx); v != "10ms" || err != nil {
			t.Error(v, err)
		}
	}
	finish(t, p)
}

// Of a call that is cancelled what waits never runs, also behind a running one in the same chunk.
func TestCancelWaiting(t *testing.T) {
	for _, chunk := range []int{1, 50} {
		p := start(t, act, &pool.Options{Workers: 1, Grace: 50 * time.Millisecond})
		ctx, cancel := context.WithCancel(proctest.Context(t))
		mark := t.TempDir() + "/ran"
		h := p.With(pool.CallOptions{Chunk: chunk}).MapAsync(ctx, append([]string{"wait"}, slices.Repeat([]string{"wait"}, 49)...))
		proctest.Eventually(t, func() bool { return p.Stats().Begun == 50 }, "all are handed over")
		cancel()
		_, err := h.Get(context.Background())
		var m *pool.MapError
		if !errors.As(err, &m) || len(m.Tasks) != 50 || !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if _, err := os.Stat(mark); err == nil {
			t.Error("it ran")
		}
		if v, err := p.Apply(proctest.Context(t), "echo on"); v != "on" || err != nil {
			t.Error(v, err)
		}
		finish(t, p)
	}
}

// The time-out of a task counts from its own beginning.
func TestTimeout(t *testing.T) {
	ctx := proctest.Context(t)
	patient := start(t, act, &pool.Options{Workers: 1, Grace: time.Minute})
	got, err := patient.With(pool.CallOptions{Timeout: time.Second, Chunk: 4}).Map(ctx, []string{"echo a", "wait", "echo b"})
	if e := taskError(t, err); e.Index != 1 || !errors.Is(e, context.DeadlineExceeded) || errors.Is(e, pool.ErrTimeout) || got[0] != "a" || got[2] != "b" {
		t.Error(got, err)
	}
	finish(t, patient)
	p := start(t, act, &pool.Options{Workers: 1, Grace: 40 * time.Millisecond})
	_, err = p.With(pool.CallOptions{Timeout: 50 * time.Millisecond}).Apply(ctx, "ignore")
	if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, pool.ErrTimeout) {
		t.Error(err)
	}
	if v, err := p.Apply(ctx, "echo on"); v != "on" || err != nil {
		t.Error(v, err)
	}
	finish(t, p)
}

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
		got, err := p.With(pool.CallOptions{Chunk: chunk}).Map(ctx, slices.Repeat([]string{"pid"}, 100))
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
	got, err := p.With(pool.CallOptions{Chunk: 4}).Map(proctest.Context(t), []int{1 << 20, 200 << 20, 1 << 20, 2 << 20})
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
