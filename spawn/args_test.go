package spawn_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"math/big"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fb2d3dbd/multiproc/internal/codec"
	"github.com/fb2d3dbd/multiproc/internal/proctest"
	"github.com/fb2d3dbd/multiproc/shm"
	"github.com/fb2d3dbd/multiproc/spawn"
)

type (
	color   uint8
	address struct {
		Street string
		Zip    int
	}
	person struct {
		Name    string
		Born    time.Time
		Home    *address
		Friends []*person
		Notes   map[string][]float64
		Tint    color
		Any     any
		Raw     [4]byte
		Scratch map[string]int `multiproc:"-"`
	}
)

func init() { codec.Register[address]() }

// samples are the arguments of one echo target each; the child has them too, and compares.
var samples = []sample{
	value("int", math.MinInt64),
	value("uint8", uint8(255)),
	value("float", math.Inf(-1)),
	value("complex", complex(1, -2)),
	value("bool", true),
	value("string", "Grüße\x00 and no end"),
	value("empty string", ""),
	value("bytes", []byte{0, 1, 2, 0xFF}),
	value("nil bytes", []byte(nil)),
	value("empty bytes", []byte{}),
	value("8 MiB", bytes.Repeat([]byte("0123456789abcdef"), 1<<19)),
	value("array", [3]int{1, 2, 3}),
	value("nothing", struct{}{}),
	value("pointer", new(42)),
	value("nil pointer", (*address)(nil)),
	value("map", map[color][]string{1: {"red"}, 2: nil}),
	value("nil map", map[string]int(nil)),
	value("any", []any{42, nil, "hello", 2.5, []byte("x"), map[string]any{"k": []any{true}}, address{"Main St", 7}}),
	value("nil any", any(nil)),
	value("time", time.Date(2024, 2, 29, 23, 59, 59, 999_999_999, time.UTC)),
	value("duration", 3*time.Second),
	value("big", big.NewInt(0).Exp(big.NewInt(7), big.NewInt(500), nil)),
	value("struct", person{
		Name: "Ann", Born: time.Unix(1, 2).UTC(), Home: &address{"Here", 1}, Tint: 3, Any: uint16(9), Raw: [4]byte{1, 2, 3, 4},
		Friends: []*person{nil, {Name: "Bob"}},
		Notes:   map[string][]float64{"pi": {3, 0.14}, "none": nil},
	}),
	value("slice of structs", []address{{"a", 1}, {"b", 2}}),
}

type sample struct {
	name  string
	start func(ctx context.Context) (*spawn.Process, error)
}

func value[A any](name string, arg A) sample {
	target := spawn.NewTarget("echo "+name, func(_ context.Context, got A) error {
		if reflect.DeepEqual(arg, got) {
			return nil
		}
		return fmt.Errorf("argument differs (-sent +received):\n%s", cmp.Diff(arg, got, cmp.AllowUnexported(big.Int{})))
	})
	return sample{name, func(ctx context.Context) (*spawn.Process, error) { return target.Start(ctx, arg, nil) }}
}

func TestArguments(t *testing.T) {
	for _, s := range samples {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			ctx := proctest.Context(t)
			p, err := s.start(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if err := p.Wait(ctx); err != nil {
				t.Error(err)
			}
		})
	}
}

// Handles may stand anywhere in an argument.
type handles struct {
	Seg    *shm.Segment
	Sum    *shm.Value[int64]
	Many   []*shm.Value[int64]
	ByName map[string]*shm.Array[int32]
	Inner  struct{ Deep *shm.Value[float64] }
	None   *shm.Value[int64]
}

var useHandles = spawn.NewTarget("use handles", func(_ context.Context, h handles) error {
	if h.None != nil {
		return errors.New("a nil handle arrived as another")
	}
	defer h.Seg.Close()
	copy(h.Seg.Bytes(), "written by the child")
	if _, err := shm.Add(h.Sum, 5); err != nil {
		return err
	}
	for i, v := range h.Many {
		if err := v.Store(int64(i) * 10); err != nil {
			return err
		}
	}
	for name, a := range h.ByName {
		if err := a.Set(0, int32(len(name))); err != nil {
			return err
		}
	}
	return h.Inner.Deep.Store(math.Pi)
})

func TestHandles(t *testing.T) {
	ctx := proctest.Context(t)
	seg := must(shm.New(&shm.Options{Size: 4096, Arena: 1 << 16}))(t)
	defer seg.Close()
	other := must(shm.New(&shm.Options{Arena: 1 << 16}))(t)
	defer other.Close()
	h := handles{
		Seg:  seg,
		Sum:  must(shm.NewValue(seg, int64(37)))(t),
		Many: []*shm.Value[int64]{must(shm.NewValue(seg, int64(-1)))(t), must(shm.NewValue(other, int64(-1)))(t)},
		ByName: map[string]*shm.Array[int32]{
			"one": must(shm.NewArray[int32](seg, 3))(t), "three": must(shm.NewArray[int32](other, 1))(t),
		},
	}
	h.Inner.Deep = must(shm.NewValue(other, 0.0))(t)
	if err := run(t, useHandles, h, nil).Wait(ctx); err != nil {
		t.Fatal(err)
	}
	if got := string(seg.Bytes()[:20]); got != "written by the child" {
		t.Errorf("the segment holds %q", got)
	}
	if x, err := h.Sum.Load(); x != 42 || err != nil {
		t.Errorf("the sum is %d, %v", x, err)
	}
	for i, v := range h.Many {
		if x, err := v.Load(); x != int64(i)*10 || err != nil {
			t.Errorf("value %d is %d, %v", i, x, err)
		}
	}
	for name, a := range h.ByName {
		if x, err := a.At(0); int(x) != len(name) || err != nil {
			t.Errorf("array %q holds %d, %v", name, x, err)
		}
	}
	if x, err := h.Inner.Deep.Load(); x != math.Pi || err != nil {
		t.Errorf("the deep value is %v, %v", x, err)
	}
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// A handle of a closed segment cannot be sent.
func TestClosedHandle(t *testing.T) {
	seg := must(shm.New(nil))(t)
	v := must(shm.NewValue(seg, int64(0)))(t)
	if err := seg.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := useHandles.Start(proctest.Context(t), handles{Sum: v}, nil); !errors.Is(err, shm.ErrClosed) {
		t.Errorf("Start with a handle of a closed segment returned %v", err)
	}
}

type (
	withFunc struct {
		Name string
		Jobs []struct{ Callback func() }
	}
	withChan   struct{ C chan int }
	withHidden struct {
		Shown  int
		hidden int
	}
	withHiddenIface struct{ V any }
)

var (
	badFunc   = spawn.NewTarget("bad func", func(context.Context, withFunc) error { return nil })
	badChan   = spawn.NewTarget("bad chan", func(context.Context, map[string]withChan) error { return nil })
	badHidden = spawn.NewTarget("bad hidden", func(context.Context, *withHidden) error { return nil })
	badIface  = spawn.NewTarget("bad interface", func(context.Context, withHiddenIface) error { return nil })
	badCycle  = spawn.NewTarget("bad cycle", func(context.Context, *person) error { return nil })
)

func TestArgumentsThatCannotBeSent(t *testing.T) {
	ctx := proctest.Context(t)
	loop := &person{Name: "me"}
	loop.Friends = []*person{loop}
	for _, c := range []struct {
		name  string
		start func() (*spawn.Process, error)
		is    error
		names string // the path that the error has to name
	}{
		{"func", func() (*spawn.Process, error) { return badFunc.Start(ctx, withFunc{}, nil) }, codec.ErrUnsupportedType, "withFunc.Jobs[].Callback"},
		{"chan", func() (*spawn.Process, error) { return badChan.Start(ctx, nil, nil) }, codec.ErrUnsupportedType, ".C"},
		{"unexported", func() (*spawn.Process, error) { return badHidden.Start(ctx, &withHidden{1, 2}, nil) }, codec.ErrUnsupportedType, "withHidden.hidden"},
		{"unregistered", func() (*spawn.Process, error) {
			return badIface.Start(ctx, withHiddenIface{struct{ X int }{1}}, nil)
		}, codec.ErrUnregistered, "withHiddenIface.V"},
		{"cycle", func() (*spawn.Process, error) { return badCycle.Start(ctx, loop, nil) }, codec.ErrTooDeep, "person.Friends[0]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := c.start()
			if p != nil || !errors.Is(err, c.is) {
				t.Fatalf("Start returned %v, %v; want an error that matches %v", p, err, c.is)
			}
			if !strings.Contains(err.Error(), c.names) || !strings.Contains(err.Error(), `"bad `) {
				t.Errorf("the error names neither %s nor the target: %v", c.names, err)
			}
		})
	}
}

type grumpy struct{ Text string }

func (g grumpy) MarshalBinary() ([]byte, error) { return []byte(g.Text), nil }
func (g *grumpy) UnmarshalBinary(b []byte) error {
	return fmt.Errorf("refused: %s", b)
}

var refuse = spawn.NewTarget("refuse", func(context.Context, []grumpy) error { return nil })

// What goes wrong with an argument in the child reaches the parent.
func TestArgumentThatCannotBeDecoded(t *testing.T) {
	exit := exitError(t, run(t, refuse, []grumpy{{"no"}}, nil))
	if exit.Code != 1 || !strings.Contains(exit.Text, "refused: no") || !strings.Contains(exit.Text, `"refuse"`) {
		t.Errorf("exit code %d, text %q", exit.Code, exit.Text)
	}
}
