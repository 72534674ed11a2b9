package futex_test

import (
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/fb2d3dbd/multiproc/futex"
)

// rwModel is a lock for readers and writers with two places, and what it should be.
type rwModel struct {
	crew
	mem     []byte
	l       [4]*futex.RWMutex
	writer  int // the seat, or 0
	reads   [4]int
	damaged bool
	word    uint32 // what Locked says: a dead writer is found out by who gets into the line
}

func (m *rwModel) enter(t *rapid.T, seat int) {
	var err error
	m.l[seat], err = futex.OpenRWMutex(m.mem, m.sit(seat))
	wants(t, "OpenRWMutex", err, nil)
}

func (m *rwModel) tryLock(t *rapid.T) {
	i := seat(t)
	err := m.l[i].TryLock()
	switch {
	case m.writer != 0 || m.reads != [4]int{}:
		wants(t, "TryLock", err, futex.ErrLocked)
		return
	case m.damaged:
		wants(t, "TryLock", err, futex.ErrOwnerDied)
	default:
		wants(t, "TryLock", err, nil)
	}
	m.writer, m.word = i, m.tokens[i]
	if r := m.l[i].Readers(); len(r) != 0 {
		t.Fatalf("beside a writer are readers: %v", r)
	}
}

func (m *rwModel) tryRLock(t *rapid.T) {
	i := seat(t)
	others := 0
	for k, n := range m.reads {
		if k != i && n > 0 {
			others++
		}
	}
	err := m.l[i].TryRLock()
	switch {
	case m.writer != 0:
		wants(t, "TryRLock", err, futex.ErrLocked)
		return
	case m.damaged:
		wants(t, "TryRLock", err, futex.ErrDamaged)
	case others == 2:
		wants(t, "TryRLock", err, futex.ErrTooMany)
	default:
		wants(t, "TryRLock", err, nil)
		m.reads[i]++
	}
	m.word = 0
}

// undo calls what undoes something, or mends; it may do so only to a seat that owns it.
func undo(t *rapid.T, what string, err error, owns bool) bool {
	t.Helper()
	if !owns {
		wants(t, what, err, futex.ErrNotOwner)
		return false
	}
	wants(t, what, err, nil)
	return true
}

func TestRWMutexModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &rwModel{mem: make([]byte, futex.RWMutexSize(2))}
		_, err := futex.CreateRWMutex(m.mem, 2, m.all.one(999))
		wants(t, "CreateRWMutex", err, nil)
		for i := 1; i <= 3; i++ {
			m.enter(t, i)
		}
		t.Repeat(map[string]func(*rapid.T){
			"TryLock":   m.tryLock,
			"TryRLock":  m.tryRLock,
			"TryRLock2": m.tryRLock,
			"Unlock": func(t *rapid.T) {
				if i := seat(t); undo(t, "Unlock", m.l[i].Unlock(), m.writer == i) {
					m.writer, m.word = 0, 0
				}
			},
			"RUnlock": func(t *rapid.T) {
				if i := seat(t); undo(t, "RUnlock", m.l[i].RUnlock(), m.reads[i] > 0) {
					m.reads[i]--
				}
			},
			"MarkConsistent": func(t *rapid.T) {
				if i := seat(t); undo(t, "MarkConsistent", m.l[i].MarkConsistent(), m.writer == i) {
					m.damaged = false
				}
			},
			"die": func(t *rapid.T) {
				i := seat(t)
				m.all.kill(m.tokens[i])
				m.reads[i] = 0 // its count stands until a writer wants the lock or a reader the place
				if m.writer == i {
					m.writer, m.damaged = 0, true
				}
				m.enter(t, i)
			},
			"": func(t *rapid.T) {
				owner, held := m.l[1].Holder()
				owned(t, owner, held, m.word)
				readers := m.l[1].Readers()
				for i := 1; i <= 3; i++ {
					if n := readers[m.tokens[i]]; n != m.reads[i] {
						t.Fatalf("seat %d reads %d times, want %d", i, n, m.reads[i])
					}
				}
			},
		})
	})
}

// permitsModel is a semaphore of either kind, and how many permits are free and whose, those of the dead included.
type permitsModel struct {
	crew
	mem   []byte
	bound bool
	s     [4]tryPermits
	free  int
	held  map[uint32]int
}

type tryPermits interface {
	TryAcquire() error
	Release() error
	Value() (int, error)
	Holders() (map[uint32]int, error)
	Cap() int
}

const modelMax = 4

func (m *permitsModel) enter(t *rapid.T, seat int) {
	var err error
	if m.bound {
		m.s[seat], err = futex.OpenBoundedSemaphore(m.mem, m.sit(seat))
	} else {
		m.s[seat], err = futex.OpenSemaphore(m.mem, m.sit(seat))
	}
	wants(t, "open", err, nil)
}

func (m *permitsModel) out() (n int) {
	for _, k := range m.held {
		n += k
	}
	return n
}

func (m *permitsModel) give(token uint32, n int) {
	if m.held[token] += n; m.held[token] == 0 {
		delete(m.held, token)
	}
}

// dead says whether the token is that of nobody who sits.
func (m *permitsModel) dead(token uint32) bool { return !slices.Contains(m.tokens[1:], token) }

// lost finds out whose permit was taken: that of one of those who may be robbed.
func (m *permitsModel) lost(t *rapid.T, may func(token uint32) bool) {
	now, err := m.s[1].Holders()
	wants(t, "Held", err, nil)
	for token, n := range m.held {
		if now[token] == n-1 && may(token) {
			m.give(token, -1)
			return
		}
	}
	t.Fatalf("held by %v before and %v now: nobody has lost what could be taken", m.held, now)
}

func (m *permitsModel) someDead() bool {
	return slices.ContainsFunc(slices.Collect(maps.Keys(m.held)), m.dead)
}

// take is TryAcquire and TryConsume.
func (m *permitsModel) take(t *rapid.T, err error, token uint32) {
	switch {
	case m.free > 0:
		wants(t, "take", err, nil)
		m.free--
	case m.someDead():
		wants(t, "take", err, nil)
		m.lost(t, m.dead)
	default:
		wants(t, "take", err, futex.ErrLocked)
		return
	}
	if token != 0 {
		m.give(token, 1)
	}
}

func (m *permitsModel) release(t *rapid.T) {
	i := seat(t)
	me := m.tokens[i]
	err := m.s[i].Release()
	switch {
	case m.held[me] > 0:
		wants(t, "Release", err, nil)
		m.give(me, -1)
	case m.bound && m.out() > 0:
		wants(t, "Release", err, futex.ErrNotOwner)
		return
	case m.bound || m.free == modelMax:
		wants(t, "Release", err, futex.ErrBound)
		return
	default:
		wants(t, "Release", err, nil)
		if m.free+m.out() == modelMax { // there is no place for one more: it is one of those that are held
			m.lost(t, func(uint32) bool { return true })
		}
	}
	m.free++
}

func (m *permitsModel) run(t *rapid.T, actions map[string]func(*rapid.T)) {
	m.held = map[uint32]int{}
	for i := 1; i <= 3; i++ {
		m.enter(t, i)
	}
	actions["TryAcquire"] = func(t *rapid.T) {
		i := seat(t)
		m.take(t, m.s[i].TryAcquire(), m.tokens[i])
	}
	actions["Release"] = m.release
	actions["die"] = func(t *rapid.T) {
		i := seat(t)
		m.all.kill(m.tokens[i])
		m.enter(t, i)
	}
	actions[""] = func(t *rapid.T) {
		free, err := m.s[1].Value()
		wants(t, "Value", err, nil)
		held, err := m.s[2].Holders()
		wants(t, "Held", err, nil)
		if free != m.free || !maps.Equal(held, m.held) || m.s[3].Cap() != modelMax {
			t.Fatalf("%d are free and held are %v of %d, want %d and %v", free, held, m.s[3].Cap(), m.free, m.held)
		}
	}
	t.Repeat(actions)
}

func TestSemaphoreModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &permitsModel{mem: make([]byte, futex.SemaphoreSize(modelMax)), free: rapid.IntRange(0, modelMax).Draw(t, "free")}
		_, err := futex.CreateSemaphore(m.mem, m.free, modelMax, m.all.one(999))
		wants(t, "CreateSemaphore", err, nil)
		m.run(t, map[string]func(*rapid.T){"TryConsume": func(t *rapid.T) {
			m.take(t, m.s[seat(t)].(*futex.Semaphore).TryConsume(), 0)
		}})
	})
}

func TestBoundedSemaphoreModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &permitsModel{mem: make([]byte, futex.SemaphoreSize(modelMax)), free: modelMax, bound: true}
		_, err := futex.CreateBoundedSemaphore(m.mem, modelMax, m.all.one(999))
		wants(t, "CreateBoundedSemaphore", err, nil)
		m.run(t, map[string]func(*rapid.T){})
	})
}
