package futex

import (
	"runtime"
	"time"

	"github.com/fb2d3dbd/multiproc/internal/cpu"
	"github.com/fb2d3dbd/multiproc/internal/sys"
)

const (
	spinFor    = 15 * time.Microsecond // about what a sleep and a wake-up cost
	spinYields = 3                     // then the CPU is offered to others, before a real sleep
)

var manyCPUs = runtime.NumCPU() > 1

// A spinner is one wait's budget of looking again before it sleeps.
type spinner struct {
	start  time.Time
	rounds int
	yields int
}

// again passes a moment and reports whether to look once more; false means that it is time to sleep. On a single CPU, who
// holds what we wait for cannot run while we spin, so it only yields.
func (s *spinner) again(pauses uint32) bool {
	if manyCPUs && s.yields == 0 {
		if s.rounds == 0 {
			s.start = time.Now()
		}
		s.rounds++
		if s.rounds&7 != 0 || time.Since(s.start) < spinFor {
			cpu.Pause(pauses)
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
