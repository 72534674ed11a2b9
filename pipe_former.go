package multiproc

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/fb2d3dbd/multiproc/ringbuf"
	"github.com/fb2d3dbd/multiproc/shm"
)

// A formerPipe is a pipe that this process has made. When it has closed both handles that it got then, and nobody else has an end any more, the next pipe of the same size is made in its memory.
type formerPipe struct {
	obj  object
	last *ringbuf.PipeEnd // one of those handles
	open atomic.Int32     // how many of them are open
}

// ends makes the handles of the pipe's ends.
func (m *formerPipe) ends(x, y *ringbuf.PipeEnd) (a, b *PipeEnd) {
	m.last = x
	m.open.Store(2)
	a, b = new(PipeEnd), new(PipeEnd)
	a.open(m.obj.seg, m.obj.ref, 0, x, m)
	b.open(m.obj.seg, m.obj.ref, 1, y, m)
	return a, b
}

// formerPipes are those whose handles are closed here; others may have theirs.
var formerPipes pipeList

type pipeList struct {
	mu     sync.Mutex
	bySize map[uint64][]*formerPipe
}

func (l *pipeList) add(m *formerPipe) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.bySize == nil {
		l.bySize = map[uint64][]*formerPipe{}
	}
	l.bySize[m.obj.ref.Size] = append(l.bySize[m.obj.ref.Size], m)
}

// clear forgets all, in the child of a fork.
func (l *pipeList) clear() {
	l.mu = sync.Mutex{}
	l.bySize = nil
}

// formerLooks is at how many former pipes one that is made looks, the newest first; those that are still in use come last from then on.
const formerLooks = 8

// remake makes a pipe in the memory of a former one, or returns nil.
func (l *pipeList) remake(o *ringbuf.PipeOptions, seg *shm.Segment, size int) (a, b *PipeEnd) {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := l.bySize[uint64(size)]
	var inUse []*formerPipe
	for range min(formerLooks, len(all)) {
		end := len(all) - 1
		m := all[end]
		all[end] = nil
		all = all[:end]
		if m.obj.seg.Self() == 0 { // closed, with all pipes in it
			continue
		}
		if m.obj.seg == seg {
			if x, y, ok, err := m.last.Remake(o); ok && err == nil {
				a, b = (&formerPipe{obj: m.obj}).ends(x, y)
				break
			}
		}
		inUse = append(inUse, m)
	}
	all = slices.Insert(all, 0, inUse...)
	if l.bySize != nil {
		l.bySize[uint64(size)] = all
	}
	return a, b
}
