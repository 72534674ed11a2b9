package pool

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/fb2d3dbd/multiproc/internal/fault"
	"github.com/fb2d3dbd/multiproc/pool"
	"github.com/fb2d3dbd/multiproc/shm"
)

// points are where workers die: all of the pool's, and those of the queues that every task passes.
var points = []string{
	"pool.worker.initialized", "pool.worker.ready", // armed by the initializer
	"pool.chunk.taken", "pool.chunk.done", "pool.chunk.acked", "pool.chunk.returned",
	"pool.task.found", "pool.task.inhand", "pool.task.begun", "pool.task.returned", "pool.task.done", "pool.task.told",
	"pool.result.put", "pool.result.written", "pool.batch.full", "pool.batch.put",
	"mpmc.get.found", "mpmc.get.taken", "mpmc.get.hinted", "mpmc.released",
	"mpmc.fast.claimed", "mpmc.fast.written", "mpmc.fast.announced", "mpmc.fast.published", "mpmc.fast.hinted",
}

type ledgerArg struct {
	Counts *shm.Array[uint32]
	Tasks  int
}

// A task notes that it begins, works a little, notes that it ends, and returns its number and some bytes.
type task struct {
	ID    int
	Bytes int    // of the result, beside the number
	Spin  int    // microseconds
	Wait  bool   // until its context ends
	Order string // for package fault
}

func (t task) result() []byte {
	b := binary.LittleEndian.AppendUint64(make([]byte, 0, 8+t.Bytes), uint64(t.ID))
	for i := range t.Bytes {
		b = append(b, byte(i*t.ID))
	}
	return b
}

func (t task) is(b []byte) bool { return string(t.result()) == string(b) }

var victim = pool.NewFuncInit("torture-pool-victim", func(_ context.Context, l ledgerArg) (ledgerArg, error) {
	fault.Notice(func(point string) {
		for i, p := range points {
			if p == point {
				_, _ = shm.AddAt(l.Counts, 2*l.Tasks+i, 1)
			}
		}
	})
	if rand.IntN(20) == 0 {
		if err := fault.Arm(fmt.Sprintf("kill:%s:1", points[rand.IntN(2)])); err != nil {
			return l, err
		}
	}
	return l, nil
}, func(ctx context.Context, l *ledgerArg, t task) ([]byte, error) {
	if _, err := shm.AddAt(l.Counts, t.ID, 1); err != nil {
		return nil, err
	}
	if t.Order != "" {
		if err := fault.Arm(t.Order); err != nil {
			return nil, err
		}
	}
	for begin := time.Now(); time.Since(begin) < time.Duration(t.Spin)*time.Microsecond; {
	}
	if t.Wait {
		<-ctx.Done()
	}
	b := t.result()
	_, err := shm.AddAt(l.Counts, l.Tasks+t.ID, 1)
	return b, err
})
