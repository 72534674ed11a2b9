package multiproc_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/fb2d3dbd/multiproc"
	"github.com/fb2d3dbd/multiproc/internal/proctest"
	"github.com/fb2d3dbd/multiproc/shm"
	"github.com/fb2d3dbd/multiproc/spawn"
)

// An everything has a handle of each kind, at several depths.
type everything struct {
	Text    string
	In      *multiproc.Queue[[]any]
	Out     map[string]*multiproc.Queue[string]
	Workers []struct {
		Lock  *multiproc.Mutex
		Count *multiproc.Value[int]
	}
	Table *multiproc.Array[int32]
	Seg   *shm.Segment
	None  *multiproc.Queue[int]
}

var useAll = multiproc.NewTarget("use all", func(ctx context.Context, e everything) error {
	if e.None != nil {
		return errors.New("a nil handle arrived as another")
	}
	defer e.Seg.Close()
	for v, err := range e.In.All(ctx) {
		if err != nil {
			return err
		}
		if err := e.Out["answers"].Put(ctx, fmt.Sprintf("%s: %#v", e.Text, v)); err != nil {
			return err
		}
	}
	for i, w := range e.Workers {
		if err := w.Lock.Lock(ctx); err != nil {
			return err
		}
		if err := w.Count.Store(i + 1); err != nil {
			return err
		}
		if err := w.Lock.Unlock(); err != nil {
			return err
		}
	}
	copy(e.Seg.Bytes(), "from the child")
	return e.Table.Set(2, -5)
})

func TestEverythingInAnArgument(t *testing.T) {
	ctx := proctest.Context(t)
	seg := must(shm.New(&shm.Options{Size: 100}))(t)
	defer seg.Close()
	e := everything{
		Text:  "got",
		In:    newQueue[[]any](t, nil),
		Out:   map[string]*multiproc.Queue[string]{"answers": newQueue[string](t, nil)},
		Table: must(multiproc.NewArray[int32](3))(t),
		Seg:   seg,
	}
	e.Workers = append(e.Workers, e.Workers...)
	for range 2 {
		e.Workers = append(e.Workers, struct {
			Lock  *multiproc.Mutex
			Count *multiproc.Value[int]
		}{newMutex(t), must(multiproc.NewValue(0))(t)})
	}
	p := start(t, useAll, e, nil)
	check(t, e.In.Put(ctx, []any{42, nil, "hello"}))
	check(t, e.In.Put(ctx, nil))
	check(t, e.In.Close())
	for _, answer := range []string{`got: []interface {}{42, interface {}(nil), "hello"}`, "got: []interface {}(nil)"} {
		if got := must(e.Out["answers"].Get(ctx))(t); got != answer {
			t.Errorf("the child answered %s, want %s", got, answer)
		}
	}
	wait(t, p)
	for i, w := range e.Workers {
		if n := must(w.Count.Load())(t); n != i+1 {
			t.Errorf("count %d is %d", i, n)
		}
	}
	if x := must(e.Table.At(2))(t); x != -5 {
		t.Errorf("the array holds %d", x)
	}
	if got := string(seg.Bytes()[:14]); got != "from the child" {
		t.Errorf("the segment holds %q", got)
	}
}

var whoami = multiproc.NewTarget("whoami", func(ctx context.Context, out *multiproc.Queue[[]any]) error {
	return out.Put(ctx, []any{multiproc.ProcessName(), multiproc.ParentPID(), os.Getpid()})
})

func TestProcessNames(t *testing.T) {
	out := newQueue[[]any](t, nil)
	p := start(t, whoami, out, &multiproc.ProcessOptions{Name: "Ann"})
	got := must(out.Get(proctest.Context(t)))(t)
	if !slices.Equal(got, []any{"Ann", os.Getpid(), p.PID()}) {
		t.Errorf("the child says %v", got)
	}
	wait(t, p)
	if multiproc.ProcessName() != "" || multiproc.ParentPID() != 0 {
		t.Error("a process that is no child takes itself for one")
	}
	if n := len(multiproc.ActiveChildren()); n != 0 {
		t.Errorf("%d children are active", n)
	}
}

// A queue made by a child reaches its parent in a message: all of the family share one segment.
var lend = multiproc.NewTarget("lend", func(ctx context.Context, out *multiproc.Queue[*multiproc.Queue[string]]) error {
	q, err := multiproc.NewQueue[string](nil)
	if err != nil {
		return err
	}
	if err := q.Put(ctx, "from below"); err != nil {
		return err
	}
	return out.Put(ctx, q)
})

func TestObjectsOfAChildOutliveIt(t *testing.T) {
	ctx := proctest.Context(t)
	out := newQueue[*multiproc.Queue[string]](t, nil)
	wait(t, start(t, lend, out, nil))
	q := must(out.Get(ctx))(t)
	if s, err := q.Get(ctx); s != "from below" || err != nil {
		t.Errorf("the child's queue gave %q, %v", s, err)
	}
	check(t, q.Free())
}

var fail = multiproc.NewTarget("fail", func(ctx context.Context, text string) error { return errors.New(text) })

func TestErrorsAreThoseOfThePackagesBelow(t *testing.T) {
	var exit *multiproc.ExitError
	if err := start(t, fail, "oh no", nil).Wait(proctest.Context(t)); !errors.As(err, &exit) || exit.Code != 1 || exit.Text != "oh no" {
		t.Errorf("Wait returned %v", err)
	}
	if !errors.Is(multiproc.ErrNotInitialized, spawn.ErrNotInitialized) || !errors.Is(multiproc.ErrUnknownTarget, spawn.ErrUnknownTarget) {
		t.Error("the errors of starting are not spawn's")
	}
	for _, err := range []error{multiproc.ErrClosed, shm.ErrClosed} {
		want(t, err, os.ErrClosed)
	}
}

// The zero handle in an argument is found before anything is started.
func TestZeroHandleInArgument(t *testing.T) {
	if multiproc.DefaultStartMethod() == multiproc.Fork {
		t.Skip("by fork the argument is not encoded")
	}
	_, err := whoami.Start(proctest.Context(t), new(multiproc.Queue[[]any]), nil)
	if err == nil || !strings.Contains(err.Error(), "zero") || !strings.Contains(err.Error(), "whoami") {
		t.Errorf("Start with the zero Queue returned %v", err)
	}
}
