package futex

import (
	"runtime"
	"sync/atomic"
	"time"

	"github.com/fb2d3dbd/multiproc/internal/cpu"
	"github.com/fb2d3dbd/multiproc/internal/sys"
)

const (
	spinFor    = 15 * time.Microsecond // about what a sleep and a wake-up cost
	spinAlone  = 2 * time.Microsecond  // before the CPU is offered to who may be waiting for this very one
	spinYields = 3                     // then the CPU is offered to others, before a real sleep
)

var (
	cpus     = runtime.NumCPU()
	manyCPUs = cpus > 1
)

// spins counts the spins of this process that began in the same span of spinFor: span:56 | spins:8.
var spins atomic.Uint64

// maySpin reports whether a CPU is likely to be free for a spin that begins now: more than there are CPUs only keep from running
// those that they wait for.
func maySpin(now time.Time) bool {
	span := uint64(now.UnixNano()) / uint64(spinFor) << 8
	for {
		v := spins.Load()
		next := span | 1
		if v&^255 == span {
			if v&255 >= uint64(min(cpus, 255)) {
				return false
			}
			next = v + 1
		}
		if spins.CompareAndSwap(v, next) {
			return true
		}
	}
}

// A spinner is one wait's budget of looking again before it sleeps.
type spinner struct {
	start  time.Time
	rounds int
	yields int
	gave   bool // somebody else ran on this CPU when it was last offered
}

// again passes a moment and reports whether to look once more; false means that it is time to sleep. On a single CPU, who
// holds what we wait for cannot run while we spin, so it only yields; and so it may be on many, where the kernel has put both on one: after a
// short spin each look offers the CPU.
func (s *spinner) again(pauses uint32) bool {
	if manyCPUs && s.yields == 0 {
		if s.rounds == 0 {
			if s.start = time.Now(); !maySpin(s.start) {
				s.yields = 1
				return s.again(pauses)
			}
		}
		s.rounds++
		if s.rounds&7 != 0 {
			cpu.Pause(pauses)
			return true
		}
		switch spent := time.Since(s.start); {
		case spent < spinAlone:
			cpu.Pause(pauses)
			return true
		case spent < spinFor:
			s.rounds = 7 // the next look is at the clock again
			sys.Yield()
			s.gave = time.Since(s.start)-spent > spinAlone
			return true
		}
	}
	if s.yields++; s.yields <= spinYields {
		sys.Yield()
		runtime.Gosched()
		return true
	}
	return false
}
