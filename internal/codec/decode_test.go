package codec

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"testing"
)

// failDecode checks that data is refused as corrupt with the message, and
// without allocating more than a multiple of its size.
func failDecode[T any](t *testing.T, data []byte, message string) {
	t.Helper()
	var v T
	err := Decode(data, &v) // compiles the program
	if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), message) {
		t.Errorf("Decode[%T](%.40q) = %v, want %q", v, data, err, message)
	}
	if _, ok := errors.AsType[*DecodeError](err); !ok {
		t.Errorf("Decode[%T](%.40q) = %T", v, data, err)
	}
	if !reflect.ValueOf(&v).Elem().IsZero() {
		t.Errorf("Decode[%T](%.40q) left %v", v, data, v)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_ = Decode(data, &v)
	runtime.ReadMemStats(&after)
	if grown, most := after.TotalAlloc-before.TotalAlloc, uint64(200*len(data)+100_000); grown > most {
		t.Errorf("Decode[%T](%.40q) allocated %d bytes for %d of input", v, data, grown, len(data))
	}
}

func TestDecodeCorrupt(t *testing.T) {
	uvarint := func(n uint64) []byte { return binary.AppendUvarint(nil, n) }
	huge := uvarint(1 << 62)
	failDecode[int64](t, nil, "8 bytes wanted, 0 left")
	failDecode[int64](t, make([]byte, 7), "8 bytes wanted, 7 left")
	failDecode[int64](t, make([]byte, 9), "left over after the value: 1")
	failDecode[bool](t, []byte{2}, "byte 0x2 where 0 or 1 belongs")
	failDecode[bool](t, nil, "1 byte wanted")
	failDecode[*int64](t, []byte{7}, "byte 0x7 where 0 or 1 belongs")
	failDecode[*int64](t, []byte{1, 0}, "8 bytes wanted for int64, 1 left")
	failDecode[*[1 << 30]byte](t, []byte{1, 0}, "bytes wanted for [1073741824]uint8")
	failDecode[string](t, []byte{3, 'a', 'b'}, "length 3, but only 2 bytes left")
	failDecode[string](t, huge, "length 4611686018427387904")
	failDecode[string](t, bytes.Repeat([]byte{0xff}, 11), "no valid length")
	failDecode[string](t, []byte{0x80}, "no valid length")
	failDecode[[]byte](t, huge, "length")
	failDecode[[]int64](t, append(uvarint(3), make([]byte, 15)...), "length 2, but only 15 bytes left")
	failDecode[[]struct{}](t, huge, "length")
	failDecode[[]struct{}](t, uvarint(1<<63), "length")
	failDecode[[]lossyOnly](t, huge, "length")
	failDecode[map[struct{}]struct{}](t, huge, "length")
	failDecode[map[struct{}]struct{}](t, []byte{3, 0, 0}, "2 entries for the one value of struct {}")
	failDecode[map[string]int](t, huge, "length")
	failDecode[map[int8]bool](t, []byte{3, 1, 0, 1, 1}, "2 keys, of which only 1 are distinct")
	failDecode[rgb](t, []byte{9, 1, 2, 3}, "length 9, but only 3 bytes left")
	failDecode[point](t, make([]byte, 23), "24 bytes wanted, 23 left")
	failDecode[runs](t, make([]byte, 7), "8 bytes wanted, 7 left")
	failDecode[[2]string](t, []byte{1, 'a', 1}, "length 1, but only 0 bytes left")

	// Lengths that fit the input but not the memory: large elements, and
	// slices in slices that each claim the whole.
	failDecode[[]bulky](t, append(uvarint(1<<16), bytes.Repeat([]byte{200}, 1<<16)...), "no valid length")
	failDecode[map[int16]bulky](t, append(uvarint(1<<16), bytes.Repeat([]byte{200}, 3<<16)...), "no valid length")
	failDecode[nested](t, bytes.Repeat(uvarint(8_000), 9_000), "length")
}

type lossyOnly struct {
	A [1 << 20]byte `multiproc:"-"`
}

// bulky is large in memory and encodes itself in a few bytes.
type bulky struct{ _ [1 << 18]byte }

func (m *bulky) MarshalBinary() ([]byte, error) { return nil, nil }
func (m *bulky) UnmarshalBinary([]byte) error   { return nil }

func TestDecodeCorruptInterface(t *testing.T) {
	named := func(name string) string { return string(rune(sigNamed)) + string(rune(len(name))) + name }
	const pkg = "github.com/fb2d3dbd/multiproc/internal/codec."
	with := func(signature string, value ...byte) []byte {
		return append(append([]byte{byte(len(signature))}, signature...), value...)
	}
	failDecode[any](t, []byte{5, 1}, "length 5, but only 1 bytes left")
	failDecode[any](t, with("\x00"), "0x0 is not the type of a value")
	failDecode[any](t, with("\x11"), "0x11 is not the type of a value") // any
	failDecode[any](t, with("\x40"), "0x40 is not the type of a value")
	failDecode[any](t, with("\x06", 1), "8 bytes wanted, 1 left")
	failDecode[any](t, with("\x10", 1), "length 1, but only 0 bytes left")
	failDecode[any](t, with("\x01", 3), "byte 0x3 where 0 or 1 belongs")
	failDecode[any](t, with("[*"), "cut off or too long")
	failDecode[any](t, with("[?"), "has no valid '?'")
	failDecode[any](t, with("[\x02\x02"), "is not the type of a value")
	failDecode[any](t, with("@\x7fabc"), "has no valid '@'")
	failDecode[any](t, with("#\x80"), "has no valid '#'")
	failDecode[any](t, with("#\xff\xff\xff\xff\xff\x7f\x02"), "has no valid '#'")
	failDecode[any](t, with("#\xff\xff\xff\xff\x07\x02"), "has no valid '#'") // 2^31-1 ints
	failDecode[any](t, with("#\x83\x00\x02"), "is not how [3]int is written")
	failDecode[any](t, with("#\x05#\x00\x02"), "has no valid '#'") // [5][0]int
	failDecode[any](t, with("{[\x02\x02"), "has no valid '{'")
	failDecode[any](t, with(strings.Repeat("*", maxNesting+1)+"\x02"), "cut off or too long")
	failDecode[any](t, with(named(pkg+"point"), 1, 2), "24 bytes wanted for codec.point, 2 left")
	failDecode[any](t, with(named(pkg+"shape")), "is not the type of a value")
	failDecode[shape](t, with("\x02", make([]byte, 8)...), "int is not a codec.shape")
	failDecode[shape](t, with(named(pkg+"circle"), make([]byte, 8)...), "codec.circle is not a codec.shape")
	failDecode[map[any]int](t, append([]byte{2}, with("[\x02", make([]byte, 9)...)...), "cannot be a map key")
	failDecode[any](t, with("{\x11\x01", append([]byte{2}, with("[\x02", 0, 1)...)...), "cannot be a map key")

	var v any
	err := Decode(with(named("example.org/x.T")), &v)
	if !errors.Is(err, ErrUnregistered) || err.Error() != `decode any at byte 18: type is not registered: "example.org/x.T" is the name of a type in an interface; register it in this process too` {
		t.Errorf("got %v", err)
	}
	if err := Decode(with(named(pkg+"withChan")), &v); !errors.Is(err, ErrUnsupportedType) {
		t.Errorf("got %v", err)
	}
}

func TestDecodeTooDeep(t *testing.T) {
	var n nested
	if err := Decode(bytes.Repeat([]byte{2}, 1<<20), &n); !errors.Is(err, ErrTooDeep) {
		t.Errorf("got %.200v", err)
	}
	var l *list
	if err := Decode(bytes.Repeat([]byte{1}, 1<<20), &l); !errors.Is(err, ErrTooDeep) {
		t.Errorf("got %.200v", err)
	}
	var a any
	if err := Decode(bytes.Repeat([]byte{2, sigSlice, 17, 2}, 1<<18), &a); !errors.Is(err, ErrTooDeep) {
		t.Errorf("got %.200v", err)
	}
}

// A message cut off anywhere is refused, and one with a changed byte
// either decodes to something else or is refused.
func TestDecodeDamaged(t *testing.T) {
	job := fullJob()
	b, err := Append(nil, &job, nil)
	if err != nil {
		t.Fatal(err)
	}
	for n := range b {
		var got Job
		if err := Decode(b[:n], &got); err == nil {
			t.Errorf("the first %d of %d bytes decoded", n, len(b))
		}
	}
	for i := range b {
		for _, flip := range []byte{1, 0x80, 0xff} {
			bad := bytes.Clone(b)
			bad[i] ^= flip
			var got Job
			_ = Decode(bad, &got)
		}
	}
}

// Types made from signatures are never freed, so their number is bounded. This
// runs on another cache, which takes no more afterwards.
func TestSignaturesAreBounded(t *testing.T) {
	known.Lock()
	programs, composites := known.programs, known.composites
	known.programs, known.composites = map[string]*program{}, map[reflect.Type]struct{}{}
	for i := range maxComposites {
		known.composites[reflect.ArrayOf(i, reflect.TypeFor[byte]())] = struct{}{}
	}
	known.Unlock()
	defer func() {
		known.Lock()
		known.programs, known.composites = programs, composites
		known.Unlock()
	}()
	v := any([]int8{1})
	b, err := Append(nil, &v, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := Decode(b, &v); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "unnamed types in interfaces") {
		t.Errorf("got %v", err)
	}
}

func TestPathOfDecodeErrors(t *testing.T) {
	v := Job{Parts: []Part{{}, {Any: []any{1, true}}}}
	b, err := Append(nil, &v, nil)
	if err != nil {
		t.Fatal(err)
	}
	i := bytes.Index(b, []byte{1, codeBool, 1})
	b[i+2] = 9
	err = Decode(b, &v)
	want := fmt.Sprintf("decode Job.Parts[1].Any.([]any)[1].(bool) at byte %d: corrupt encoding: byte 0x9 where 0 or 1 belongs", i+3)
	if err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
}
