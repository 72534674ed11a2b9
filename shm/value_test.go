package shm_test

import (
	"strings"
	"sync"
	"testing"

	"github.com/fb2d3dbd/multiproc/shm"
)

type point struct {
	X, Y float32
	On   bool
	ID   [3]uint16
}

// values stores and loads x, and finds it again by its handle and as an array's element.
func values[T comparable](t *testing.T, s *shm.Segment, x T) {
	t.Helper()
	v, err := shm.NewValue(s, x)
	ok(t, err)
	again, err := shm.OpenValue[T](s, v.Ref())
	ok(t, err)
	if got, err := again.Load(); got != x || err != nil {
		t.Errorf("%T: loaded %v, %v; stored %v", x, got, err, x)
	}
	var zero T
	ok(t, again.Store(zero))
	if got, _ := v.Load(); got != zero {
		t.Errorf("%T: loaded %v after zero was stored", x, got)
	}
	ok(t, again.StoreRelease(x))
	if got, _ := v.Load(); got != x {
		t.Errorf("%T: loaded %v after %v was stored for release", x, got, x)
	}
	b, err := v.MarshalBinary()
	ok(t, err)
	var third shm.Value[T]
	ok(t, third.UnmarshalBinary(b))

	a, err := shm.NewArray[T](s, 5)
	ok(t, err)
	ok(t, a.Set(4, x))
	ok(t, a.CopyFrom(0, []T{x, x}))
	same, err := shm.OpenArray[T](s, a.Ref())
	ok(t, err)
	out := make([]T, 9)
	n, err := same.CopyTo(out, 0)
	ok(t, err)
	if n != 5 || out[0] != x || out[1] != x || out[2] != zero || out[4] != x {
		t.Errorf("%T: the array holds %v (%d)", x, out, n)
	}
	for _, i := range []int{-1, 5, 1 << 62} {
		_, e := same.At(i)
		if e == nil || same.Set(i, x) == nil || same.CopyFrom(i, []T{x}) == nil {
			t.Errorf("%T: index %d is not refused", x, i)
		}
	}
	if a.CopyFrom(4, []T{x, x}) == nil {
		t.Errorf("%T: two elements were stored in the place of one", x)
	}
}

func TestValues(t *testing.T) {
	s := newSegment(t, &shm.Options{Arena: 1 << 20, Size: 64})
	values(t, s, true)
	values(t, s, int8(-3))
	values(t, s, uint16(7))
	values(t, s, int32(-1))
	values(t, s, uint64(1<<63))
	values(t, s, 2.5)
	values(t, s, float32(2.5))
	values(t, s, complex(1, 2))
	values(t, s, [3]byte{1, 2, 3})
	values(t, s, [2]uint16{1, 2}) // four bytes that are not aligned to four
	values(t, s, point{1, 2, true, [3]uint16{1, 2, 3}})
	values(t, s, [40]int64{39: 1}) // 320 bytes
	values(t, s, [150]byte{149: 1})

	for _, off := range []int{-8, 4, 60, 64, 1 << 62} {
		if _, err := shm.ValueAt[int64](s, off); err == nil {
			t.Errorf("an int64 stands at byte %d of 64", off)
		}
	}
	if _, err := shm.ArrayAt[int32](s, 0, 17); err == nil {
		t.Error("17 int32 stand in 64 bytes")
	}
	_, err := shm.NewArray[int](s, -1)
	if err == nil {
		t.Error("an array of -1 elements")
	}
	v, err := shm.NewValue(s, int32(1))
	ok(t, err)
	if _, err := shm.OpenValue[int64](s, v.Ref()); err == nil {
		t.Error("four bytes were opened as eight")
	}
	if _, err := shm.OpenArray[int32](s, v.Ref()); err == nil {
		t.Error("a value was opened as an array")
	}
}

func TestRefusedTypes(t *testing.T) {
	s := newSegment(t, nil)
	type bad struct {
		N    int
		Tags [2]struct{ Name string }
	}
	_, e1 := shm.NewValue(s, bad{})
	_, e2 := shm.NewArray[bad](s, 1)
	_, e3 := shm.ValueAt[*int](s, 0)
	_, e4 := shm.NewValue[any](s, nil)
	for want, err := range map[string]error{"bad.Tags[].Name is a string": e1, "Tags[].Name": e2, "*int is a pointer": e3, "an interface": e4} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %q in it", err, want)
		}
	}
}

// The atomic operations lose nothing between two mappings.
func TestAtomics(t *testing.T) {
	const n = 2000
	s := newSegment(t, nil)
	v, err := shm.NewValue(s, uint32(1<<32-n))
	ok(t, err)
	a, err := shm.NewArray[int64](s, 2)
	ok(t, err)
	other := again(t, s)
	v2, err := shm.OpenValue[uint32](other, v.Ref())
	ok(t, err)
	a2, err := shm.OpenArray[int64](other, a.Ref())
	ok(t, err)
	var wg sync.WaitGroup
	for range 2 {
		for _, p := range []struct {
			v *shm.Value[uint32]
			a *shm.Array[int64]
		}{{v, a}, {v2, a2}} {
			wg.Go(func() {
				for range n {
					_, _ = shm.Add(p.v, 1)
					_, _ = shm.AddAt(p.a, 1, -1)
					for done := false; !done; {
						x, _ := p.a.At(0)
						done, _ = shm.CompareAndSwapAt(p.a, 0, x, x+1)
					}
				}
			})
		}
	}
	wg.Wait()
	if x, _ := v.Load(); x != 3*n { // over its wrap
		t.Errorf("the value is %d, want %d", x, 3*n)
	}
	x, _ := a.At(0)
	y, _ := a.At(1)
	if x != 4*n || y != -4*n {
		t.Errorf("the array is [%d %d], want [%d %d]", x, y, 4*n, -4*n)
	}
	if old, _ := shm.Swap(v, 5); old != 3*n {
		t.Errorf("Swap returned %d", old)
	}
	if swapped, _ := shm.CompareAndSwap(v, 6, 7); swapped {
		t.Error("another value was swapped")
	}
	if _, err := shm.AddAt(a, 2, 1); err == nil {
		t.Error("element 2 of 2 was added to")
	}
}
