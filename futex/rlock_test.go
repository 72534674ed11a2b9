package futex_test

import (
	"context"
	"sync"
	"testing"

	"github.com/fb2d3dbd/multiproc/futex"
)

func TestRLock(t *testing.T) {
	var all folk
	mem := make([]byte, futex.RLockSize)
	a := must(futex.NewRLock(mem, all.one(1)))(t)
	b := must(futex.NewRLock(mem, all.one(2)))(t)
	want(t, a.Unlock(), futex.ErrNotOwner)
	want(t, a.MarkConsistent(), futex.ErrNotOwner)
	ok(t, a.Lock(ended()))
	ok(t, a.TryLock())
	ok(t, a.Lock(ended()))
	if owner, held := b.Holder(); owner != 1 || !held || a.Depth() != 3 || b.Depth() != 0 {
		t.Errorf("the owner is %d, %v; depths %d and %d", owner, held, a.Depth(), b.Depth())
	}
	other := a.Handle()
	for _, l := range []*futex.RLock{b, other} {
		want(t, l.TryLock(), futex.ErrLocked)
		want(t, l.Lock(ended()), context.Canceled)
		want(t, l.Unlock(), futex.ErrNotOwner)
		want(t, l.MarkConsistent(), futex.ErrNotOwner)
	}
	waits := waiting(func() error { return other.Lock(context.Background()) })
	for range 3 {
		none(t, waits)
		ok(t, a.Unlock())
	}
	ok(t, result(t, waits))
	want(t, a.Unlock(), futex.ErrNotOwner)
	ok(t, other.Unlock())

	ok(t, b.Lock(ended()))
	ok(t, b.Lock(ended()))
	all.kill(2)
	want(t, a.Lock(t.Context()), futex.ErrOwnerDied)
	ok(t, a.Lock(t.Context())) // the holder knows
	ok(t, a.Unlock())
	ok(t, a.Unlock())
	want(t, a.TryLock(), futex.ErrOwnerDied)
	ok(t, a.MarkConsistent())
	ok(t, a.Unlock())
	ok(t, a.TryLock())
	ok(t, a.Unlock())
}

// Goroutines with a handle each exclude each other; those that share one are one holder.
func TestRLockHandles(t *testing.T) {
	mem := make([]byte, futex.RLockSize)
	first := must(futex.NewRLock(mem, futex.Local{}))(t)
	total := 0
	var wg sync.WaitGroup
	for range 4 {
		l := first.Handle()
		wg.Go(func() {
			for range 500 {
				for range 3 {
					if err := l.Lock(context.Background()); err != nil {
						t.Error(err)
					}
				}
				total++
				for range 3 {
					if err := l.Unlock(); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	if total != 2000 {
		t.Errorf("counted %d", total)
	}
	for range 4 {
		wg.Go(func() {
			for range 500 {
				if err := first.Lock(context.Background()); err != nil {
					t.Error(err)
				}
				if err := first.Unlock(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if _, held := first.Holder(); held || first.Depth() != 0 {
		t.Error("the lock is held after as many Unlocks as Locks")
	}
}
