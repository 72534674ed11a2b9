package futex_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/fb2d3dbd/multiproc/futex"
	"github.com/fb2d3dbd/multiproc/internal/proctest"
)

// TestWaitMany has more goroutines wait than may sleep in the kernel, and wakes them in several ways.
func TestWaitMany(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("no futexes here")
	}
	const n = 500
	ctx := proctest.Context(t)
	for name, wake := range map[string]func(t *testing.T, word *uint32, left *atomic.Int64){
		"all at once": func(t *testing.T, word *uint32, left *atomic.Int64) {
			atomic.StoreUint32(word, 1)
			if _, err := futex.Wake(word, -1); err != nil {
				t.Error(err)
			}
		},
		"one by one": func(t *testing.T, word *uint32, left *atomic.Int64) {
			atomic.StoreUint32(word, 1)
			for left.Load() > 0 {
				if _, err := futex.Wake(word, 1); err != nil {
					t.Error(err)
				}
				runtime.Gosched()
			}
		},
		"never": func(t *testing.T, word *uint32, left *atomic.Int64) { atomic.StoreUint32(word, 1) },
	} {
		t.Run(name, func(t *testing.T) {
			word := new(uint32)
			var left atomic.Int64
			var wg sync.WaitGroup
			end, cancel := context.WithCancel(ctx)
			defer cancel()
			for range n {
				left.Add(1)
				wg.Go(func() {
					for atomic.LoadUint32(word) == 0 {
						if r, err := futex.Wait(end, word, 0); err != nil && (r != futex.Interrupted || !errors.Is(err, context.Canceled)) {
							t.Errorf("a wait ended with %v, %v", r, err)
						}
						if end.Err() != nil {
							break
						}
					}
					left.Add(-1)
				})
			}
			wake(t, word, &left)
			if name == "never" {
				cancel()
			}
			wg.Wait()
		})
	}
}

// TestWakeCount: as many are woken as were asked for, wherever they sleep.
func TestWakeCount(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("no futexes here")
	}
	const n = 40
	ctx := proctest.Context(t)
	mem := make([]byte, 8)
	ev, err := futex.NewEventCount(mem)
	if err != nil {
		t.Fatal(err)
	}
	var permits, taken atomic.Int64
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			err := ev.Await(ctx, func() (bool, error) {
				for {
					p := permits.Load()
					if p == 0 {
						return false, nil
					}
					if permits.CompareAndSwap(p, p-1) {
						return true, nil
					}
				}
			}, nil)
			if err != nil {
				t.Error(err)
			}
			taken.Add(1)
		})
	}
	for i := 0; i < n; {
		k := min(1+i%7, n-i)
		permits.Add(int64(k))
		ev.Notify(k)
		i += k
		proctest.Eventually(t, func() bool { return taken.Load() == int64(i) }, "as many go on as were notified")
	}
	wg.Wait()
}
