package multiproc_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"testing"

	"github.com/fb2d3dbd/multiproc"
	"github.com/fb2d3dbd/multiproc/conn"
	"github.com/fb2d3dbd/multiproc/internal/proctest"
)

// A parcel is a value with an open file in it.
type parcel struct {
	Name string
	File *os.File
	Conn *conn.Conn
}

func textFile(t testing.TB, text string) *os.File {
	r, w, err := os.Pipe()
	check(t, err)
	must(w.WriteString(text))(t)
	check(t, w.Close())
	return r
}

func textOf(t testing.TB, f *os.File) string {
	t.Helper()
	b := must(io.ReadAll(f))(t)
	check(t, f.Close())
	return string(b)
}

// openParcels takes a parcel, reads its file and sends what it has read over its connection.
var openParcels = multiproc.NewTarget("open-parcels", func(ctx context.Context, q *multiproc.Queue[parcel]) error {
	for p, err := range q.All(ctx) {
		if err != nil {
			return err
		}
		b, err := io.ReadAll(p.File)
		if err == nil {
			err = p.Conn.Send(ctx, p.Name+": "+string(b))
		}
		if err := errors.Join(err, p.File.Close(), p.Conn.Close()); err != nil {
			return err
		}
	}
	return nil
})

func TestQueueOfFiles(t *testing.T) {
	ctx := proctest.Context(t)
	q := newQueue[parcel](t, nil)
	p := start(t, openParcels, q, nil)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() { cancel(p.Wait(ctx)) }() // nobody answers then
	for i := range 20 {
		a, b, err := conn.Pipe(true)
		check(t, err)
		f := textFile(t, fmt.Sprint("text ", i))
		check(t, q.Put(ctx, parcel{fmt.Sprint(i), f, b}))
		check(t, f.Close())
		check(t, b.Close())
		s, err := conn.Recv[string](ctx, a)
		if err != nil {
			t.Fatalf("parcel %d: %v; the process: %v", i, err, context.Cause(ctx))
		}
		if s != fmt.Sprintf("%d: text %d", i, i) {
			t.Errorf("got %q", s)
		}
		_, err = a.Recv(ctx)
		want(t, err, io.EOF)
		check(t, a.Close())
	}
	check(t, q.Close())
	wait(t, p)
}

// What was received and given back is received again, file and all.
func TestFilesAreDeliveredAgain(t *testing.T) {
	ctx := proctest.Context(t)
	q := newQueue[*os.File](t, nil)
	f := textFile(t, "text")
	check(t, q.Put(ctx, f))
	check(t, f.Close())
	for range 3 {
		d := must(q.Receive(ctx))(t)
		check(t, d.Value.Close())
		check(t, d.Nack())
	}
	d := must(q.Receive(ctx))(t)
	check(t, d.Ack())
	if s := textOf(t, d.Value); s != "text" {
		t.Errorf("got %q", s)
	}
	// What could not be put keeps nothing open, which the check of leftovers sees.
	small := newQueue[*os.File](t, &multiproc.QueueOptions{Capacity: 1})
	f = textFile(t, "text")
	check(t, small.TryPut(f))
	want(t, small.TryPut(f), multiproc.ErrFull)
	check(t, f.Close())
	check(t, must(small.Get(ctx))(t).Close())
	check(t, small.Close())
	f = textFile(t, "text")
	want(t, small.Put(ctx, f), multiproc.ErrClosed)
	check(t, f.Close())
}

var putFile = multiproc.NewTarget("put-file", func(ctx context.Context, q *multiproc.Queue[*os.File]) error {
	f, err := os.Open(os.DevNull)
	if err != nil {
		return err
	}
	return errors.Join(q.Put(ctx, f), f.Close())
})

// The files of a process that has died are gone: the message says so, and the next is as good as ever.
func TestFilesOfTheDead(t *testing.T) {
	ctx := proctest.Context(t)
	q := newQueue[*os.File](t, nil)
	wait(t, start(t, putFile, q, nil))
	if _, err := q.Get(ctx); !errors.Is(err, multiproc.ErrFileGone) {
		t.Errorf("the file of a dead process: %v", err)
	}
	f := textFile(t, "text")
	check(t, q.Put(ctx, f))
	check(t, f.Close())
	if s := textOf(t, must(q.Get(ctx))(t)); s != "text" {
		t.Errorf("got %q", s)
	}
}

func TestPipeOfFiles(t *testing.T) {
	ctx := proctest.Context(t)
	a, b, err := multiproc.Pipe(true)
	check(t, err)
	defer a.Close()
	defer b.Close()
	f := textFile(t, "text")
	check(t, a.Send(ctx, []any{1, f}))
	check(t, f.Close())
	v := must(multiproc.Recv[[]any](ctx, b))(t)
	if s := textOf(t, v[1].(*os.File)); s != "text" {
		t.Errorf("got %q", s)
	}
}
