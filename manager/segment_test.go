package manager_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"testing"

	"github.com/fb2d3dbd/multiproc"
	"github.com/fb2d3dbd/multiproc/internal/proctest"
	"github.com/fb2d3dbd/multiproc/manager"
	"github.com/fb2d3dbd/multiproc/shm"
)

// needShared skips a test where there is no named shared memory.
func needShared(t *testing.T) {
	t.Helper()
	if s, err := shm.Create(proctest.SegmentName(t), nil); errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	} else if err == nil {
		check(t, s.Close())
	}
}

type memory struct {
	Segment *manager.Segment
	Block   *manager.SharedMemory
	List    *manager.ShareableList
	Die     bool
}

// fill writes into shared memory.
var fill = multiproc.NewTarget("manager_test.fill", func(ctx context.Context, m memory) error {
	v, err := shm.ArrayAt[int64](m.Segment.Shared(), 0, 4)
	if err != nil {
		return err
	}
	if err := v.Set(2, 7); err != nil {
		return err
	}
	copy(m.Block.Shared().Bytes(), "filled")
	if err := m.List.Shared().Set(1, "x"); err != nil {
		return err
	}
	if m.Die {
		proctest.Suicide()
	}
	return errors.Join(m.Segment.Close(), m.Block.Close(), m.List.Close())
})

// isThere reports whether a block's or a segment's name stands.
func isThere(name string) bool {
	_, err := os.Stat("/dev/shm/" + name)
	_, err2 := os.Stat("/dev/shm/multiproc-" + name)
	return err == nil || err2 == nil
}

func makeMemory(t *testing.T, m *manager.Manager) (x memory, names []string) {
	t.Helper()
	ctx := proctest.Context(t)
	var err error
	x.Segment, err = manager.NewSegment(ctx, m, nil, &shm.Options{Size: 4096})
	check(t, err)
	x.Block, err = manager.NewSharedMemory(ctx, m, nil, 100)
	check(t, err)
	x.List, err = manager.NewShareableList(ctx, m, nil, 1, "a", 2.5, nil, true, []byte("b"))
	check(t, err)
	return x, []string{x.Segment.Shared().Name(), x.Block.Shared().Name(), x.List.Shared().Shared().Name()}
}

func (x memory) close(t *testing.T) {
	t.Helper()
	check(t, errors.Join(x.Segment.Close(), x.Block.Close(), x.List.Close(), x.Segment.Close()))
}

// Memory of a server's is used in place by its clients, and ends with the last of them, however they end.
func TestSegment(t *testing.T) {
	needShared(t)
	soon(t, func(t *testing.T, m *manager.Manager) {
		ctx := proctest.Context(t)
		for _, die := range []bool{false, true} {
			x, names := makeMemory(t, m)
			x.Die = die
			p, err := fill.Start(ctx, x, process)
			check(t, err)
			if err := p.Wait(ctx); (err != nil) != die {
				t.Fatal(err)
			}
			v, err := shm.ArrayAt[int64](x.Segment.Shared(), 0, 4)
			check(t, err)
			if n, err := v.At(2); n != 7 || err != nil {
				t.Error(n, err)
			}
			if s := string(x.Block.Shared().Bytes()[:6]); s != "filled" {
				t.Error(s)
			}
			if all := slices.Collect(values(x.List.Shared().All())); !reflect.DeepEqual(all, []any{int64(1), "x", 2.5, nil, true, []byte("b")}) {
				t.Error(all)
			}
			for _, name := range names {
				if !isThere(name) {
					t.Errorf("%s is gone", name)
				}
			}
			x.close(t)
			quiet(t, m, 0)
			proctest.Eventually(t, func() bool { return !slices.ContainsFunc(names, isThere) }, "no memory")
		}
	})
}

func values[K, V any](seq func(yield func(K, V) bool)) func(yield func(V) bool) {
	return func(yield func(V) bool) { seq(func(_ K, v V) bool { return yield(v) }) }
}

// TestSegmentServerEnds has a server leave nothing, whether it ends in order or not.
func TestSegmentServerEnds(t *testing.T) {
	needShared(t)
	ctx := proctest.Context(t)
	for how, end := range map[string]func(m *manager.Manager) error{
		"close":    func(m *manager.Manager) error { return m.Close() },
		"shutdown": func(m *manager.Manager) error { return m.Shutdown(ctx) },
		"kill": func(m *manager.Manager) error {
			check(t, m.Process().Kill())
			_ = m.Process().Wait(ctx)
			return m.Close()
		},
		"kill, shutdown": func(m *manager.Manager) error {
			check(t, m.Process().Kill())
			_ = m.Process().Wait(ctx)
			if err := m.Shutdown(ctx); err == nil {
				return errors.New("a killed server was shut down")
			}
			return nil
		},
	} {
		t.Run(how, func(t *testing.T) {
			m, err := manager.Start(ctx, options(nil))
			check(t, err)
			x, names := makeMemory(t, m)
			check(t, end(m))
			if slices.ContainsFunc(names[1:], isThere) {
				t.Error("blocks are left")
			}
			// who has it open keeps it
			x.Segment.Shared().Bytes()[0] = 1
			x.Block.Shared().Bytes()[0] = 1
			x.close(t)
			if isThere(names[0]) {
				t.Error("the segment is left")
			}
			check(t, m.Close())
		})
	}
}

func TestSegmentMisuse(t *testing.T) {
	needShared(t)
	ctx := proctest.Context(t)
	m := dialed(t, "tcp")
	if _, err := manager.NewSegment(ctx, m, nil, &shm.Options{Size: 1, Keep: true}); !errors.Is(err, manager.ErrValue) {
		t.Error(err)
	}
	if _, err := manager.NewSegment(ctx, m, nil, &shm.Options{Size: -1}); !errors.Is(err, manager.ErrValue) {
		t.Error(err)
	}
	if _, err := manager.NewSharedMemory(ctx, m, nil, 0); !errors.Is(err, manager.ErrValue) {
		t.Error(err)
	}
	if _, err := manager.NewSharedMemory(ctx, m, nil, 1<<46); !errors.Is(err, shm.ErrNoMemory) && !errors.Is(err, manager.ErrValue) {
		t.Error(err)
	}
	if _, err := manager.NewShareableList(ctx, m, nil, struct{}{}); !errors.Is(err, manager.ErrValue) {
		t.Error(err)
	}
	if _, err := manager.NewShareableList(ctx, m, nil, map[string]int{}); !errors.Is(err, manager.ErrValue) {
		t.Error(err)
	}
	// a client that does not find it: it is on another machine, say
	o := &manager.ObjectOptions{Name: "block"}
	b, err := manager.NewSharedMemory(ctx, m, o, 10)
	check(t, err)
	check(t, shm.UnlinkSharedMemory(b.Shared().Name()))
	if _, err := manager.NewSharedMemory(ctx, m, o, 10); !errors.Is(err, errors.ErrUnsupported) {
		t.Error(err)
	}
	if _, err := manager.NewSegment(ctx, m, o, nil); !errors.Is(err, manager.ErrName) {
		t.Error(err)
	}
	check(t, b.Close())
	s, err := manager.NewSegment(ctx, m, nil, nil)
	check(t, err)
	v, err := shm.NewValue(s.Shared(), 5)
	check(t, err)
	if n, err := v.Load(); n != 5 || err != nil {
		t.Error(n, err)
	}
	check(t, s.Close())
	if st, err := m.Stats(ctx); err != nil || st.Objects > 3 {
		t.Error(fmt.Sprint(st), err)
	}
}
