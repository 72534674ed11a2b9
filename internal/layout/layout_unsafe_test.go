package layout_test

import (
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"
	"unsafe"

	"github.com/fb2d3dbd/multiproc/internal/layout"
)

var magic = layout.Magic("TESTTEST")

// Every damage to a head is refused, and by its name.
func TestHead(t *testing.T) {
	var h layout.Head
	if _, err := h.Check(magic, 100); !errors.Is(err, layout.ErrForeign) {
		t.Errorf("zeros: %v", err)
	}
	h.Publish(magic, 100)
	for _, avail := range []uint64{100, 101, 1 << 40} {
		if size, err := h.Check(magic, avail); size != 100 || err != nil {
			t.Errorf("Check in %d bytes = %d, %v", avail, size, err)
		}
	}
	if _, err := h.Check(magic, 99); !errors.Is(err, layout.ErrCorrupt) {
		t.Errorf("too few bytes: %v", err)
	}
	if _, err := h.Check(layout.Magic("OTHERONE"), 100); !errors.Is(err, layout.ErrForeign) || !strings.Contains(err.Error(), "TESTTEST") {
		t.Errorf("another magic: %v", err)
	}
	for i := range layout.HeadSize {
		for bit := range 8 {
			bad := h
			layout.View(&bad)[i] ^= 1 << bit
			_, err := bad.Check(magic, 1<<62)
			want := layout.ErrCorrupt
			if i < 16 { // magic and signature
				want = layout.ErrForeign
			}
			if !errors.Is(err, want) {
				t.Errorf("bit %d of byte %d flipped: %v, want %v", bit, i, err, want)
			}
		}
	}
}

func TestMagicLength(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a magic of seven bytes was made")
		}
	}()
	layout.Magic("SEVEN77")
}

func TestErrClosed(t *testing.T) {
	if !errors.Is(layout.ErrClosed, os.ErrClosed) || errors.Is(layout.ErrClosed, os.ErrExist) {
		t.Error("ErrClosed must match os.ErrClosed, and nothing else")
	}
}

type inner struct {
	N    int
	Name string
}

type outer struct {
	A [3]int
	B struct{ C []inner }
}

func TestPointerFree(t *testing.T) {
	for _, good := range []any{true, 1, uint8(1), int64(1), uintptr(1), 1.5, float32(1), complex(1, 2), [4]int{}, [0]string{},
		struct{}{}, struct {
			A [2]struct{ X, Y float32 }
			b bool
		}{}} {
		err := layout.PointerFree(reflect.TypeOf(good))
		if _, empty := good.([0]string); empty {
			continue // whether it is refused is of no matter: it holds nothing
		}
		if err != nil {
			t.Errorf("%T is refused: %v", good, err)
		}
	}
	for want, bad := range map[string]any{
		"string is a string":                         "",
		"inner.Name is a string":                     inner{},
		"outer.B.C is a slice":                       outer{},
		"[2]*int[] is a pointer":                     [2]*int{},
		"[3]layout_test.inner[].Name is a string":    [3]inner{},
		"map[int]int is a map":                       map[int]int{},
		"chan int is a chan":                         make(chan int),
		"func() is a func":                           func() {},
		"struct { E error }.E is an interface":       struct{ E error }{},
		"struct { P unsafe.Pointer }.P is a pointer": struct{ P unsafe.Pointer }{},
	} {
		err := layout.PointerFree(reflect.TypeOf(bad))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%T: %v; want %q in it", bad, err, want)
		}
	}
}

func TestViews(t *testing.T) {
	x := uint32(0)
	b := layout.View(&x)
	b[0], b[3] = 1, 1
	if len(b) != 4 || x != 0x01000001 {
		t.Errorf("%d bytes, %#x", len(b), x)
	}
	if string(layout.Text("abc")) != "abc" || len(layout.Text("")) != 0 {
		t.Error("Text")
	}
}
