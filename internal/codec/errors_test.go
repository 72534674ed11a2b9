package codec

import (
	"errors"
	"reflect"
	"strings"
	"sync"
	"testing"
)

type (
	withFunc     struct{ Callback func() }
	withUintptr  struct{ Fd uintptr }
	withSecret   struct{ Parts []map[string]*withPrivate }
	withPrivate  struct{ secret int }
	withMutex    struct{ Mu sync.Mutex }
	withEmbedded struct{ inner }
	inner        struct{ Done chan int }
	withHalf     struct{ H halfway }
	withPromoted struct {
		handle
		cache int
	}
	embedsError struct{ error }
	badKey      struct{ M map[lossy]int }
	lossy       struct {
		A int
		b int `multiproc:"-"`
	}
	// The fallback of one type must not hide what is wrong with another.
	ring1 struct {
		Next *ring2
		Done chan int
	}
	ring2 struct{ Next *ring1 }
)

// These hold something in the fields that are only there to be refused.
var _ = []any{withPrivate{1}, withPromoted{handle{}, 1}, lossy{1, 2}, halfway{1}, embeds[int]{handle{}, 1}, embedsByValue{handle{}, 1}}

func TestCheck(t *testing.T) {
	const leaveOut = "leave the field out with the tag `multiproc:\"-\"`"
	private := func(typ string) string {
		return "an unexported field of codec." + typ + " cannot be sent to another process; export it, leave it out with the tag `multiproc:\"-\"`, or give codec." + typ + " methods MarshalBinary and UnmarshalBinary"
	}
	tests := []struct {
		typ  reflect.Type
		path string
		want string
	}{
		{reflect.TypeFor[withFunc](), "withFunc.Callback", "field withFunc.Callback: func() cannot be sent to another process; " + leaveOut},
		{reflect.TypeFor[*withFunc](), "withFunc.Callback", "field withFunc.Callback: func() cannot be sent to another process; " + leaveOut},
		{reflect.TypeFor[withChan](), "withChan.Done", "field withChan.Done: chan int cannot be sent to another process; use a queue, or " + leaveOut},
		{reflect.TypeOf(reflect.ValueOf(new(int)).UnsafePointer()), "Pointer", "unsafe.Pointer is an address in this process and cannot be sent to another process; use uint64 for a number, or " + leaveOut},
		{reflect.TypeFor[withUintptr](), "withUintptr.Fd", "field withUintptr.Fd: uintptr is an address in this process and cannot be sent to another process; use uint64 for a number, or " + leaveOut},
		{reflect.TypeFor[withSecret](), "withSecret.Parts[][].secret", "field withSecret.Parts[][].secret: " + private("withPrivate")},
		{reflect.TypeFor[withEmbedded](), "withEmbedded.inner.Done", "field withEmbedded.inner.Done: chan int cannot be sent to another process; use a queue, or " + leaveOut},
		{reflect.TypeFor[withHalf](), "withHalf.H.n", "field withHalf.H.n: " + private("halfway") + " (it has no UnmarshalBinary of its own)"},
		{reflect.TypeFor[withPromoted](), "withPromoted.cache", "field withPromoted.cache: " + private("withPromoted") + " (those of an embedded field would lose the other fields)"},
		{reflect.TypeFor[embedsError](), "embedsError.error", "field embedsError.error: " + private("embedsError")},
		{reflect.TypeFor[badKey](), "badKey.M[key]", "field badKey.M[key]: codec.lossy leaves out fields, so that distinct keys could become equal; use a key that is sent in full"},
		{reflect.TypeFor[[]func()](), "[]func()[]", "field []func()[]: func() cannot be sent to another process; " + leaveOut},
		{reflect.TypeFor[chan int](), "chan int", "chan int cannot be sent to another process; use a queue, or " + leaveOut},
		{reflect.TypeFor[pair[int, func()]](), "pair.Right", "field pair.Right: func() cannot be sent to another process; " + leaveOut},
		{reflect.TypeFor[ring2](), "ring2.Next.Done", "field ring2.Next.Done: chan int cannot be sent to another process; use a queue, or " + leaveOut},
		{reflect.TypeFor[ring1](), "ring1.Done", "field ring1.Done: chan int cannot be sent to another process; use a queue, or " + leaveOut},
	}
	for _, test := range tests {
		for range 2 { // the second answer is the remembered one
			err := Check(test.typ)
			if err == nil || err.Error() != test.want {
				t.Errorf("Check(%v):\n got %v\nwant %v", test.typ, err, test.want)
				continue
			}
			te, ok := errors.AsType[*TypeError](err)
			if !ok || te.Path != test.path || !errors.Is(err, ErrUnsupportedType) {
				t.Errorf("Check(%v) = %#v", test.typ, err)
			}
		}
	}
	err := Check(reflect.TypeFor[withMutex]())
	if err == nil || !strings.HasPrefix(err.Error(), "field withMutex.Mu.") || !strings.Contains(err.Error(), "unexported field of sync.Mutex") {
		t.Errorf("got %v", err)
	}
	for _, typ := range []reflect.Type{reflect.TypeFor[Job](), reflect.TypeFor[*Job](), reflect.TypeFor[any](), reflect.TypeFor[map[any][]error](), reflect.TypeFor[handle](), reflect.TypeFor[cached]()} {
		if err := Check(typ); err != nil {
			t.Errorf("Check(%v) = %v", typ, err)
		}
	}
}

// failAppend checks the error of Append and that dst stays as it was.
func failAppend[T any](t *testing.T, v T, want string, is error) {
	t.Helper()
	dst := []byte("before")
	b, err := Append(dst, &v, nil)
	if string(b) != "before" {
		t.Errorf("Append returned %q", b)
	}
	switch {
	case err == nil:
		t.Errorf("Append(%T) succeeded, want %s", v, want)
	case err.Error() != want:
		t.Errorf("Append(%T):\n got %v\nwant %s", v, err, want)
	case !errors.Is(err, is):
		t.Errorf("Append(%T) = %v, which is no %v", v, err, is)
	}
}

func TestAppendErrors(t *testing.T) {
	const register = "; call multiproc.Register[codec.unknown]() in an init function or package-level variable"
	job := Job{Parts: []Part{{}, {}, {}, {Next: &Part{Any: unknown{}}}}}
	failAppend(t, job, "encode Job.Parts[3].Next.Any: type is not registered: codec.unknown stands in an interface"+register, ErrUnregistered)
	failAppend(t, &job, "encode Job.Parts[3].Next.Any: type is not registered: codec.unknown stands in an interface"+register, ErrUnregistered)
	failAppend(t, any(job), "encode any.(codec.Job).Parts[3].Next.Any: type is not registered: codec.unknown stands in an interface"+register, ErrUnregistered)
	failAppend(t, any([]*unknown{}), "encode any: type is not registered: codec.unknown stands in an interface"+register, ErrUnregistered)
	failAppend(t, []any{1, map[string]any{"a\n": unknown{}}}, `encode []any[1].(map[string]any)["a\n"]: type is not registered: codec.unknown stands in an interface`+register, ErrUnregistered)
	failAppend(t, map[any]any{unknown{}: 1}, "encode map[any]any[codec.unknown]: type is not registered: codec.unknown stands in an interface"+register, ErrUnregistered)
	failAppend(t, map[int]any{-7: unknown{}}, "encode map[int]any[-7]: type is not registered: codec.unknown stands in an interface"+register, ErrUnregistered)
	failAppend(t, [2]pair[int, any]{{}, {1, unknown{}}}, "encode [2]codec.pair[int,any][1].Right: type is not registered: codec.unknown stands in an interface"+register, ErrUnregistered)
	failAppend(t, any(struct{ A int }{}), "encode any: type is not registered: the unnamed type struct { A int } stands in an interface; declare a type with a name and register it", ErrUnregistered)
	failAppend(t, any([3]struct{}{}), "encode any: type is not registered: the unnamed type [3]struct {} stands in an interface; declare a type with a name and register it", ErrUnregistered)

	failAppend(t, Job{Err: errors.New("x")}, "encode Job.Err: field errorString.s: an unexported field of errors.errorString cannot be sent to another process; export it, leave it out with the tag `multiproc:\"-\"`, or give errors.errorString methods MarshalBinary and UnmarshalBinary; or send the text of the error", ErrUnsupportedType)
	failAppend(t, Job{Any: withChan{}}, "encode Job.Any: field withChan.Done: chan int cannot be sent to another process; use a queue, or leave the field out with the tag `multiproc:\"-\"`", ErrUnsupportedType)
	failAppend(t, withChan{}, "field withChan.Done: chan int cannot be sent to another process; use a queue, or leave the field out with the tag `multiproc:\"-\"`", ErrUnsupportedType)

	failAppend(t, []failing{{}, {1}}, "encode []codec.failing[1]: method failed", errMethod)
	failAppend(t, []failing{{}, {2}}, "encode []codec.failing[1]: panic in MarshalBinary: method failed", errMethod)
	v := failing{3}
	if _, err := Append(nil, &v, nil); err == nil || err.Error() != "encode failing: panic in MarshalBinary: out of luck" {
		t.Errorf("got %v", err)
	}
	if _, err := Append[int](nil, nil, nil); err == nil {
		t.Error("Append of no pointer succeeded")
	}
	if err := Decode[int]([]byte{1}, nil); err == nil {
		t.Error("Decode to no pointer succeeded")
	}
}

func TestUnmarshalErrors(t *testing.T) {
	for _, mode := range []int{11, 12} {
		b, err := Append(nil, &[]failing{{}, {mode}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		got := []failing{{5}}
		err = Decode(b, &got)
		de, ok := errors.AsType[*DecodeError](err)
		if !ok || de.Path != "[]codec.failing[1]" || !errors.Is(err, errMethod) || errors.Is(err, ErrCorrupt) || got != nil {
			t.Errorf("Decode = %v, value %v", err, got)
		}
	}
}

func TestCycles(t *testing.T) {
	const contains = " contains itself; send the values without the cycle, for instance with indices in place of pointers"
	node := &list{}
	node.Next = &list{1, node}
	want := "encode list" + strings.Repeat(".Next", 12) + "...(47 more)..." + strings.Repeat(".Next", 6) + ": value nests too deep: this *codec.list" + contains
	failAppend(t, node, want, ErrTooDeep)

	// Cycles of any length are met, also where an interface is in the way.
	for n := 1; n < 600; n = n*5/4 + 1 {
		first := &Part{}
		last := first
		for range n {
			last.Any = &Part{Any: []any{1, 2}}
			last = last.Any.(*Part)
		}
		last.Next = first
		failMessage(t, []*Part{{}, {}, first}, ErrTooDeep, "this *codec.Part"+contains)
	}

	slice := nested{nil, {}}
	slice[0] = slice
	failMessage(t, slice, ErrTooDeep, "this codec.nested"+contains)

	m := self{}
	m["a"] = m
	failMessage(t, m, ErrTooDeep, "this codec.self"+contains)

	anys := []any{0}
	anys[0] = anys
	failMessage(t, anys, ErrTooDeep, "this []any"+contains)

	var p any
	p = &p
	failMessage(t, p, ErrTooDeep, "this *any"+contains)

	// A part below the cycle is not copied over and over before it is found.
	wide := map[string]any{"big": make([]byte, 1<<20)}
	wide["self"] = wide
	failMessage(t, wide, ErrTooDeep, contains)

	failMessage(t, listOf(maxDepth+1), ErrTooDeep, "more than 10000 levels")
	same(listOf(maxDepth))(t)
	deep := any(1)
	for range maxDepth/2 - 1 {
		deep = []any{deep}
	}
	same([]any{deep})(t)
}

func failMessage[T any](t *testing.T, v T, is error, message string) {
	t.Helper()
	_, err := Append(nil, &v, nil)
	if !errors.Is(err, is) || !strings.Contains(err.Error(), message) {
		t.Errorf("got %v, want %q", err, message)
	}
}
