package ringbuf

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/fb2d3dbd/multiproc/futex"
	"github.com/fb2d3dbd/multiproc/internal/fault"
	"github.com/fb2d3dbd/multiproc/internal/life"
)

// A PipeEnd is one end of a pipe, as one handle: what is put into the one end is taken from the other. Any number of goroutines may use it, and any number
// of processes may have the same end: messages stay whole and are taken once, whoever is killed or stopped in the middle of one.
//
// When nobody has the other end any more, because all have closed it or died, gets take what is there and then return io.EOF, and puts return ErrPeerDied. Every call of a
// handle that was closed itself returns ErrClosed.
//
// docs/design/pipe.md has the layout and what a death leaves.
type PipeEnd struct {
	holders
	mem      []byte
	end      int
	rx, tx   *MPMC // nil: this end does not read, or write
	self     uint32
	underway func() func() bool
	checked  atomic.Int64 // when a try that failed last looked for the other end's holders, in unix nanoseconds
	// gate counts the calls under way; below 0 the handle is closed, and the last one that leaves gives up its place.
	gate  atomic.Int64
	given atomic.Bool

	getBy, putBy deadline
}

// PipeOptions are for making a pipe. Nil and the zero value work.
type PipeOptions struct {
	// Participants are those of the memory; see [SPSCOptions].
	Participants futex.Participants
	// OneWay makes a pipe whose end 0 only reads and whose end 1 only writes.
	OneWay bool
	// Capacity is the most messages that wait in a direction. 0 means 64.
	Capacity int
	// Bytes is the memory in bytes for messages of more than 224 bytes, for each direction. 0 means 384 KiB.
	Bytes int
	// Blocks is where messages of more than a quarter of Bytes are kept. Nil means that there are none of more than Bytes.
	Blocks Blocks
	// Underway is called when a handle is closed. It returns nil, or a function that reports whether processes that were on their way then, which may be going to
	// open the end, still are: for so long the end stays held. Nil means that nobody is on its way.
	Underway func() (still func() bool)
	// Generation, when a pipe is opened, is that of the pipe which is meant: ErrClosed says that the memory is another's by now. 0 means any.
	Generation uint32
	// Zeroed says that the memory is known to hold zeros.
	Zeroed bool
}

const (
	pipeCapacity = 64
	pipeArena    = 384 << 10
	pipeInline   = 224
	pipeUnit     = 11 // log2 of a unit's bytes, for arenas that are not small
)

func (o *PipeOptions) queue() MPMCOptions {
	q := MPMCOptions{
		Participants: o.Participants,
		Capacity:     or(o.Capacity, pipeCapacity),
		Spares:       max(o.Capacity, pipeCapacity),
		MessageSize:  pipeInline,
		Bytes:        or(o.Bytes, pipeArena),
		Zeroed:       o.Zeroed,
	}
	if q.Bytes >= 16<<pipeUnit {
		q.unitShift = pipeUnit
	}
	return q
}

func (o *PipeOptions) shape() (pipeShape, error) {
	if o.Capacity < 0 || o.Bytes < 0 {
		return pipeShape{}, fmt.Errorf("ringbuf: negative PipeOptions: Capacity %d, Bytes %d", o.Capacity, o.Bytes)
	}
	q := o.queue()
	if q.Bytes <= pipeInline {
		return pipeShape{}, fmt.Errorf("ringbuf: PipeOptions.Bytes is %d; it must be more than %d", q.Bytes, pipeInline)
	}
	size, err := MPMCSize(&q)
	if err != nil {
		return pipeShape{}, err
	}
	ways := 2
	if o.OneWay {
		ways = 1
	}
	return newPipeShape(ways, maxMembers, size), nil
}

// PipeSize returns the bytes of memory that a pipe with these options takes.
func PipeSize(o *PipeOptions) (int, error) {
	if o == nil {
		o = &PipeOptions{}
	}
	s, err := o.shape()
	return s.total, err
}

// CreatePipe makes a pipe in mem, which is overwritten, and returns handles of both its ends; [PipeSize] says how much memory it takes.
func CreatePipe(mem []byte, o *PipeOptions) (end0, end1 *PipeEnd, err error) {
	if o == nil {
		o = &PipeOptions{}
	}
	s, err := o.shape()
	if err != nil {
		return nil, nil, err
	}
	h, err := pipeHeaderOf(mem)
	if err != nil {
		return nil, nil, err
	}
	if len(mem) < s.total {
		return nil, nil, fmt.Errorf("ringbuf: %d bytes of memory; this pipe needs %d", len(mem), s.total)
	}
	if !o.Zeroed {
		clear(mem[:pipeHeaderSize])
		wipe(mem[pipeHeaderSize:s.total])
	}
	return makePipe(mem[:s.total:s.total], h, s, 1, o)
}

// makePipe makes a pipe of zeros.
func makePipe(mem []byte, h *pipeHeader, s pipeShape, generation uint32, o *PipeOptions) (end0, end1 *PipeEnd, err error) {
	q := o.queue()
	q.Zeroed = true
	for end := range s.ways {
		if _, err := CreateMPMC(s.into(mem, end), &q); err != nil {
			return nil, nil, err
		}
	}
	atomic.StoreUint32(&h.ways, uint32(s.ways))
	atomic.StoreUint32(&h.places, uint32(s.places))
	atomic.StoreUint64(&h.queue, uint64(s.queue))
	atomic.StoreUint32(&h.generation, generation)
	end0, end1 = newPipeEnd(mem, h, s, 0, o), newPipeEnd(mem, h, s, 1, o)
	if end0.self == 0 {
		return nil, nil, ErrClosed
	}
	if err := end0.take(end0.self, oneHandle(0)+oneHandle(1)); err != nil { // before anybody can find that nobody has them
		return nil, nil, err
	}
	for end := range h.state {
		atomic.StoreUint32(&h.state[end], endState(generation, endOpen))
	}
	h.head.Publish(pipeMagic, uint64(s.total))
	return end0, end1, errors.Join(end0.openQueues(s, o), end1.openQueues(s, o))
}

// OpenPipe returns one handle more of an end, 0 or 1, of the pipe in mem. Of o it takes Participants, Blocks, Underway and Generation. ErrClosed says that the end was given up by
// all that had it.
func OpenPipe(mem []byte, end int, o *PipeOptions) (*PipeEnd, error) {
	if o == nil {
		o = &PipeOptions{}
	}
	if end != 0 && end != 1 {
		return nil, fmt.Errorf("ringbuf: end %d of a pipe; there are 0 and 1", end)
	}
	h, err := pipeHeaderOf(mem)
	if err != nil {
		return nil, err
	}
	size, err := h.head.Check(pipeMagic, uint64(len(mem)))
	if err != nil {
		return nil, fmt.Errorf("ringbuf: open a pipe: %w", err)
	}
	s, err := h.read(size)
	if err != nil {
		return nil, fmt.Errorf("ringbuf: open a pipe: %w", err)
	}
	e := newPipeEnd(mem[:s.total:s.total], h, s, end, o)
	if o.Generation != 0 {
		e.generation = o.Generation
	}
	if err := e.hold(end); err != nil { // before anything else is touched
		return nil, err
	}
	if err := e.openQueues(s, o); err != nil {
		e.letGo(e.self, end)
		return nil, err
	}
	return e, nil
}

func newPipeEnd(mem []byte, h *pipeHeader, s pipeShape, end int, o *PipeOptions) *PipeEnd {
	who := local(o.Participants)
	e := &PipeEnd{
		holders:  holders{hdr: h, places: s.placesOf(mem), who: who, generation: atomic.LoadUint32(&h.generation) & lastGeneration},
		mem:      mem,
		end:      end,
		self:     who.Self(),
		underway: o.Underway,
	}
	e.getBy.passed, e.putBy.passed = func() { e.late(&e.rx) }, func() { e.late(&e.tx) }
	return e
}

func (e *PipeEnd) openQueues(s pipeShape, o *PipeOptions) error {
	for to := range s.ways {
		q, err := OpenMPMC(s.into(e.mem, to), &MPMCOptions{Participants: o.Participants})
		if err != nil {
			return err
		}
		q.blocks, q.pipe = o.Blocks, e
		e.queues = append(e.queues, q)
		if to == e.end {
			e.rx = q
		} else {
			e.tx = q
		}
	}
	return nil
}

// CanGet reports whether the end reads, CanPut whether it writes. Of a pipe of two ways both do both.
func (e *PipeEnd) CanGet() bool { return e.rx != nil }

// CanPut reports whether the end writes.
func (e *PipeEnd) CanPut() bool { return e.tx != nil }

const gateClosed = -1 << 62

// enter begins a call on a direction, and leave ends it.
func (e *PipeEnd) enter(q *MPMC) error {
	if e.gate.Add(1) < 0 {
		e.leave()
		return ErrClosed
	}
	if q == nil {
		e.leave()
		return ErrOneWay
	}
	return nil
}

func (e *PipeEnd) leave() {
	if e.gate.Add(-1) == gateClosed && !e.given.Swap(true) { // later calls come and go, too
		e.give()
	}
}

// Closed reports whether this handle was closed.
func (e *PipeEnd) Closed() bool { return e.gate.Load() < 0 }

// Close gives the handle up; calls under way return ErrClosed, and it is given up when the last has. The end is closed when all who have it have closed their handles or died. A second Close
// does nothing.
func (e *PipeEnd) Close() error {
	for {
		n := e.gate.Load()
		if n < 0 {
			return nil
		}
		if !e.gate.CompareAndSwap(n, n+gateClosed+1) { // as a call of its own
			continue
		}
		e.getBy.set(time.Time{})
		e.putBy.set(time.Time{})
		e.rouse(e.rx)
		e.rouse(e.tx)
		e.leave()
		return nil
	}
}

// rouse has those who wait in a direction look again.
func (e *PipeEnd) rouse(q *MPMC) {
	e.gate.Add(1)
	defer e.leave()
	switch q {
	case nil:
	case e.rx:
		q.dataEvent.Notify(-1)
	default:
		q.roomEvent.Notify(-1)
	}
}

// give gives the handle's place up, when those who may be going to open the end by what this process has given them have done so.
func (e *PipeEnd) give() {
	if e.underway != nil {
		if still := e.underway(); still != nil {
			e.later(still, shortestLater)
			return
		}
	}
	e.letGo(e.self, e.end)
}

const (
	shortestLater = 500 * time.Microsecond
	longestLater  = 20 * time.Millisecond
)

func (e *PipeEnd) later(still func() bool, after time.Duration) {
	time.AfterFunc(after, func() { e.giveLater(still, after) })
}

// giveLater gives the place up, or looks again later. In the child of a fork there is nothing to be given up: the place is the parent's.
func (e *PipeEnd) giveLater(still func() bool, after time.Duration) {
	life.Gate.RLock() // it acts as this process
	defer life.Gate.RUnlock()
	switch {
	case e.who.Self() != e.self:
	case still():
		e.later(still, min(2*after, longestLater))
	default:
		e.letGo(e.self, e.end)
	}
}

// late has those look again who wait in a direction whose deadline is over.
func (e *PipeEnd) late(q **MPMC) {
	life.Gate.RLock() // it acts as this process
	defer life.Gate.RUnlock()
	e.rouse(*q)
}

// Goroutines that act behind the gate only; they refuse no fork.
func init() {
	life.Background("ringbuf.(*PipeEnd).giveLater")
	life.Background("ringbuf.(*PipeEnd).late")
}

// deserted looks whether anybody has the other end, and closes it if not. It reports whether it is closed.
func (e *PipeEnd) deserted() bool {
	other := 1 - e.end
	if atomic.LoadUint32(&e.hdr.state[other]) != endState(e.generation, endClosed) && e.held(other) {
		return false
	}
	e.closeEnd(other)
	return true
}

// glance is deserted from time to time, for who tries again and again and never sleeps: every proof is a system call.
func (e *PipeEnd) glance() bool {
	now := time.Now().UnixNano()
	last := e.checked.Load()
	return now-last > int64(buryInterval) && e.checked.CompareAndSwap(last, now) && e.deserted()
}

// Adopt is for the child of a fork: what its parent has open it has open too, as itself.
func (e *PipeEnd) Adopt() error {
	self := e.who.Self()
	if self == e.self || e.Closed() {
		return nil
	}
	e.self = self
	e.gate.Store(0) // the calls under way are the parent's
	return e.hold(e.end)
}

// Generation returns the number of the pipe among those that were made in its memory. It is never 0.
func (e *PipeEnd) Generation() uint32 { return e.generation }

// Repair mends what dead processes have left in the pipe and returns how many it buried. Who waits does so by itself; a program that has just learned of a death may
// call it to hurry.
func (e *PipeEnd) Repair() (n int, err error) {
	if e.gate.Add(1) < 0 {
		err = ErrClosed
	}
	defer e.leave()
	for _, q := range e.queues {
		if err != nil {
			break
		}
		var buried int
		buried, err = q.Repair()
		n += buried
	}
	return n, err
}

// Check looks through the queues of the pipe and returns an error that matches ErrCorrupt and says what cannot be, or nil; see [MPMC.Check].
func (e *PipeEnd) Check() error {
	if e.gate.Add(1) < 0 {
		e.leave()
		return ErrClosed
	}
	defer e.leave()
	for _, q := range e.queues {
		if err := q.Check(); err != nil {
			return err
		}
	}
	return nil
}

// Remake makes a new pipe in the memory of e's, a handle that was closed, if nobody has an end of the old one any more; else ok is false. One process may
// do so, the one that has made the pipe. Handles of the old one that come late open nothing.
func (e *PipeEnd) Remake(o *PipeOptions) (end0, end1 *PipeEnd, ok bool, err error) {
	if o == nil {
		o = &PipeOptions{}
	}
	s, err := o.shape()
	if err != nil || s.total != len(e.mem) {
		return nil, nil, false, err
	}
	placeMu.Lock()
	defer placeMu.Unlock()
	if !e.Closed() || e.self == 0 || e.who.Self() != e.self || atomic.LoadUint32(&e.hdr.generation) != e.generation || !e.unused() {
		return nil, nil, false, nil
	}
	for end := range e.hdr.state { // an end that nobody had may not be said to be closed yet
		atomic.StoreUint32(&e.hdr.state[end], endState(e.generation, endClosed))
	}
	fault.Point("pipe.remake")
	for _, q := range e.queues { // what nobody has received, and what the dead had in hand
		q.freeBlocks()
	}
	wipe(e.mem[pipeHeaderSize:])
	fault.Point("pipe.wiped")
	next := e.generation%lastGeneration + 1
	end0, end1, err = makePipe(e.mem, e.hdr, s, next, o)
	return end0, end1, err == nil, err
}
