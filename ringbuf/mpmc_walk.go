package ringbuf

import "sync/atomic"

// A walk is a search for the tail or the head, from where its hint says. Others may be faster than it follows: then they store hints
// too, and it goes on from a new one. A hint that stays as it is is walked away from, however old. And who has walked as far as no
// queue is long, with a hint that nobody has changed meanwhile, is led in a circle by cells that were written over.
type walk struct {
	positions *positions
	word      *uint64 // the hint
	hint      uint64
	pos       uint64
	still     uint64 // steps since the hint was last seen to change
	total     uint64
}

const (
	stepsToHint = 8       // between looks at the hint
	farthest    = 1 << 28 // steps, seconds of them, before one who changes the hint again and again is not believed
)

// begin starts at the hint; it reports false when that cannot be one.
func (w *walk) begin(p *positions, word *uint64) bool {
	w.positions, w.word = p, word
	return w.again()
}

func (w *walk) again() (ok bool) {
	w.hint, w.still = atomic.LoadUint64(w.word), 0
	w.pos, ok = w.positions.sane(w.hint)
	return ok
}

// on goes on at pos, or reports false.
func (w *walk) on(pos uint64) bool {
	w.pos = pos
	w.still++
	w.total++
	if w.still%stepsToHint == 0 && atomic.LoadUint64(w.word) != w.hint {
		return w.total < farthest && w.again()
	}
	return w.still <= 16*w.positions.n+1<<16
}
