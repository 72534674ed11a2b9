package shm_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/fb2d3dbd/multiproc/internal/proctest"
	"github.com/fb2d3dbd/multiproc/shm"
	"github.com/fb2d3dbd/multiproc/spawn"
)

type standardArg struct {
	ID          uint64
	Runs        *shm.Value[int64] // counts them, in the default segment
	Generations int
}

// standard is run by a child: the default segment is there before anybody asks for it, and is the family's. So it is for
// the child's child.
var standard *spawn.Target[standardArg]

func init() {
	standard = spawn.NewTarget("shm.standard", func(ctx context.Context, a standardArg) error { // it refers to itself
		had := shm.PeekDefault()
		s, err := shm.Default()
		if err != nil {
			return err
		}
		if had != s || s.ID() != a.ID || s.Name() != "" {
			return fmt.Errorf("the child has the default segment %#x, %q, want %#x", s.ID(), s.Name(), a.ID)
		}
		if found, err := shm.Lookup(a.ID); found != s {
			return fmt.Errorf("the default segment is not found by its id: %w", err)
		}
		if a.Runs.Segment() != s {
			return errors.New("a value of the default segment is in another")
		}
		if _, err := shm.Add(a.Runs, 1); err != nil || a.Generations == 1 {
			return err
		}
		p, err := standard.Start(ctx, standardArg{a.ID, a.Runs, a.Generations - 1}, nil)
		if err != nil {
			return err
		}
		return p.Wait(ctx)
	})
}

// The default segment is made once, whoever asks first; children have it open; closed, it is made anew.
func TestDefault(t *testing.T) {
	if shm.PeekDefault() != nil {
		t.Fatal("there is a default segment and nobody has asked for one")
	}
	var last uint64
	for range 2 {
		const askers = 8
		got := make(chan *shm.Segment, askers)
		for range askers {
			go func() {
				s, err := shm.Default()
				if err != nil {
					t.Error(err)
				}
				got <- s
			}()
		}
		s := <-got
		for range askers - 1 {
			if other := <-got; other != s {
				t.Error("two goroutines have got default segments of their own")
			}
		}
		if s == nil {
			t.FailNow()
		}
		if shm.PeekDefault() != s || s.ID() == last {
			t.Errorf("the default segment is %p, %#x, want %p, and not %#x again", shm.PeekDefault(), s.ID(), s, last)
		}
		runs, err := shm.NewValue(s, int64(0))
		ok(t, err)
		p, err := standard.Start(proctest.Context(t), standardArg{s.ID(), runs, 2}, nil)
		ok(t, err)
		ok(t, p.Wait(proctest.Context(t)))
		if n, err := runs.Load(); n != 2 || err != nil {
			t.Errorf("child and grandchild have counted %d, %v", n, err)
		}
		last = s.ID()
		ok(t, s.Close())
		if shm.PeekDefault() != nil {
			t.Error("a closed segment is the default")
		}
		_, err = s.Alloc(shm.KindUser, 8)
		wantErr(t, err, shm.ErrClosed)
	}
}
