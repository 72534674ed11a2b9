package codec

import (
	"math"
	"math/big"
	"net"
	"net/netip"
	"net/url"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func roundTrip[T any](t *testing.T, v T) T {
	t.Helper()
	const before = "before"
	b, err := Append([]byte(before), &v, nil)
	if err != nil {
		t.Fatalf("Append: %v", err)
	}
	if string(b[:len(before)]) != before {
		t.Fatalf("Append changed what was there: %q", b[:len(before)])
	}
	var got T
	if err := Decode(b[len(before):], &got); err != nil {
		t.Fatalf("Decode: %v\n%q", err, b)
	}
	return got
}

// same checks that v comes back equal to the depth, types and nils included.
func same[T any](v T) func(t *testing.T) {
	return func(t *testing.T) {
		t.Helper()
		got := roundTrip(t, v)
		if !reflect.DeepEqual(v, got) {
			t.Errorf("got %#v\nwant %#v\n%s", got, v, difference(v, got))
		}
	}
}

func difference(want, got any) string {
	return cmp.Diff(want, got, cmp.Exporter(func(reflect.Type) bool { return true }))
}

func ptr[T any](v T) *T { return &v }

var when = time.Date(2031, 2, 3, 4, 5, 6, 7, time.UTC)

func TestRoundTrip(t *testing.T) {
	tests := map[string]func(*testing.T){
		"bool":           same(true),
		"int":            same(-42),
		"min int64":      same(int64(math.MinInt64)),
		"max uint64":     same(uint64(math.MaxUint64)),
		"int8":           same(int8(-128)),
		"rune":           same('ß'),
		"float32":        same(float32(1.5)),
		"infinity":       same(math.Inf(-1)),
		"complex64":      same(complex64(1 + 2i)),
		"complex128":     same(complex(math.Inf(1), -3)),
		"string":         same("héllo\x00\xff"),
		"empty string":   same(""),
		"long string":    same(string(make([]byte, 100_000))),
		"named float":    same(celsius(36.6)),
		"named int text": same(grade(3)),

		"bytes":              same([]byte("abc")),
		"nil bytes":          same([]byte(nil)),
		"empty bytes":        same([]byte{}),
		"named bytes":        same(blob("abc")),
		"ints":               same([]int{1, -2, 3}),
		"nil ints":           same([]int(nil)),
		"empty ints":         same([]int{}),
		"int16s":             same([]int16{1, -2, 3}),
		"celsius":            same([]celsius{1, 2}),
		"bools":              same([]bool{true, false}),
		"strings":            same([]string{"", "a", "bc"}),
		"names":              same(names{"x"}),
		"nil names":          same(names(nil)),
		"slices of slices":   same([][]int{nil, {}, {1}}),
		"points":             same([]point{{1, 2, 3}, {4, 5, 6}}),
		"gappy":              same([]gappy{{1, 2, 3}, {-4, -5, -6}}),
		"nothing":            same(struct{}{}),
		"nothings":           same(make([]struct{}, 3)),
		"no nothings":        same([]struct{}{}),
		"nil nothings":       same([]struct{}(nil)),
		"arrays of nothing":  same([][2][0]int{{}, {}}),
		"nil pointers":       same([]*int{nil, ptr(0), ptr(1)}),
		"array":              same([3]int{1, 2, 3}),
		"array of strings":   same([2]string{"a", "b"}),
		"array of arrays":    same([2][2]uint16{{1, 2}, {3, 4}}),
		"empty array":        same([0]string{}),
		"large odd elements": same([]struct{ A [3]byte }{{[3]byte{1, 2, 3}}, {[3]byte{4, 5, 6}}}),

		"map":                 same(map[string]int{"a": 1, "b": 2}),
		"nil map":             same(map[string]int(nil)),
		"empty map":           same(map[string]int{}),
		"set":                 same(map[int]struct{}{1: {}, 2: {}}),
		"one key":             same(map[struct{}]string{{}: "x"}),
		"empty entry":         same(map[struct{}][0]int{{}: {}}),
		"struct keys":         same(map[pair[int, string]]bool{{1, "a"}: true, {2, "b"}: false}),
		"array keys":          same(map[[2]string]int{{"a", "b"}: 1}),
		"interface keys":      same(map[any]any{1: "a", "b": 2.5, true: nil, point{1, 2, 3}: []int{1}}),
		"shape keys":          same(map[shape]int{square{2}: 1}),
		"maps of maps":        same(map[string]map[string]int{"a": nil, "b": {}, "c": {"d": 1}}),
		"self-encoding keys":  same(map[netip.Addr]int{netip.MustParseAddr("10.1.2.3"): 1}),
		"map of pointers":     same(map[string]*int{"a": nil, "b": ptr(0)}),
		"named map":           same(flags{"x": true}),
		"handles in a map":    same(map[string]handle{"x": {fd: 3}}),
		"text keys, opaque":   same(map[word]word{{"a"}: {"b"}}),
		"keys with blank":     same(map[struct{ A, _ int }]int{{A: 1}: 1}),
		"keys of zero length": same(map[[0]int]int{{}: 1}),

		"pointer":            same(ptr(7)),
		"nil pointer":        same((*int)(nil)),
		"pointer to pointer": same(ptr(ptr("x"))),
		"pointer to nil":     same(ptr((*int)(nil))),
		"pointer to nothing": same(ptr(struct{}{})),

		"runs":          same(runs{A: 1, B: 2, S: "s", C: 3, D: 4i, E: 5}),
		"generic":       same(pair[[]int, *point]{[]int{1}, &point{1, 2, 3}}),
		"generic map":   same(pair[map[string]int, any]{nil, pair[string, point]{"a", point{}}}),
		"embedded":      same(derived{Base{1, []string{}}, base{"low", ptr(5)}, &point{1, 2, 3}, true}),
		"embedded nil":  same(derived{}),
		"promoted":      same(stamped{when, "Z"}),
		"unnamed":       same(struct{ A, B any }{1, nil}),
		"list":          same(listOf(5000)),
		"tree":          same(tree{"a", []tree{{Name: "b"}, {"c", []tree{{}}, nil}}, map[string]*tree{"d": {Name: "e"}, "f": nil}}),
		"nested":        same(nested{{}, nil, {{}, {nil}}}),
		"map of itself": same(self{"a": {"b": nil, "c": {}}}),

		"time":         same(when),
		"local time":   same(time.Date(2031, 2, 3, 4, 5, 6, 7, time.Local)),
		"zero time":    same(time.Time{}),
		"duration":     same(time.Second),
		"big int":      same(new(big.Int).Exp(big.NewInt(7), big.NewInt(200), nil)),
		"big float":    same(new(big.Float).SetPrec(300).Quo(big.NewFloat(1).SetPrec(300), big.NewFloat(3).SetPrec(300))),
		"nil big int":  same((*big.Int)(nil)),
		"big rat":      same(*big.NewRat(22, 7)),
		"url":          same(&url.URL{Scheme: "https", Host: "example.org", Path: "/a b"}),
		"IP of 4":      same(net.IPv4(1, 2, 3, 4).To4()),
		"IP of 16":     same(net.IPv4(1, 2, 3, 4)),
		"colours":      same([]rgb{{1, 2, 3}, {200, 100, 0}}),
		"appends much": same([]long{{0}, {126}, {127}, {128}, {129}, {300}, {20_000}}),
		"text":         same([]word{{""}, {"hello"}}),

		"any of all":         same([]any{nil, true, 42, int8(1), int16(2), int32(3), int64(4), uint(5), uint8(6), uint16(7), uint32(8), uint64(9), float32(1.5), 2.5, complex64(1i), 2i, "hello"}),
		"any":                same(any("x")),
		"nil any":            same(any(nil)),
		"composites":         same([]any{[]byte("a"), []string{"b"}, []any{1}, map[string]any{"c": nil}, map[any]any{1: 2}, [2]int{1, 2}, ptr(3), [][]int{nil}, []error{nil}, (*int)(nil), []int(nil), map[int]int(nil)}),
		"named in any":       same([]any{celsius(1), names{"a"}, point{1, 2, 3}, &point{}, []point{{}}, map[string]*point{"a": nil}, when, time.Second, time.May, pair[int, string]{1, "x"}}),
		"big in any":         same([]any{big.NewInt(7), *big.NewInt(8)}),
		"any of any":         same([]any{[]any{[]any{nil, []any{}}}}),
		"shapes":             same([]shape{square{2}, &circle{3}, nil}),
		"shapes, any":        same(any([]shape{square{2}, &circle{3}, nil})),
		"errors":             same([]error{nil, &failure{3}}),
		"empty array in any": same(any([0]int{})),
		"array of a million": same(any(&[1 << 20]byte{5: 1})),
		"long array type":    same(any([][1 << 20]int{})),
		"part in any":        same(any(&Part{Any: Part{Scale: 1}})),
	}
	for name, test := range tests {
		t.Run(name, test)
	}
}

func listOf(n int) *list {
	var l *list
	for i := range n {
		l = &list{i, l}
	}
	return l
}

// fullJob returns a Job with something in each field.
func fullJob() Job {
	return Job{
		ID: 1, Name: "render", Weights: []float64{1, 2.5, math.MaxFloat64},
		Parts:  []Part{{Key: [4]byte{1, 2, 3, 4}, Scale: 2, Next: &Part{Any: 7}}, {}},
		Labels: map[string]string{"a": "b"}, Any: []any{42, nil, "hello"}, Err: &failure{2},
		Deadline: when, Timeout: time.Minute, Next: &Job{Weights: []float64{}},
	}
}

func TestRoundTripJob(t *testing.T) {
	job := fullJob()
	same(job)(t)
	same([]*Job{&job, nil, {}})(t)
	same(map[string]Job{"a": job})(t)
	same(any(job))(t)
	same(any(map[int][]*Job{1: {&job, nil}}))(t)
}

func TestTypesInInterfaces(t *testing.T) {
	got := roundTrip(t, any([]any{42, nil, "hello"})).([]any)
	if n, ok := got[0].(int); !ok || n != 42 || got[1] != nil || got[2] != "hello" {
		t.Errorf("got %#v", got)
	}
}

func TestNaN(t *testing.T) {
	payload := math.Float64frombits(0x7ff8dead0000beef)
	if got := roundTrip(t, payload); math.Float64bits(got) != math.Float64bits(payload) {
		t.Errorf("got bits %x", math.Float64bits(got))
	}
	if got := roundTrip(t, any(payload)).(float64); math.Float64bits(got) != math.Float64bits(payload) {
		t.Errorf("in an interface: got bits %x", math.Float64bits(got))
	}
	if got := roundTrip(t, []float32{float32(math.NaN())}); got[0] == got[0] {
		t.Errorf("got %v", got)
	}
	if got := roundTrip(t, math.Copysign(0, -1)); !math.Signbit(got) {
		t.Error("lost the sign of zero")
	}
	// Keys that are not a number are all distinct.
	if got := roundTrip(t, map[float64]int{math.NaN(): 1, math.Float64frombits(0x7ff8000000000002): 2, 3: 3}); len(got) != 3 || got[3] != 3 {
		t.Errorf("got %v", got)
	}
}

func TestSharedPointersAreCopied(t *testing.T) {
	n := 7
	got := roundTrip(t, [2]*int{&n, &n})
	if got[0] == got[1] || *got[0] != 7 || *got[1] != 7 {
		t.Errorf("got %v", got)
	}
}

func TestLeftOutFields(t *testing.T) {
	v := cached{Name: "x", Cache: func() {}, done: make(chan int), empty: [0]func(){}}
	got := roundTrip(t, v)
	if got.Name != "x" || got.Cache != nil || got.done != nil {
		t.Errorf("got %+v", got)
	}
	if got := roundTrip(t, []struct {
		A int `multiproc:"-"`
	}{{1}, {2}}); len(got) != 2 || got[0].A != 0 {
		t.Errorf("got %+v", got)
	}
}

func TestDecodeReplaces(t *testing.T) {
	v := Job{ID: 3, Labels: map[string]string{"a": "b"}, Next: &Job{}}
	b, err := Append(nil, &Job{Name: "new"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	old := v.Labels
	if err := Decode(b, &v); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(v, Job{Name: "new"}) || len(old) != 1 {
		t.Errorf("got %+v", v)
	}
}

func TestDecodedSharesNothing(t *testing.T) {
	v := []any{"text", []byte("bytes"), []int{1}, map[string]string{"k": "v"}}
	b, err := Append(nil, &v, nil)
	if err != nil {
		t.Fatal(err)
	}
	var got []any
	if err := Decode(b, &got); err != nil {
		t.Fatal(err)
	}
	for i := range b {
		b[i] = 0xff
	}
	if !reflect.DeepEqual(got, v) {
		t.Errorf("got %v", got)
	}
}

// Every offset of the input has to do, since the input is not aligned.
func TestAlignment(t *testing.T) {
	v := pair[[]float64, [3]complex128]{[]float64{1, 2}, [3]complex128{1i, 2, 3}}
	for shift := range 16 {
		b, err := Append(make([]byte, shift), &v, nil)
		if err != nil {
			t.Fatal(err)
		}
		var got pair[[]float64, [3]complex128]
		if err := Decode(b[shift:], &got); err != nil || !reflect.DeepEqual(got, v) {
			t.Errorf("shift %d: got %v, %v", shift, got, err)
		}
	}
}
