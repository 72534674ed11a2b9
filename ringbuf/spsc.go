package ringbuf

import (
	"fmt"
	"sync/atomic"

	"github.com/fb2d3dbd/multiproc/futex"
	"github.com/fb2d3dbd/multiproc/internal/cpu"
	"github.com/fb2d3dbd/multiproc/internal/fault"
	"github.com/fb2d3dbd/multiproc/internal/layout"
)

var spscMagic = layout.Magic("MPRBSPSC")

// SPSCSize returns the bytes of memory for an [SPSC] of this capacity, which is rounded up to a power of two.
func SPSCSize(capacity int) int {
	c, err := capacityFor(capacity)
	if err != nil {
		return 0
	}
	return spscHeaderSize + c
}

// An SPSC is a ring for one producer and one consumer, each in a process of its own or a goroutine. It is Lamport's
// queue with each side's copy of the other's index (as in MCRingBuffer, Lee, Bu and Chandranmenon 2010), for records of
// variable size.
//
// The memory holds the bytes between head and tail. Each record is its length and the message, padded to 8 bytes; a
// message never wraps. One release store of tail commits a message, one of head takes it, so a process killed
// anywhere in between has put it or has not.
type SPSC struct {
	mem      []byte
	hdr      *spscHeader
	capacity int
	who      futex.Participants
}

// SPSCOptions are for making or opening an [SPSC]. Nil and the zero value work.
type SPSCOptions struct {
	// Participants says which of the processes that share the memory are alive, so that the death of a peer is noticed. A *shm.Segment is the
	// Participants of its own memory. Nil means that only goroutines of this process use the ring, or that no notice need be taken of a death.
	Participants futex.Participants
}

func (o *SPSCOptions) who() futex.Participants {
	if o == nil {
		return local(nil)
	}
	return local(o.Participants)
}

// CreateSPSC makes a ring of mem, which is overwritten. The capacity is the largest power of two that fits; [SPSCSize]
// says how much memory a capacity takes.
func CreateSPSC(mem []byte, o *SPSCOptions) (*SPSC, error) {
	h, err := headerAt(mem)
	if err != nil {
		return nil, err
	}
	capacity := MinCapacity
	for capacity < maxCapacity && spscHeaderSize+2*capacity <= len(mem) {
		capacity *= 2
	}
	*h = spscHeader{capacity: uint64(capacity), consumerState: isOpen, producerState: isOpen}
	h.head.Publish(spscMagic, uint64(spscHeaderSize+capacity))
	return &SPSC{mem: mem, hdr: h, capacity: capacity, who: o.who()}, nil
}

// OpenSPSC opens the ring that another process made in the same memory.
func OpenSPSC(mem []byte, o *SPSCOptions) (*SPSC, error) {
	h, err := headerAt(mem)
	if err != nil {
		return nil, err
	}
	size, err := h.head.Check(spscMagic, uint64(len(mem)))
	if err != nil {
		return nil, fmt.Errorf("ringbuf: open: %w", err)
	}
	capacity := atomic.LoadUint64(&h.capacity)
	if capacity < MinCapacity || capacity&(capacity-1) != 0 || capacity != size-spscHeaderSize {
		return nil, fmt.Errorf("ringbuf: open: %w: a capacity of %d in %d bytes", ErrCorrupt, capacity, size)
	}
	return &SPSC{mem: mem, hdr: h, capacity: int(capacity), who: o.who()}, nil
}

// Cap returns the ring's capacity in bytes. A message of n bytes takes n rounded up to 8, and 8 more.
func (s *SPSC) Cap() int { return s.capacity }

// MaxMessage returns the size of the largest message in bytes.
func (s *SPSC) MaxMessage() int { return s.capacity - recordHead }

// Len returns the bytes that messages take at this instant, those that the end of a lap wastes included.
func (s *SPSC) Len() int {
	head := atomic.LoadUint64(&s.hdr.headIdx) // first: it never passes the tail loaded after it
	tail := s.tail()
	if head-tail-1 < expressLead { // the last message was put and taken between the two
		return 0
	}
	return int(min(tail-head, uint64(s.capacity)))
}

// Producer takes the producer's role. ErrRoleTaken says that a living process has it, or this one already; a dead one's is taken over,
// with every message that it had put. One that has just been waited for may count as living for moments: see [ErrRoleTaken]. ErrClosed says
// that a producer has closed the ring.
func (s *SPSC) Producer() (*Producer, error) {
	r, err := newRing(s.mem, s.hdr, s.capacity, s.who)
	if err != nil {
		return nil, err
	}
	if err := r.claim(&s.hdr.producer, "producer"); err != nil {
		return nil, err
	}
	tail, head := s.tail(), atomic.LoadUint64(&s.hdr.headIdx)
	if err := r.checkIndices(head, tail); err != nil {
		atomic.CompareAndSwapUint32(&s.hdr.producer, r.self, 0)
		return nil, err
	}
	if atomic.LoadUint32(&s.hdr.producerState) == isClosed {
		return nil, ErrClosed
	}
	cpu.StoreRelease64(&s.hdr.tail, tail)
	fault.Point("spsc.role.tail")
	return &Producer{ring: r, tail: tail, head: head, until: tail, turn: s.hdr.nextExpress(), lookAt: tail, fetchAt: tail}, nil
}

// tail returns where the next record goes. A producer that died between the two stores that commit a message has left it to be found.
func (s *SPSC) tail() uint64 {
	tail := atomic.LoadUint64(&s.hdr.tail)
	mask := uint64(s.capacity - 1)
	return tail + s.hdr.expressed(tail, mask+1-tail&mask)
}

// Consumer takes the consumer's role. ErrRoleTaken says that a living process has it, or this one already; a dead one's is
// taken over, with every message that it had not taken. One that has just been waited for may count as living for moments: see
// [ErrRoleTaken]. ErrClosed says that a consumer has closed the ring.
func (s *SPSC) Consumer() (*Consumer, error) {
	r, err := newRing(s.mem, s.hdr, s.capacity, s.who)
	if err != nil {
		return nil, err
	}
	if err := r.claim(&s.hdr.consumer, "consumer"); err != nil {
		return nil, err
	}
	head := atomic.LoadUint64(&s.hdr.headIdx)
	if err := r.checkIndices(head, head); err != nil {
		atomic.CompareAndSwapUint32(&s.hdr.consumer, r.self, 0)
		return nil, err
	}
	if atomic.LoadUint32(&s.hdr.consumerState) == isClosed {
		return nil, ErrClosed
	}
	return &Consumer{ring: r, head: head, tail: head, size0: recordHead}, nil
}

// claim puts this process's token into a role's word.
//
//	0      nobody has the role  → token, by who claims it
//	token  it has the role      → another's, by who has proof that it is dead
func (r *ring) claim(role *uint32, name string) error {
	for {
		holder := atomic.LoadUint32(role)
		if holder != 0 && (holder == r.self || r.who.Alive(holder)) {
			return fmt.Errorf("%w: the ring has a %s (participant %#x)", ErrRoleTaken, name, holder)
		}
		if atomic.CompareAndSwapUint32(role, holder, r.self) {
			fault.Point("spsc.role.claimed")
			return nil
		}
	}
}

// dead reports whether the process in a role's word is proven dead. A role that nobody has taken yet is not.
func (r *ring) dead(role *uint32) bool {
	holder := atomic.LoadUint32(role)
	return holder != 0 && holder != r.self && !r.who.Alive(holder)
}

// peer returns what says whose death the one who waits for a role's holder has to hear of.
func (r *ring) peer(role *uint32) func() []uint32 {
	return func() []uint32 {
		if holder := atomic.LoadUint32(role); holder != 0 && holder != r.self {
			return []uint32{holder}
		}
		return nil
	}
}

// checkIndices returns ErrCorrupt for a pair that cannot be.
func (r *ring) checkIndices(head, tail uint64) error {
	if tail-head > r.mask+1 || (head|tail)&7 != 0 {
		if err := r.usable(); err != nil { // the zeros of a closed segment
			return err
		}
		return fmt.Errorf("ringbuf: %w: head %#x, tail %#x in a ring of %d bytes", ErrCorrupt, head, tail, r.mask+1)
	}
	return nil
}

// usable returns ErrClosed once the memory is closed in this process: what was done may have been done to memory that
// nobody shares.
func (r *ring) usable() error {
	if r.who.Self() != r.self {
		return ErrClosed
	}
	return nil
}
