package manager_test

import (
	"context"
	"errors"
	"maps"
	"reflect"
	"strings"
	"testing"

	"github.com/fb2d3dbd/multiproc/internal/proctest"
	"github.com/fb2d3dbd/multiproc/manager"
)

var addTo = manager.NewUpdate("add", func(_ context.Context, old int, has bool, n int) (int, bool, error) {
	switch {
	case n == 13:
		panic("thirteen")
	case n == 0:
		return 0, false, errors.New("nothing to add")
	}
	return old + n, old+n != 0, nil
})

func TestDict(t *testing.T) {
	networks(t, func(t *testing.T, m *manager.Manager) {
		ctx := proctest.Context(t)
		d, err := manager.NewDict[string, int](ctx, m, nil)
		check(t, err)
		if _, err := d.Get(ctx, "a"); !errors.Is(err, manager.ErrKey) {
			t.Fatal(err)
		}
		check(t, d.Set(ctx, "a", 1))
		check(t, d.SetAll(ctx, map[string]int{"b": 2, "c": 3}))
		if v, err := d.Get(ctx, "b"); v != 2 || err != nil {
			t.Fatal(v, err)
		}
		if n, err := d.Len(ctx); n != 3 || err != nil {
			t.Fatal(n, err)
		}
		if ok, err := d.CompareAndSwap(ctx, "a", 1, 10); !ok || err != nil {
			t.Fatal(ok, err)
		}
		if ok, err := d.CompareAndSwap(ctx, "a", 1, 11); ok || err != nil {
			t.Fatal(ok, err)
		}
		if v, ok, err := manager.UpdateDict(ctx, d, "a", addTo, 5); v != 15 || !ok || err != nil {
			t.Fatal(v, ok, err)
		}
		if _, ok, err := manager.UpdateDict(ctx, d, "a", addTo, -15); ok || err != nil {
			t.Fatal(ok, err)
		}
		var remote *manager.RemoteError
		if _, _, err := manager.UpdateDict(ctx, d, "b", addTo, 13); !errors.As(err, &remote) || !remote.Panic || !strings.Contains(remote.Stack, "dict_test.go") {
			t.Fatal(err)
		}
		if _, _, err := manager.UpdateDict(ctx, d, "b", addTo, 0); !errors.As(err, &remote) || remote.Text != "nothing to add" {
			t.Fatal(err)
		}
		got, err := d.Copy(ctx)
		check(t, err)
		if want := map[string]int{"b": 2, "c": 3}; !maps.Equal(got, want) {
			t.Fatal(got)
		}
		big := strings.Repeat("x", 1<<20)
		s, err := manager.NewDict[any, any](ctx, m, nil)
		check(t, err)
		for _, kv := range [][2]any{{1, "1"}, {"2", 2}, {0.25, nil}, {"big", big}} {
			check(t, s.Set(ctx, kv[0], kv[1]))
		}
		all, err := s.Copy(ctx)
		check(t, err)
		if want := map[any]any{1: "1", "2": 2, 0.25: nil, "big": big}; !reflect.DeepEqual(all, want) {
			t.Fatal(len(all))
		}
		if err := s.Set(ctx, []int{1}, 1); !errors.Is(err, manager.ErrValue) {
			t.Fatal(err)
		}
		// nested
		n, err := manager.NewDict[string, *manager.Dict[string, int]](ctx, m, nil)
		check(t, err)
		check(t, n.Set(ctx, "inner", d))
		check(t, d.Close())
		inner, err := n.Get(ctx, "inner")
		check(t, err)
		if v, err := inner.Get(ctx, "c"); v != 3 || err != nil {
			t.Fatal(v, err)
		}
	})
}

func BenchmarkDict(b *testing.B) {
	for _, network := range []string{"ring", "unix"} {
		m := start(b, &manager.Options{Network: network})
		ctx := context.Background()
		d, err := manager.NewDict[string, int](ctx, m, nil)
		check(b, err)
		check(b, d.Set(ctx, "key", 1))
		b.Run(network+"/get", func(b *testing.B) {
			for b.Loop() {
				if _, err := d.Get(ctx, "key"); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(network+"/set", func(b *testing.B) {
			for b.Loop() {
				check(b, d.Set(ctx, "key", 1))
			}
		})
	}
}
