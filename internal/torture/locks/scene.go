// Package locks is the suite of torture that kills the users of package futex's locks at their crash points, and checks exclusion,
// damage, permits and progress while it does.
package locks

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fb2d3dbd/multiproc/futex"
	"github.com/fb2d3dbd/multiproc/internal/fault"
	"github.com/fb2d3dbd/multiproc/shm"
)

const (
	permits  = 2
	places   = 4 // of the semaphore
	parties  = 2
	waiters  = 64
	readers  = 128
	maxSlots = 256
)

// A scene is one of each lock, and the ledger, which no death takes away.
type scene struct {
	seg  *shm.Segment
	one  *futex.BoundedSemaphore
	sem  *futex.Semaphore
	rw   *futex.RWMutex
	mu   *futex.Mutex
	cond *futex.Cond
	bar  *futex.Barrier
	ev   *futex.Event
	led  *shm.Array[uint64]
}

// The ledger: counters, then a state and a count of rounds for each slot.
const (
	stop  = iota // no more rounds
	dataA        // under the RWMutex; equal outside of changes
	dataB
	alone // token of who has the bounded semaphore's one permit
	items // under the condition's mutex
	violations
	perSlot
	ledgerSize = perSlot + 2*maxSlots

	atOne  = 0
	atSem  = 256
	atRW   = 512
	atMu   = 10240
	atCond = 10368
	atBar  = 12288
	atEv   = 12544
	size   = 12800
)

// A handle is what a process needs to see a scene.
type handle struct {
	Seg    *shm.Segment
	Ledger *shm.Array[uint64]
}

func create() (handle, error) {
	seg, err := shm.New(&shm.Options{Size: size, Arena: 1 << 16})
	if err != nil {
		return handle{}, err
	}
	led, err := shm.NewArray[uint64](seg, ledgerSize)
	if err != nil {
		return handle{}, err
	}
	mem := seg.Bytes()
	mu, e0 := futex.NewMutex(mem[atMu:], seg)
	_, e1 := futex.CreateBoundedSemaphore(mem[atOne:], 1, seg)
	_, e2 := futex.CreateSemaphore(mem[atSem:], permits, places, seg)
	_, e3 := futex.CreateRWMutex(mem[atRW:], readers, seg)
	_, e4 := futex.CreateCond(mem[atCond:], waiters, mu, seg)
	_, e5 := futex.CreateBarrier(mem[atBar:], parties, seg)
	return handle{seg, led}, errors.Join(e0, e1, e2, e3, e4, e5)
}

func (h handle) open() (*scene, error) {
	mem := h.Seg.Bytes()
	s := &scene{seg: h.Seg, led: h.Ledger}
	var e [7]error
	s.one, e[0] = futex.OpenBoundedSemaphore(mem[atOne:], h.Seg)
	s.sem, e[1] = futex.OpenSemaphore(mem[atSem:], h.Seg)
	s.rw, e[2] = futex.OpenRWMutex(mem[atRW:], h.Seg)
	s.mu, e[3] = futex.NewMutex(mem[atMu:], h.Seg)
	s.cond, e[4] = futex.OpenCond(mem[atCond:], s.mu, h.Seg)
	s.bar, e[5] = futex.OpenBarrier(mem[atBar:], h.Seg)
	s.ev, e[6] = futex.NewEvent(mem[atEv:], h.Seg)
	return s, errors.Join(e[:]...)
}

func (s *scene) get(i int) uint64 { x, _ := s.led.At(i); return x }

func (s *scene) set(i int, x uint64) { _ = s.led.Set(i, x) }

func (s *scene) violation(format string, args ...any) error {
	_, _ = shm.AddAt(s.led, violations, 1)
	return fmt.Errorf(format, args...)
}

// A role is what a victim does, again and again; slot is its place in the ledger.
type role struct {
	name   string
	points []string
	round  func(s *scene, ctx context.Context, slot int) error
}

var roles = []role{
	{"acquire", []string{"semaphore.taken", "semaphore.released", "semaphore.reaped", "scene.alone"}, (*scene).acquire},
	{"consume", []string{"semaphore.taken", "semaphore.released", "semaphore.reaped"}, (*scene).consume},
	{"write", []string{"rwmutex.inline", "rwmutex.settled", "rwmutex.pending", "rwmutex.locked", "rwmutex.unlocked", "rwmutex.buried", "rwmutex.gaveup", "scene.torn"}, (*scene).write},
	{"read", []string{"rwmutex.raised", "rwmutex.counted", "rwmutex.left", "rwmutex.read.inline", "rwmutex.read.counted", "rwmutex.settled"}, (*scene).read},
	{"take", []string{"cond.registered", "cond.released", "cond.told", "cond.retaken", "cond.done", "cond.mourn.taken", "cond.mourn.passed"}, (*scene).take},
	{"give", []string{"cond.tell.told"}, (*scene).give},
	{"meet", []string{"barrier.come", "barrier.act", "barrier.acted", "barrier.changed", "barrier.left", "barrier.mourn.broken", "barrier.mourn.emptied", "barrier.reset", "scene.action"}, (*scene).meet},
	{"event", []string{"event.set", "event.cleared"}, (*scene).event},
}

// acquire: nobody alive has the one permit besides.
func (s *scene) acquire(ctx context.Context, _ int) error {
	if err := s.one.Acquire(ctx); err != nil {
		return err
	}
	if tok := uint32(s.get(alone)); tok != 0 && s.seg.Alive(tok) {
		return s.violation("two have the one permit")
	}
	s.set(alone, uint64(s.seg.Self()))
	fault.Point("scene.alone")
	s.set(alone, 0)
	return s.one.Release()
}

// consume takes a permit away and makes one. Its state says what is under way, for the count after its death.
func (s *scene) consume(ctx context.Context, slot int) error {
	s.set(perSlot+2*slot, 1)
	if err := s.sem.Consume(ctx); err != nil {
		return err
	}
	s.set(perSlot+2*slot, 2)
	if err := s.sem.Release(); err != nil {
		return err
	}
	s.set(perSlot+2*slot, 0)
	return nil
}

// lost returns whether a process that died consuming has taken a permit along.
func lost(state uint64, point string) bool {
	return state == 1 && point == "semaphore.taken" || state == 2 && point != "semaphore.released"
}

func (s *scene) write(ctx context.Context, slot int) error {
	limited := ctx
	if s.get(perSlot+2*slot+1)%8 == 0 {
		var cancel context.CancelFunc
		limited, cancel = context.WithTimeout(ctx, time.Millisecond)
		defer cancel()
	}
	err := s.rw.Lock(limited)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return nil
	}
	if err == futex.ErrOwnerDied {
		s.set(dataB, s.get(dataA))
		err = s.rw.MarkConsistent()
	}
	if err != nil {
		return err
	}
	if a, b := s.get(dataA), s.get(dataB); a != b {
		return s.violation("a writer finds %d and %d, and heard of no death", a, b)
	}
	s.set(dataA, s.get(dataA)+1)
	fault.Point("scene.torn")
	s.set(dataB, s.get(dataB)+1)
	return s.rw.Unlock()
}

func (s *scene) read(ctx context.Context, slot int) error {
	err := s.rw.RLock(ctx)
	if err == futex.ErrDamaged {
		return s.write(ctx, slot)
	}
	if err != nil {
		return err
	}
	if a, b := s.get(dataA), s.get(dataB); a != b {
		return s.violation("a reader finds %d and %d", a, b)
	}
	return s.rw.RUnlock()
}

// whole takes news of a death as it is: what the mutex guards changes by single stores.
func (s *scene) whole(err error) error {
	if err == futex.ErrOwnerDied {
		return s.mu.MarkConsistent()
	}
	return err
}

func (s *scene) give(ctx context.Context, _ int) error {
	if err := s.whole(s.mu.Lock(ctx)); err != nil {
		return err
	}
	s.set(items, min(s.get(items)+1, 4))
	if err := s.cond.Notify(1); err != nil {
		return err
	}
	return s.mu.Unlock()
}

func (s *scene) take(ctx context.Context, _ int) error {
	if err := s.whole(s.mu.Lock(ctx)); err != nil {
		return err
	}
	for s.get(items) == 0 {
		err := s.cond.Wait(ctx)
		if errors.Is(err, ctx.Err()) && ctx.Err() != nil {
			return errors.Join(ctx.Err(), s.mu.Unlock())
		}
		if err := s.whole(err); err != nil {
			return err
		}
	}
	s.set(items, s.get(items)-1)
	return s.mu.Unlock()
}

// meet passes the barrier, or resets it when it is broken.
func (s *scene) meet(ctx context.Context, _ int) error {
	_, err := s.bar.WaitAction(ctx, func() error { fault.Point("scene.action"); return nil })
	if errors.Is(err, futex.ErrBrokenBarrier) && ctx.Err() == nil {
		if err = nil; s.bar.Broken() {
			err = s.bar.Reset()
		}
	}
	return err
}

func (s *scene) event(ctx context.Context, _ int) error {
	return errors.Join(s.ev.Set(), s.ev.Wait(ctx), s.ev.Clear())
}
