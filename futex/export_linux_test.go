package futex

import (
	"sync/atomic"
	"time"

	"github.com/fb2d3dbd/multiproc/internal/sys"
)

// KernelSleepers returns how many goroutines sleep in the kernel, and how many may.
func KernelSleepers() (now, most int) { return int(direct.Load()), int(maxDirect) }

// Wanted reports whether somebody waits in line.
func (l *RWMutex) Wanted() bool { return atomic.LoadUint32(&l.line.at.word)&waiters != 0 }

// Blind reports whether the mutex may be unlocked by a plain store here.
func (m *Mutex) Blind() bool { return m.blind != nil }

// SetCalm sets how many unlocks in a row must find nobody waiting until the next are plain stores, and returns what it was.
func SetCalm(n uint32) (was uint32) {
	was, calmUnlocks = calmUnlocks, n
	return was
}

// SetNap sets how long the first slice of a sleep is, and returns what it was.
func SetNap(d time.Duration) (was time.Duration) {
	was, firstNap = firstNap, d
	return was
}

// SetBarrier has f called in the place of the barrier of those who go to sleep on a mutex; nil: the barrier again.
func SetBarrier(f func() bool) {
	if f == nil {
		f = sys.Barrier
	}
	barrierHere = f
}
