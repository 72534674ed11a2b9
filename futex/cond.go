package futex

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/fb2d3dbd/multiproc/internal/fault"
	"github.com/fb2d3dbd/multiproc/internal/layout"
)

// A Locker is a lock that a [Cond] can be made on: a *Mutex, an *RLock, or a *RWMutex held for writing.
type Locker interface {
	Lock(ctx context.Context) error
	TryLock() error
	Unlock() error

	holdsHere() bool                 // the caller's process, or handle, holds it
	release() (depth int, err error) // as often as it was locked
	retake(ctx context.Context, depth int) error
}

func (m *Mutex) holdsHere() bool {
	owner, held := m.Holder()
	return held && owner == m.who.Self()
}

func (m *Mutex) release() (int, error) { return 1, m.Unlock() }

func (m *Mutex) retake(ctx context.Context, _ int) error { return m.Lock(ctx) }

func (l *RWMutex) holdsHere() bool {
	owner, held := l.Holder()
	return held && owner == l.who.Self()
}

func (l *RWMutex) release() (int, error) { return 1, l.Unlock() }

func (l *RWMutex) retake(ctx context.Context, _ int) error { return l.Lock(ctx) }

func (l *RLock) holdsHere() bool { return l.Depth() > 0 && l.m.holdsHere() }

func (l *RLock) release() (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	depth := l.depth
	if depth == 0 {
		return 0, ErrNotOwner
	}
	l.depth = 0
	return depth, l.m.Unlock()
}

func (l *RLock) retake(ctx context.Context, depth int) error {
	l.entry <- struct{}{}
	defer func() { <-l.entry }()
	l.mu.Lock()
	if l.depth > 0 {
		// Another goroutine of the handle has locked it meanwhile: the handle holds it for both.
		l.depth += depth
		l.mu.Unlock()
		return nil
	}
	l.mu.Unlock()
	return l.lock(depth, func() error { return l.m.Lock(ctx) })
}

// A Cond is where processes that hold a lock wait until others, who hold it, say that something has changed.
//
// Each one who waits has a place in the object's memory, and a notification is for one of them: the one who has waited longest
// and is alive. The dead swallow nothing: those who died before are passed over, and what was meant for one who dies before its Wait
// has returned goes to another.
//
//	the word of a place   sequence:32 | kind:2 | token:30
//
//	0          nobody's             → waits, by who is about to wait, under the lock
//	waits      waits for its turn   → told, by who notifies; 0, by the owner that gives up, or by who has proof of its death
//	told       has a notification   → 0, by the owner once it has the lock again; told with its own token, by who has proof of the
//	                                  owner's death: it then tells another, and makes it 0
//
// A death between telling another and making the word 0 tells one more: a Wait may then return for no reason. So may it not
// otherwise.
type Cond struct {
	member
	*object
	lock Locker
	next *uint32 // sequence number of who waits next
}

const (
	condWaits = 1
	condTold  = 2
)

var cond = object{what: "cond", magic: layout.Magic("MPFXCOND"), front: 64, place: 16, limit: 1 << 16}

// CondSize returns the memory that a condition needs on which so many goroutines, of all processes, wait at a time, in bytes; 0 if
// waiters is not 1 to 65536.
func CondSize(waiters int) int { return cond.size(waiters) }

// CreateCond makes a condition at the beginning of mem. Every process must use it with the same lock.
func CreateCond(mem []byte, waiters int, lock Locker, who Participants) (*Cond, error) {
	o, err := cond.create(mem, waiters)
	if err != nil {
		return nil, err
	}
	o.publish()
	return viewCond(o, lock, who)
}

// OpenCond views a condition that was made in mem.
func OpenCond(mem []byte, lock Locker, who Participants) (*Cond, error) {
	o, err := cond.open(mem)
	if err != nil {
		return nil, err
	}
	return viewCond(o, lock, who)
}

func viewCond(o *object, lock Locker, who Participants) (*Cond, error) {
	c := &Cond{member: member{who}, object: o, lock: lock, next: o.word32(placesOff + 4)}
	if lock == nil {
		return nil, errors.New("futex: cond: nil Locker")
	}
	_, err := NewEventCount(o.eventAt(0)) // this process can be reached by who notifies
	return c, errors.Join(err, c.valid("futex: cond"))
}

// Locker returns the lock.
func (c *Cond) Locker() Locker { return c.lock }

// holder returns this process's token if it holds the lock.
func (c *Cond) holder() (uint32, error) {
	me, err := c.self()
	if err != nil {
		return 0, err
	}
	if !c.lock.holdsHere() {
		return 0, ErrNotOwner
	}
	return me, nil
}

// Wait releases the lock, which the caller holds, waits for a notification until ctx ends, and takes the lock again, for
// which it waits as long as it takes. A nil error says that a notification came. Whatever it returns, the lock is held again, except
// with ErrClosed, and ErrNotOwner if it was not held before. Errors besides are ctx.Err(), ErrOwnerDied from taking the lock again,
// and ErrTooMany when all places are taken.
func (c *Cond) Wait(ctx context.Context) error {
	me, err := c.holder()
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	i, w, err := c.register(me)
	if err != nil {
		return err
	}
	fault.Point("cond.registered")
	word := c.at(i)
	depth, err := c.lock.release()
	if err != nil {
		atomic.CompareAndSwapUint64(word, w, 0)
		return err
	}
	fault.Point("cond.released")
	seq, _, _ := unpack(w)
	told := pack(seq, condTold, me)
	err = c.await(ctx, &EventCount{word: c.event(i)}, me, func() (bool, error) {
		switch x := atomic.LoadUint64(word); x { // pairs with the exchange in tell
		case w:
			return false, nil
		case told:
			return true, nil
		default:
			return false, c.corrupt(x)
		}
	}, func() error { return c.mourn(me) }, func() []uint32 { return c.owing(me) })
	if err != nil && !atomic.CompareAndSwapUint64(word, w, 0) && atomic.LoadUint64(word) == told && err == ctx.Err() {
		err = nil // the notification came first: it must not be lost
	}
	fault.Point("cond.told")
	e := c.lock.retake(context.WithoutCancel(ctx), depth)
	fault.Point("cond.retaken")
	if e != ErrClosed { // else it was not used, and goes to another as after a death
		atomic.CompareAndSwapUint64(word, told, 0) // only now: until here a death passes the notification on
	}
	fault.Point("cond.done")
	switch {
	case e == nil:
		return err
	case err == nil || e == ErrClosed:
		return e
	}
	return errors.Join(e, err)
}

// WaitFor waits until pred, which it calls with the lock held, returns true. It returns nil then, and otherwise what [Cond.Wait]
// returns. When ctx ends, pred has the last word.
func (c *Cond) WaitFor(ctx context.Context, pred func() bool) error {
	if _, err := c.holder(); err != nil {
		return err
	}
	for !pred() {
		err := c.Wait(ctx)
		switch {
		case err == nil:
		case err == ctx.Err() && pred():
			return nil
		default:
			return err
		}
	}
	return nil
}

// register takes a place for one who is about to wait.
func (c *Cond) register(me uint32) (place int, word uint64, err error) {
	w := pack(atomic.AddUint32(c.next, 1), condWaits, me)
	for range 2 {
		for i := range c.places {
			if atomic.LoadUint64(c.at(i)) == 0 && atomic.CompareAndSwapUint64(c.at(i), 0, w) {
				return i, w, nil
			}
		}
		if err := c.mourn(me); err != nil { // the dead may have places
			return 0, 0, err
		}
	}
	return 0, 0, ErrTooMany
}

// Notify wakes up to n of those who wait (n < 0: all), those who have waited longest first. The caller holds the lock, else
// ErrNotOwner. It does not wait for them; each takes the lock when it is free.
func (c *Cond) Notify(n int) error {
	me, err := c.holder()
	if err != nil {
		return err
	}
	dead := c.census(me)
	if n < 0 || n >= c.places {
		return c.tellAll(dead)
	}
	for range n {
		if ok, err := c.tellOne(dead); !ok || err != nil {
			return err
		}
	}
	return c.confirm(me)
}

// NotifyAll wakes all who wait.
func (c *Cond) NotifyAll() error { return c.Notify(-1) }
