package futex

import (
	"context"
	"sync/atomic"

	"github.com/fb2d3dbd/multiproc/internal/fault"
	"github.com/fb2d3dbd/multiproc/internal/layout"
	"github.com/fb2d3dbd/multiproc/internal/race"
)

// A RWMutex is a lock between processes that many may hold for reading or one for writing. Owners are processes: any
// goroutine of one may unlock it.
//
// When a writer dies while it holds the lock, the next Lock gets the lock together with ErrOwnerDied, and until somebody has
// declared the data consistent RLock returns ErrDamaged. A reader that dies harms nobody. An owner that lives keeps the lock,
// also while it is stopped. A writer that waits keeps new readers out, and those wait in one line with the writers: nobody
// starves where the line, a [Mutex], is fair.
//
//	the writer's word   token:30 | damaged:1 | holds:1
//
//	0                   no writer                       → token, by who has the line
//	damaged             no writer, not declared whole   → token+damaged, by who has the line
//	token               waits for the readers to leave  → token+holds, by the writer; without token, by the writer that
//	                                                      gives up, or by who has the line after its death
//	token+holds         writes                          → without token and holds, by the writer; damaged, by who has the
//	                                                      line after its death
//	…+damaged           ErrOwnerDied was, or will be, said → without, by the writer's MarkConsistent
//
//	a reader's word     count:16 | version:16 | 0:2 | token:30, one for each process that reads, on a line of its own
//
//	0, count 0, dead    nobody reads by it    → (1, me), by who reads
//	(n, token)          n goroutines read     → (n±1, token), by the process; 0, by the writer that has proof of its death
//
// Reader: count, then look at the writer's word. Writer: word, then look at the counts. One of them sees the other. The idea is
// the "big reader" lock's, with the owner in each word.
type RWMutex struct {
	member
	*object
	line    *Mutex // who writes, is about to write, or has met a writer; guards nothing that its owner's death could damage
	writer  *uint32
	top     *uint32     // how many places have ever been used; it only grows
	drained *EventCount // where the writer waits for the readers
	hint    atomic.Uint32
}

const (
	holds uint32 = 1 << 0

	rwLine   = 64
	rwWriter = 128
	rwFront  = 192
	maxReads = 1<<16 - 1
)

var rwmutex = object{what: "rwmutex", magic: layout.Magic("MPFXRWMU"), front: rwFront, place: 64, limit: 1 << 12}

// RWMutexSize returns the memory that a lock needs for so many processes that hold it for reading at a time, in bytes; 0 if
// readers is not 1 to 4096.
func RWMutexSize(readers int) int { return rwmutex.size(readers) }

// CreateRWMutex makes an unlocked lock at the beginning of mem.
func CreateRWMutex(mem []byte, readers int, who Participants) (*RWMutex, error) {
	o, err := rwmutex.create(mem, readers)
	if err != nil {
		return nil, err
	}
	o.publish()
	return viewRWMutex(o, who)
}

// OpenRWMutex views a lock that was made in mem.
func OpenRWMutex(mem []byte, who Participants) (*RWMutex, error) {
	o, err := rwmutex.open(mem)
	if err != nil {
		return nil, err
	}
	return viewRWMutex(o, who)
}

func viewRWMutex(o *object, who Participants) (*RWMutex, error) {
	l := &RWMutex{member: member{who}, object: o, writer: o.word32(rwWriter), top: o.word32(placesOff + 4)}
	if err := l.valid("futex: rwmutex"); err != nil {
		return nil, err
	}
	var err error
	if l.line, err = NewMutex(o.mem[rwLine:], who); err != nil {
		return nil, err
	}
	l.drained, err = NewEventCount(o.mem[rwWriter+4:])
	return l, err
}

// getInLine takes the line. What the death of its owner leaves is mended by settle.
func (l *RWMutex) getInLine(take func() error) error {
	err := take()
	if err == ErrOwnerDied {
		err = l.line.MarkConsistent()
	}
	return err
}

// settle returns the writer's word, without a writer, to who has the line. A writer that it finds had the line before, and lost it
// by its death.
func (l *RWMutex) settle() (uint32, error) {
	w := atomic.LoadUint32(l.writer)
	owner := w >> ownerShift
	if owner == 0 && w&holds == 0 {
		return w, nil
	}
	if owner == 0 || owner == l.who.Self() || l.who.Alive(owner) {
		return 0, l.corrupt(uint64(w))
	}
	next := w & damaged
	if w&holds != 0 {
		next = damaged
	}
	atomic.StoreUint32(l.writer, next) // nobody else changes a dead writer's word: it takes the line
	fault.Point("rwmutex.settled")
	return next, nil
}

// Lock takes the lock for writing, waiting for it until ctx ends. It returns nil or ErrOwnerDied with the lock held, and any other
// error without it.
func (l *RWMutex) Lock(ctx context.Context) error {
	me, err := l.self()
	if err != nil {
		return err
	}
	if err := l.getInLine(func() error { return l.line.Lock(ctx) }); err != nil {
		return err
	}
	return l.write(me, func() error {
		return l.await(ctx, l.drained, me, l.empty, func() error { return l.bury(me) }, func() []uint32 { return l.readers(me) })
	})
}

// TryLock takes the lock for writing if nobody alive holds it; else, or while others are just looking whether they can have it,
// it returns ErrLocked.
func (l *RWMutex) TryLock() error {
	me, err := l.self()
	if err != nil {
		return err
	}
	if err := l.getInLine(l.line.TryLock); err != nil {
		return err
	}
	return l.write(me, func() error {
		if ok, err := l.empty(); ok || err != nil {
			return err
		}
		if err := l.bury(me); err != nil {
			return err
		}
		if ok, err := l.empty(); ok || err != nil {
			return err
		}
		return ErrLocked
	})
}

// write makes who has the line the writer; drain returns nil when nobody reads any more.
func (l *RWMutex) write(me uint32, drain func() error) error {
	fault.Point("rwmutex.inline")
	w, err := l.settle()
	if err == nil {
		atomic.StoreUint32(l.writer, me<<ownerShift|w) // pairs with the load in tryRead; only who has the line writes this word
		fault.Point("rwmutex.pending")
		if err = drain(); err != nil {
			atomic.StoreUint32(l.writer, w)
			fault.Point("rwmutex.gaveup")
		}
	}
	if err != nil {
		if e := l.line.Unlock(); e == ErrClosed {
			err = e
		}
		return err
	}
	atomic.StoreUint32(l.writer, me<<ownerShift|w|holds)
	race.Acquire(l.writer)
	fault.Point("rwmutex.locked")
	if err := l.confirm(me); err != nil {
		return err
	}
	if w&damaged != 0 {
		return ErrOwnerDied
	}
	return nil
}

// Unlock releases what Lock or TryLock took, or returns ErrNotOwner. A lock that came with ErrOwnerDied and was not marked
// consistent says so to the next writer as well.
func (l *RWMutex) Unlock() error {
	me, err := l.self()
	if err != nil {
		return err
	}
	w := atomic.LoadUint32(l.writer)
	race.Release(l.writer)
	if w>>ownerShift != me || w&holds == 0 || !atomic.CompareAndSwapUint32(l.writer, w, w&damaged) {
		return ErrNotOwner
	}
	fault.Point("rwmutex.unlocked")
	return l.line.Unlock()
}

// MarkConsistent declares that what the lock guards has been mended after ErrOwnerDied. The caller's process must hold the lock
// for writing.
func (l *RWMutex) MarkConsistent() error {
	me, err := l.self()
	if err != nil {
		return err
	}
	w := atomic.LoadUint32(l.writer)
	if w>>ownerShift != me || w&holds == 0 {
		return ErrNotOwner
	}
	if w&damaged != 0 && !atomic.CompareAndSwapUint32(l.writer, w, w&^damaged) {
		return ErrNotOwner
	}
	return l.confirm(me)
}

// Holder returns the token of the process that holds the lock for writing; held is false when nobody does.
func (l *RWMutex) Holder() (owner uint32, held bool) {
	w := atomic.LoadUint32(l.writer)
	if _, err := l.self(); w&holds == 0 || err != nil { // closed here, the word is nobody's
		return 0, false
	}
	return w >> ownerShift, true
}
