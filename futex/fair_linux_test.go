package futex_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fb2d3dbd/multiproc/futex"
	"github.com/fb2d3dbd/multiproc/internal/proctest"
	"github.com/fb2d3dbd/multiproc/shm"
	"github.com/fb2d3dbd/multiproc/spawn"
)

type fairArg struct {
	Seg  *shm.Segment
	Me   int
	Hold time.Duration // how long each holds the lock
}

// The words of a fair segment: 0 the mutex, 8 go, 12 stop, 16 what the lock guards, 20 who are ready, 64+8*i what process i has done.
var fair = spawn.NewTarget("futex.fair", func(ctx context.Context, a fairArg) error {
	mem := a.Seg.Bytes()
	mu, err := futex.NewMutex(mem, a.Seg)
	if err != nil {
		return err
	}
	atomic.AddUint32(wordAt(mem, 20), 1)
	for atomic.LoadUint32(wordAt(mem, 8)) == 0 {
		time.Sleep(100 * time.Microsecond)
	}
	n := uint64(0)
	for ; atomic.LoadUint32(wordAt(mem, 12)) == 0; n++ {
		if err := mu.Lock(ctx); err != nil {
			return err
		}
		binary.NativeEndian.PutUint32(mem[16:], binary.NativeEndian.Uint32(mem[16:])+1)
		if a.Hold > 0 {
			for start := time.Now(); time.Since(start) < a.Hold; {
			}
		}
		if err := mu.Unlock(); err != nil {
			return err
		}
		binary.NativeEndian.PutUint64(mem[64+8*a.Me:], n+1)
	}
	return nil
})

// contend has k processes take turns at one lock until done returns true, and returns how often each had it.
func contend(t testing.TB, k int, hold time.Duration, done func(counts []uint64) bool) (counts []uint64) {
	ctx := proctest.Context(t)
	seg := newSegment(t, 64+8*k)
	mem := seg.Bytes()
	var procs []*spawn.Process
	for i := range k {
		p, err := fair.Start(ctx, fairArg{seg, i, hold}, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer p.Kill()
		procs = append(procs, p)
	}
	proctest.Eventually(t, func() bool { return atomic.LoadUint32(wordAt(mem, 20)) == uint32(k) }, "all are ready")
	atomic.StoreUint32(wordAt(mem, 8), 1)
	look := func() []uint64 {
		counts = counts[:0]
		for i := range k {
			counts = append(counts, binary.NativeEndian.Uint64(mem[64+8*i:]))
		}
		return counts
	}
	proctest.Eventually(t, func() bool { return done(look()) }, "all have had the lock often enough")
	atomic.StoreUint32(wordAt(mem, 12), 1)
	for _, p := range procs {
		if err := p.Wait(ctx); err != nil {
			t.Error(err)
		}
	}
	sum := uint64(0)
	for _, n := range look() {
		sum += n
	}
	if guarded := binary.NativeEndian.Uint32(mem[16:]); guarded != uint32(sum) {
		t.Errorf("%d were counted under the lock, want %d", guarded, uint32(sum))
	}
	return counts
}

// TestNobodyStarves: however greedy the others are, each process gets the lock again and again.
func TestNobodyStarves(t *testing.T) {
	for _, k := range []int{2, 8} {
		for _, hold := range []time.Duration{0, 100 * time.Microsecond} {
			t.Run(fmt.Sprintf("%d for %v", k, hold), func(t *testing.T) {
				turns := make([]int, k)
				last := make([]uint64, k)
				counts := contend(t, k, hold, func(counts []uint64) bool {
					least := 20
					for i, n := range counts {
						if n != last[i] {
							turns[i]++
							last[i] = n
						}
						least = min(least, turns[i])
					}
					return least == 20
				})
				t.Logf("each had it %v times, fairness %.3f", counts, jain(counts))
			})
		}
	}
}

// jain is Jain's index of fairness: 1 when all have the same, 1/k when one has it all.
func jain(counts []uint64) float64 {
	var sum, squares float64
	for _, n := range counts {
		sum += float64(n)
		squares += float64(n) * float64(n)
	}
	return sum * sum / (float64(len(counts)) * squares)
}

func BenchmarkContended(b *testing.B) {
	for _, k := range []int{2, 8} {
		b.Run(fmt.Sprint(k), func(b *testing.B) {
			for b.Loop() {
				var start time.Time
				counts := contend(b, k, 0, func([]uint64) bool {
					if start.IsZero() {
						start = time.Now()
					}
					return time.Since(start) > time.Second
				})
				sum := uint64(0)
				for _, n := range counts {
					sum += n
				}
				b.ReportMetric(float64(time.Since(start).Nanoseconds())/float64(sum), "ns/lock")
				b.ReportMetric(jain(counts), "fairness")
			}
		})
	}
}
