package shm_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/fb2d3dbd/multiproc/internal/proctest"
	"github.com/fb2d3dbd/multiproc/shm"
	"github.com/fb2d3dbd/multiproc/spawn"
)

// panics reports whether fn does.
func panics(fn func()) (did bool) {
	defer func() { did = recover() != nil }()
	fn()
	return false
}

func TestSliceView(t *testing.T) {
	s := newSegment(t, &shm.Options{Arena: 1 << 20})
	a, err := shm.NewArray[float64](s, 10)
	ok(t, err)
	v := a.Slice()
	v.Fill(1.5)
	v.Set(3, -2)
	part := v.Sub(2, 5)
	part.Set(0, 7)
	if x, _ := a.At(2); x != 7 || v.At(3) != -2 || part.Len() != 3 || v.Len() != 10 || len(v.Elems()) != 10 {
		t.Errorf("the array is %v, the part %v", v.Elems(), part.Elems())
	}
	n := 0
	for i, x := range part.All() {
		if x != part.At(i) {
			t.Error("All")
		}
		if n++; n == 2 {
			break
		}
	}
	for _, bad := range []func(){func() { v.At(10) }, func() { v.Set(-1, 0) }, func() { part.At(3) }, func() { _ = part.Sub(0, 4).Elems()[3] }, func() { v.Sub(3, 2) }} {
		if !panics(bad) {
			t.Error("an index out of range is taken")
		}
	}
	if _, err := shm.SliceOf[int64](s.Bytes()[:0]); err != nil {
		t.Error(err)
	}
}

func TestMatrix(t *testing.T) {
	s := newSegment(t, &shm.Options{Arena: 1 << 20, Size: 96})
	m, err := shm.NewMatrix[int32](s, 3, 4)
	ok(t, err)
	for i := range m.Rows() {
		for j := range m.Cols() {
			if m.At(i, j) != 0 {
				t.Error("a new matrix is not zero")
			}
			m.Set(i, j, int32(10*i+j))
		}
	}
	other, err := shm.OpenMatrix[int32](again(t, s), m.Ref())
	ok(t, err)
	if other.Rows() != 3 || other.Cols() != 4 || other.At(2, 3) != 23 || fmt.Sprint(other.Row(1)) != "[10 11 12 13]" {
		t.Errorf("another process sees %v", other.Row(1))
	}
	sub := other.Sub(1, 2, 2, 2)
	sub.Set(1, 1, -1)
	if m.At(2, 3) != -1 || sub.At(0, 0) != 12 || fmt.Sprint(sub.Row(1)) != "[22 -1]" {
		t.Error("a part is not what it is a part of")
	}
	rows := 0
	for i, r := range sub.All() {
		if r[0] != sub.At(i, 0) {
			t.Error("All")
		}
		rows++
	}
	if rows != 2 {
		t.Errorf("%d rows", rows)
	}
	flat, err := shm.MatrixOf[float64](s.Bytes(), 3, 4)
	ok(t, err)
	flat.Set(2, 3, 1)
	if s.Bytes()[95] != 0x3f {
		t.Error("a matrix on bytes writes elsewhere")
	}
	for _, bad := range []func(){
		func() { m.At(0, 4) }, func() { m.At(3, 0) }, func() { m.At(0, -1) }, func() { m.Set(-1, 0, 0) }, func() { sub.At(0, 2) }, func() { sub.At(2, 0) },
		func() { m.Sub(0, 0, 4, 1) }, func() { m.Sub(1, 1, 1, 4) }, func() { m.Sub(0, 0, 0, 1) }, func() { sub.Row(2) },
	} {
		if !panics(bad) {
			t.Error("an index out of range is taken")
		}
	}
	for _, bad := range [][2]int{{0, 1}, {1, 0}, {-1, -1}, {1 << 40, 1 << 40}, {1 << 62, 4}} {
		if _, err := shm.NewMatrix[int64](s, bad[0], bad[1]); err == nil {
			t.Errorf("a matrix of %v was made", bad)
		}
	}
	if _, err := shm.OpenMatrix[int64](s, m.Ref()); err == nil {
		t.Error("elements of four bytes were opened as such of eight")
	}
	if _, err := shm.NewMatrix[string](s, 1, 1); err == nil {
		t.Error("a matrix of strings")
	}
	if _, err := shm.MatrixOf[float64](s.Bytes(), 4, 4); err == nil {
		t.Error("a matrix larger than its bytes")
	}
	mem, err := s.At(m.Ref(), shm.KindMatrix)
	ok(t, err)
	for _, b := range []byte{0, 200} {
		mem[0] = b
		if _, err := shm.OpenMatrix[int32](s, m.Ref()); !errors.Is(err, shm.ErrCorrupt) {
			t.Errorf("%d rows in a matrix of 3: %v", b, err)
		}
	}
}

type pair struct {
	N    int64
	Half [2]float32
	In   struct{ A, B uint8 }
}

type pairOfOthers struct {
	N    int64
	Half [2]float32
	In   struct{ B, A uint8 }
}

func TestStruct(t *testing.T) {
	s := newSegment(t, nil)
	v, err := shm.NewStruct(s, pair{N: 7})
	ok(t, err)
	other, err := shm.OpenStruct[pair](again(t, s), v.Ref())
	ok(t, err)
	other.Ptr().In.B = 3
	if x, err := v.Load(); x.N != 7 || x.In.B != 3 || err != nil {
		t.Errorf("the struct is %+v, %v", x, err)
	}
	_, err = shm.OpenStruct[pairOfOthers](s, v.Ref())
	wantErr(t, err, shm.ErrForeign)
	_, err = shm.OpenStruct[int64](s, v.Ref())
	wantErr(t, err, shm.ErrForeign)
	if _, err := shm.NewStruct(s, struct{ P *int }{}); err == nil || !strings.Contains(err.Error(), ".P is a pointer") {
		t.Errorf("a struct with a pointer: %v", err)
	}
	text, err := shm.LayoutOf[pair]()
	if want := "0 N int64\n8 Half [2]float32\n16 In.A uint8\n17 In.B uint8\nsize 24, alignment 8\n"; text != want || err != nil {
		t.Errorf("the layout is\n%swant\n%s%v", text, want, err)
	}
	nested, err := shm.LayoutOf[[2]pair]()
	if !strings.HasPrefix(nested, "0  2 times:\n0 [].N int64\n") || err != nil {
		t.Errorf("the layout of an array of structs is %q, %v", nested, err)
	}
}

func TestBlob(t *testing.T) {
	s := newSegment(t, nil)
	ctx := proctest.Context(t)
	b, err := shm.NewBlob(s, 100)
	ok(t, err)
	if x, err := b.Load(); len(x) != 0 || err != nil || b.Cap() != 100 {
		t.Errorf("a new value is %q, %v", x, err)
	}
	other, err := shm.OpenBlob(again(t, s), b.Ref())
	ok(t, err)
	for n := range 101 {
		want := strings.Repeat("x", n)
		ok(t, b.Store(ctx, []byte(want)))
		if x, err := other.Load(); string(x) != want || err != nil {
			t.Fatalf("%d bytes have come as %q, %v", n, x, err)
		}
	}
	wantErr(t, b.Store(ctx, make([]byte, 101)), shm.ErrTooLarge)
	ok(t, b.Update(ctx, func(old []byte) ([]byte, error) { return append(old[:3], 'y'), nil }))
	wantErr(t, b.Update(ctx, func(old []byte) ([]byte, error) { return nil, context.Canceled }), context.Canceled)
	if !panics(func() { _ = b.Update(ctx, func([]byte) ([]byte, error) { panic(1) }) }) {
		t.Error("no panic")
	}
	if x, err := other.AppendTo([]byte("=")); string(x) != "=xxxy" || err != nil {
		t.Errorf("after an update it is %q, %v", x, err)
	}
	text, err := shm.NewText(s, 20)
	ok(t, err)
	ok(t, text.Store(ctx, "grüße"))
	if x, err := text.Load(); x != "grüße" || err != nil {
		t.Errorf("the text is %q, %v", x, err)
	}
	again, err := shm.OpenText(s, text.Ref())
	ok(t, err)
	if x, err := again.Load(); x != "grüße" || err != nil {
		t.Errorf("opened once more the text is %q, %v", x, err)
	}
	_, err = shm.OpenText(s, shm.Ref{})
	if err == nil {
		t.Error("a text was opened that is none")
	}
	for _, bad := range []int{0, -1, 1 << 40} {
		if _, err := shm.NewBlob(s, bad); err == nil {
			t.Errorf("a value of up to %d bytes was made", bad)
		}
	}
	mem, err := s.At(b.Ref(), shm.KindBlob)
	ok(t, err)
	mem[24+5], mem[32+5] = 1, 1 // both lengths
	_, err = b.Load()
	wantErr(t, err, shm.ErrCorrupt)
	mem[16]++ // the capacity
	_, err = shm.OpenBlob(s, b.Ref())
	wantErr(t, err, nil)
	mem[17]++
	_, err = shm.OpenBlob(s, b.Ref())
	wantErr(t, err, shm.ErrCorrupt)
}

type containersArg struct {
	X      *shm.Value[int32]
	Z      *shm.Value[int64]
	Foo    *shm.Struct[foo]
	Arr    *shm.Array[float64]
	Matrix *shm.Matrix[float64]
	Text   *shm.Text
	Blob   *shm.Blob
}

type foo struct {
	X int32
	Y float64
	Z int64
}

// double is what CPython's test of shared ctypes does in its child.
var double = spawn.NewTarget("shm.double", func(ctx context.Context, a containersArg) error {
	x, e1 := a.X.Load()
	z, e2 := a.Z.Load()
	text, e3 := a.Text.Load()
	err := errors.Join(e1, e2, e3, a.X.Store(2*x), a.Z.Store(2*z), a.Text.Store(ctx, text+text),
		a.Blob.Update(ctx, func(old []byte) ([]byte, error) { return append(old, old...), nil }))
	a.Foo.Ptr().X *= 2
	a.Foo.Ptr().Y *= 2
	for i := range a.Arr.Elems() {
		a.Arr.Elems()[i] *= 2
	}
	for _, row := range a.Matrix.All() {
		for j := range row {
			row[j] *= 2
		}
	}
	return err
})

func TestContainersInAnotherProcess(t *testing.T) {
	s := newSegment(t, nil)
	ctx := proctest.Context(t)
	var a containersArg
	var errs [10]error
	a.X, errs[0] = shm.NewValue(s, int32(7))
	a.Z, errs[1] = shm.NewValue(s, int64(1<<33))
	a.Foo, errs[2] = shm.NewStruct(s, foo{X: 3, Y: 2})
	a.Arr, errs[3] = shm.NewArray[float64](s, 10)
	a.Matrix, errs[4] = shm.NewMatrix[float64](s, 2, 2)
	a.Text, errs[5] = shm.NewText(s, 20)
	a.Blob, errs[6] = shm.NewBlob(s, 20)
	ok(t, errors.Join(errs[:]...))
	for i := range a.Arr.Elems() {
		a.Arr.Elems()[i] = float64(i)
	}
	a.Matrix.Set(1, 1, 1.5)
	ok(t, a.Text.Store(ctx, "hello"))
	ok(t, a.Blob.Store(ctx, []byte{1, 0}))
	p, err := double.Start(ctx, a, nil)
	ok(t, err)
	ok(t, p.Wait(ctx))
	x, _ := a.X.Load()
	z, _ := a.Z.Load()
	f, _ := a.Foo.Load()
	text, _ := a.Text.Load()
	blob, _ := a.Blob.Load()
	if x != 14 || z != 1<<34 || f != (foo{X: 6, Y: 4}) || a.Arr.Slice().At(9) != 18 || a.Matrix.At(1, 1) != 3 || text != "hellohello" || string(blob) != "\x01\x00\x01\x00" {
		t.Errorf("the child has made %v %v %v %v %v %q %q", x, z, f, a.Arr.Elems(), a.Matrix.At(1, 1), text, blob)
	}
}

type scribbleArg struct {
	Blob   *shm.Blob
	Rounds int
}

// scribble stores values of all lengths, each of one byte that follows from its length.
var scribble = spawn.NewTarget("shm.scribble", func(ctx context.Context, a scribbleArg) error {
	for i := 0; i != a.Rounds; i++ {
		n := i * 31 % (a.Blob.Cap() + 1)
		value := make([]byte, n)
		for k := range value {
			value[k] = byte(n)
		}
		if err := a.Blob.Store(ctx, value); err != nil {
			return err
		}
	}
	return nil
})

func whole(value []byte) error {
	for _, x := range value {
		if x != byte(len(value)) {
			return fmt.Errorf("a value of %d bytes has a byte %d in it", len(value), x)
		}
	}
	return nil
}

// Writers are killed in the middle of it; every value that is read is one that somebody has stored.
func TestBlobUnderKills(t *testing.T) {
	s := newSegment(t, nil)
	b, err := shm.NewBlob(s, 3000)
	ok(t, err)
	survivor, err := scribble.Start(proctest.Context(t), scribbleArg{b, 20000}, nil)
	ok(t, err)
	kills := 20
	if testing.Short() {
		kills = 3
	}
	for range kills {
		victim, err := scribble.Start(proctest.Context(t), scribbleArg{b, -1}, nil)
		ok(t, err)
		for range 2000 {
			value, err := b.Load()
			ok(t, err)
			ok(t, whole(value))
		}
		ok(t, victim.Kill())
		_ = victim.Wait(proctest.Context(t))
	}
	ok(t, survivor.Wait(proctest.Context(t)))
	ok(t, b.Store(proctest.Context(t), nil))
}
