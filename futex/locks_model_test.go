package futex_test

import (
	"context"
	"testing"

	"pgregory.net/rapid"

	"github.com/fb2d3dbd/multiproc/futex"
)

// A crew is three seats at one memory. When a participant dies, another with a token of its own takes its seat.
type crew struct {
	all    folk
	tokens [4]uint32 // of seats 1 to 3
	last   uint32
}

func (c *crew) sit(seat int) futex.Participants {
	c.last++
	c.tokens[seat] = c.last
	return c.all.one(c.last)
}

func wants(t *rapid.T, what string, err, want error) {
	t.Helper()
	if err != want {
		t.Fatalf("%s: got %v, want %v", what, err, want)
	}
}

func seat(t *rapid.T) int { return rapid.IntRange(1, 3).Draw(t, "seat") }

// owned fails the test if the lock's owner is another than the model's.
func owned(t *rapid.T, owner uint32, held bool, want uint32) {
	t.Helper()
	if held != (want != 0) || owner != want {
		t.Fatalf("the owner is %d, %v, want %d", owner, held, want)
	}
}

// mutexModel is a mutex and what it should be.
type mutexModel struct {
	crew
	mem     []byte
	m       [4]*futex.Mutex
	owner   int // the seat, or 0
	damaged bool
	word    uint32 // what Locked says: the dead stays the owner until somebody has found out
}

func (m *mutexModel) enter(t *rapid.T, seat int) {
	var err error
	m.m[seat], err = futex.NewMutex(m.mem, m.sit(seat))
	wants(t, "NewMutex", err, nil)
}

func TestMutexModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &mutexModel{mem: make([]byte, futex.MutexSize)}
		for i := 1; i <= 3; i++ {
			m.enter(t, i)
		}
		t.Repeat(map[string]func(*rapid.T){
			"TryLock": func(t *rapid.T) {
				i := seat(t)
				err := m.m[i].TryLock()
				switch {
				case m.owner != 0:
					wants(t, "TryLock", err, futex.ErrLocked)
					return
				case m.damaged:
					wants(t, "TryLock", err, futex.ErrOwnerDied)
				default:
					wants(t, "TryLock", err, nil)
				}
				m.owner, m.word = i, m.tokens[i]
			},
			"Unlock": func(t *rapid.T) {
				i := seat(t)
				if err := m.m[i].Unlock(); m.owner != i {
					wants(t, "Unlock", err, futex.ErrNotOwner)
				} else {
					wants(t, "Unlock", err, nil)
					m.owner, m.word = 0, 0
				}
			},
			"MarkConsistent": func(t *rapid.T) {
				i := seat(t)
				if err := m.m[i].MarkConsistent(); m.owner != i {
					wants(t, "MarkConsistent", err, futex.ErrNotOwner)
				} else {
					wants(t, "MarkConsistent", err, nil)
					m.damaged = false
				}
			},
			"die": func(t *rapid.T) {
				i := seat(t)
				m.all.kill(m.tokens[i])
				if m.owner == i {
					m.owner, m.damaged = 0, true
				}
				m.enter(t, i)
			},
			"": func(t *rapid.T) {
				owner, held := m.m[1].Holder()
				owned(t, owner, held, m.word)
			},
		})
	})
}

// rlockModel is a re-entrant lock with two handles in each seat.
type rlockModel struct {
	crew
	mem           []byte
	h             [8]*futex.RLock // those of seat i are 2i and 2i+1
	holder, depth int
	damaged       bool
	word          uint32
}

func (m *rlockModel) enter(t *rapid.T, seat int) {
	l, err := futex.NewRLock(m.mem, m.sit(seat))
	wants(t, "NewRLock", err, nil)
	m.h[2*seat], m.h[2*seat+1] = l, l.Handle()
}

func TestRLockModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &rlockModel{mem: make([]byte, futex.RLockSize)}
		for i := 1; i <= 3; i++ {
			m.enter(t, i)
		}
		handle := func(t *rapid.T) int { return rapid.IntRange(2, 7).Draw(t, "handle") }
		t.Repeat(map[string]func(*rapid.T){
			"TryLock": func(t *rapid.T) {
				i := handle(t)
				err := m.h[i].TryLock()
				switch {
				case m.depth > 0 && m.holder != i:
					wants(t, "TryLock", err, futex.ErrLocked)
					return
				case m.depth == 0 && m.damaged:
					wants(t, "TryLock", err, futex.ErrOwnerDied)
				default: // once more is always nil
					wants(t, "TryLock", err, nil)
				}
				m.holder, m.word = i, m.tokens[i/2]
				m.depth++
			},
			"Unlock": func(t *rapid.T) {
				i := handle(t)
				if err := m.h[i].Unlock(); m.depth == 0 || m.holder != i {
					wants(t, "Unlock", err, futex.ErrNotOwner)
					return
				} else {
					wants(t, "Unlock", err, nil)
				}
				if m.depth--; m.depth == 0 {
					m.word = 0
				}
			},
			"MarkConsistent": func(t *rapid.T) {
				i := handle(t)
				if err := m.h[i].MarkConsistent(); m.depth == 0 || m.holder != i {
					wants(t, "MarkConsistent", err, futex.ErrNotOwner)
				} else {
					wants(t, "MarkConsistent", err, nil)
					m.damaged = false
				}
			},
			"die": func(t *rapid.T) {
				i := seat(t)
				m.all.kill(m.tokens[i])
				if m.depth > 0 && m.holder/2 == i {
					m.depth, m.damaged = 0, true
				}
				m.enter(t, i)
			},
			"": func(t *rapid.T) {
				owner, held := m.h[2].Holder()
				owned(t, owner, held, m.word)
				for i := 2; i < 8; i++ {
					if d := m.h[i].Depth(); m.holder == i && d != m.depth || m.holder != i && d != 0 {
						t.Fatalf("handle %d has depth %d; handle %d should hold with depth %d", i, d, m.holder, m.depth)
					}
				}
			},
		})
	})
}

func TestEventModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var c crew
		var e [4]*futex.Event
		set := false
		mem := make([]byte, futex.EventSize)
		enter := func(t *rapid.T, i int) {
			var err error
			e[i], err = futex.NewEvent(mem, c.sit(i))
			wants(t, "NewEvent", err, nil)
		}
		for i := 1; i <= 3; i++ {
			enter(t, i)
		}
		t.Repeat(map[string]func(*rapid.T){
			"Set": func(t *rapid.T) {
				wants(t, "Set", e[seat(t)].Set(), nil)
				set = true
			},
			"Clear": func(t *rapid.T) {
				wants(t, "Clear", e[seat(t)].Clear(), nil)
				set = false
			},
			"Wait": func(t *rapid.T) {
				want := context.Canceled
				if set {
					want = nil
				}
				wants(t, "Wait", e[seat(t)].Wait(ended()), want)
			},
			"die": func(t *rapid.T) { // it changes nothing
				i := seat(t)
				c.all.kill(c.tokens[i])
				enter(t, i)
			},
			"": func(t *rapid.T) {
				for i := 1; i <= 3; i++ {
					is, err := e[i].IsSet()
					if wants(t, "IsSet", err, nil); is != set {
						t.Fatalf("seat %d sees %v, want %v", i, is, set)
					}
				}
			},
		})
	})
}
