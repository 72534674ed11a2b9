package futex

import (
	"context"
	"sync/atomic"

	"github.com/fb2d3dbd/multiproc/internal/fault"
	"github.com/fb2d3dbd/multiproc/internal/race"
)

// RLock takes the lock for reading, waiting for it until ctx ends. ErrDamaged says that a writer died and that somebody must take the
// lock for writing and mend; ErrTooMany that more processes hold it for reading than it was made for. With any error the lock is not
// held.
func (l *RWMutex) RLock(ctx context.Context) error {
	me, err := l.self()
	if err != nil {
		return err
	}
	if ok, err := l.tryRead(me); ok || err != nil {
		return err
	}
	if err := l.getInLine(func() error { return l.line.Lock(ctx) }); err != nil {
		return err
	}
	return l.readInLine(me)
}

// TryRLock takes the lock for reading if nobody alive writes or is about to write; else, or while others are just looking whether
// they can have it, it returns ErrLocked.
func (l *RWMutex) TryRLock() error {
	me, err := l.self()
	if err != nil {
		return err
	}
	if ok, err := l.tryRead(me); ok || err != nil {
		return err
	}
	if err := l.getInLine(l.line.TryLock); err != nil {
		return err
	}
	return l.readInLine(me)
}

// tryRead counts this process in, unless there is a writer, or was one that died.
func (l *RWMutex) tryRead(me uint32) (bool, error) {
	i, err := l.enter(me)
	if err != nil {
		return false, err
	}
	fault.Point("rwmutex.counted")
	if atomic.LoadUint32(l.writer) == 0 { // pairs with the store in write
		race.Acquire(l.writer)
		return true, l.confirm(me)
	}
	// Out of the same place: while a writer waits, places that it has found empty must stay so.
	return false, l.leave(me, i)
}

// readInLine counts this process in while it has the line, so that there is no writer, and leaves the line.
func (l *RWMutex) readInLine(me uint32) error {
	fault.Point("rwmutex.read.inline")
	w, err := l.settle()
	if err == nil && w&damaged != 0 {
		err = ErrDamaged
	}
	if err == nil {
		_, err = l.enter(me)
		fault.Point("rwmutex.read.counted")
	}
	if e := l.line.Unlock(); err == nil || e == ErrClosed {
		err = e
	}
	if err == nil {
		race.Acquire(l.writer)
	}
	return err
}

// RUnlock releases what RLock or TryRLock took, or returns ErrNotOwner.
func (l *RWMutex) RUnlock() error {
	me, err := l.self()
	if err != nil {
		return err
	}
	race.Release(l.writer)
	return l.leave(me, int(l.hint.Load()))
}

func readerWord(w uint64) (count, version, token uint32) {
	high, _, token := unpack(w)
	return high >> 16, high & 0xFFFF, token
}

func packReader(count, version, token uint32) uint64 {
	return pack(count<<16|version&0xFFFF, 0, token)
}

// enter counts one reader of this process, and returns the place.
func (l *RWMutex) enter(me uint32) (place int, err error) {
	for {
		i := int(l.hint.Load()) % l.places
		w := atomic.LoadUint64(l.at(i))
		count, version, token := readerWord(w)
		if token != me {
			if i, w, err = l.claim(me); err != nil {
				return 0, err
			}
			count, version, token = readerWord(w)
			if token != me {
				count = 0
			}
			l.hint.Store(uint32(i))
			l.raise(uint32(i + 1))
		}
		if count == maxReads {
			return 0, ErrTooMany
		}
		if atomic.CompareAndSwapUint64(l.at(i), w, packReader(count+1, version+1, me)) {
			return i, nil
		}
	}
}

// claim finds a reader's word for this process: its own, one of nobody, one of the dead, or one by which nobody reads now.
func (l *RWMutex) claim(me uint32) (place int, word uint64, err error) {
	place = -1
	for i := range l.places {
		w := atomic.LoadUint64(l.at(i))
		count, _, token := readerWord(w)
		if token == me {
			return i, w, nil
		}
		if place < 0 && count == 0 {
			place, word = i, w
		}
	}
	if place >= 0 {
		return place, word, nil
	}
	dead := l.census(me)
	for i := range l.places {
		w := atomic.LoadUint64(l.at(i))
		if _, _, token := readerWord(w); dead.dead(token) {
			return i, w, nil
		}
	}
	if err := l.confirm(me); err != nil {
		return 0, 0, err
	}
	return 0, 0, ErrTooMany
}

// raise makes writers look at the first n places. It comes before the count, so a writer that looks at fewer is seen by the reader.
func (l *RWMutex) raise(n uint32) {
	for {
		top := atomic.LoadUint32(l.top)
		if top >= n || atomic.CompareAndSwapUint32(l.top, top, n) {
			fault.Point("rwmutex.raised")
			return
		}
	}
}

// used returns how many places have ever had a reader.
func (l *RWMutex) used() int { return int(min(atomic.LoadUint32(l.top), uint32(l.places))) }

// leave counts one reader of this process out, of place start if there is one, and wakes the writer that may wait for it.
func (l *RWMutex) leave(me uint32, start int) error {
	for last := ^uint64(0); ; {
		sum := uint64(0) // of the versions: two looks alike prove that this process did not read at an instant
		for k := range l.places {
			i := (start + k) % l.places
			for {
				w := atomic.LoadUint64(l.at(i))
				count, version, token := readerWord(w)
				if token != me || count == 0 {
					sum += uint64(version)
					break
				}
				if atomic.CompareAndSwapUint64(l.at(i), w, packReader(count-1, version+1, me)) {
					fault.Point("rwmutex.left")
					l.drained.Notify(1)
					return l.confirm(me)
				}
			}
		}
		if err := l.confirm(me); err != nil {
			return err
		}
		if sum == last {
			return ErrNotOwner
		}
		last = sum
	}
}

// empty reports whether nobody reads.
func (l *RWMutex) empty() (bool, error) {
	for i := range l.used() {
		if count, _, _ := readerWord(atomic.LoadUint64(l.at(i))); count != 0 {
			return false, nil
		}
	}
	return true, nil
}

// bury takes out the counts of the dead.
func (l *RWMutex) bury(me uint32) error {
	dead := l.census(me)
	for i := range l.used() {
		w := atomic.LoadUint64(l.at(i))
		count, version, token := readerWord(w)
		if count != 0 && dead.dead(token) && atomic.CompareAndSwapUint64(l.at(i), w, packReader(0, version+1, 0)) {
			fault.Point("rwmutex.buried")
		}
	}
	return l.confirm(me)
}

// readers lists who reads: whose death the writer has to hear of.
func (l *RWMutex) readers(me uint32) []uint32 {
	list := watchlist{me: me}
	for i := range l.used() {
		if count, _, token := readerWord(atomic.LoadUint64(l.at(i))); count != 0 && list.add(token) {
			break
		}
	}
	return list.tokens
}

// Readers returns for each process that holds the lock for reading how many times. The dead whom nobody has found yet are among them.
func (l *RWMutex) Readers() map[uint32]int {
	all := map[uint32]int{}
	for i := range l.used() {
		if count, _, token := readerWord(atomic.LoadUint64(l.at(i))); count != 0 {
			all[token] += int(count)
		}
	}
	return all
}
