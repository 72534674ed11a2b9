package torture

import (
	"encoding/binary"
	"fmt"
	"sync/atomic"

	"github.com/fb2d3dbd/multiproc/shm"
)

// Books are what the processes of one round write down, in a segment that nothing under test lives in.
//
//	head       16 words: sizes, control, counters
//	lanes      64 words each: what one goroutine of one process is doing; a slot, which one process has at a time, is two lanes
//	doubts     4 words each: a message came while somebody was said to hold it
//	problems   32 words each: text
//	blocks     a word each: which lane of which process has these 64 ids
//	ids        a word each: what has happened to the message with this id
//	landings   bytes: where a lane has messages copied to
type Books struct {
	seg   *shm.Segment
	words []uint64
	mem   []byte

	slots, ids, land                                     int
	laneOff, doubtOff, problemOff, blockOff, idOff, size int // in words
}

const (
	headWords    = 16
	laneWords    = 64
	doubtWords   = 4
	maxDoubts    = 1 << 13
	problemWords = 32
	maxProblems  = 64
	blockIDs     = 64

	// Words of the head.
	hSlots    = 0
	hIDs      = 1
	hLand     = 2
	hControl  = 3
	hBlock    = 4 // the last block of ids that was given away
	hDoubts   = 5
	hProblems = 6
)

func (b *Books) place() {
	b.laneOff = headWords
	b.doubtOff = b.laneOff + 2*b.slots*laneWords
	b.problemOff = b.doubtOff + maxDoubts*doubtWords
	b.blockOff = b.problemOff + maxProblems*problemWords
	b.idOff = b.blockOff + b.ids/blockIDs
	b.size = b.idOff + b.ids
}

// NewBooks makes books for so many processes at a time, so many ids in all, and messages of up to land bytes.
func NewBooks(slots, ids, land int) (*Books, error) {
	b := &Books{slots: slots, ids: (ids + blockIDs - 1) / blockIDs * blockIDs, land: (land + 15) &^ 7}
	b.place()
	seg, err := shm.New(&shm.Options{Size: b.size*8 + 2*slots*b.land, Participants: 4*slots + 8})
	if err != nil {
		return nil, err
	}
	b.view(seg)
	b.words[hSlots], b.words[hIDs], b.words[hLand] = uint64(b.slots), uint64(b.ids), uint64(b.land)
	return b, nil
}

// OpenBooks opens the books of the round that this process is in.
func OpenBooks(seg *shm.Segment) (*Books, error) {
	w := wordsOf(seg.Bytes())
	if len(w) < headWords {
		return nil, fmt.Errorf("torture: a segment of %d words has no books", len(w))
	}
	b := &Books{slots: int(w[hSlots]), ids: int(w[hIDs]), land: int(w[hLand])}
	b.place()
	if len(w) < b.size {
		return nil, fmt.Errorf("torture: the books need %d words of %d", b.size, len(w))
	}
	b.view(seg)
	return b, nil
}

func (b *Books) view(seg *shm.Segment) {
	b.seg, b.mem, b.words = seg, seg.Bytes(), wordsOf(seg.Bytes())
}

// Segment returns the segment of the books, to be given to a process.
func (b *Books) Segment() *shm.Segment { return b.seg }

// Close closes the books in this process.
func (b *Books) Close() error { return b.seg.Close() }

// Control is a word that the supervisor sets and all others look at.
func (b *Books) Control() uint64 { return atomic.LoadUint64(&b.words[hControl]) }

// SetControl sets it.
func (b *Books) SetControl(v uint64) { atomic.StoreUint64(&b.words[hControl], v) }

// Spent reports whether nearly all ids are given away.
func (b *Books) Spent() bool {
	return atomic.LoadUint64(&b.words[hBlock])*blockIDs > uint64(b.ids)/8*7
}

// given is one more than the highest id that anybody may have used.
func (b *Books) given() uint64 {
	return min((atomic.LoadUint64(&b.words[hBlock])+1)*blockIDs, uint64(b.ids))
}

// Problem writes down that something is wrong.
func (b *Books) Problem(kind Kind, format string, args ...any) {
	n := atomic.AddUint64(&b.words[hProblems], 1) - 1
	if n >= maxProblems {
		return
	}
	text := fmt.Sprintf(format, args...)
	room := b.mem[8*(b.problemOff+int(n)*problemWords):][: 8*problemWords : 8*problemWords]
	k := copy(room[8:], text)
	binary.LittleEndian.PutUint64(room, uint64(kind)<<32|uint64(k))
}

// A Problem is what somebody has found to be wrong.
type Problem struct {
	Kind Kind
	Text string
}

// Problems returns what was written down so far, and how many there were in all.
func (b *Books) Problems() (list []Problem, total int) {
	total = int(atomic.LoadUint64(&b.words[hProblems]))
	for i := range min(total, maxProblems) {
		room := b.mem[8*(b.problemOff+i*problemWords):][:8*problemWords]
		head := binary.LittleEndian.Uint64(room)
		n := min(head&(1<<32-1), 8*(problemWords-1))
		list = append(list, Problem{Kind(head >> 32), string(room[8 : 8+n])})
	}
	return list, total
}

// The word of an id.
//
//	put      intended, put, and never: it is certain that it was not, and will not be
//	taken    how often somebody has taken it, modulo 256
//	final    how often it was acknowledged, or got and returned
//	perhaps  how often somebody died while it acknowledged it, so that nobody can say whether it did
//	holder   the process that holds it, modulo 2^32
const (
	idIntended uint64 = 1 << iota
	idPut
	idNever

	takenShift   = 8
	finalShift   = 16
	perhapsShift = 24
	holderShift  = 32
	countMask    = 0xff
)

func (b *Books) id(id uint64) *uint64 { return &b.words[b.idOff+int(id)] }

func (b *Books) known(id uint64) bool { return id > 0 && id < uint64(b.ids) }

// update changes the word of an id and returns what it was.
func (b *Books) update(id uint64, change func(w uint64) uint64) uint64 {
	p := b.id(id)
	for {
		w := atomic.LoadUint64(p)
		if atomic.CompareAndSwapUint64(p, w, change(w)) {
			return w
		}
	}
}

func count(w uint64, shift int) uint64 { return w >> shift & countMask }

// more raises one of the counts, which stops at its greatest value.
func more(w uint64, shift int) uint64 {
	if count(w, shift) == countMask {
		return w
	}
	return w + 1<<shift
}

// owner returns the lane that was given an id: process<<1 | lane.
func (b *Books) owner(id uint64) uint64 {
	return atomic.LoadUint64(&b.words[b.blockOff+int(id/blockIDs)])
}

// Progress returns how much the process in a slot has done so far.
func (b *Books) Progress(slot int) uint64 {
	return atomic.LoadUint64(b.lane(2*slot, lProgress)) + atomic.LoadUint64(b.lane(2*slot+1, lProgress))
}

func (b *Books) lane(lane, word int) *uint64 { return &b.words[b.laneOff+lane*laneWords+word] }
