package ringbuf

import (
	"sync/atomic"

	"github.com/fb2d3dbd/multiproc/internal/fault"
)

// Unit words: 0 free, or k+1: it is slot k's. Only the owner of slot k, with its word in OWN, makes a word k+1, by
// compare-and-swap, or 0 again, by a store; so no slot is FREE while a unit has its number.

// claimUnits takes a run of units for n bytes.
func (q *MPMC) claimUnits(k uint64, n int) (first, count uint64, err error) {
	count = (uint64(n) + 1<<q.unitShift - 1) >> q.unitShift
	total := uint64(len(q.units))
	var from uint64 // a run of much of the arena is sought from the start, so that two of them do not break each other
	if count <= total/8 {
		from = uint64(q.runs.Load())
	}
	for _, part := range [2][2]uint64{{from, total}, {0, min(from+count, total)}} {
		for first = part[0]; first+count <= part[1]; {
			got := q.claimRun(k, first, count)
			if got == count {
				q.runs.Store(uint32(first + count))
				return first, count, nil
			}
			first += got + 1 // behind the one that is not free
		}
	}
	return 0, 0, ErrFull
}

// claimRun takes the units from first on; it returns how many are free, and holds all or none.
func (q *MPMC) claimRun(k, first, count uint64) uint64 {
	run := q.units[first : first+count]
	for i := range run { // a look disturbs nobody
		if atomic.LoadUint32(&run[i]) != 0 {
			return uint64(i)
		}
	}
	for i := range run {
		if !atomic.CompareAndSwapUint32(&run[i], 0, uint32(k)+1) {
			for j := i - 1; j >= 0; j-- {
				atomic.StoreUint32(&run[j], 0)
			}
			return uint64(i)
		}
		fault.Point("mpmc.units.claimed")
	}
	return count
}

// run returns the units that slot k says are its message's, checked for a message of n bytes.
func (q *MPMC) run(k, n uint64) (mem []byte, err error) {
	r := atomic.LoadUint64(q.runWord(k))
	first, count := r&(1<<32-1), r>>32
	total := uint64(len(q.units))
	if first > total || count > total-first || n > count<<q.unitShift {
		return nil, q.corrupt("a message of %d bytes in %d units from unit %d on, of %d", n, count, first, total)
	}
	off := first << q.unitShift
	return q.arena[off : off+n : off+n], nil
}

// freeUnits gives the units of slot k back, which this process owns in OWN.
func (q *MPMC) freeUnits(k uint64) {
	r := atomic.LoadUint64(q.runWord(k))
	first, count := r&(1<<32-1), r>>32
	total := uint64(len(q.units))
	if first > total || count > total-first {
		return // somebody wrote over it: whose the units are only repair can tell
	}
	for i := first; i < first+count; i++ {
		if u := &q.units[i]; atomic.LoadUint32(u) == uint32(k)+1 {
			atomic.StoreUint32(u, 0)
			fault.Point("mpmc.units.freed")
		}
	}
}
