package ringbuf

import (
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"

	"github.com/fb2d3dbd/multiproc/futex"
	"github.com/fb2d3dbd/multiproc/internal/layout"
	"github.com/fb2d3dbd/multiproc/internal/owner"
)

// A QueueState is what somebody can see of an [MPMC] who takes no part in it and only reads its memory: for tools. What it says of one in use may be over, and
// may never have been in one instant.
type QueueState struct {
	Capacity   int
	MaxMessage int
	Waiting    int // messages that are to be taken, those that are handed out again included
	Unacked    int // taken, and not yet acknowledged
	SetAside   int // dead letters
	Writing    int // being put
	Closed     bool
	Members    []QueueMember
	Producers  int // members that have put
	Consumers  int // members that have taken
	Puts, Gets uint64
	Wrap       uint64 // Puts and Gets count modulo this
	Damage     error  // what cannot be, or nil; it matches ErrCorrupt
}

// A QueueMember is a process that uses a queue.
type QueueMember struct {
	Token          uint32
	Puts, Gets     bool // it has put, has taken
	NoPuts, NoGets bool // it has said that it will not any more
	Mending        bool // it is dead, and its repair is under way
}

// LookMPMC looks at a queue in mem, which may be mapped for reading alone. who says who is alive; its Self must not be 0.
func LookMPMC(mem []byte, who futex.Participants) (s QueueState, err error) {
	h, err := headerOf(mem)
	if err != nil {
		return s, err
	}
	size, err := h.head.Check(mpmcMagic, uint64(len(mem)))
	if err != nil {
		return s, fmt.Errorf("ringbuf: look: %w", err)
	}
	g, limit, err := h.read(size)
	if err != nil {
		return s, fmt.Errorf("ringbuf: look: %w", err)
	}
	q := &MPMC{geometry: g, who: who, limit: limit}
	var members []uint64
	q.parts, members = g.parts(mem[:g.total:g.total])
	q.members = owner.NewMembers(members, who)
	for range checkLooks {
		s, err = q.look()
		if err != nil {
			s.Damage = err
		} else if s.Damage = q.checkOnce(identity{token: who.Self()}); s.Damage == nil {
			break
		}
		runtime.Gosched()
	}
	if err != nil && !errors.Is(err, layout.ErrCorrupt) {
		return s, err
	}
	return s, nil
}

func (q *MPMC) look() (QueueState, error) {
	s := QueueState{
		Capacity:   q.Cap(),
		MaxMessage: q.MaxMessage(),
		Closed:     q.Closed(),
		Wrap:       (q.lapMask + 1) * q.n,
	}
	t, err := q.tail()
	h, e := q.head()
	if err := errors.Join(err, e); err != nil {
		return s, err
	}
	count := func(pos uint64) uint64 { return q.lap(pos)*q.n + q.index(pos) }
	s.Puts, s.Gets = count(t), count(h)
	s.Waiting = int(min(q.distance(h, t), q.n))
	for k := range q.slots {
		w := slotWord(atomic.LoadUint64(q.wordOf(k)))
		switch w.state() {
		case stateOwn:
			s.Writing++
		case stateTak:
			s.Unacked++
		case stateOrp:
			s.Waiting++
		case stateDlq:
			s.SetAside++
		case statePub:
			p, ok := q.sane(w.pos())
			if !ok {
				return s, q.corrupt("slot %d is %#x", k, uint64(w))
			}
			e := cell(atomic.LoadUint64(q.cellOf(q.index(p))))
			switch {
			case e.owner() == full && e.lap() == q.lap(p) && e.slot() == k: // it waits
			case e.owner() != full && e.lap() == q.lap(q.after(p)) && e.slot() == k:
				s.Unacked++
			default:
				s.Writing++
			}
		}
	}
	for i := 1; i <= q.memberMax && i <= int(atomic.LoadUint32(&q.hdr.top)); i++ {
		tok, flags := q.members.Get(i)
		m := QueueMember{Token: tok, Puts: flags&hasPut != 0, Gets: flags&hasGot != 0, NoPuts: flags&noPut != 0, NoGets: flags&noGet != 0, Mending: q.members.Mending(i)}
		if tok == 0 && !m.Mending {
			continue
		}
		s.Members = append(s.Members, m)
		if m.Puts && !m.NoPuts {
			s.Producers++
		}
		if m.Gets && !m.NoGets {
			s.Consumers++
		}
	}
	return s, nil
}
