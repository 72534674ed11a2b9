package futex_test

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/fb2d3dbd/multiproc/futex"
	"github.com/fb2d3dbd/multiproc/internal/proctest"
)

// A lock that was handed over to one who died before it took it is taken by who comes later, in the kernel or parked.
//
// Red, for those who are parked, when the hub's slices leave out a lock that is handed over.
func TestHandedOverLate(t *testing.T) {
	for _, parked := range []bool{false, true} {
		name := "kernel"
		if parked {
			name = "parked"
		}
		t.Run(name, func(t *testing.T) {
			seg := newSegment(t, 64)
			ctx, cancel := context.WithCancel(proctest.Context(t))
			var others []<-chan error
			if parked { // they take the places of those who sleep in the kernel
				_, most := futex.KernelSleepers()
				for range 2 * most {
					others = append(others, waiting(func() error {
						_, err := futex.Wait(ctx, wordAt(seg.Bytes(), 8), 0)
						return err
					}))
				}
				proctest.Eventually(t, func() bool {
					now, most := futex.KernelSleepers()
					return now >= most
				}, "the places in the kernel are taken")
			}
			defer func() {
				cancel()
				for _, other := range others {
					<-other
				}
			}()
			m, err := futex.NewMutex(seg.Bytes(), seg)
			ok(t, err)
			atomic.StoreUint32(wordAt(seg.Bytes(), 0), handed<<2|1)
			for range 3 {
				ok(t, m.Lock(ctx))
				ok(t, m.Unlock())
				atomic.StoreUint32(wordAt(seg.Bytes(), 0), handed<<2|1)
			}
		})
	}
}
