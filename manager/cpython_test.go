package manager_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"testing"

	"github.com/fb2d3dbd/multiproc"
	"github.com/fb2d3dbd/multiproc/internal/proctest"
	"github.com/fb2d3dbd/multiproc/internal/selfsigned"
	"github.com/fb2d3dbd/multiproc/manager"
)

// The counterparts of CPython's tests of managers that no other test here stands for; docs/cpython-tests.md says which each is.

func newList[T any](t *testing.T, m *manager.Manager, elems ...T) *manager.List[T] {
	t.Helper()
	l, err := manager.NewList(proctest.Context(t), m, nil, elems...)
	check(t, err)
	return l
}

func newDict[K comparable, V any](t *testing.T, m *manager.Manager, all map[K]V) *manager.Dict[K, V] {
	t.Helper()
	ctx := proctest.Context(t)
	d, err := manager.NewDict[K, V](ctx, m, nil)
	check(t, err)
	check(t, d.SetAll(ctx, all))
	return d
}

// has fails the test unless a call returned want.
func has[T any](t *testing.T, want T) func(got T, err error) {
	return func(got T, err error) {
		t.Helper()
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%v, %v; want %v", got, err, want)
		}
	}
}

func TestContainerList(t *testing.T) {
	networks(t, func(t *testing.T, m *manager.Manager) {
		ctx := proctest.Context(t)
		ten := []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}
		a, b := newList(t, m, ten...), newList[int](t, m)
		has(t, ten)(a.Copy(ctx))
		has(t, []int{})(b.Copy(ctx))
		check(t, b.Append(ctx, ten[:5]...))
		has(t, ten[:5])(b.Copy(ctx))
		has(t, 2)(b.At(ctx, 2))
		has(t, []int{2, 3, 4})(b.Slice(ctx, 2, 10))
		check(t, b.Append(ctx, ten[:5]...)) // *= 2
		has(t, append(ten[:5:5], ten[:5]...))(b.Copy(ctx))
		// lists in a list are the lists
		e := newList(t, m, a, b)
		all, err := e.Copy(ctx)
		check(t, err)
		has(t, ten)(all[0].Copy(ctx))
		has(t, append(ten[:5:5], ten[:5]...))(all[1].Copy(ctx))
		check(t, a.Append(ctx, 10))
		first, err := e.At(ctx, 0)
		check(t, err)
		has(t, append(ten[:10:10], 10))(first.Copy(ctx))
		// ranging over it is over a copy
		seq, err := a.All(ctx)
		check(t, err)
		check(t, a.Set(ctx, 0, 100))
		if got := slices.Collect(values(seq)); got[0] != 0 || len(got) != 11 {
			t.Error(got)
		}
		has(t, 100)(a.At(ctx, 0))
	})
}

func TestContainerListsInList(t *testing.T) {
	networks(t, func(t *testing.T, m *manager.Manager) {
		ctx := proctest.Context(t)
		var three []*manager.List[int]
		for range 3 {
			three = append(three, newList(t, m, 0, 1, 2))
		}
		a := newList(t, m, three...)
		for _, l := range three {
			check(t, l.Close())
		}
		at := func(i int) *manager.List[int] {
			l, err := a.At(ctx, i)
			check(t, err)
			return l
		}
		check(t, at(0).Set(ctx, -1, 55))
		has(t, []int{0, 1, 55})(at(0).Copy(ctx))
		for i := 1; i < 3; i++ {
			has(t, []int{0, 1, 2})(at(i).Copy(ctx))
		}
		has(t, 2)(at(1).Pop(ctx, -1))
		has(t, 2)(at(1).Len(ctx))
		has(t, 3)(at(0).Len(ctx))
		has(t, 3)(at(2).Len(ctx))
		// one that contains itself
		b := newList[any](t, m)
		check(t, b.Append(ctx, b))
		has(t, 1)(b.Len(ctx))
		check(t, b.Close())
	})
}

func TestContainerDict(t *testing.T) {
	networks(t, func(t *testing.T, m *manager.Manager) {
		ctx := proctest.Context(t)
		want := map[int]string{}
		d := newDict(t, m, want)
		for i := 65; i < 70; i++ {
			want[i] = string(rune(i))
			check(t, d.Set(ctx, i, want[i]))
		}
		has(t, want)(d.Copy(ctx))
		seq, err := d.All(ctx)
		check(t, err)
		check(t, d.Clear(ctx)) // what is ranged over is as it was
		var keys []int
		for k := range seq {
			keys = append(keys, k)
		}
		if !slices.Equal(keys, []int{65, 66, 67, 68, 69}) { // in the order in which they came
			t.Error(keys)
		}
		has(t, 0)(d.Len(ctx))
	})
}

func TestContainerDictsInDict(t *testing.T) {
	networks(t, func(t *testing.T, m *manager.Manager) {
		ctx := proctest.Context(t)
		pets, supplies := newDict(t, m, map[string]int{"ferrets": 2, "hamsters": 4}), newDict(t, m, map[string]int{"water": 10, "feed": 3})
		d := newDict(t, m, map[string]*manager.Dict[string, int]{"pets": pets, "supplies": supplies})
		inner := func(name string) *manager.Dict[string, int] {
			x, err := d.Get(ctx, name)
			check(t, err)
			return x
		}
		has(t, 10)(inner("supplies").Get(ctx, "water"))
		check(t, inner("supplies").Set(ctx, "blankets", 5))
		has(t, 5)(supplies.Get(ctx, "blankets"))
		check(t, inner("supplies").Set(ctx, "water", 7))
		has(t, 7)(supplies.Get(ctx, "water"))
		check(t, errors.Join(pets.Close(), supplies.Close()))
		has(t, 2)(inner("pets").Get(ctx, "ferrets"))
		check(t, inner("supplies").Set(ctx, "blankets", 11))
		has(t, 11)(inner("supplies").Get(ctx, "blankets"))
		pets, supplies = inner("pets"), inner("supplies")
		check(t, d.Clear(ctx))
		has(t, 0)(d.Len(ctx))
		has(t, 7)(supplies.Get(ctx, "water"))
		has(t, 4)(pets.Get(ctx, "hamsters"))
		l := newList(t, m, pets, supplies)
		first, err := l.At(ctx, 0)
		check(t, err)
		check(t, first.Set(ctx, "marmots", 1))
		has(t, 1)(pets.Get(ctx, "marmots"))
		check(t, errors.Join(pets.Close(), supplies.Close(), first.Close()))
		first, err = l.At(ctx, 0)
		check(t, err)
		has(t, 1)(first.Get(ctx, "marmots"))
		outer := newList[any](t, m, []int{88, 99}, l)
		x, err := outer.At(ctx, 0)
		check(t, err)
		if !reflect.DeepEqual(x, []int{88, 99}) { // a value, and no proxy
			t.Errorf("%T", x)
		}
	})
}

func TestContainerQueues(t *testing.T) {
	networks(t, func(t *testing.T, m *manager.Manager) {
		ctx := proctest.Context(t)
		q, err := manager.NewQueue[int](ctx, m, nil, 0)
		check(t, err)
		l, d := newList(t, m, q), newDict(t, m, map[int]*manager.Queue[int]{0: q})
		check(t, q.Close())
		in, err := l.At(ctx, 0)
		check(t, err)
		check(t, in.Put(ctx, 123))
		out, err := d.Get(ctx, 0)
		check(t, err)
		has(t, 123)(out.Get(ctx))
	})
}

func TestContainerNamespace(t *testing.T) {
	networks(t, func(t *testing.T, m *manager.Manager) {
		ctx := proctest.Context(t)
		n, err := manager.NewNamespace(ctx, m, nil)
		check(t, err)
		for name, v := range map[string]any{"name": "Bob", "job": "Builder", "_hidden": "hidden"} {
			check(t, n.Set(ctx, name, v))
		}
		has[any](t, "Bob")(n.Get(ctx, "name"))
		check(t, n.Delete(ctx, "job"))
		if err := n.Delete(ctx, "job"); !errors.Is(err, manager.ErrKey) {
			t.Error(err)
		}
		has(t, true)(n.Has(ctx, "name"))
		has(t, false)(n.Has(ctx, "job"))
		all, err := n.Copy(ctx)
		check(t, err)
		if !maps.Equal(all, map[string]any{"name": "Bob", "_hidden": "hidden"}) {
			t.Error(all)
		}
	})
}

// fooBar is what the custom managers of CPython's tests have, under two names with methods of its own each.
type fooBar struct{}

func (fooBar) F() string { return "f()" }
func (fooBar) G() error  { return errTooMuch }
func (fooBar) H() string { return "_h()" }

// squares is an iterator.
type squares struct{ i int }

func (s *squares) Next() (int, bool) { s.i++; return (s.i - 1) * (s.i - 1), s.i <= 10 }

var (
	foo = manager.NewType("Foo", func(context.Context, struct{}) (fooBar, error) { return fooBar{}, nil }).Only("F", "G")
	bar = manager.NewType("Bar", func(context.Context, struct{}) (fooBar, error) { return fooBar{}, nil }).Only("F", "H")
	baz = manager.NewType("baz", func(context.Context, struct{}) (*squares, error) { return &squares{}, nil })
)

func TestCustomManager(t *testing.T) {
	networks(t, func(t *testing.T, m *manager.Manager) {
		ctx := proctest.Context(t)
		f, err := foo.New(ctx, m, struct{}{}, nil)
		check(t, err)
		b, err := bar.New(ctx, m, struct{}{}, nil)
		check(t, err)
		has(t, []string{"F", "G"})(f.Methods(ctx))
		has(t, []string{"F", "H"})(b.Methods(ctx))
		has(t, "f()")(manager.Call[string](ctx, f, "F"))
		if _, err := f.Call(ctx, "G"); !errors.Is(err, errTooMuch) {
			t.Error(err)
		}
		if _, err := f.Call(ctx, "H"); !errors.Is(err, manager.ErrUnknown) {
			t.Error(err)
		}
		has(t, "f()")(manager.Call[string](ctx, b, "F"))
		has(t, "_h()")(manager.Call[string](ctx, b, "H"))
		it, err := baz.New(ctx, m, struct{}{}, nil)
		check(t, err)
		for i := range 10 {
			has(t, []any{i * i, true})(it.Call(ctx, "Next"))
		}
		if all, err := it.Call(ctx, "Next"); err != nil || all[1] != false {
			t.Error(all, err)
		}
		check(t, m.Shutdown(ctx)) // the server ends in order
	})
}

// remote is how another process finds a server.
type remote struct {
	Address string
	Key     []byte
}

func (r remote) dial(ctx context.Context, config *tlsConfig) (*manager.Manager, error) {
	return manager.Dial(ctx, "tcp", r.Address, &manager.DialOptions{Key: r.Key, TLS: config})
}

var (
	remoteValues = []any{"hello world", nil, true, 2.25, "hallå världen", "привіт світ", []byte("hall\xe5 v\xe4rlden")}

	putter = multiproc.NewTarget("manager_test.putter", func(ctx context.Context, r remote) error {
		m, err := r.dial(ctx, nil)
		if err != nil {
			return err
		}
		defer m.Close()
		l, err := manager.NewList[any](ctx, m, &manager.ObjectOptions{Name: "values"})
		if err != nil {
			return err
		}
		return l.Append(ctx, remoteValues)
	})
)

// Clients of a network find an object by its name; what cannot be sent harms nobody, and who has another key is refused.
func TestRemoteManager(t *testing.T) {
	ctx := proctest.Context(t)
	s := serve(t, nil)
	a, err := s.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	r := remote{Address: a.String(), Key: s.Key()}
	p, err := putter.Start(ctx, r, process)
	check(t, err)
	m, err := r.dial(ctx, nil)
	check(t, err)
	defer m.Close()
	l, err := manager.NewList[any](ctx, m, &manager.ObjectOptions{Name: "values"})
	check(t, err)
	check(t, p.Wait(ctx))
	has[any](t, remoteValues)(l.Pop(ctx, 0))
	if err := l.Append(ctx, func() {}); !errors.Is(err, manager.ErrValue) {
		t.Error(err)
	}
	has(t, 0)(l.Len(ctx))
	if _, err := (remote{Address: r.Address, Key: []byte("another")}).dial(ctx, nil); !errors.Is(err, manager.ErrAuthentication) {
		t.Error(err)
	}
	config, err := selfsigned.Config()
	check(t, err)
	if _, err := r.dial(ctx, config); err == nil {
		t.Error("TLS to a server without it")
	}
	has(t, 0)(l.Len(ctx))
}

// listenAt is a server's process that listens at an address of a network.
var listenAt = manager.NewSetup("manager_test.listenAt", func(_ context.Context, s *manager.Server, address string) error {
	_, err := s.Listen("tcp", address)
	return err
})

// A server can be started again at once at the address of one that has ended, in order or not; what the old one had is gone, and a Manager of the old one goes on with the new one.
func TestManagerRestart(t *testing.T) {
	ctx := proctest.Context(t)
	first := serve(t, nil)
	a, err := first.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	check(t, first.Close())
	r := remote{Address: a.String(), Key: []byte("key")}
	o := options(&manager.Options{Server: manager.ServerOptions{Key: r.Key}})
	var m *manager.Manager
	for _, end := range []func(local *manager.Manager) error{
		func(local *manager.Manager) error { return local.Shutdown(ctx) },
		func(local *manager.Manager) error { return local.Process().Kill() },
		func(local *manager.Manager) error { return local.Close() },
	} {
		local, err := listenAt.Start(ctx, r.Address, o)
		check(t, err)
		p, err := putter.Start(ctx, r, process)
		check(t, err)
		check(t, p.Wait(ctx))
		if m == nil {
			m, err = r.dial(ctx, nil)
			check(t, err)
		}
		proctest.Eventually(t, func() bool { return m.Ping(ctx) == nil }, "the server to be reached again")
		l, err := manager.NewList[any](ctx, m, &manager.ObjectOptions{Name: "values"})
		check(t, err)
		all, err := l.Copy(ctx)
		check(t, err)
		if len(all) != 1 {
			t.Errorf("%d elements", len(all))
		}
		check(t, end(local))
		_ = local.Process().Wait(ctx)
		if _, err := l.Len(ctx); err == nil {
			t.Error("a server that has ended answers")
		}
		check(t, local.Close())
	}
	check(t, m.Close())
}

// all are one of each type, for another process.
type everyType struct {
	List      *manager.List[int]
	Dict      *manager.Dict[string, int]
	Set       *manager.Set[int]
	Namespace *manager.Namespace
	Value     *manager.Value[int]
	Array     *manager.Array[int]
	Pool      *manager.Pool[int, int]
	Object    *manager.Object
	Lock      *manager.Mutex
	RLock     *manager.RLock
	Semaphore *manager.Semaphore
	Bounded   *manager.BoundedSemaphore
	Cond      *manager.Cond
	Event     *manager.Event
	Barrier   *manager.Barrier
}

var everyUser = multiproc.NewTarget("manager_test.everyUser", func(ctx context.Context, x everyType) error {
	var errs []error
	is := func(what string, ok bool, err error) {
		if err != nil || !ok {
			errs = append(errs, fmt.Errorf("%s: %t, %w", what, ok, err))
		}
	}
	n, err := x.List.At(ctx, 0)
	is("list", n == 5, errors.Join(err, x.List.Append(ctx, 6)))
	n, err = x.Dict.Get(ctx, "foo")
	is("dict", n == 5, errors.Join(err, x.Dict.Set(ctx, "bar", 6)))
	ok, err := x.Set.Has(ctx, 5)
	is("set", ok, err)
	v, err := x.Namespace.Get(ctx, "x")
	is("namespace", v == any(5), errors.Join(err, x.Namespace.Set(ctx, "y", 6)))
	n, err = x.Value.Get(ctx)
	is("value", n == 5, errors.Join(err, x.Value.Set(ctx, 6)))
	n, err = x.Array.At(ctx, 0)
	is("array", n == 5, errors.Join(err, x.Array.Set(ctx, 1, 6)))
	n, err = x.Pool.Apply(ctx, 5)
	is("pool", n == 25, err)
	n, err = manager.Call[int](ctx, x.Object, "Add", 1)
	is("object", n == 6, err)
	is("rlock", true, errors.Join(x.RLock.Lock(ctx), x.RLock.Lock(ctx), x.RLock.Unlock(ctx), x.RLock.Unlock(ctx)))
	is("semaphore", true, x.Semaphore.Acquire(ctx))
	is("bounded semaphore", true, errors.Join(x.Bounded.Acquire(ctx), x.Bounded.Release(ctx)))
	is("condition", true, errors.Join(x.Cond.Lock(ctx), x.Cond.NotifyAll(ctx), x.Cond.Unlock(ctx)))
	ok, err = x.Event.IsSet(ctx)
	is("event", ok, errors.Join(err, x.Event.Wait(ctx), x.Event.Clear(ctx)))
	is("barrier", true, x.Barrier.Reset(ctx))
	is("lock", true, x.Lock.Lock(ctx)) // held to the end
	return errors.Join(errs...)
})

func TestEveryTypeInAnotherProcess(t *testing.T) {
	networks(t, func(t *testing.T, m *manager.Manager) {
		ctx := proctest.Context(t)
		var x everyType
		var errs [13]error
		x.List, x.Dict = newList(t, m, 5), newDict(t, m, map[string]int{"foo": 5})
		x.Set, errs[0] = manager.NewSet(ctx, m, nil, 5)
		x.Namespace, errs[1] = manager.NewNamespace(ctx, m, nil)
		x.Value, errs[2] = manager.NewValue(ctx, m, nil, 5)
		x.Array, errs[3] = manager.NewArray(ctx, m, nil, 5, 0)
		x.Pool, errs[4] = tasks.New(ctx, m, workers(1), nil)
		x.Object, errs[5] = counters.New(ctx, m, 5, nil)
		x.Lock, errs[6] = manager.NewMutex(ctx, m, nil)
		x.RLock, errs[7] = manager.NewRLock(ctx, m, nil)
		x.Semaphore, errs[8] = manager.NewSemaphore(ctx, m, nil, 1)
		x.Bounded, errs[9] = manager.NewBoundedSemaphore(ctx, m, nil, 1)
		x.Cond, errs[10] = manager.NewCond(ctx, m, nil, nil)
		x.Event, errs[11] = manager.NewEvent(ctx, m, nil)
		x.Barrier, errs[12] = manager.NewBarrier(ctx, m, nil, 5)
		check(t, errors.Join(errs[:]...))
		check(t, x.Namespace.Set(ctx, "x", 5))
		check(t, x.Event.Set(ctx))
		p, err := everyUser.Start(ctx, x, process)
		check(t, err)
		check(t, p.Wait(ctx))
		has(t, []int{5, 6})(x.List.Copy(ctx))
		has(t, 6)(x.Dict.Get(ctx, "bar"))
		has[any](t, 6)(x.Namespace.Get(ctx, "y"))
		has(t, 6)(x.Value.Get(ctx))
		has(t, 6)(x.Array.At(ctx, 1))
		has(t, 6)(manager.Call[int](ctx, x.Object, "Value"))
		has(t, false)(x.Event.IsSet(ctx))
		if err := x.Lock.Lock(ctx); !errors.Is(err, manager.ErrOwnerDied) { // it was held to the end of its process
			t.Error(err)
		}
	})
}
