package ringbuf

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/fb2d3dbd/multiproc/futex"
	"github.com/fb2d3dbd/multiproc/internal/fault"
	"github.com/fb2d3dbd/multiproc/internal/layout"
)

var mpmcMagic = layout.Magic("MPRBMPMC")

// MPMCSize returns the bytes of memory for an [MPMC] of this capacity in bytes, which is rounded up to a power of two.
func MPMCSize(capacity int) int {
	n := SPSCSize(capacity)
	if n == 0 {
		return 0
	}
	return mpmcHeaderSize + n
}

// An MPMC is a queue for many producers and many consumers, processes and goroutines. Messages of one producer are taken in its order.
// Any number of goroutines may use one MPMC.
//
// It is the ring of [SPSC] with a robust lock on either side. The ring's single committing stores make it whole at every
// instruction, so who takes a lock from the dead has nothing to mend but the count of messages. A process that is
// stopped while it copies a message holds up its side until it goes on.
type MPMC struct {
	hdr   *mpmcHeader
	limit uint64
	put   Producer // guarded by putMu
	get   Consumer // guarded by getMu
	gets  uint64   // hdr.gets when a put last looked; guarded by putMu
	putMu *futex.Mutex
	getMu *futex.Mutex
}

// MPMCOptions are for creating a queue. Nil and the zero value work.
type MPMCOptions struct {
	Options
	// Limit is the most messages that the queue holds at a time; 0 means as many as fit into its bytes.
	Limit int
}

// CreateMPMC makes a queue of mem, which is overwritten. The capacity is the largest power of two that fits; [MPMCSize]
// says how much memory a capacity takes.
func CreateMPMC(mem []byte, o *MPMCOptions) (*MPMC, error) {
	if o == nil {
		o = &MPMCOptions{}
	}
	if o.Limit < 0 {
		return nil, fmt.Errorf("ringbuf: a limit of %d messages", o.Limit)
	}
	h, err := mpmcHeaderAt(mem)
	if err != nil {
		return nil, err
	}
	s, err := CreateSPSC(mem[mpmcHeaderSize:], &o.Options)
	if err != nil {
		return nil, err
	}
	*h = mpmcHeader{limit: uint64(o.Limit)}
	h.head.Publish(mpmcMagic, uint64(mpmcHeaderSize+spscHeaderSize+s.capacity))
	return newMPMC(h, s)
}

// OpenMPMC opens the queue that another process made in the same memory.
func OpenMPMC(mem []byte, o *Options) (*MPMC, error) {
	h, err := mpmcHeaderAt(mem)
	if err != nil {
		return nil, err
	}
	if _, err := h.head.Check(mpmcMagic, uint64(len(mem))); err != nil {
		return nil, fmt.Errorf("ringbuf: open: %w", err)
	}
	s, err := OpenSPSC(mem[mpmcHeaderSize:], o)
	if err != nil {
		return nil, err
	}
	return newMPMC(h, s)
}

func newMPMC(h *mpmcHeader, s *SPSC) (*MPMC, error) {
	r, err := newRing(s.mem, s.hdr, s.capacity, s.who)
	if err != nil {
		return nil, err
	}
	q := &MPMC{hdr: h, limit: atomic.LoadUint64(&h.limit), put: Producer{ring: r}, get: Consumer{ring: r}}
	if q.putMu, err = futex.NewMutex(h.putLock[:], s.who); err != nil {
		return nil, err
	}
	if q.getMu, err = futex.NewMutex(h.getLock[:], s.who); err != nil {
		return nil, err
	}
	return q, nil
}

// MaxMessage returns the size of the largest message in bytes.
func (q *MPMC) MaxMessage() int { return int(q.put.mask) + 1 - recordHead }

// Limit returns the most messages that the queue holds at a time, or 0 for as many as fit.
func (q *MPMC) Limit() int { return int(q.limit) }

// Len returns the number of messages at this instant.
func (q *MPMC) Len() (int, error) {
	gets := atomic.LoadUint64(&q.hdr.gets) // first: it never passes the puts loaded after it
	puts := atomic.LoadUint64(&q.hdr.puts)
	return int(min(puts-gets, q.put.mask+1)), q.put.usable()
}

// Put copies msg into the queue, waiting for room until ctx ends. When it returns nil the message will be delivered, whatever
// happens to this process.
func (q *MPMC) Put(ctx context.Context, msg []byte) error {
	n, err := q.PutBatch(ctx, [][]byte{msg})
	if n == 1 {
		return nil
	}
	return err
}

// TryPut copies msg into the queue, or returns ErrFull.
func (q *MPMC) TryPut(msg []byte) error {
	if err := q.lockPut(context.Background()); err != nil {
		return err
	}
	err := q.putLocked(msg)
	q.put.flush()
	return q.unlock(q.putMu, err)
}

// PutBatch puts messages in order, with nobody's between those that find room together, and waits for room until ctx
// ends. It returns how many it put; err says why not all.
func (q *MPMC) PutBatch(ctx context.Context, msgs [][]byte) (int, error) {
	n := 0
	for {
		if err := q.lockPut(ctx); err != nil {
			return n, err
		}
		var err error
		for n < len(msgs) && err == nil {
			if err = q.putLocked(msgs[n]); err == nil {
				n++
			}
		}
		q.put.flush()
		if err = q.unlock(q.putMu, err); err != ErrFull {
			return n, err
		}
		size := len(msgs[n])
		if err := q.put.roomEvent.Await(ctx, func() (bool, error) { return q.hasRoom(size) }, func() error { return q.lookAgain(ctx) }); err != nil && err != errLookAgain {
			return n, err
		}
	}
}

// errLookAgain ends a producer's sleep.
var errLookAgain = errors.New("ringbuf: look again")

// lookAgain sends a producer that has slept for a slice to the locks, which tell it if an owner died: the count of messages
// that it waits for to fall may be wrong since, and nobody else may have a reason to take those locks.
func (q *MPMC) lookAgain(ctx context.Context) error {
	if q.limit == 0 {
		return nil
	}
	if err := q.getMu.TryLock(); err == nil || errors.Is(err, futex.ErrOwnerDied) {
		if e := q.getMu.Unlock(); e != nil {
			return e
		}
		if err != nil {
			if err := q.recount(ctx); err != nil {
				return err
			}
		}
	}
	return errLookAgain
}

// lockPut takes the producers' lock and looks where the ring stands.
func (q *MPMC) lockPut(ctx context.Context) error {
	if err := q.lock(ctx, q.putMu); err != nil {
		return err
	}
	p := &q.put
	p.tail = atomic.LoadUint64(&p.hdr.tail)
	p.published = p.tail
	if p.tail-p.head > p.mask+1 { // this process has not put for a lap: look at the head again
		p.head = atomic.LoadUint64(&p.hdr.headIdx)
	}
	if err := p.checkIndices(p.head, p.tail); err != nil {
		return q.unlock(q.putMu, err)
	}
	if atomic.LoadUint32(&p.hdr.producerState) == isClosed {
		return q.unlock(q.putMu, ErrClosed)
	}
	return nil
}

// putLocked writes msg behind the tail. It is published by the flush that follows.
func (q *MPMC) putLocked(msg []byte) error {
	if len(msg) > q.MaxMessage() { // at once, and not after a wait for others to leave
		return fmt.Errorf("%w: %d bytes; the queue takes up to %d", ErrTooLarge, len(msg), q.MaxMessage())
	}
	puts := atomic.LoadUint64(&q.hdr.puts)
	if q.limit != 0 && puts-q.gets >= q.limit {
		if q.gets = atomic.LoadUint64(&q.hdr.gets); puts-q.gets >= q.limit {
			return ErrFull
		}
	}
	buf, err := q.put.place(len(msg))
	if err != nil {
		return err
	}
	copy(buf, msg)
	q.put.append(len(msg))
	atomic.StoreUint64(&q.hdr.puts, puts+1)
	fault.Point("mpmc.put.counted")
	return nil
}

// hasRoom looks, without a lock, whether a put of size bytes is worth a try.
func (q *MPMC) hasRoom(size int) (bool, error) {
	h := q.put.hdr
	if err := q.put.usable(); err != nil {
		return false, err
	}
	if atomic.LoadUint32(&h.producerState) == isClosed {
		return false, ErrClosed
	}
	if q.limit != 0 && atomic.LoadUint64(&q.hdr.puts)-atomic.LoadUint64(&q.hdr.gets) >= q.limit {
		return false, nil
	}
	tail, head := atomic.LoadUint64(&h.tail), atomic.LoadUint64(&h.headIdx)
	rest := q.put.mask + 1 - tail&q.put.mask
	need := recordSize(size)
	if rest < need {
		need = rest // the rest of the lap is skipped first
	}
	return q.put.mask+1-(tail-head) >= need || tail-head > q.put.mask+1, nil
}

// Get appends the next message to buf and returns it, waiting for one until ctx ends. ErrClosed comes when the queue is closed
// and empty.
func (q *MPMC) Get(ctx context.Context, buf []byte) ([]byte, error) {
	for {
		out, err := q.tryGet(ctx, buf)
		if err != ErrEmpty {
			return out, err
		}
		if err := q.get.dataEvent.Await(ctx, q.hasData, nil); err != nil {
			return buf, err
		}
	}
}

// TryGet appends the next message to buf and returns it, or ErrEmpty.
func (q *MPMC) TryGet(buf []byte) ([]byte, error) { return q.tryGet(context.Background(), buf) }

func (q *MPMC) tryGet(ctx context.Context, buf []byte) ([]byte, error) {
	out := buf
	_, err := q.takeSome(ctx, 1, func(msg []byte) { out = append(buf, msg...) })
	return out, err
}

// GetBatch waits for a message until ctx ends and returns it with those that follow, up to limit in all, each in memory of
// its own.
func (q *MPMC) GetBatch(ctx context.Context, limit int) ([][]byte, error) {
	if limit < 1 {
		return nil, fmt.Errorf("ringbuf: a batch of %d messages", limit)
	}
	for {
		var out [][]byte
		_, err := q.takeSome(ctx, limit, func(msg []byte) { out = append(out, append([]byte{}, msg...)) })
		if err != ErrEmpty {
			return out, err
		}
		if err := q.get.dataEvent.Await(ctx, q.hasData, nil); err != nil {
			return nil, err
		}
	}
}

// takeSome hands up to limit messages to fn under the consumers' lock and releases them together. With none it says ErrEmpty,
// ErrClosed or what was wrong.
func (q *MPMC) takeSome(ctx context.Context, limit int, fn func(msg []byte)) (int, error) {
	if ok, err := q.hasData(); !ok && err == nil {
		return 0, ErrEmpty // without a lock
	}
	if err := q.lock(ctx, q.getMu); err != nil {
		return 0, err
	}
	c := &q.get
	c.head = atomic.LoadUint64(&c.hdr.headIdx)
	c.taken, c.tail, c.size = c.head, c.head, 0
	n := 0
	var err error
	for n < limit {
		var msg []byte
		if msg, err = c.TryPeek(); err != nil {
			break
		}
		fn(msg)
		c.head += c.size
		c.size = 0
		n++
	}
	atomic.StoreUint64(&q.hdr.gets, atomic.LoadUint64(&q.hdr.gets)+uint64(n))
	fault.Point("mpmc.get.counted")
	c.flush()
	if n > 0 && c.head != c.tail {
		c.dataEvent.Notify(1) // more is there than this consumer was woken for
	}
	if n > 0 && (err == ErrEmpty || err == ErrClosed) {
		err = nil
	}
	return n, q.unlock(q.getMu, err)
}

// hasData looks, without a lock, whether a get is worth a try.
func (q *MPMC) hasData() (bool, error) {
	h := q.get.hdr
	if err := q.get.usable(); err != nil {
		return false, err
	}
	state := atomic.LoadUint32(&h.producerState) // before the tail, as in Consumer.refresh
	if atomic.LoadUint64(&h.headIdx) != atomic.LoadUint64(&h.tail) {
		return true, nil
	}
	return state == isClosed, nil
}

// Close ends the queue for everybody: puts return ErrClosed from now on, gets take what is there and then return
// ErrClosed. A second Close does nothing.
func (q *MPMC) Close() error {
	if err := q.put.usable(); err != nil {
		return err
	}
	// Under the lock, so that no put that began before commits after a consumer has seen the end.
	if err := q.lock(context.Background(), q.putMu); err != nil {
		return err
	}
	atomic.StoreUint32(&q.put.hdr.producerState, isClosed)
	fault.Point("mpmc.closed")
	err := q.unlock(q.putMu, nil)
	q.get.dataEvent.Notify(-1)
	q.put.roomEvent.Notify(-1)
	return err
}

// Closed reports whether the queue was closed.
func (q *MPMC) Closed() bool { return atomic.LoadUint32(&q.put.hdr.producerState) == isClosed }

// lock takes one side's lock. From the dead it comes with the count of messages to be mended: the store that commits a
// message and the one that counts it are two.
func (q *MPMC) lock(ctx context.Context, mu *futex.Mutex) error {
	err := mu.Lock(ctx)
	if !errors.Is(err, futex.ErrOwnerDied) {
		return err
	}
	if err := mu.Unlock(); err != nil { // both are needed, in order; the lock goes on saying that its owner died
		return err
	}
	if err := q.recount(ctx); err != nil {
		return err
	}
	return q.lock(ctx, mu)
}

func (q *MPMC) unlock(mu *futex.Mutex, err error) error {
	if e := mu.Unlock(); e != nil {
		return e
	}
	return err
}

// recount sets the count of messages to what is in the ring, with both sides held.
func (q *MPMC) recount(ctx context.Context) error {
	locks := []*futex.Mutex{q.putMu, q.getMu}
	for i, mu := range locks {
		if err := mu.Lock(ctx); err != nil && !errors.Is(err, futex.ErrOwnerDied) {
			if i == 1 {
				q.putMu.Unlock()
			}
			return err
		}
	}
	fault.Point("mpmc.recount")
	n, err := q.count()
	if err == nil {
		atomic.StoreUint64(&q.hdr.puts, atomic.LoadUint64(&q.hdr.gets)+n)
		fault.Point("mpmc.recounted")
	}
	for _, mu := range locks {
		if e := mu.MarkConsistent(); err == nil {
			err = e
		}
		if e := mu.Unlock(); err == nil {
			err = e
		}
	}
	return err
}

// count walks the records from head to tail. It only looks: nothing is given back, not even a skipped rest of a lap.
func (q *MPMC) count() (n uint64, err error) {
	r := &q.get.ring
	head, tail := atomic.LoadUint64(&r.hdr.headIdx), atomic.LoadUint64(&r.hdr.tail)
	if err := r.checkIndices(head, tail); err != nil {
		return 0, err
	}
	for head != tail {
		size := atomic.LoadUint64(r.length(head)) // read once, then checked
		have, rest := tail-head, r.mask+1-head&r.mask
		if size == skipMark && rest <= have {
			head += rest
			continue
		}
		if size > r.mask || recordSize(int(size)) > min(have, rest) {
			return 0, fmt.Errorf("ringbuf: %w: a message of %#x bytes, %d are there", ErrCorrupt, size, have)
		}
		n++
		head += recordSize(int(size))
	}
	return n, nil
}
