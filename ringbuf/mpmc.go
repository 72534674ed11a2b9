package ringbuf

import (
	"fmt"
	"math"
	"math/bits"
	"sync/atomic"

	"github.com/fb2d3dbd/multiproc/futex"
	"github.com/fb2d3dbd/multiproc/internal/layout"
	"github.com/fb2d3dbd/multiproc/internal/life"
	"github.com/fb2d3dbd/multiproc/internal/owner"
)

var mpmcMagic = layout.Magic("MPRBMPMC")

// An MPMC is a queue for many producers and many consumers, processes and goroutines; any number of goroutines may use one MPMC.
// Messages of one producer are taken in its order, and the whole is linearizable.
//
// A process that is killed at any instruction harms nobody: a message whose Put returned is delivered, and one that a dead
// consumer had taken and not acknowledged is handed out again. A process that is stopped blocks nobody: put and get are
// lock-free.
//
// Messages stand in slots; a ring of cells says which slot holds the message of which position, and the compare-and-swap of one cell is the put, and
// the get. The slot's word records who owns it, which is what repair goes by. docs/design/queue.md has the protocol, and docs/models its
// model.
type MPMC struct {
	geometry
	parts
	who      futex.Participants
	underway func() func() bool // or nil
	members  *owner.Members
	limit    int // of deliveries
	blocks   Blocks

	pipe *PipeEnd // it is a direction of a pipe, whose ends say when there is nobody to wait for

	life   atomic.Uint32 // life.Count when me was set
	me     atomic.Uint64 // this process: token<<32 | flags<<16 | member number
	seen   atomic.Uint32 // gen when there was nothing to be handed out again, while caretaker is at work
	looked atomic.Uint64 // gen when a look without a get has found none, with the mark looked; 0: look again
	caring atomic.Bool   // caretaker is at work
	due    atomic.Bool   // the next get has to look after the dead
	cursor atomic.Uint32 // where the search for a free slot begins
	runs   atomic.Uint32 // where the search for free units begins
	buried atomic.Int64  // when a put that found no room last asked who is dead, in unix nanoseconds
	pause  atomic.Uint32 // how long a consumer stays away from an empty queue

	crowded atomic.Int32 // waits that offer the CPU to others at once

	dataEvent, roomEvent, doneEvent *futex.EventCount
}

// MPMCOptions are for creating a queue. Nil and the zero value work.
type MPMCOptions struct {
	// Participants says which of the processes that share the memory are alive, so that the death of one is noticed; see [SPSCOptions].
	Participants futex.Participants
	// Underway returns nil, or says that other processes are on their way that are going to open the queue, as one that was just started is: a call then waits
	// instead of returning ErrPeerDied. Package spawn has one. Nil means that nobody is.
	Underway func() (still func() bool)
	// Capacity is the most messages that the queue holds at a time, not counting those taken and not yet acknowledged. 0 means 1024.
	Capacity int
	// MessageSize is the size in bytes of a usual message: one of up to this size stands in its slot. 0 means 96.
	MessageSize int
	// Bytes is the memory in bytes for larger messages, those that wait and those not yet acknowledged; none may be larger. 0 means
	// that there are no larger messages.
	Bytes int
	// Spares is the number of slots for messages that are being put, or were taken and not yet acknowledged. When all are in use a put waits. 0
	// means as many as Capacity, and at least 128.
	Spares int
	// Members is the number of processes that can use the queue at a time, 1 to 4094. 0 means 4094.
	Members int
	// MaxDeliveries is how often a message is handed out, at most 32767: when the last consumer has died with it, or has given it
	// back, it is set aside for DeadLetter. 0 means without a limit.
	MaxDeliveries int
	// Zeroed says that the memory is known to hold zeros, as that of a new segment does: what is not used is then not touched.
	Zeroed bool

	unitShift int // log2 of a unit's bytes; 0: chosen
}

const (
	defaultCapacity    = 1024
	defaultMessageSize = 128 - slotHead
	minSpares          = 128
)

func (o *MPMCOptions) geometry() (g geometry, err error) {
	for _, f := range []struct {
		name    string
		v, most int
	}{
		{"Capacity", o.Capacity, maxSlots - 1}, {"Spares", o.Spares, maxSlots - 1}, {"Members", o.Members, maxMembers},
		{"MaxDeliveries", o.MaxDeliveries, maxDeliveries}, {"MessageSize", o.MessageSize, math.MaxInt32 / 2}, {"Bytes", o.Bytes, math.MaxInt / 8},
	} {
		if f.v < 0 || f.v > f.most {
			return g, fmt.Errorf("ringbuf: MPMCOptions.%s is %d; it must be from 0 to %d", f.name, f.v, f.most)
		}
	}
	capacity := or(o.Capacity, defaultCapacity)
	spares := or(o.Spares, min(max(capacity, minSpares), maxSlots-capacity))
	if spares > maxSlots-capacity {
		return g, fmt.Errorf("ringbuf: Capacity %d and Spares %d are together more than %d", capacity, spares, maxSlots)
	}
	inline := or(o.MessageSize, defaultMessageSize)
	stride := (inline + slotHead + minStride - 1) &^ (minStride - 1)
	g = geometry{
		positions: newPositions(capacity),
		slots:     uint64(capacity + spares),
		stride:    uint64(stride),
		memberMax: or(o.Members, maxMembers),
	}
	if arena := o.Bytes; arena > g.inline() {
		shift := or(o.unitShift, max(8, bits.Len(uint(arena-1))-10)) // about a thousand units
		if shift > maxUnitShift {
			return g, fmt.Errorf("ringbuf: Bytes: %d is too large", arena)
		}
		g.unitShift = uint8(shift)
		g.unitCount = uint64((arena + 1<<shift - 1) >> shift)
	}
	if g.slots > uint64(math.MaxInt/4)/g.stride {
		return g, fmt.Errorf("ringbuf: a queue of %d slots of %d bytes is too large", g.slots, g.stride)
	}
	g.place()
	return g, nil
}

func or(v, def int) int {
	if v == 0 {
		return def
	}
	return v
}

// MPMCSize returns the bytes of memory that a queue with these options takes.
func MPMCSize(o *MPMCOptions) (int, error) {
	if o == nil {
		o = &MPMCOptions{}
	}
	g, err := o.geometry()
	return g.total, err
}

// CreateMPMC makes a queue in mem, which is overwritten; [MPMCSize] says how much it takes.
func CreateMPMC(mem []byte, o *MPMCOptions) (*MPMC, error) {
	if o == nil {
		o = &MPMCOptions{}
	}
	g, err := o.geometry()
	if err != nil {
		return nil, err
	}
	h, err := headerOf(mem)
	if err != nil {
		return nil, err
	}
	if len(mem) < g.total {
		return nil, fmt.Errorf("ringbuf: %d bytes of memory; this queue needs %d", len(mem), g.total)
	}
	if !o.Zeroed {
		clear(mem[:g.arenaOff])
	}
	h.write(&g, o.MaxDeliveries)
	return newMPMC(mem, g, o.MaxDeliveries, o)
}

// OpenMPMC opens the queue that another process made in the same memory. Of o it takes Participants and Underway.
func OpenMPMC(mem []byte, o *MPMCOptions) (*MPMC, error) {
	if o == nil {
		o = &MPMCOptions{}
	}
	h, err := headerOf(mem)
	if err != nil {
		return nil, err
	}
	size, err := h.head.Check(mpmcMagic, uint64(len(mem)))
	if err != nil {
		return nil, fmt.Errorf("ringbuf: open: %w", err)
	}
	g, limit, err := h.read(size)
	if err != nil {
		return nil, fmt.Errorf("ringbuf: open: %w", err)
	}
	return newMPMC(mem, g, limit, o)
}

func newMPMC(mem []byte, g geometry, limit int, o *MPMCOptions) (*MPMC, error) {
	who := local(o.Participants)
	q := &MPMC{geometry: g, who: who, underway: o.Underway, limit: limit}
	var members []uint64
	q.parts, members = g.parts(mem[:g.total:g.total])
	q.members = owner.NewMembers(members, who)
	q.cursor.Store(uint32(g.n))
	q.pause.Store(minPause)
	q.seen.Store(atomic.LoadUint32(&q.hdr.gen) - 1) // the first get looks for orphans, and calls the caretaker
	for _, e := range []struct {
		word *uint32
		to   **futex.EventCount
	}{{&q.hdr.data, &q.dataEvent}, {&q.hdr.room, &q.roomEvent}, {&q.hdr.done, &q.doneEvent}} {
		var err error
		if *e.to, err = futex.NewEventCount(layout.View(e.word)); err != nil {
			return nil, err
		}
	}
	if _, err := q.enter(0); err != nil {
		return nil, err
	}
	return q, nil
}

// A member's flags.
const (
	hasPut uint64 = 1 << iota
	hasGot
	noPut
	noGet

	toClosed = 2 // from hasPut to noPut, and from hasGot to noGet

	myFlags = 16 // where they stand in MPMC.me
	myToken = 32
)

// identity is who this process is in the queue for the time of a call.
type identity struct {
	token uint32
	id    uint64
}

// enter returns this process's number, which it takes at the first call, and again when it has become another process by a
// fork. flag says what the call is going to do.
func (q *MPMC) enter(flag uint64) (identity, error) {
	tok := q.who.Self()
	me := q.me.Load()
	if uint32(me>>myToken) == tok && me>>myFlags&(flag|flag<<toClosed) == flag {
		return identity{tok, me & (1<<ownerBits - 1)}, nil
	}
	return q.enterSlow(tok, flag)
}

func (q *MPMC) enterSlow(tok uint32, flag uint64) (identity, error) {
	born := life.Count()
	if tok == 0 {
		return identity{}, ErrClosed
	}
	fresh := func(number int) {
		atomic.AddUint32(&q.hdr.joined, 1)
		for {
			top := atomic.LoadUint32(&q.hdr.top)
			if top >= uint32(number) || atomic.CompareAndSwapUint32(&q.hdr.top, top, uint32(number)) {
				return
			}
		}
	}
	id, err := q.members.Join(tok, fresh)
	if err != nil {
		if _, e := q.bury(tok); e != nil {
			return identity{}, e
		}
		if id, err = q.members.Join(tok, fresh); err != nil {
			return identity{}, fmt.Errorf("ringbuf: join the queue: %w", err)
		}
	}
	if _, have := q.members.Get(id); have&(flag<<toClosed) != 0 {
		return identity{}, ErrClosed // this process has said that it will not
	}
	q.members.Flag(id, flag)
	for {
		old := q.me.Load()
		next := uint64(tok)<<myToken | flag<<myFlags | uint64(id)
		if uint32(old>>myToken) == tok {
			next |= old
		}
		if q.me.CompareAndSwap(old, next) {
			q.life.Store(born)
			return identity{tok, uint64(id)}, q.usable(tok)
		}
	}
}

// forked reports whether this may be another process than the one that me names.
func (q *MPMC) forked() bool { return life.Count() != q.life.Load() }

// usable returns ErrClosed once the memory is closed in this process: what was done may have been done to memory that nobody
// shares.
func (q *MPMC) usable(tok uint32) error {
	if q.who.Self() != tok {
		return ErrClosed
	}
	return nil
}

// here is usable for the identity that the last call had.
func (q *MPMC) here() error { return q.usable(uint32(q.me.Load() >> myToken)) }

// corrupt is the error for something that cannot stand in the memory, or ErrClosed when that is why.
func (q *MPMC) corrupt(format string, args ...any) error {
	if q.who.Self() == 0 {
		return ErrClosed
	}
	return fmt.Errorf("ringbuf: %w: %s", ErrCorrupt, fmt.Sprintf(format, args...))
}

// Cap returns the most messages that the queue holds at a time.
func (q *MPMC) Cap() int { return int(q.n) }

// MaxMessage returns the size of the largest message in bytes.
func (q *MPMC) MaxMessage() int { return q.largest() }
