package codec

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// Random types with random values have to come back as they were.

var leafTypes = []reflect.Type{
	reflect.TypeFor[bool](), reflect.TypeFor[int](), reflect.TypeFor[int8](), reflect.TypeFor[uint16](), reflect.TypeFor[int32](),
	reflect.TypeFor[uint64](), reflect.TypeFor[float32](), reflect.TypeFor[float64](), reflect.TypeFor[string](), reflect.TypeFor[struct{}](),
	reflect.TypeFor[celsius](), reflect.TypeFor[names](), reflect.TypeFor[point](), reflect.TypeFor[gappy](), reflect.TypeFor[list](),
	reflect.TypeFor[rgb](), reflect.TypeFor[time.Time](), reflect.TypeFor[any](), reflect.TypeFor[shape](), reflect.TypeFor[Part](),
	reflect.TypeFor[nested](), reflect.TypeFor[handle](),
}

var shapeTypes = []reflect.Type{reflect.TypeFor[square](), reflect.TypeFor[*circle]()}

func drawType(t *rapid.T, depth int) reflect.Type {
	kind := rapid.IntRange(0, 8).Draw(t, "kind")
	if depth == 0 || kind < 4 {
		return rapid.SampledFrom(leafTypes).Draw(t, "leaf")
	}
	elem := drawType(t, depth-1)
	switch kind {
	case 4:
		return reflect.PointerTo(elem)
	case 5:
		return reflect.SliceOf(elem)
	case 6:
		return reflect.ArrayOf(rapid.IntRange(0, 3).Draw(t, "length"), elem)
	case 7:
		return reflect.MapOf(drawKeyType(t), elem)
	default:
		fields := []reflect.StructField{{Name: "F", Type: elem}}
		for i := range rapid.IntRange(0, 4).Draw(t, "fields") {
			fields = append(fields, reflect.StructField{Name: fmt.Sprint("G", i), Type: drawType(t, depth-1)})
		}
		return reflect.StructOf(fields)
	}
}

// drawKeyType returns a type without pointers, which would compare unequal
// after the way.
func drawKeyType(t *rapid.T) reflect.Type {
	key := rapid.SampledFrom(leafTypes).Filter(func(t reflect.Type) bool {
		switch t {
		case reflect.TypeFor[list](), reflect.TypeFor[Part](), reflect.TypeFor[time.Time]():
			return false
		}
		return t.Kind() != reflect.Interface && t.Comparable()
	}).Draw(t, "key")
	if rapid.Bool().Draw(t, "array") {
		return reflect.ArrayOf(2, key)
	}
	return key
}

// drawValue sets the addressable v.
func drawValue(t *rapid.T, v reflect.Value, depth int) {
	size := -1 // nil
	if depth > 0 {
		size = rapid.IntRange(-1, 4).Draw(t, "size")
	}
	switch v.Type() {
	case reflect.TypeFor[time.Time]():
		v.Set(reflect.ValueOf(time.Unix(rapid.Int64Range(0, 1<<40).Draw(t, "time"), 5).UTC()))
		return
	case reflect.TypeFor[rgb]():
		v.Set(reflect.ValueOf(rgb{rapid.Byte().Draw(t, "r"), 2, 3}))
		return
	case reflect.TypeFor[handle]():
		v.Set(reflect.ValueOf(handle{fd: rapid.IntRange(0, 1000).Draw(t, "fd")}))
		return
	}
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(rapid.Bool().Draw(t, "bool"))
	case reflect.String:
		v.SetString(rapid.String().Draw(t, "string"))
	case reflect.Float32:
		v.SetFloat(float64(rapid.Float32().Draw(t, "float")))
	case reflect.Float64:
		v.SetFloat(rapid.Float64().Draw(t, "float"))
	case reflect.Pointer:
		if size >= 0 {
			v.Set(reflect.New(v.Type().Elem()))
			drawValue(t, v.Elem(), depth-1)
		}
	case reflect.Slice:
		if size >= 0 {
			v.Set(reflect.MakeSlice(v.Type(), size, size))
			drawElements(t, v, depth)
		}
	case reflect.Array:
		drawElements(t, v, depth)
	case reflect.Struct:
		for i := range v.NumField() {
			drawValue(t, v.Field(i), depth-1)
		}
	case reflect.Map:
		if size >= 0 {
			v.Set(reflect.MakeMap(v.Type()))
			for range size {
				k, x := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
				drawValue(t, k, depth-1)
				drawValue(t, x, depth-1)
				v.SetMapIndex(k, x)
			}
		}
	case reflect.Interface:
		if size >= 0 {
			typ := rapid.SampledFrom(shapeTypes).Draw(t, "shape")
			if v.NumMethod() == 0 {
				typ = drawDynamicType(t)
			}
			x := reflect.New(typ).Elem()
			drawValue(t, x, depth-1)
			v.Set(x)
		}
	default:
		n := reflect.ValueOf(rapid.Uint64().Draw(t, "number"))
		v.Set(n.Convert(v.Type()))
	}
}

func drawElements(t *rapid.T, v reflect.Value, depth int) {
	for i := range v.Len() {
		drawValue(t, v.Index(i), depth-1)
	}
}

// drawDynamicType returns a type for a value in an interface: known, and of
// those that are made of known types only a few, since their number is bounded.
func drawDynamicType(t *rapid.T) reflect.Type {
	typ := rapid.SampledFrom(leafTypes).Filter(func(t reflect.Type) bool { return t.Name() != "" }).Draw(t, "dynamic")
	switch rapid.IntRange(0, 3).Draw(t, "made of it") {
	case 0:
		return reflect.PointerTo(typ)
	case 1:
		return reflect.SliceOf(typ)
	case 2:
		return reflect.MapOf(reflect.TypeFor[string](), typ)
	}
	if typ.Kind() == reflect.Interface {
		return reflect.TypeFor[int]()
	}
	return typ
}

func drawEncoding(t *rapid.T) (v reflect.Value, b []byte) {
	const depth = 4
	v = reflect.New(drawType(t, depth)).Elem()
	drawValue(t, v, depth)
	b, err := appendValue(nil, v, nil, nil)
	if err != nil {
		t.Fatalf("Append(%v): %v", v.Type(), err)
	}
	return v, b
}

func TestPropertyRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v, b := drawEncoding(t)
		p, err := programFor(v.Type())
		if err != nil {
			t.Fatal(err)
		}
		if len(b) < p.min || p.min == 0 && len(b) > 0 {
			t.Fatalf("%v: %d bytes, but at least %d expected", v.Type(), len(b), p.min)
		}
		got := reflect.New(v.Type()).Elem()
		if err := decodeValue(b, got, nil); err != nil {
			t.Fatalf("Decode(%v): %v", v.Type(), err)
		}
		if !reflect.DeepEqual(v.Interface(), got.Interface()) {
			t.Fatalf("%v\n got %#v\nwant %#v", v.Type(), got, v)
		}
	})
}

func TestPropertyDamage(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v, b := drawEncoding(t)
		for range 5 {
			if len(b) > 0 {
				b[rapid.IntRange(0, len(b)-1).Draw(t, "at")] = rapid.Byte().Draw(t, "byte")
			}
			got := reflect.New(v.Type()).Elem()
			if err := decodeValue(b, got, nil); err != nil { // and no panic
				continue
			}
			if err := decodeValue(append(b, 0), got, nil); err == nil {
				t.Fatal("one byte too many was accepted")
			}
		}
	})
}
