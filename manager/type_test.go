package manager_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fb2d3dbd/multiproc"
	"github.com/fb2d3dbd/multiproc/internal/proctest"
	"github.com/fb2d3dbd/multiproc/manager"
)

func TestTypeMethods(t *testing.T) {
	networks(t, func(t *testing.T, m *manager.Manager) {
		ctx := proctest.Context(t)
		c, err := counters.New(ctx, m, 40, nil)
		check(t, err)
		if c.Type() != "counter" || counters.Name() != "counter" {
			t.Error(c.Type())
		}
		if n, err := manager.Call[int](ctx, c, "Add", 2); n != 42 || err != nil {
			t.Fatal(n, err)
		}
		if all, err := c.Call(ctx, "Add", 1); err != nil || !reflect.DeepEqual(all, []any{43}) {
			t.Fatal(all, err)
		}
		if all, err := c.Call(ctx, "Reset"); err != nil || len(all) != 0 {
			t.Fatal(all, err)
		}
		if n, err := manager.Call[int](ctx, c, "Value"); n != 0 || err != nil {
			t.Fatal(n, err)
		}
		if pid, err := manager.Call[int](ctx, c, "PID"); pid != m.Process().PID() || err != nil {
			t.Fatal(pid, err)
		}
		// numbers, as constants are in Go
		if n, err := manager.Call[int64](ctx, c, "Big", 1<<40); n != 1<<40+1 || err != nil {
			t.Fatal(n, err)
		}
		if s, err := manager.Call[string](ctx, c, "Small", 255); s != "255" || err != nil {
			t.Fatal(s, err)
		}
		for _, v := range []any{36, 36.0, float32(36), celsius(36)} {
			if got, err := manager.Call[celsius](ctx, c, "Warm", v); got != 37 || err != nil {
				t.Fatalf("%T: %v, %v", v, got, err)
			}
		}
		// variadic methods, several results, a pointer for a struct
		for _, args := range [][]any{{point{1, 2}}, {&point{1, 2}, 3}, {point{1, 2}, 3, int8(4)}} {
			all, err := c.Call(ctx, "Move", args...)
			sum := 1
			for i := range args[1:] {
				sum += 3 + i
			}
			if err != nil || !reflect.DeepEqual(all, []any{point{sum, 2}, len(args) - 1}) {
				t.Fatal(all, err)
			}
		}
		for _, v := range []any{nil, 1, "x", []byte{1}, point{1, 2}, map[string]any{"a": 1.5}, []any{1, "b"}} {
			if got, err := manager.Call[any](ctx, c, "Any", v); err != nil || !reflect.DeepEqual(got, v) {
				t.Fatalf("%#v, %v", got, err)
			}
		}
		names, err := c.Methods(ctx)
		check(t, err)
		if !slices.Contains(names, "Add") || !slices.IsSorted(names) {
			t.Error(names)
		}
		f, err := few.New(ctx, m, 7, nil)
		check(t, err)
		if names, err := f.Methods(ctx); err != nil || !slices.Equal(names, []string{"Reset", "Value"}) {
			t.Error(names, err)
		}
		if n, err := manager.Call[int](ctx, f, "Value"); n != 7 || err != nil {
			t.Error(n, err)
		}
	})
}

// What a client gets wrong it is told, and nothing else comes of it.
func TestTypeMisuse(t *testing.T) {
	ctx := proctest.Context(t)
	m := start(t, nil)
	c, err := counters.New(ctx, m, 0, nil)
	check(t, err)
	f, err := few.New(ctx, m, 7, nil)
	check(t, err)
	for _, x := range []struct {
		o      *manager.Object
		method string
		args   []any
		is     error
		says   string
	}{
		{c, "Nix", nil, manager.ErrUnknown, `"Nix"`},
		{c, "Close", nil, manager.ErrUnknown, "Add, Any"},
		{f, "Add", []any{1}, manager.ErrUnknown, `"few", which has Reset, Value`},
		{c, "Add", nil, manager.ErrValue, "counter.Add takes 1 arguments, (int), not 0"},
		{c, "Add", []any{1, 2}, manager.ErrValue, "not 2"},
		{c, "Move", nil, manager.ErrValue, "counter.Move takes 1 arguments or more"},
		{c, "Add", []any{"x"}, manager.ErrValue, "argument 1 of counter.Add(int) is string, not int"},
		{c, "Add", []any{1.0}, manager.ErrValue, "is float64 (1), not int"},
		{c, "Add", []any{nil}, manager.ErrValue, "is nil, not int"},
		{c, "Small", []any{256}, manager.ErrValue, "is int (256), not uint8"},
		{c, "Small", []any{-1}, manager.ErrValue, "is int (-1), not uint8"},
		{c, "Warm", []any{1<<53 + 1}, manager.ErrValue, "not manager_test.celsius"},
		{c, "Add", []any{celsius(1)}, manager.ErrValue, "is manager_test.celsius"},
		{c, "Move", []any{point{}, "x"}, manager.ErrValue, "argument 2 of counter.Move(manager_test.point, ...int) is string, not int"},
		{c, "Take", []any{c}, manager.ErrValue, "argument 1 of counter.Take(*manager_test.child) is *manager.Object, not *manager_test.child"},
		{c, "Add", []any{func() {}}, manager.ErrValue, "argument 1 of counter.Add"},
		{c, "Add", []any{kelvin{}}, manager.ErrValue, "argument 1 of counter.Add"},
		{c, "Kelvin", nil, manager.ErrValue, "result 1, of type manager_test.kelvin"},
		{c, "Func", []any{1}, manager.ErrValue, "not func()"},
	} {
		if all, err := x.o.Call(ctx, x.method, x.args...); !errors.Is(err, x.is) || !strings.Contains(err.Error(), x.says) {
			t.Errorf("%s%v: %v, %v", x.method, x.args, all, err)
		}
	}
	check2 := func(err error, says string) {
		t.Helper()
		if !errors.Is(err, manager.ErrValue) || !strings.Contains(err.Error(), says) {
			t.Error(err)
		}
	}
	_, err = manager.Call[string](ctx, c, "Add", 1)
	check2(err, "counter.Add returns int, not string")
	_, err = manager.Call[int](ctx, c, "Reset")
	check2(err, "returns nothing, not one value")
	_, err = manager.Call[point](ctx, c, "Move", point{})
	check2(err, "returns (manager_test.point, int), not one value")
	_, err = manager.Call[string](ctx, c, "Any", 1)
	check2(err, "returned int, not string")
	_, err = manager.Call[int](ctx, c, "Child", 1)
	check2(err, "counter.Child returns an object, for a result of type *manager.Object")
	_, err = manager.Call[*manager.Object](ctx, c, "Value")
	check2(err, "returns int")
	if n, err := manager.Call[int](ctx, c, "Value"); n != 0 || err != nil { // none of them was called
		t.Error(n, err)
	}
	if _, err := counters.New(ctx, m, -3, nil); !errors.Is(err, manager.ErrValue) {
		t.Error(err)
	}
	if _, err := (&manager.Object{}).Call(ctx, "Add"); !errors.Is(err, manager.ErrClosed) {
		t.Error(err)
	}
	quiet(t, m, 2)
}

// soon is networks with servers that keep what was on its way only shortly.
func soon(t *testing.T, fn func(t *testing.T, m *manager.Manager)) {
	for _, network := range []string{"ring", "unix"} {
		o := &manager.Options{Network: network, Server: manager.ServerOptions{Keep: 200 * time.Millisecond}}
		t.Run(network, func(t *testing.T) { fn(t, start(t, o)) })
	}
}

// quiet waits until the server has n objects, runs nothing and has nothing to take back.
func quiet(t *testing.T, m *manager.Manager, n int) {
	t.Helper()
	ctx := proctest.Context(t)
	var st manager.Stats
	proctest.Eventually(t, func() bool {
		var err error
		st, err = m.Stats(ctx)
		check(t, err)
		return st.Objects == n && st.Waiting == 0 && st.Held == 0
	}, fmt.Sprintf("%d objects and no calls", n))
}

func TestTypeErrors(t *testing.T) {
	networks(t, func(t *testing.T, m *manager.Manager) {
		ctx := proctest.Context(t)
		c, err := counters.New(ctx, m, 0, nil)
		check(t, err)
		var remote *manager.RemoteError
		var limit *limitError
		if _, err := c.Call(ctx, "Add", 2000); !errors.Is(err, errTooMuch) || !errors.As(err, &remote) || remote.Text != "add 2000: too much" || remote.Panic {
			t.Error(err)
		}
		if _, err := c.Call(ctx, "Add", 200); !errors.As(err, &limit) || limit.Limit != 100 || errors.Is(err, errTooMuch) {
			t.Error(err)
		}
		if _, err := c.Call(ctx, "Panic", "help"); !errors.As(err, &remote) || !remote.Panic || remote.Text != "help" || !strings.Contains(remote.Stack, "(*counter).Panic") {
			t.Error(err)
		}
		if _, err := c.Call(ctx, "Exit"); !errors.As(err, &remote) || !strings.Contains(remote.Text, "Goexit") {
			t.Error(err)
		}
		if _, err := counters.New(ctx, m, -1, nil); !errors.Is(err, errTooMuch) {
			t.Error(err)
		}
		if _, err := counters.New(ctx, m, -2, nil); !errors.As(err, &remote) || !remote.Panic {
			t.Error(err)
		}
		short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
		defer cancel()
		if _, err := counters.New(short, m, -4, nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		quiet(t, m, 1)
	})
}

// A context ends with the call that it is of.
func TestTypeContext(t *testing.T) {
	networks(t, func(t *testing.T, m *manager.Manager) {
		ctx := proctest.Context(t)
		c, err := counters.New(ctx, m, 0, &manager.ObjectOptions{Name: "waited for"})
		check(t, err)
		waits := func(n int) {
			t.Helper()
			proctest.Eventually(t, func() bool {
				have, err := manager.Call[int](ctx, c, "Waits")
				check(t, err)
				return have == n
			}, fmt.Sprintf("%d calls wait", n))
		}
		short, cancel := context.WithCancel(ctx)
		done := make(chan error)
		for range 3 {
			go func() {
				_, err := c.Call(short, "Wait")
				done <- err
			}()
		}
		waits(3)
		cancel()
		for range 3 {
			if err := <-done; !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		}
		waits(0)
		// and with the client
		p, err := waiter.Start(ctx, c, process)
		check(t, err)
		waits(1)
		check(t, p.Kill())
		_ = p.Wait(ctx)
		waits(0)
		quiet(t, m, 1)
	})
}

var waiter = multiproc.NewTarget("manager_test.waiter", func(ctx context.Context, o *manager.Object) error {
	_, err := o.Call(ctx, "Wait")
	return err
})

// What a method returns of a registered type is an object, which ends with its last proxy.
func TestTypeResultsThatAreObjects(t *testing.T) {
	soon(t, func(t *testing.T, m *manager.Manager) {
		ctx := proctest.Context(t)
		c, err := counters.New(ctx, m, 0, nil)
		check(t, err)
		children := func(n int) {
			t.Helper()
			proctest.Eventually(t, func() bool {
				have, err := manager.Call[int](ctx, c, "Children")
				check(t, err)
				return have == n
			}, fmt.Sprintf("%d children", n))
		}
		k, err := manager.Call[*manager.Object](ctx, c, "Child", 3)
		check(t, err)
		if n, err := manager.Call[int](ctx, k, "N"); n != 3 || err != nil {
			t.Fatal(n, err)
		}
		if names, err := k.Methods(ctx); err != nil || !slices.Equal(names, []string{"N"}) {
			t.Error(names, err)
		}
		if n, err := manager.Call[int](ctx, c, "Take", k); n != 3 || err != nil { // the object itself is the argument
			t.Fatal(n, err)
		}
		children(1)
		check(t, k.Close())
		children(0)
		// one pointer is one thing, however many proxies it has
		all, err := c.Call(ctx, "One")
		check(t, err)
		a, b := all[0].(*manager.Object), all[1].(*manager.Object)
		if same, err := manager.Call[bool](ctx, c, "Same", a, b); !same || err != nil {
			t.Error(same, err)
		}
		check(t, a.Close())
		children(1)
		if n, err := manager.Call[int](ctx, b, "N"); n != 1 || err != nil {
			t.Error(n, err)
		}
		check(t, b.Close())
		children(0)
		if o, err := manager.Call[*manager.Object](ctx, c, "Nil"); o != nil || err != nil {
			t.Error(o, err)
		}
		x, err := manager.Call[any](ctx, c, "AsAny")
		check(t, err)
		if n, err := manager.Call[int](ctx, x.(*manager.Object), "N"); n != 5 || err != nil {
			t.Error(n, err)
		}
		// in a dictionary, and by another process, which dies with another one
		d, err := manager.NewDict[string, *manager.Object](ctx, m, nil)
		check(t, err)
		check(t, d.Set(ctx, "x", x.(*manager.Object)))
		check(t, x.(*manager.Object).Close())
		p, err := holder.Start(ctx, holderArg{c, d}, process)
		check(t, err)
		if err := p.Wait(ctx); err == nil {
			t.Error("the child came back")
		}
		children(1)
		check(t, d.Delete(ctx, "x"))
		children(0)
		check(t, d.Close())
		quiet(t, m, 1)
	})
}

type holderArg struct {
	C *manager.Object
	D *manager.Dict[string, *manager.Object]
}

var holder = multiproc.NewTarget("manager_test.holder", func(ctx context.Context, a holderArg) error {
	x, err := a.D.Get(ctx, "x")
	if err != nil {
		return err
	}
	if n, err := manager.Call[int](ctx, x, "N"); n != 5 || err != nil {
		return fmt.Errorf("N is %d, %v", n, err)
	}
	if _, err := manager.Call[*manager.Object](ctx, a.C, "Child", 1); err != nil {
		return err
	}
	proctest.Suicide()
	return nil
})

// A proxy of another kind is an argument as well, and lives in the server as it does in a client.
func TestTypeProxyArguments(t *testing.T) {
	networks(t, func(t *testing.T, m *manager.Manager) {
		ctx := proctest.Context(t)
		c, err := counters.New(ctx, m, 0, nil)
		check(t, err)
		d, err := manager.NewDict[string, int](ctx, m, nil)
		check(t, err)
		check(t, d.Set(ctx, "a", 5))
		if n, err := manager.Call[int](ctx, c, "Get", d, "a"); n != 5 || err != nil {
			t.Fatal(n, err)
		}
		if _, err := manager.Call[int](ctx, c, "Get", d, "b"); !errors.Is(err, manager.ErrKey) {
			t.Fatal(err)
		}
		if _, err := c.Call(ctx, "Other", c); err != nil {
			t.Fatal(err)
		}
	})
}

// Clients use an object at once; its methods see to themselves.
func TestTypeConcurrently(t *testing.T) {
	ctx := proctest.Context(t)
	m := start(t, nil)
	c, err := counters.New(ctx, m, 0, nil)
	check(t, err)
	const processes, goroutines, calls = 3, 4, 50
	var all []*multiproc.Process
	for range processes {
		p, err := adder.Start(ctx, adderArg{c, goroutines, calls}, process)
		check(t, err)
		all = append(all, p)
	}
	for _, p := range all {
		check(t, p.Wait(ctx))
	}
	if n, err := manager.Call[int](ctx, c, "Value"); n != processes*goroutines*calls || err != nil {
		t.Error(n, err)
	}
	quiet(t, m, 1)
}

type adderArg struct {
	C                 *manager.Object
	Goroutines, Calls int
}

var adder = multiproc.NewTarget("manager_test.adder", func(ctx context.Context, a adderArg) error {
	errs := make(chan error)
	for range a.Goroutines {
		go func() {
			var err error
			for range a.Calls {
				if _, e := a.C.Call(ctx, "Add", 1); e != nil {
					err = e
				}
			}
			errs <- err
		}()
	}
	var all error
	for range a.Goroutines {
		all = errors.Join(all, <-errs)
	}
	return all
})
