package codec

import (
	"errors"
	"reflect"
	"testing"
	"time"
)

type worker struct {
	Queue *handle
	Locks []*handle
	ByKey map[string]*handle
	Any   any
	Value handle
	At    time.Time
}

// seen gets each value that encodes itself, and as the original where a pointer
// leads to it.
func TestSeen(t *testing.T) {
	hs := make([]*handle, 4)
	for i := range hs {
		hs[i] = &handle{fd: i}
	}
	w := worker{hs[0], []*handle{hs[1], nil}, map[string]*handle{"a": hs[2]}, hs[3], handle{fd: 4}, when}
	var got []any
	_, err := Append(nil, &w, func(v any) {
		got = append(got, v)
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []any{hs[0], hs[1], hs[2], hs[3], &w.Value, &w.At}
	if len(got) != len(want) {
		t.Fatalf("seen %v, want %v", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("seen %d is %v, want %v", i, got[i], want[i])
		}
	}
}

// lazy cannot be encoded before it is seen.
type lazy struct{ ready bool }

func (l *lazy) MarshalBinary() ([]byte, error) {
	if !l.ready {
		return nil, errors.New("not ready")
	}
	return nil, nil
}

func (l *lazy) UnmarshalBinary([]byte) error { return nil }

func TestSeenBeforeEncoding(t *testing.T) {
	v := map[string]lazy{"a": {}, "b": {}}
	if _, err := Append(nil, &v, func(v any) { v.(*lazy).ready = true }); err != nil {
		t.Fatal(err)
	}
}

func TestSeenIsForBinaryAlone(t *testing.T) {
	v := []word{{"a"}}
	if _, err := Append(nil, &v, func(v any) { t.Errorf("seen %v", v) }); err != nil {
		t.Fatal(err)
	}
}

func TestHandles(t *testing.T) {
	got := roundTrip(t, worker{Queue: &handle{fd: 5}, Locks: []*handle{nil, {fd: 6}}, Any: &handle{fd: 7}})
	if got.Queue.fd != 5 || got.Locks[0] != nil || got.Locks[1].fd != 6 || got.Any.(*handle).fd != 7 || got.ByKey != nil {
		t.Errorf("got %+v", got)
	}
}

// embeds declares its methods and is thus asked, although it embeds a type with
// the same methods; generic types have wrappers for their methods, too.
type embeds[T any] struct {
	handle
	Extra T
}

func (e *embeds[T]) MarshalBinary() ([]byte, error)    { return []byte{1}, nil }
func (e *embeds[T]) UnmarshalBinary(data []byte) error { return nil }

type embedsByValue struct {
	handle
	Extra int
}

func (e embedsByValue) MarshalBinary() ([]byte, error)     { return []byte{2}, nil }
func (e *embedsByValue) UnmarshalBinary(data []byte) error { return nil }

// embedsHalf declares one of two methods, which would not fit the other.
type embedsHalf struct {
	rgb
	Extra int
}

func (e embedsHalf) MarshalBinary() ([]byte, error) { return []byte{3}, nil }

// embedsAppender must not append by the method of rgb.
type embedsAppender struct {
	rgb
	Extra int
}

func (e embedsAppender) MarshalBinary() ([]byte, error)     { return []byte{4}, nil }
func (e *embedsAppender) UnmarshalBinary(data []byte) error { return nil }

// promotes has the methods of what it embeds, two levels down.
type promotes struct {
	*middle
	Extra int
}

type middle struct {
	rgb
	More string
}

func TestPromotedMethods(t *testing.T) {
	encoding := func(b []byte, err error) string {
		t.Helper()
		if err != nil {
			t.Error(err)
		}
		return string(b)
	}
	if got := encoding(Append(nil, &embeds[int]{}, nil)); got != "\x01\x01" {
		t.Errorf("embeds: %q", got)
	}
	if got := encoding(Append(nil, &embeds[*Job]{}, nil)); got != "\x01\x01" {
		t.Errorf("embeds: %q", got)
	}
	if got := encoding(Append(nil, &embedsByValue{}, nil)); got != "\x01\x02" {
		t.Errorf("embedsByValue: %q", got)
	}
	if got := encoding(Append(nil, &embedsAppender{}, nil)); got != "\x01\x04" {
		t.Errorf("embedsAppender: %q", got)
	}
	same(embedsHalf{rgb{1, 2, 3}, 4})(t)
	same(promotes{&middle{rgb{1, 2, 3}, "more"}, 4})(t)
	same([]promotes{{nil, 4}})(t)
	same(struct {
		Base
		embedsHalf
	}{Base{1, nil}, embedsHalf{rgb{1, 2, 3}, 4}})(t)
}

func TestIsDeclared(t *testing.T) {
	for _, test := range []struct {
		typ  reflect.Type
		want bool
	}{
		{reflect.TypeFor[handle](), true},
		{reflect.TypeFor[rgb](), true},
		{reflect.TypeFor[time.Time](), true},
		{reflect.TypeFor[embeds[string]](), true},
		{reflect.TypeFor[embedsByValue](), true},
		{reflect.TypeFor[embedsHalf](), true},
		{reflect.TypeFor[stamped](), false},
		{reflect.TypeFor[promotes](), false},
		{reflect.TypeFor[middle](), false},
		{reflect.TypeFor[struct{ *handle }](), false},
		{reflect.TypeFor[unknown](), false},
	} {
		if got := isDeclared(test.typ, binaryMarshaler); got != test.want {
			t.Errorf("isDeclared(%v) = %v", test.typ, got)
		}
	}
}
