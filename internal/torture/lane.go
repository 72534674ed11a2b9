package torture

import (
	"encoding/binary"
	"sync/atomic"
	"time"
)

// An Op is what a lane is in the middle of.
type Op uint64

// The operations of a lane.
const (
	Idle      Op = iota
	Putting      // one message
	Batching     // several messages, in the order of their ids
	Landing      // a get that copies the message to the lane's landing place before it gives it up
	Acking       // of one that it holds
	Returning    // giving one back that it holds
	Blind        // gets that leave no trace of what they have taken when they die
)

// Words of a lane.
const (
	lOp        = 0
	lFirst     = 1 // the first id of a put
	lCount     = 2 // how many
	lSubject   = 3 // the message that is being acknowledged or given back
	lProgress  = 4
	lPoint     = 5 // which point the process is about to die or stop at; see Order
	lTime      = 6 // when, in nanoseconds of the clock
	lProcess   = 7 // its number
	lReady     = 8 // what it has come to
	lGo        = 9 // what it may go on to
	lPuts      = 10
	lTakes     = 11
	lAgain     = 12
	lMine      = 13 // the goroutine whose lane it is
	lBy        = 14 // the goroutine that is about to kill or stop the process
	lHeld      = 16 // ids that it holds
	laneHolds  = 16
	laneLength = lHeld + laneHolds
)

// A Lane is where one goroutine writes down what it does.
type Lane struct {
	b     *Books
	n     int
	me    uint64 // process
	next  uint64 // id
	end   uint64 // of the block
	order map[uint64]uint64
}

// Lane returns a lane, 0 or 1, of the process in a slot.
func (b *Books) Lane(slot, lane int, process uint64) *Lane {
	return &Lane{b: b, n: 2*slot + lane, me: process, order: map[uint64]uint64{}}
}

func (l *Lane) word(w int) *uint64  { return l.b.lane(l.n, w) }
func (l *Lane) set(w int, v uint64) { atomic.StoreUint64(l.word(w), v) }
func (l *Lane) get(w int) uint64    { return atomic.LoadUint64(l.word(w)) }
func (l *Lane) count(w int, n int)  { atomic.AddUint64(l.word(w), uint64(n)) }
func (l *Lane) start(op Op)         { l.set(lOp, uint64(op)) }
func (l *Lane) stop()               { l.set(lOp, uint64(Idle)) }

// Mine says that the calling goroutine is the one that works in this lane.
func (l *Lane) Mine() { l.set(lMine, goroutine()) }

// Step says that the process goes on.
func (l *Lane) Step() { l.count(lProgress, 1) }

// Ready says how far the process has come, which Reached reads.
func (l *Lane) Ready(v uint64) { l.set(lReady, v) }

// Go is what Release has set.
func (l *Lane) Go() uint64 { return l.get(lGo) }

// Reached returns how far the process in a slot has come.
func (b *Books) Reached(slot int) uint64 { return atomic.LoadUint64(b.lane(2*slot, lReady)) }

// Release lets the process in a slot go on.
func (b *Books) Release(slot int, v uint64) { atomic.StoreUint64(b.lane(2*slot, lGo), v) }

// ID returns a new id, or 0 when there are no more.
func (l *Lane) ID() uint64 {
	if l.next == l.end {
		block := atomic.AddUint64(&l.b.words[hBlock], 1)
		if (block+1)*blockIDs > uint64(l.b.ids) {
			return 0
		}
		atomic.StoreUint64(&l.b.words[l.b.blockOff+int(block)], l.me<<1|uint64(l.n&1))
		l.next, l.end = block*blockIDs, (block+1)*blockIDs
	}
	l.next++
	return l.next - 1
}

// Run returns n new ids in a row, the first of them, or 0 when there are no more.
func (l *Lane) Run(n int) uint64 {
	if l.end-l.next < uint64(n) {
		l.next = l.end
	}
	first := l.ID()
	if first > 0 {
		l.next += uint64(n) - 1
	}
	return first
}

// Put says that a put of n messages begins.
func (l *Lane) Put(first uint64, n int) {
	for id := first; id < first+uint64(n); id++ {
		l.b.update(id, func(w uint64) uint64 { return w | idIntended })
	}
	l.set(lFirst, first)
	l.set(lCount, uint64(n))
	if n == 1 {
		l.start(Putting)
	} else {
		l.start(Batching)
	}
}

// PutDone says that the first done of them were put and that the others were not.
func (l *Lane) PutDone(done int) {
	first := l.get(lFirst)
	for id := first; id < first+uint64(done); id++ {
		l.b.update(id, func(w uint64) uint64 { return w | idPut })
	}
	l.stop()
	l.count(lPuts, done)
	l.count(lProgress, done)
}

// Drop says that a message will not be put any more.
func (l *Lane) Drop(id uint64) { l.b.update(id, func(w uint64) uint64 { return w | idNever }) }

// Take says that this process holds a message, which it was told is its nth delivery. aside says that it came from those set
// aside. It checks that nobody else can hold it.
func (l *Lane) Take(id uint64, nth int, aside bool) {
	if !l.b.known(id) {
		l.b.Problem(Corrupt, "a message with the id %#x, which nobody has", id)
		return
	}
	for i := range laneHolds {
		if l.get(lHeld+i) == 0 {
			l.set(lHeld+i, id)
			break
		}
	}
	l.took(id, nth, aside, l.me)
}

// took raises the count of an id and checks what it was.
func (l *Lane) took(id uint64, nth int, aside bool, holder uint64) {
	now := time.Now().UnixNano()
	old := l.b.update(id, func(w uint64) uint64 {
		return more(w, takenShift)&(1<<holderShift-1) | holder<<holderShift
	})
	l.count(lTakes, 1)
	switch {
	case old&idIntended == 0, old&idNever != 0:
		l.b.Problem(Corrupt, "message %d was delivered and never put", id)
	case count(old, finalShift) > 0:
		l.b.Problem(Duplicated, "message %d was delivered again after it was acknowledged", id)
	}
	if count(old, takenShift) > 0 {
		l.count(lAgain, 1)
		if nth == 1 && !aside {
			l.b.Problem(Corrupt, "message %d came again and said that it was the first time", id)
		}
	}
	if who := old >> holderShift; who != 0 {
		l.b.doubt(id, who, uint64(now), l.me)
	}
	if from := l.b.owner(id); nth == 1 && !aside { // those that come again come when they come
		if last := l.order[from]; id <= last {
			l.b.Problem(Disorder, "message %d of a producer came after %d", id, last)
		}
		l.order[from] = id
	}
}

// doubt notes that a message came while somebody was said to hold it: that process must have been dead by then.
func (b *Books) doubt(id, holder, now, by uint64) {
	n := atomic.AddUint64(&b.words[hDoubts], 1) - 1
	if n >= maxDoubts {
		return
	}
	w := b.words[b.doubtOff+int(n)*doubtWords:][:doubtWords]
	w[0], w[1], w[2], w[3] = id, holder, now, by
}

// Finish says that the message is about to be acknowledged, or given back.
func (l *Lane) Finish(id uint64, back bool) {
	l.set(lSubject, id)
	if back {
		l.start(Returning)
	} else {
		l.start(Acking)
	}
	l.b.update(id, func(w uint64) uint64 { return w & (1<<holderShift - 1) })
}

// Finished says that it was. final says that nobody may get it any more.
func (l *Lane) Finished(id uint64, final bool) {
	if final {
		l.final(id)
	}
	l.forget(id)
	l.stop()
	l.Step()
}

func (l *Lane) final(id uint64) {
	old := l.b.update(id, func(w uint64) uint64 { return more(w, finalShift) })
	if count(old, finalShift) > 0 {
		l.b.Problem(Duplicated, "message %d was acknowledged twice", id)
	}
}

func (l *Lane) forget(id uint64) {
	for i := range laneHolds {
		if l.get(lHeld+i) == id {
			l.set(lHeld+i, 0)
		}
	}
}

// Leave says that this process gives up what it holds without a word, as one that closes its memory does.
func (l *Lane) Leave() {
	for i := range laneHolds {
		if id := l.get(lHeld + i); id != 0 {
			l.b.update(id, func(w uint64) uint64 { return w & (1<<holderShift - 1) })
			l.set(lHeld+i, 0)
		}
	}
}

// Land returns where the next message is to be copied to, and says that it may be taken.
func (l *Lane) Land() []byte {
	place := l.b.landing(l.n)
	binary.LittleEndian.PutUint64(place[:8], 0)
	l.start(Landing)
	return place[:0]
}

// LandDone says that the call has returned; id is 0 when it took nothing.
func (l *Lane) LandDone(id uint64) {
	l.got(id)
	binary.LittleEndian.PutUint64(l.b.landing(l.n)[:8], 0)
	l.stop()
}

// Blind says that a get of up to n messages begins which leaves no trace.
func (l *Lane) Blind(n int) {
	l.set(lCount, uint64(n))
	l.start(Blind)
}

// BlindDone says which it was.
func (l *Lane) BlindDone(ids ...uint64) {
	for _, id := range ids {
		l.got(id)
	}
	l.stop()
}

// got says that a message was taken and given up in one.
func (l *Lane) got(id uint64) {
	switch {
	case id == 0:
	case !l.b.known(id):
		l.b.Problem(Corrupt, "a message with the id %#x, which nobody has", id)
	default:
		l.took(id, 0, false, 0)
		l.final(id)
		l.Step()
	}
}

func (b *Books) landing(lane int) []byte {
	off := b.size*8 + lane*b.land
	return b.mem[off : off+b.land : off+b.land]
}
