package multiproc_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fb2d3dbd/multiproc"
	"github.com/fb2d3dbd/multiproc/internal/proctest"
	"github.com/fb2d3dbd/multiproc/shm"
)

type point struct {
	X, Y int32
	Tag  [3]byte
}

type document struct {
	Title string
	Parts []point
	Meta  map[string]any
	Next  *document
}

func init() {
	multiproc.Register[point]()
	multiproc.Register[multiproc.Queue[int]]()
	multiproc.Register[multiproc.Mutex]()
	multiproc.Register[multiproc.Value[int]]()
	multiproc.Register[multiproc.Array[int]]()
}

func TestQueueTypes(t *testing.T) {
	values(t, "int", 0, -1, 1<<62)
	values(t, "bool", true, false)
	values(t, "array", [2]float64{1, -1}, [2]float64{})
	values(t, "struct", point{1, -2, [3]byte{1, 2, 3}}, point{})
	values(t, "nothing", struct{}{}, struct{}{})
	values(t, "bytes", []byte("abc"), []byte{}, bytes.Repeat([]byte{7}, 100_000))
	values(t, "string", "", "Grüße\x00", strings.Repeat("long ", 10_000))
	values(t, "any", any(42), any("hello"), any(nil), any(point{1, 2, [3]byte{}}))
	values(t, "slice of any", []any{42, nil, "hello"}, []any(nil), []any{[]any{map[string]any{"k": 1.5}}})
	values(t, "document", document{Title: "a", Parts: []point{{1, 2, [3]byte{}}}, Meta: map[string]any{"n": 1}, Next: &document{Title: "b"}}, document{})
	values(t, "pointer", &point{3, 4, [3]byte{}}, nil)
	values(t, "time", time.Unix(1, 5).UTC(), time.Time{})
	values(t, "named string", status("on"), status(""))
}

type status string

// values puts values into a queue in all ways and takes them out in all ways.
func values[T any](t *testing.T, name string, vs ...T) {
	t.Run(name, func(t *testing.T) {
		ctx := proctest.Context(t)
		q := newQueue[T](t, nil)
		for i, v := range vs {
			if i%2 == 0 {
				check(t, q.Put(ctx, v))
			} else {
				check(t, q.TryPut(v))
			}
		}
		if n, err := q.PutBatch(ctx, vs); n != len(vs) || err != nil {
			t.Fatalf("PutBatch put %d, %v", n, err)
		}
		var got []T
		for i := range vs {
			var v T
			var err error
			if i%2 == 0 {
				v, err = q.Get(ctx)
			} else {
				v, err = q.TryGet()
			}
			check(t, err)
			got = append(got, v)
		}
		rest, err := q.GetBatch(ctx, len(vs)+1)
		check(t, err)
		if len(rest) != len(vs) {
			t.Errorf("GetBatch returned %d values, want %d", len(rest), len(vs))
		}
		for i, v := range append(got, rest...) {
			w := vs[i%len(vs)]
			if b, ok := any(v).([]byte); ok && len(b) == 0 && len(any(w).([]byte)) == 0 {
				continue // of bytes alone, nil and empty are not told apart
			}
			if !reflect.DeepEqual(v, w) {
				t.Errorf("value %d: put %#v, got %#v", i, w, v)
			}
		}
	})
}

func TestQueueCapacity(t *testing.T) {
	ctx := proctest.Context(t)
	for _, capacity := range []int{1, 3, 1000} {
		q := newQueue[uint16](t, &multiproc.QueueOptions{Capacity: capacity})
		for lap := range 3 {
			for i := range capacity {
				state(t, q, i, i == 0, false)
				check(t, q.TryPut(uint16(i)))
			}
			state(t, q, capacity, false, true)
			want(t, q.TryPut(1), multiproc.ErrFull)
			short, cancel := context.WithTimeout(ctx, time.Millisecond)
			want(t, q.Put(short, 1), context.DeadlineExceeded)
			n, err := q.PutBatch(short, []uint16{1, 2})
			want(t, err, context.DeadlineExceeded)
			if n != 0 {
				t.Errorf("PutBatch put %d into a full queue", n)
			}
			cancel()
			state(t, q, capacity, false, true)
			for i := range capacity {
				if v, err := q.TryGet(); v != uint16(i) || err != nil {
					t.Fatalf("capacity %d, lap %d: value %d is %d, %v", capacity, lap, i, v, err)
				}
			}
			state(t, q, 0, true, false)
			_, err = q.TryGet()
			want(t, err, multiproc.ErrEmpty)
		}
	}
}

func state[T any](t *testing.T, q *multiproc.Queue[T], length int, empty, full bool) {
	t.Helper()
	n, err := q.Len()
	check(t, err)
	e := must(q.Empty())(t)
	f := must(q.Full())(t)
	if n != length || e != empty || f != full {
		t.Fatalf("Len %d, Empty %v, Full %v; want %d, %v, %v (Cap %d)", n, e, f, length, empty, full, q.Cap())
	}
}

func TestQueueDefaults(t *testing.T) {
	if q := newQueue[int](t, nil); q.Cap() != 1024 {
		t.Errorf("the default capacity is %d", q.Cap())
	}
	q := newQueue[[64]byte](t, &multiproc.QueueOptions{Capacity: 5000})
	for range q.Cap() { // room for all of them is there
		check(t, q.TryPut([64]byte{1}))
	}
	want(t, q.TryPut([64]byte{}), multiproc.ErrFull)
}

func TestQueueContext(t *testing.T) {
	q := newQueue[int](t, &multiproc.QueueOptions{Capacity: 1})
	_, err := q.Get(ended())
	want(t, err, context.Canceled)
	_, err = q.GetBatch(ended(), 3)
	want(t, err, context.Canceled)
	short, cancel := context.WithTimeout(context.Background(), 2*time.Millisecond)
	defer cancel()
	_, err = q.Get(short)
	want(t, err, context.DeadlineExceeded)

	// Cancelled while it sleeps.
	ctx, cancel := context.WithCancel(context.Background())
	result := make(chan error)
	go func() {
		_, err := q.Get(ctx)
		result <- err
	}()
	cancel()
	want(t, <-result, context.Canceled)

	check(t, q.TryPut(1))
	ctx, cancel = context.WithCancel(context.Background())
	go func() { result <- q.Put(ctx, 2) }()
	cancel()
	want(t, <-result, context.Canceled)
	if v, err := q.Get(proctest.Context(t)); v != 1 || err != nil {
		t.Errorf("after cancelled operations the queue gives %d, %v", v, err)
	}
	_, err = q.TryGet()
	want(t, err, multiproc.ErrEmpty) // the cancelled put has put nothing
}

func TestQueueClose(t *testing.T) {
	ctx := proctest.Context(t)
	q := newQueue[string](t, nil)
	for _, v := range []string{"a", "b", "c"} {
		check(t, q.Put(ctx, v))
	}
	check(t, q.Close())
	check(t, q.Close())
	want(t, q.Put(ctx, "late"), multiproc.ErrClosed)
	want(t, q.TryPut("late"), multiproc.ErrClosed)
	n, err := q.PutBatch(ctx, []string{"late"})
	want(t, err, os.ErrClosed)
	if n != 0 {
		t.Errorf("PutBatch put %d into a closed queue", n)
	}
	var got []string
	for v, err := range q.All(ctx) {
		check(t, err)
		got = append(got, v)
	}
	if !slices.Equal(got, []string{"a", "b", "c"}) {
		t.Errorf("a closed queue gave %q", got)
	}
	_, err = q.Get(ctx)
	want(t, err, multiproc.ErrClosed)
	_, err = q.TryGet()
	want(t, err, multiproc.ErrClosed)
	_, err = q.GetBatch(ctx, 2)
	want(t, err, multiproc.ErrClosed)
}

func TestQueueCloseWakesWaiters(t *testing.T) {
	ctx := proctest.Context(t)
	full := newQueue[int](t, &multiproc.QueueOptions{Capacity: 1})
	check(t, full.Put(ctx, 1))
	empty := newQueue[int](t, nil)
	result := make(chan error)
	for range 4 {
		go func() { result <- full.Put(ctx, 2) }()
		go func() {
			_, err := empty.Get(ctx)
			result <- err
		}()
	}
	check(t, full.Close())
	check(t, empty.Close())
	for range 8 {
		want(t, <-result, multiproc.ErrClosed)
	}
}

func TestQueueAll(t *testing.T) {
	ctx := proctest.Context(t)
	q := newQueue[int](t, nil)
	for i := range 10 {
		check(t, q.Put(ctx, i))
	}
	n := 0
	for v, err := range q.All(ctx) {
		check(t, err)
		if n++; v == 4 {
			break
		}
	}
	if left := must(q.Len())(t); n != 5 || left != 5 {
		t.Errorf("a loop that broke after 5 values saw %d and left %d", n, left)
	}
	stopping, cancel := context.WithCancel(ctx)
	n = 0
	var last error
	for _, err := range q.All(stopping) {
		if last = err; err == nil {
			n++
		}
		if n == 5 {
			cancel()
		}
	}
	cancel()
	if n != 5 {
		t.Errorf("the loop saw %d values, want 5", n)
	}
	want(t, last, context.Canceled)
}

func TestQueueTooLarge(t *testing.T) {
	ctx := proctest.Context(t)
	q := newQueue[[]byte](t, &multiproc.QueueOptions{Bytes: 1 << 16})
	for _, put := range []func([]byte) error{
		func(b []byte) error { return q.Put(ctx, b) },
		q.TryPut,
		func(b []byte) error { _, err := q.PutBatch(ctx, [][]byte{b}); return err },
	} {
		err := put(make([]byte, 1<<20))
		want(t, err, multiproc.ErrTooLarge)
		if !strings.Contains(err.Error(), "1048576") {
			t.Errorf("the error does not say how large: %v", err)
		}
	}
	// The queue goes on. Whatever is not too large fits into an empty queue, wherever its ring stands.
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range 1000 {
		size := 1 << 16
		if i%2 == 1 {
			size = rng.IntN(1 << 16)
		}
		check(t, q.TryPut(bytes.Repeat([]byte{byte(i)}, size)))
		b := must(q.TryGet())(t)
		if len(b) != size || bytes.Count(b, []byte{byte(i)}) != size {
			t.Fatalf("message %d of %d bytes came with %d", i, size, len(b))
		}
	}
}

// A queue that another handle opens has the same limits.
func TestQueueTooLargeThroughHandle(t *testing.T) {
	q := newQueue[string](t, &multiproc.QueueOptions{Bytes: 5000, Capacity: 3})
	var same multiproc.Queue[string]
	check(t, same.UnmarshalBinary(must(q.MarshalBinary())(t)))
	for n := 5000; ; n++ { // at least what was asked for
		a := q.TryPut(strings.Repeat("x", n))
		_, _ = same.TryGet()
		b := same.TryPut(strings.Repeat("y", n))
		_, _ = q.TryGet()
		if (a == nil) != (b == nil) {
			t.Fatalf("%d bytes: %v by one handle, %v by another", n, a, b)
		}
		if a != nil {
			want(t, a, multiproc.ErrTooLarge)
			want(t, b, multiproc.ErrTooLarge)
			break
		}
	}
	if same.Cap() != 3 {
		t.Errorf("the capacity of the same queue is %d", same.Cap())
	}
}

func TestQueueBadTypesAndOptions(t *testing.T) {
	type bad struct {
		Name string
		Jobs map[string]struct{ Done chan bool }
	}
	_, err := multiproc.NewQueue[bad](nil)
	if err == nil || !strings.Contains(err.Error(), "Jobs") || !strings.Contains(err.Error(), "Done") {
		t.Errorf("a queue of a type with a channel: %v", err)
	}
	_, err = multiproc.NewQueue[func()](nil)
	if err == nil {
		t.Error("a queue of functions was made")
	}
	for _, o := range []multiproc.QueueOptions{
		{Capacity: -1}, {Bytes: -1}, {Bytes: 1 << 62}, {Capacity: 1 << 61},
	} {
		if q, err := multiproc.NewQueue[int](&o); err == nil {
			t.Errorf("a queue with %+v was made, of capacity %d", o, q.Cap())
		}
	}
}

func TestQueueUnregistered(t *testing.T) {
	type secret struct{ A int }
	q := newQueue[any](t, nil)
	err := q.Put(proctest.Context(t), secret{1})
	if err == nil || !strings.Contains(err.Error(), "secret") {
		t.Errorf("a put of an unregistered type returned %v", err)
	}
	state(t, q, 0, true, false)
}

// A batch with a value that cannot be encoded puts nothing.
func TestQueueBadBatch(t *testing.T) {
	q := newQueue[any](t, nil)
	n, err := q.PutBatch(proctest.Context(t), []any{1, func() {}, 2})
	if n != 0 || err == nil {
		t.Errorf("PutBatch with a function put %d, %v", n, err)
	}
	state(t, q, 0, true, false)
	_, err = q.GetBatch(proctest.Context(t), 0)
	if err == nil {
		t.Error("a GetBatch of nothing was no error")
	}
}

// A queue may be sent in a queue, and used at once: all of the family has the same segment.
func TestHandlesInMessages(t *testing.T) {
	type job struct {
		N     int
		Reply *multiproc.Queue[int]
		Lock  *multiproc.Mutex
		Total *multiproc.Value[int]
		Table *multiproc.Array[byte]
	}
	ctx := proctest.Context(t)
	q := newQueue[job](t, nil)
	j := job{7, newQueue[int](t, nil), newMutex(t), must(multiproc.NewValue(1))(t), must(multiproc.ArrayOf[byte](1, 2, 3))(t)}
	check(t, q.Put(ctx, j))
	got := must(q.Get(ctx))(t)
	check(t, got.Reply.Put(ctx, got.N))
	if n, err := j.Reply.Get(ctx); n != 7 || err != nil {
		t.Errorf("the queue of the message gave %d, %v", n, err)
	}
	check(t, got.Lock.TryLock())
	want(t, j.Lock.TryLock(), multiproc.ErrLocked)
	check(t, j.Lock.Unlock())
	check(t, got.Total.Update(ctx, func(x *int) { *x++ }))
	if n, err := j.Total.Load(); n != 2 || err != nil {
		t.Errorf("the value of the message is %d, %v", n, err)
	}
	if b, err := got.Table.At(2); b != 3 || err != nil || got.Table.Len() != 3 {
		t.Errorf("the array of the message holds %d, %v", b, err)
	}
}

// What stands in a segment that the receiver may not have is refused before it is sent.
func TestForeignHandleInMessage(t *testing.T) {
	foreign := must(shm.New(nil))(t)
	defer foreign.Close()
	q := newQueue[[]*shm.Value[int]](t, nil)
	v := must(shm.NewValue(foreign, 1))(t)
	err := q.Put(proctest.Context(t), []*shm.Value[int]{nil, v})
	if err == nil || !strings.Contains(err.Error(), "Start") || !strings.Contains(err.Error(), fmt.Sprintf("%#x", foreign.ID())) {
		t.Errorf("a put of a foreign handle returned %v", err)
	}
	state(t, q, 0, true, false)
}

func TestZeroHandles(t *testing.T) {
	q := newQueue[any](t, nil)
	for _, v := range []any{multiproc.Queue[int]{}, multiproc.Mutex{}, multiproc.Value[int]{}, multiproc.Array[int]{}} {
		if err := q.TryPut(v); err == nil {
			t.Errorf("the zero %T was sent", v)
		}
	}
}

// A freed object's handle is refused, and so is a handle of another kind.
func TestStaleHandles(t *testing.T) {
	q := must(multiproc.NewQueue[int](nil))(t)
	handle := must(q.MarshalBinary())(t)
	var again multiproc.Queue[int]
	check(t, again.UnmarshalBinary(handle))
	check(t, q.Free())
	if err := again.UnmarshalBinary(handle); err == nil {
		t.Error("the handle of a freed queue was accepted")
	}
	if err := q.Free(); err == nil {
		t.Error("a queue was freed twice")
	}
	var mu multiproc.Mutex
	if err := mu.UnmarshalBinary(handle); err == nil {
		t.Error("a queue's handle was accepted as a mutex's")
	}
	for n := range handle {
		if err := again.UnmarshalBinary(handle[:n]); err == nil {
			t.Errorf("%d bytes of a handle were accepted", n)
		}
	}
	var v multiproc.Value[int]
	var a multiproc.Array[int]
	for n := range 70 {
		b := make([]byte, n)
		if v.UnmarshalBinary(b) == nil || a.UnmarshalBinary(b) == nil {
			t.Errorf("%d zero bytes were accepted as a handle", n)
		}
	}
}

// After its segment is closed every method is an error, and none a fault.
func TestQueueAfterSegmentClose(t *testing.T) {
	ctx := proctest.Context(t)
	q := must(multiproc.NewQueue[int](nil))(t)
	check(t, q.Put(ctx, 1))
	waiting := make(chan error)
	idle := must(multiproc.NewQueue[int](nil))(t)
	go func() {
		_, err := idle.Get(ctx)
		waiting <- err
	}()
	closeDefault(t)
	want(t, <-waiting, os.ErrClosed)
	_, getErr := q.Get(ctx)
	_, tryErr := q.TryGet()
	_, batchErr := q.GetBatch(ctx, 2)
	_, putErr := q.PutBatch(ctx, []int{1})
	_, lenErr := q.Len()
	_, emptyErr := q.Empty()
	_, fullErr := q.Full()
	_, sendErr := q.MarshalBinary()
	for i, err := range []error{q.Put(ctx, 1), q.TryPut(1), q.Close(), q.Free(), getErr, tryErr, batchErr, putErr, lenErr, emptyErr, fullErr, sendErr} {
		if !errors.Is(err, os.ErrClosed) {
			t.Errorf("operation %d on a queue whose segment is closed returned %v", i, err)
		}
	}
	for _, err := range q.All(ctx) {
		want(t, err, os.ErrClosed)
	}
}
