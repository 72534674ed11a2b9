package multiproc

import (
	"runtime"
	"sync"
	"weak"

	"github.com/fb2d3dbd/multiproc/internal/life"
	"github.com/fb2d3dbd/multiproc/ringbuf"
	"github.com/fb2d3dbd/multiproc/shm"
)

// queues are those that this process has handles of. The child of a fork has them too, and becomes a member of each before anything else runs there,
// as a child that is passed a handle does when it opens it: those on the other side would otherwise take it for nobody.
var queues struct {
	sync.Mutex
	handles map[weak.Pointer[ringbuf.MPMC]]object
}

func init() {
	life.OnFork(life.Objects, func() error {
		queues.Lock()
		defer queues.Unlock()
		for h, o := range queues.handles {
			q := h.Value()
			if q == nil {
				continue
			}
			if _, err := o.seg.At(o.ref, shm.KindQueue); err != nil {
				continue // it was freed: the memory is another object's
			}
			_, _ = q.Len() // any call makes the caller a member; where there is no place for another, the next call says so
		}
		return nil
	})
}

// remember notes that this process has a handle of the queue.
func remember(q *ringbuf.MPMC, o object) {
	h := weak.Make(q)
	queues.Lock()
	defer queues.Unlock()
	if queues.handles == nil {
		queues.handles = map[weak.Pointer[ringbuf.MPMC]]object{}
	}
	queues.handles[h] = o
	runtime.AddCleanup(q, func(h weak.Pointer[ringbuf.MPMC]) {
		queues.Lock()
		defer queues.Unlock()
		delete(queues.handles, h)
	}, h)
}
