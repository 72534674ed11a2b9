package futex_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/fb2d3dbd/multiproc/futex"
)

func newRW(t testing.TB, readers int, who ...futex.Participants) []*futex.RWMutex {
	t.Helper()
	mem := make([]byte, futex.RWMutexSize(readers))
	all := []*futex.RWMutex{must(futex.CreateRWMutex(mem, readers, who[0]))(t)}
	for _, w := range who[1:] {
		all = append(all, must(futex.OpenRWMutex(mem, w))(t))
	}
	return all
}

func TestRWMutex(t *testing.T) {
	var all folk
	l := newRW(t, 2, all.one(1), all.one(2), all.one(3))
	a, b, c := l[0], l[1], l[2]
	want(t, a.Unlock(), futex.ErrNotOwner)
	want(t, a.RUnlock(), futex.ErrNotOwner)
	want(t, a.MarkConsistent(), futex.ErrNotOwner)
	ok(t, a.RLock(ended()))
	ok(t, a.TryRLock())
	ok(t, b.RLock(ended()))
	want(t, c.RLock(ended()), futex.ErrTooMany)
	if r := a.Readers(); r[1] != 2 || r[2] != 1 || len(r) != 2 {
		t.Errorf("the readers are %v", r)
	}
	want(t, b.TryLock(), futex.ErrLocked)
	want(t, b.Lock(ended()), context.Canceled)
	ok(t, b.RUnlock())
	ok(t, c.RLock(ended())) // the place of b, by which nobody reads
	ok(t, c.RUnlock())
	want(t, b.RUnlock(), futex.ErrNotOwner)
	want(t, a.Unlock(), futex.ErrNotOwner)
	ok(t, a.RUnlock())
	writes := waiting(func() error { return b.Lock(context.Background()) })
	eventually(t, "the writer waits and keeps readers out", func() bool {
		err := c.TryRLock()
		if err == nil {
			ok(t, c.RUnlock())
		}
		return err == futex.ErrLocked
	})
	none(t, writes)
	if _, held := c.Holder(); held {
		t.Error("a writer that waits counts as one that holds")
	}
	want(t, b.Unlock(), futex.ErrNotOwner) // it waits
	ok(t, a.RUnlock())
	ok(t, result(t, writes))
	if owner, held := c.Holder(); !held || owner != 2 {
		t.Errorf("the writer is %d, %v", owner, held)
	}
	want(t, a.TryLock(), futex.ErrLocked)
	want(t, a.TryRLock(), futex.ErrLocked)
	want(t, a.RLock(ended()), context.Canceled)
	want(t, a.RUnlock(), futex.ErrNotOwner)
	reads := waiting(func() error { return a.RLock(context.Background()) })
	none(t, reads)
	ok(t, b.Unlock())
	ok(t, result(t, reads))
	want(t, b.Lock(ended()), context.Canceled) // gives up, and lets readers in again
	ok(t, c.RLock(t.Context()))
}

// Who has closed the memory sees no holder: what stands there is no longer the lock's.
func TestRWMutexHolder(t *testing.T) {
	var all folk
	l := newRW(t, 2, all.one(1), all.one(2))
	if owner, held := l[1].Holder(); owner != 0 || held {
		t.Errorf("a free lock is held by %d, %v", owner, held)
	}
	ok(t, l[0].TryLock())
	if owner, held := l[1].Holder(); owner != 1 || !held {
		t.Errorf("the lock is held by %d, %v", owner, held)
	}
	all.leave(2)
	if owner, held := l[1].Holder(); owner != 0 || held {
		t.Errorf("in closed memory the lock is held by %d, %v", owner, held)
	}
}

// A writer that dies while it writes leaves damage, one that waits none; a reader harms nobody.
func TestRWMutexOfTheDead(t *testing.T) {
	var all folk
	l := newRW(t, 4, all.one(1), all.one(2), all.one(3), all.one(4))
	ok(t, l[1].RLock(ended()))
	all.kill(2)
	ok(t, l[0].TryLock())
	ok(t, l[0].Unlock())
	ok(t, l[2].TryLock())
	reads := waiting(func() error { return l[0].RLock(context.Background()) })
	none(t, reads)
	all.kill(3)
	want(t, result(t, reads), futex.ErrDamaged)
	want(t, l[0].Lock(t.Context()), futex.ErrOwnerDied)
	ok(t, l[0].Unlock())
	want(t, l[3].TryRLock(), futex.ErrDamaged)
	want(t, l[3].RLock(ended()), futex.ErrDamaged)
	want(t, l[3].TryLock(), futex.ErrOwnerDied)
	ok(t, l[3].MarkConsistent())
	ok(t, l[3].MarkConsistent())
	ok(t, l[3].Unlock())
	ok(t, l[0].TryRLock())
	// A process that dies while it waits to write.
	waits := waiting(func() error { return l[3].Lock(context.Background()) })
	eventually(t, "the writer waits", func() bool {
		err := l[0].TryRLock()
		if err == nil {
			ok(t, l[0].RUnlock())
		}
		return err != nil
	})
	none(t, waits)
	all.kill(4)
	all.leave(4)
	ok(t, l[0].RLock(t.Context()))
	if err := result(t, waits); err != futex.ErrClosed {
		t.Errorf("the one that is dead got %v", err)
	}
}

// Writers exclude all, readers see no half of a change.
func TestRWMutexExcludes(t *testing.T) {
	var all folk
	var who []futex.Participants
	for i := range 6 {
		who = append(who, all.one(uint32(i/2+1)))
	}
	l := newRW(t, 3, who...)
	var a, b int
	var reads atomic.Int64
	var wg sync.WaitGroup
	for i, x := range l {
		wg.Go(func() {
			ctx := context.Background()
			for k := range 1500 {
				if (i+k)%4 == 0 {
					if err := x.Lock(ctx); err != nil {
						t.Error(err)
						return
					}
					a++
					b++
					if err := x.Unlock(); err != nil {
						t.Error(err)
					}
					continue
				}
				if k%2 == 0 {
					if err := x.RLock(ctx); err != nil {
						t.Error(err)
						return
					}
				} else if err := x.TryRLock(); err == futex.ErrLocked {
					continue
				} else if err != nil {
					t.Error(err)
					return
				}
				if a != b {
					t.Error("a reader is between two halves of a change")
				}
				reads.Add(1)
				if err := x.RUnlock(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if a != 6*1500/4 || b != a {
		t.Errorf("%d and %d changes", a, b)
	}
	if r := l[0].Readers(); len(r) != 0 {
		t.Errorf("readers are left: %v", r)
	}
}
