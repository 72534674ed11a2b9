package ringbuf

import (
	"sync/atomic"

	"github.com/fb2d3dbd/multiproc/internal/cpu"
)

// An express holds a copy of a small message for a consumer that waits for it: the word that says so, and the message, on lines that
// both sides have at hand, while the record in the ring and the tail's line would each have to cross by themselves. The record is in
// the ring all the same, and whole before the word says that it is there.
//
// The two are used in turns, so one is written only after the other was published with a later message. A consumer that has copied a
// message out of one, and finds that the other is not later, has copied what it was meant to.
type express struct {
	word uint64 // position of the record, 5 bits up, which is a multiple of 8; length:7; 1. Or 0
	msg  [expressMax]byte
}

const (
	expressMax   = cpu.CacheLine - 8
	expressFirst = 64 - 8 // of them are on the line of the word
	expressSizes = 0xFE   // of the word: the length
	expressLead  = recordHead + expressMax

	// lookEvery is after how many bytes the producer looks again whether its consumer has taken everything and so waits.
	lookEvery = 16 << 10
)

func expressWord(pos, n uint64) uint64 { return pos<<5 | n<<1 | 1 }

// isAt reports whether the word says that the record at pos is there.
func isAt(word, pos uint64) bool { return (word^expressWord(pos, 0))&^expressSizes == 0 }

// isLater reports whether the word is of a record behind pos. Positions wrap.
func isLater(word, pos uint64) bool {
	return word&1 != 0 && int64(word&^(expressSizes|1)-pos<<5) > 0
}

// expressed returns what the record at pos takes of the ring, if one of the words says that it is there, and 0 otherwise. rest is what is
// left of the lap.
func (h *spscHeader) expressed(pos, rest uint64) uint64 {
	for i := range h.express {
		if w := atomic.LoadUint64(&h.express[i].word); isAt(w, pos) { // pairs with the release store in put
			if size := recordSize(int(w & expressSizes >> 1)); size <= min(rest, expressLead) {
				return size
			}
		}
	}
	return 0
}

// nextExpress returns which of the two a producer has to write first: not the one that was published last.
func (h *spscHeader) nextExpress() uint64 {
	first, second := atomic.LoadUint64(&h.express[0].word), atomic.LoadUint64(&h.express[1].word)
	if first&1 != 0 && (second&1 == 0 || int64(first-second) > 0) {
		return 1
	}
	return 0
}
