package pool

import (
	"fmt"
	"sync/atomic"
	"unsafe"
)

// The board is the part of a pool's memory that says whose each task is: one word for each slot, and a block for each place in the crew.
// docs/design/pool.md has the table of states.
type board struct {
	tasks  []uint64
	blocks []block
}

// A block is what is written of one worker.
type block struct {
	hand  uint64 // sequence<<32 | slot+1 of the task that it is about to begin, runs, or has just ended; by the worker
	since uint64 // when that began, unix nanoseconds, if its call has a time-out; by the worker
	begun uint64 // tasks; by the worker
	flags uint32 // ready; by the worker
	bell  uint32 // event count: the worker's second goroutine sleeps on it
	order uint32 // retire; by the parent
	_     [128 - 36]byte
}

const (
	blockSize = 128
	_         = -(unsafe.Sizeof(block{}) ^ blockSize)
	_         = -(unsafe.Offsetof(block{}.bell) ^ 28)

	ready  = 1 // a flag
	retire = 1 // an order
)

// A taskWord is sequence:32 | worker:16 | why:8 | state:8.
type taskWord uint64

const (
	free      = iota
	queued    // in a chunk
	running   // by the worker
	done      // the function has returned
	cancelled // never begun
	condemned // its worker is about to be killed
	stored    // the function has returned, and its result stands in the chunk
)

// Why a task's context is to end.
const (
	whyCancel   = 1
	whyDeadline = 2
)

func makeTask(seq uint32, worker uint16, why, state uint8) taskWord {
	return taskWord(seq)<<32 | taskWord(worker)<<16 | taskWord(why)<<8 | taskWord(state)
}

func (w taskWord) seq() uint32    { return uint32(w >> 32) }
func (w taskWord) worker() uint16 { return uint16(w >> 16) }
func (w taskWord) why() uint8     { return uint8(w >> 8) }
func (w taskWord) state() uint8   { return uint8(w) }

func boardSize(slots, crew int) int { return crew*blockSize + (slots*8+blockSize-1)&^(blockSize-1) }

// boardAt views mem, which is page aligned, as a board.
func boardAt(mem []byte, slots, crew int) (board, error) {
	if slots < 1 || crew < 1 || crew > maxCrew || slots > maxBacklog || len(mem) < boardSize(slots, crew) {
		return board{}, fmt.Errorf("pool: %w: a board of %d slots and %d places in %d bytes", ErrCorrupt, slots, crew, len(mem))
	}
	p := unsafe.Pointer(unsafe.SliceData(mem))
	return board{
		blocks: unsafe.Slice((*block)(p), crew),
		tasks:  unsafe.Slice((*uint64)(unsafe.Add(p, crew*blockSize)), slots),
	}, nil
}

func (b *board) task(slot uint32) taskWord { return taskWord(atomic.LoadUint64(&b.tasks[slot])) }

func (b *board) set(slot uint32, w taskWord) { atomic.StoreUint64(&b.tasks[slot], uint64(w)) }

func (b *board) cas(slot uint32, old, next taskWord) bool {
	return atomic.CompareAndSwapUint64(&b.tasks[slot], uint64(old), uint64(next))
}

func (b *block) bellWord() []byte { return unsafe.Slice((*byte)(unsafe.Pointer(&b.bell)), 4) }

func handOf(seq, slot uint32) uint64 { return uint64(seq)<<32 | uint64(slot+1) }

// inHand returns the task that the worker has in hand, or had last.
func (b *board) inHand(worker int) (seq, slot uint32, ok bool) {
	h := atomic.LoadUint64(&b.blocks[worker].hand) // read once, then checked
	slot = uint32(h) - 1
	return uint32(h >> 32), slot, uint32(h) != 0 && int(slot) < len(b.tasks)
}
