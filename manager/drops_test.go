package manager_test

import (
	"errors"
	"testing"

	"github.com/fb2d3dbd/multiproc/internal/proctest"
	"github.com/fb2d3dbd/multiproc/manager"
)

// TestDropsWhileCut lets go what was closed while the connection was broken, when the client comes back.
func TestDropsWhileCut(t *testing.T) {
	ctx := proctest.Context(t)
	s := serve(t, nil)
	p, m := far(t, s, 0)
	var all []*manager.Value[int]
	for range 10 {
		all = append(all, must[*manager.Value[int]](t)(manager.NewValue(ctx, m, nil, 7)))
	}
	for _, v := range all[1:] {
		p.cut()
		check(t, v.Close())
		if v, err := all[0].Get(ctx); v != 7 && !errors.Is(err, manager.ErrLost) {
			t.Fatal(v, err)
		}
	}
	proctest.Eventually(t, func() bool {
		v, err := all[0].Get(ctx) // over a connection that is not cut any more
		if v != 7 && !errors.Is(err, manager.ErrLost) {
			t.Fatal(v, err)
		}
		return s.Stats().Objects == 1
	}, "what was closed to be let go")
}

// TestManyDrops lets more go than is remembered, and what is left is there.
func TestManyDrops(t *testing.T) {
	each(t, func(t *testing.T, s *manager.Server, m *manager.Manager) {
		ctx := proctest.Context(t)
		v := must[*manager.Value[int]](t)(manager.NewValue(ctx, m, nil, 7))
		for range 1000 {
			check(t, must[*manager.Value[int]](t)(manager.NewValue(ctx, m, nil, 8)).Close())
		}
		if got, err := v.Get(ctx); got != 7 || err != nil || s.Stats().Objects != 1 {
			t.Error(got, err, s.Stats())
		}
	})
}
