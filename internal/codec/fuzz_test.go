package codec

import (
	"bytes"
	"math/big"
	"reflect"
	"slices"
	"testing"
)

// fuzzTypes are the types that FuzzDecode decodes to.
var fuzzTypes = []reflect.Type{
	reflect.TypeFor[any](),
	reflect.TypeFor[Job](),
	reflect.TypeFor[worker](),
	reflect.TypeFor[nested](),
	reflect.TypeFor[map[any]any](),
	reflect.TypeFor[[]shape](),
	reflect.TypeFor[tree](),
	reflect.TypeFor[derived](),
	reflect.TypeFor[[]runs](),
	reflect.TypeFor[map[pair[string, any]][]struct{}](),
	reflect.TypeFor[[]*big.Float](),
	reflect.TypeFor[map[float64][2][]bool](),
}

// FuzzDecode checks that no input makes Decode panic or use up the memory, and
// that what it accepts is a value that can be sent again without a change.
func FuzzDecode(f *testing.F) {
	seed := func(v any) {
		x := reflect.ValueOf(v).Elem()
		i := slices.Index(fuzzTypes, x.Type())
		if i < 0 {
			f.Fatalf("no type %T", v)
		}
		b, err := appendValue(nil, x, nil, nil)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(uint8(i), b)
	}
	job := fullJob()
	seed(&job)
	seed(ptr(any([]any{nil, true, 42, int64(1), 2.5, "hello", []byte("x"), &job, when, [2]int{1, 2}, map[string]*point{"a": {}}, big.NewInt(-5), rgb{1, 2, 3}})))
	seed(&worker{Queue: &handle{fd: 1}, Locks: []*handle{nil, {}}, ByKey: map[string]*handle{"a": {fd: 300}}})
	seed(&nested{{}, nil, {{}, {nil}}})
	seed(&map[any]any{1: "a", "b": 2.5, point{1, 2, 3}: []int{1}})
	seed(&[]shape{square{2}, &circle{3}, nil})
	seed(&tree{"a", []tree{{Name: "b"}}, map[string]*tree{"d": {Name: "e"}, "f": nil}})
	seed(&derived{Base{1, []string{"x"}}, base{"low", ptr(5)}, &point{1, 2, 3}, true})
	seed(&[]runs{{S: "s"}})
	seed(&map[pair[string, any]][]struct{}{{"a", 1}: {{}, {}}})
	seed(&[]*big.Float{big.NewFloat(1.5), nil})
	seed(&map[float64][2][]bool{1: {{true}, nil}})
	f.Add(uint8(0), bytes.Repeat([]byte{2, sigSlice, 17, 2}, 100))
	f.Add(uint8(3), []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f})

	f.Fuzz(func(t *testing.T, which uint8, data []byte) {
		typ := fuzzTypes[int(which)%len(fuzzTypes)]
		v := reflect.New(typ).Elem()
		if decodeValue(data, v, nil) != nil {
			return
		}
		first, err := appendValue(nil, v, nil, nil)
		if err != nil {
			t.Fatalf("decoded a %v that cannot be encoded: %v", typ, err)
		}
		again := reflect.New(typ).Elem()
		if err := decodeValue(first, again, nil); err != nil {
			t.Fatalf("%v from Append: %v", typ, err)
		}
		second, err := appendValue(nil, again, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		// Maps come in any order, but with the same bytes.
		slices.Sort(first)
		slices.Sort(second)
		if !bytes.Equal(first, second) {
			t.Fatalf("%v changed on its way:\n%#v\n%#v", typ, v, again)
		}
	})
}
