package pool_test

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

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
		got, err := p.With(&pool.CallOptions{Chunk: chunk}).Map(proctest.Context(t),
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
	p := start(t, pass, &pool.Options{Logger: slog.Default()})
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
		got, err := p.With(&pool.CallOptions{Chunk: chunk}).Map(ctx, in)
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
