package futex_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/fb2d3dbd/multiproc/futex"
)

func newSemaphore(t testing.TB, free, max int, who ...futex.Participants) []*futex.Semaphore {
	t.Helper()
	mem := make([]byte, futex.SemaphoreSize(max))
	all := []*futex.Semaphore{must(futex.CreateSemaphore(mem, free, max, who[0]))(t)}
	for _, w := range who[1:] {
		all = append(all, must(futex.OpenSemaphore(mem, w))(t))
	}
	return all
}

func free(t testing.TB, s interface{ Value() (int, error) }, n int) {
	t.Helper()
	if got := must(s.Value())(t); got != n {
		t.Fatalf("%d permits are free, want %d", got, n)
	}
}

func TestSemaphore(t *testing.T) {
	var all folk
	s := newSemaphore(t, 2, 4, all.one(1), all.one(2))
	free(t, s[0], 2)
	ok(t, s[0].Acquire(ended()))
	ok(t, s[1].TryAcquire())
	want(t, s[0].TryAcquire(), futex.ErrLocked)
	want(t, s[1].Acquire(ended()), context.Canceled)
	if held := must(s[0].Holders())(t); held[1] != 1 || held[2] != 1 || !s[0].Locked() {
		t.Errorf("the permits are held by %v", held)
	}
	c := waiting(func() error { return s[0].Acquire(context.Background()) })
	ok(t, s[1].Release())
	ok(t, result(t, c))
	ok(t, s[0].Release())
	ok(t, s[0].Release())
	free(t, s[1], 2)
	// Whoever holds none adds a permit, up to the maximum.
	ok(t, s[1].Release())
	ok(t, s[0].Release())
	free(t, s[1], 4)
	want(t, s[0].Release(), futex.ErrBound)
	for range 4 {
		ok(t, s[0].TryAcquire())
	}
	ok(t, s[1].Release()) // one of those that are held
	free(t, s[0], 1)
	for range 3 {
		ok(t, s[0].Release())
	}
	ok(t, s[0].Consume(ended()))
	free(t, s[0], 3)
	for range 3 {
		ok(t, s[1].TryConsume())
	}
	want(t, s[1].TryConsume(), futex.ErrLocked)
	all.kill(2) // took them for good
	want(t, s[0].TryAcquire(), futex.ErrLocked)
	ok(t, s[0].Release())
	ok(t, s[0].TryAcquire())
}

func TestBoundedSemaphore(t *testing.T) {
	var all folk
	mem := make([]byte, futex.SemaphoreSize(2))
	a := must(futex.CreateBoundedSemaphore(mem, 2, all.one(1)))(t)
	b := must(futex.OpenBoundedSemaphore(mem, all.one(2)))(t)
	want(t, a.Release(), futex.ErrBound)
	ok(t, a.TryAcquire())
	want(t, b.Release(), futex.ErrNotOwner)
	ok(t, b.TryAcquire())
	want(t, b.TryAcquire(), futex.ErrLocked)
	ok(t, a.Release())
	want(t, a.Release(), futex.ErrNotOwner)
	all.kill(2)
	ok(t, a.TryAcquire())
	ok(t, a.TryAcquire())
	want(t, a.TryAcquire(), futex.ErrLocked)
	ok(t, a.Release())
	ok(t, a.Release())
	want(t, a.Release(), futex.ErrBound)
}

// The permits of the dead come back, to who tries and to who waits; those of the living do not.
func TestSemaphoreOfTheDead(t *testing.T) {
	var all folk
	s := newSemaphore(t, 3, 3, all.one(1), all.one(2), all.one(3))
	for _, x := range s {
		ok(t, x.TryAcquire())
	}
	waits := waiting(func() error { return s[0].Acquire(context.Background()) })
	none(t, waits)
	all.kill(2)
	ok(t, result(t, waits))
	want(t, s[0].TryAcquire(), futex.ErrLocked)
	all.kill(3)
	ok(t, s[0].TryAcquire())
	if held := must(s[0].Holders())(t); held[1] != 3 {
		t.Errorf("the permits are held by %v", held)
	}
}

// Never more than the permits are out, and none is lost, whatever moves.
func TestSemaphoreCounts(t *testing.T) {
	const permits, workers, rounds = 3, 8, 2000
	var all folk
	var who []futex.Participants
	for i := range workers {
		who = append(who, all.one(uint32(i/2+1)))
	}
	s := newSemaphore(t, permits, permits+2, who...)
	var out, most atomic.Int64
	var wg sync.WaitGroup
	for i, x := range s {
		wg.Go(func() {
			for k := range rounds {
				if (k+i)%3 == 0 {
					for x.TryAcquire() != nil {
					}
				} else if err := x.Acquire(context.Background()); err != nil {
					t.Error(err)
				}
				n := out.Add(1)
				if n > permits {
					t.Errorf("%d permits are out", n)
				}
				most.Store(max(most.Load(), n))
				out.Add(-1)
				if err := x.Release(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	free(t, s[0], permits)
	if held := must(s[0].Holders())(t); len(held) != 0 {
		t.Errorf("permits are held by %v", held)
	}
}
