package multiproc_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"

	"github.com/fb2d3dbd/multiproc"
	"github.com/fb2d3dbd/multiproc/internal/proctest"
)

func TestGetInto(t *testing.T) {
	ctx := proctest.Context(t)
	q := newQueue[[]byte](t, nil)
	buf := make([]byte, 100_000)
	_, err := multiproc.TryGetInto(q, buf)
	want(t, err, multiproc.ErrEmpty)
	_, err = multiproc.GetInto(ended(), q, buf)
	want(t, err, context.Canceled)
	sizes := []int{0, 1, 224, 225, 64 << 10, 100_000}
	for i, n := range sizes {
		check(t, q.Put(ctx, bytes.Repeat([]byte{byte(i + 1)}, n)))
	}
	for i, size := range sizes {
		if size > 0 {
			n, err := multiproc.GetInto(ctx, q, buf[:size-1])
			want(t, err, io.ErrShortBuffer)
			if n != size {
				t.Errorf("a value of %d bytes is said to need %d", size, n)
			}
		}
		state(t, q, len(sizes)-i, false, false)
		n, err := multiproc.TryGetInto(q, buf[:size])
		check(t, err)
		if n != size || len(bytes.Trim(buf[:n], string(rune(i+1)))) != 0 {
			t.Errorf("got %d bytes, or others, want %d", n, size)
		}
	}
	check(t, q.Close())
	_, err = multiproc.GetInto(ctx, q, buf)
	want(t, err, multiproc.ErrClosed)
}

type intoWork struct {
	Tasks *multiproc.Queue[[]byte]
	Held  *multiproc.Queue[int]
}

// intoHolder receives a value and holds it until it is killed.
var intoHolder = multiproc.NewTarget("multiproc-test.into-holder", func(ctx context.Context, w intoWork) error {
	d, err := w.Tasks.Receive(ctx)
	if err != nil {
		return err
	}
	if err := w.Held.Put(ctx, len(d.Value)); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
})

// A GetInto that waits for nothing but what a dead consumer held goes on, also if its room was too short at first; when all who could put are dead, it ends.
func TestGetIntoAfterKill(t *testing.T) {
	ctx := proctest.Context(t)
	w := intoWork{newQueue[[]byte](t, nil), newQueue[int](t, nil)}
	check(t, w.Tasks.Put(ctx, bytes.Repeat([]byte("x"), 5000)))
	p := start(t, intoHolder, w, nil)
	must(w.Held.Get(ctx))(t)
	got := make(chan error, 1)
	go func() {
		buf := make([]byte, 5000)
		n, err := multiproc.GetInto(ctx, w.Tasks, buf[:10])
		if !errors.Is(err, io.ErrShortBuffer) || n != 5000 {
			got <- errors.Join(errors.New("too short a buffer"), err)
			return
		}
		if n, err = multiproc.GetInto(ctx, w.Tasks, buf); err == nil && n != 5000 {
			err = errors.New("another value")
		}
		got <- err
	}()
	kill(t, p)
	check(t, <-got)
	check(t, w.Tasks.CloseWrite())
	_, err := multiproc.GetInto(ctx, w.Tasks, nil)
	want(t, err, multiproc.ErrPeerDied)
}
