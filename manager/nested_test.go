package manager_test

import (
	"context"
	"testing"
	"time"

	"github.com/fb2d3dbd/multiproc/internal/proctest"
	"github.com/fb2d3dbd/multiproc/manager"
)

// TestNestedUnread lets an object go whose proxy was put into another and taken out again without anybody having read it.
func TestNestedUnread(t *testing.T) {
	for _, transport := range transports {
		t.Run(transport, func(t *testing.T) {
			ctx := proctest.Context(t)
			s := serve(t, &manager.ServerOptions{Keep: time.Nanosecond, Linger: -1})
			m := dial(t, s, transport)
			outer := must[*manager.Dict[string, []*manager.List[int]]](t)(manager.NewDict[string, []*manager.List[int]](ctx, m, nil))
			for range 3 { // each in place of the one before
				inner := must[*manager.List[int]](t)(manager.NewList(ctx, m, nil, 1, 2, 3))
				check(t, outer.Set(ctx, "a", []*manager.List[int]{inner, inner}))
				check(t, inner.Close())
			}
			proctest.Eventually(t, func() bool { return s.Stats().Objects == 2 }, "the lists before to be let go")
			check(t, outer.Delete(ctx, "a"))
			proctest.Eventually(t, func() bool { return s.Stats().Objects == 1 }, "the list to be let go")

			list := must[*manager.List[*manager.Dict[string, []*manager.List[int]]]](t)(manager.NewList(ctx, m, nil, outer))
			if err := list.Set(ctx, 7, outer); err == nil { // which the list does not have
				t.Error("an index out of range was set")
			}
			if _, _, err := manager.UpdateList(ctx, list, 0, same, 0); err != nil {
				t.Error(err)
			}
			check(t, outer.Close())
			if n := s.Stats().Objects; n != 2 {
				t.Errorf("%d objects", n)
			}
			check(t, list.Clear(ctx))
			proctest.Eventually(t, func() bool { collect(); return s.Stats().Objects == 1 }, "the dictionary to be let go")
			check(t, list.Close())
		})
	}
}

// same is an update that puts back what was there.
var same = manager.NewUpdate("same", func(_ context.Context, old *manager.Dict[string, []*manager.List[int]], _ bool, _ int) (*manager.Dict[string, []*manager.List[int]], bool, error) {
	return old, true, nil
})
