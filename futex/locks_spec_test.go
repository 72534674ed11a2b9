package futex_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/fb2d3dbd/multiproc/futex"
)

// A histStep is one call on a lock, with the ticks of one clock at which it began and ended, and what it returned.
type histStep struct {
	client, part int
	call, ret    int64
	kind         lockKind
	err          error
	alone        bool // no other call was under way
}

type lockKind int

const (
	doLock lockKind = iota // Acquire, of a semaphore
	doTry
	doUnlock // Release
	doRLock
	doTryR
	doRUnlock
	doMend
	doDie // the participant dies
)

func (s histStep) String() string {
	what := [...]string{"lock", "try", "unlock", "rlock", "tryr", "runlock", "mend", "die"}[s.kind]
	return fmt.Sprintf("client %d of participant %d, %d to %d: %s: %v", s.client, s.part, s.call, s.ret, what, s.err)
}

// lockState is what a lock of any kind is to the participants 1 to 3. A semaphore counts permits in free and holds.
type lockState struct {
	writer  int // or 0
	damaged bool
	holds   [4]int
	free    int
	bound   bool
	died    bool // somebody has; its permits may not have been found yet
}

func (s lockState) held() int { return s.holds[1] + s.holds[2] + s.holds[3] }

// A lockSpec says whether a call may return what it did, and what is then.
type lockSpec func(s lockState, c histStep) (bool, lockState)

// mutexSpec: one owner; who locks after the owner's death is told, until somebody mends.
func mutexSpec(s lockState, c histStep) (bool, lockState) {
	switch {
	case c.kind == doDie:
		if s.writer == c.part {
			s.writer, s.damaged = 0, true
		}
		s.holds[c.part] = 0
		return true, s
	case c.kind == doUnlock || c.kind == doMend:
		if c.err != nil {
			return c.err == futex.ErrNotOwner && s.writer != c.part, s
		}
		good := s.writer == c.part
		if c.kind == doMend {
			s.damaged = false
		} else {
			s.writer = 0
		}
		return good, s
	case c.err == context.Canceled: // it may give up at any time
		return c.kind == doLock, s
	case c.err == futex.ErrLocked:
		return c.kind == doTry && s.writer != 0, s
	}
	good := s.writer == 0 && (c.err == nil && !s.damaged || c.err == futex.ErrOwnerDied && s.damaged)
	s.writer = c.part
	return good, s
}

// rwSpec: one writer, or readers, none of them while there is damage. Tries may fail because of others that only look.
func rwSpec(s lockState, c histStep) (bool, lockState) {
	switch c.kind {
	case doRUnlock:
		if c.err != nil {
			return c.err == futex.ErrNotOwner && s.holds[c.part] == 0, s
		}
		s.holds[c.part]--
		return s.holds[c.part] >= 0, s
	case doRLock, doTryR:
		switch c.err {
		case nil:
			s.holds[c.part]++
			return s.writer == 0 && !s.damaged, s
		case futex.ErrDamaged:
			return s.writer == 0 && s.damaged, s
		case futex.ErrLocked:
			return c.kind == doTryR && (!c.alone || s.writer != 0), s
		}
		return c.kind == doRLock && c.err == context.Canceled, s
	case doLock, doTry:
		if c.err == futex.ErrLocked {
			return c.kind == doTry && (!c.alone || s.writer != 0 || s.held() != 0), s
		}
		if c.err != context.Canceled && s.held() != 0 {
			return false, s
		}
	}
	return mutexSpec(s, c)
}

// permitSpec: permits are held by participants, and free again after their death. Who holds none may add one, unless bound.
func permitSpec(s lockState, c histStep) (bool, lockState) {
	switch {
	case c.kind == doDie:
		s.free += s.holds[c.part]
		s.holds[c.part] = 0
		s.died = true
		return true, s
	case c.kind == doUnlock && c.err == nil:
		good := s.holds[c.part] > 0 || !s.bound
		s.holds[c.part] = max(0, s.holds[c.part]-1)
		s.free++
		return good, s
	case c.kind == doUnlock && c.err == futex.ErrNotOwner:
		return s.bound && s.holds[c.part] == 0 && (s.held() > 0 || s.died), s
	case c.kind == doUnlock:
		return c.err == futex.ErrBound && s.bound && s.held() == 0, s
	case c.err == nil:
		s.free--
		s.holds[c.part]++
		return s.free >= 0, s
	case c.err == context.Canceled:
		return c.kind == doLock, s
	}
	return c.kind == doTry && c.err == futex.ErrLocked && s.free == 0, s
}

// A lockHandle is a participant's way to a lock of any kind.
type lockHandle struct {
	lock, rlock                      func(context.Context) error
	try, tryR, unlock, unrlock, mend func() error
}

func (h lockHandle) do(kind lockKind, ctx context.Context) error {
	switch kind {
	case doLock:
		return h.lock(ctx)
	case doRLock:
		return h.rlock(ctx)
	}
	return map[lockKind]func() error{doTry: h.try, doTryR: h.tryR, doUnlock: h.unlock, doRUnlock: h.unrlock, doMend: h.mend}[kind]()
}

// A lockHist is a kind of lock with its specification.
type lockHist struct {
	spec  lockSpec
	first lockState
	size  int
	make  func(mem []byte, who futex.Participants) error
	open  func(mem []byte, who futex.Participants) (lockHandle, error)
}

func mutexHandle(mem []byte, who futex.Participants) (lockHandle, error) {
	m, err := futex.NewMutex(mem, who)
	return lockHandle{lock: m.Lock, try: m.TryLock, unlock: m.Unlock, mend: m.MarkConsistent}, err
}

const histMost = 200 // permits that the semaphore can have: nobody comes to the end of them

var lockHists = map[string]lockHist{
	"mutex": {mutexSpec, lockState{}, futex.MutexSize, nil, mutexHandle},
	"rwmutex": {rwSpec, lockState{}, futex.RWMutexSize(4), func(mem []byte, who futex.Participants) error {
		_, err := futex.CreateRWMutex(mem, 4, who)
		return err
	}, func(mem []byte, who futex.Participants) (lockHandle, error) {
		l, err := futex.OpenRWMutex(mem, who)
		return lockHandle{l.Lock, l.RLock, l.TryLock, l.TryRLock, l.Unlock, l.RUnlock, l.MarkConsistent}, err
	}},
	"semaphore": {permitSpec, lockState{free: 2}, futex.SemaphoreSize(histMost), func(mem []byte, who futex.Participants) error {
		_, err := futex.CreateSemaphore(mem, 2, histMost, who)
		return err
	}, func(mem []byte, who futex.Participants) (lockHandle, error) {
		s, err := futex.OpenSemaphore(mem, who)
		return lockHandle{lock: s.Acquire, try: s.TryAcquire, unlock: s.Release}, err
	}},
	"bounded": {permitSpec, lockState{free: 2, bound: true}, futex.SemaphoreSize(2), func(mem []byte, who futex.Participants) error {
		_, err := futex.CreateBoundedSemaphore(mem, 2, who)
		return err
	}, func(mem []byte, who futex.Participants) (lockHandle, error) {
		s, err := futex.OpenBoundedSemaphore(mem, who)
		return lockHandle{lock: s.Acquire, try: s.TryAcquire, unlock: s.Release}, err
	}},
}

// check decides whether some order of the steps is one that the specification allows.
func (k lockHist) check(steps []histStep) porcupine.CheckResult {
	var ops []porcupine.Operation
	for _, s := range steps {
		ops = append(ops, porcupine.Operation{ClientId: s.client, Output: s, Call: s.call, Return: s.ret})
	}
	return porcupine.CheckOperationsTimeout(porcupine.Model{
		Init: func() any { return k.first },
		Step: func(state, _, output any) (bool, any) { return k.spec(state.(lockState), output.(histStep)) },
	}, ops, 30*time.Second)
}

// TestLockSpecs: the specifications allow what a lock may do, and reject each history that differs from it in one answer.
func TestLockSpecs(t *testing.T) {
	type step = histStep
	locked, damage := futex.ErrLocked, futex.ErrOwnerDied
	good := map[string][]step{
		"mutex": {{part: 1, kind: doLock}, {part: 2, kind: doTry, err: locked}, {part: 1, kind: doDie}, {part: 2, kind: doTry, err: damage},
			{part: 2, kind: doMend}, {part: 2, kind: doUnlock}, {part: 2, kind: doUnlock, err: futex.ErrNotOwner}, {part: 3, kind: doTry}},
		"rwmutex": {{part: 1, kind: doRLock}, {part: 2, kind: doTryR}, {part: 3, kind: doTry, err: locked}, {part: 1, kind: doDie},
			{part: 2, kind: doRUnlock}, {part: 3, kind: doTry}, {part: 2, kind: doTryR, err: locked}, {part: 3, kind: doDie},
			{part: 2, kind: doTryR, err: futex.ErrDamaged}, {part: 2, kind: doLock, err: damage}},
		"semaphore": {{part: 1, kind: doLock}, {part: 2, kind: doTry}, {part: 3, kind: doTry, err: locked}, {part: 3, kind: doUnlock},
			{part: 3, kind: doTry}, {part: 1, kind: doDie}, {part: 3, kind: doTry}, {part: 2, kind: doTry, err: locked}},
		"bounded": {{part: 1, kind: doUnlock, err: futex.ErrBound}, {part: 1, kind: doLock}, {part: 2, kind: doUnlock, err: futex.ErrNotOwner},
			{part: 2, kind: doTry}, {part: 2, kind: doTry, err: locked}, {part: 1, kind: doUnlock}, {part: 2, kind: doTry}},
	}
	for name, k := range lockHists {
		steps := good[name]
		for i := range steps {
			steps[i].call, steps[i].ret, steps[i].alone = int64(2*i), int64(2*i+1), true
		}
		if r := k.check(steps); r != porcupine.Ok {
			t.Errorf("%s: a right history is %v", name, r)
		}
		for i, s := range steps {
			if s.kind == doDie {
				continue
			}
			for _, err := range []error{nil, locked, damage, futex.ErrDamaged, futex.ErrNotOwner, futex.ErrBound, futex.ErrClosed} {
				if err == s.err {
					continue
				}
				steps[i].err = err
				if r := k.check(steps[:i+1]); r != porcupine.Illegal {
					t.Errorf("%s: call %d returned %v in place of %v: %v", name, i, err, s.err, r)
				}
			}
			steps[i].err = s.err
		}
	}
}
