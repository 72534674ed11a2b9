package torture

import (
	"encoding/binary"
	"sync/atomic"
)

// An Outcome says what became of the operation that a process died in.
type Outcome int

// Outcomes.
const (
	Unknown Outcome = iota
	Happened
	NotHappened
)

// A Verdict says from the point that a process died at what became of an operation under way. It is asked only of the lane whose
// goroutine has passed the point; what the others were doing nobody can say.
type Verdict func(op Op, point string) Outcome

// A Death is what is known of the end of one process.
type Death struct {
	Process uint64
	Slot    int
	Point   string // "" when it was none
	Time    uint64 // on the clock of the notes
}

// Bury reckons up what a dead process has left in the lanes of its slot.
func (b *Books) Bury(d Death, verdict Verdict, h *History) {
	by := atomic.LoadUint64(b.lane(2*d.Slot, lBy))
	for i := range 2 {
		l := &Lane{b: b, n: 2*d.Slot + i}
		op := Op(l.get(lOp))
		out := Unknown
		if by != 0 && by == l.get(lMine) && d.Point != "" && verdict != nil {
			out = verdict(op, d.Point)
		}
		b.buryLane(l, op, out, h)
		h.Puts += l.get(lPuts)
		h.Takes += l.get(lTakes)
		h.Again += l.get(lAgain)
	}
	h.died(d)
}

func (b *Books) buryLane(l *Lane, op Op, out Outcome, h *History) {
	// What it held, and had not begun to acknowledge, has to come again: the balance will show whether it has.
	switch op {
	case Putting:
		if id := l.get(lFirst); b.known(id) && out == Happened {
			b.update(id, func(w uint64) uint64 { return w | idPut })
		} else if b.known(id) && out == NotHappened {
			if old := b.update(id, func(w uint64) uint64 { return w | idNever }); count(old, takenShift)+count(old, finalShift) > 0 {
				b.Problem(Corrupt, "message %d was delivered, and its producer had died before it was put", id)
			}
		}
	case Batching:
		h.batches = append(h.batches, [2]uint64{l.get(lFirst), l.get(lCount)})
	case Acking:
		b.consumed(l.get(lSubject), out)
	case Landing:
		if id := binary.LittleEndian.Uint64(b.landing(l.n)[:8]); id != 0 {
			b.consumed(id, out)
		}
	case Blind:
		if out != NotHappened {
			h.blind += int(l.get(lCount))
		}
	}
}

// consumed notes that a dead process may have been the last to have a message.
func (b *Books) consumed(id uint64, out Outcome) {
	if !b.known(id) {
		return // half of an id: it was copied, and not given up
	}
	switch out {
	case Happened:
		if old := b.update(id, func(w uint64) uint64 { return more(w, finalShift) }); count(old, finalShift) > 0 {
			b.Problem(Duplicated, "message %d was acknowledged twice, once by a process that died of it", id)
		}
	case Unknown:
		b.update(id, func(w uint64) uint64 { return more(w, perhapsShift) })
	}
}

// Clear makes a slot ready for a new process.
func (b *Books) Clear(slot int) {
	for i := range 2 {
		for w := range laneLength {
			atomic.StoreUint64(b.lane(2*slot+i, w), 0)
		}
	}
}

// A History is what the supervisor remembers of a round.
type History struct {
	Puts, Takes, Again uint64

	deaths  map[uint64]uint64 // when a process died, by its number
	batches [][2]uint64       // that somebody died in
	blind   int               // messages that may have gone with those who died in blind gets
}

func (h *History) died(d Death) {
	if h.deaths == nil {
		h.deaths = map[uint64]uint64{}
	}
	h.deaths[d.Process] = d.Time
}

// Audit balances the books when all is quiet: every process has ended and was buried, and the queue was drained. It writes what is
// wrong to the problems.
func (b *Books) Audit(h *History) {
	var missing []uint64
	for id := uint64(1); id < b.given(); id++ {
		w := atomic.LoadUint64(b.id(id))
		final, perhaps := count(w, finalShift), count(w, perhapsShift)
		switch {
		case w&idPut != 0 && final == 0 && perhaps == 0:
			missing = append(missing, id)
		case w&idPut != 0 && w&idNever != 0:
			b.Problem(Corrupt, "message %d was put and then not", id)
		}
	}
	if len(missing) > h.blind {
		for _, id := range missing[:len(missing)-h.blind] {
			b.Problem(Lost, "message %d was put and nobody got it (one of %d, and %d may be missing)", id, len(missing), h.blind)
		}
	}
	for _, batch := range h.batches {
		b.auditBatch(batch[0], batch[1], h.blind > 0)
	}
	n := min(atomic.LoadUint64(&b.words[hDoubts]), maxDoubts)
	for i := range int(n) {
		w := b.words[b.doubtOff+i*doubtWords:][:doubtWords]
		if at, dead := h.deaths[w[1]]; !dead || at > w[2] {
			b.Problem(Duplicated, "message %d was delivered to process %d while process %d, which lived, held it", w[0], w[3], w[1])
		}
	}
}

// auditBatch checks that what was put of a batch is the beginning of it.
func (b *Books) auditBatch(first, n uint64, blind bool) {
	gap := uint64(0)
	for id := first; id < first+n && b.known(id); id++ {
		w := atomic.LoadUint64(b.id(id))
		seen := count(w, takenShift)+count(w, finalShift)+count(w, perhapsShift) > 0
		if !seen && gap == 0 {
			gap = id
		}
		if seen && gap != 0 && !blind {
			b.Problem(Lost, "message %d of a batch is missing, and %d after it is not", gap, id)
			return
		}
	}
}
